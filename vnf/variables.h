/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Variables that a VNF's threads share under locks of its own, with what FTvNF's section 3 records
 * of each access: a getter's PAD (GPAD) has variable, sequence number and value, a setter's (SPAD)
 * variable, sequence number and operation. The leader records; a slave is told: its getters get
 * what the leader's got, its setters take effect in the order of their sequence numbers once the
 * batch is through, so that none of its threads ever waits for another's turn.
 *
 *   PAD, as a determinant: | kind 8, variable 16, sequence 40 | value 8: of getters alone |
 *
 * Between batches, the values are rows of a table, so that they are in base values and digests.
 */
#ifndef UNDERSTUDY_VNF_VARIABLES_H
#define UNDERSTUDY_VNF_VARIABLES_H

#include "txn/engine.h"
#include "vnf/understudy_vnf.h"

enum pad_kind { PAD_GET = 1, PAD_SET = 2, PAD_PUSH = 3, PAD_POP = 4 };

struct variable {
	uint32_t lock;	       /* atomic: 1 is taken */
	uint32_t capacity;     /* of a list; 0: it has one value */
	uint32_t first, count; /* of a list, a ring; its oldest is at first */
	uint64_t sequence;     /* of the next access */
	uint64_t *values;
} __attribute__((aligned(64)));

/* An access that a slave was told of, in any order. */
struct told_access {
	uint64_t sequence;
	uint64_t value;
	uint16_t variable;
	uint8_t kind;
};

#define TOLD_MAX (BATCH_PACKETS_MAX * PACKET_DETERMINANTS_BYTES_MAX / 16)

struct variables {
	struct variable list[VARIABLES_MAX];
	uint32_t count;
	struct told_access *told; /* TOLD_MAX */
	uint32_t told_count;	  /* atomic */
};

MUST_CHECK enum status variables_open(struct variables *variables,
	const struct variable_spec *specs, uint32_t count);
void variables_close(struct variables *variables);

/* The table that keeps them. */
struct table_spec variables_table(const struct variables *variables);

/*
 * One access, by whoever holds the variable's lock, or needs none: for a setter, value goes in.
 * Returns its sequence number; a getter's value is in *value.
 */
uint64_t variable_access(struct variable *variable, enum pad_kind kind, uint64_t *value);

void variable_lock(struct variable *variable);
void variable_unlock(struct variable *variable);

/* A slave: notes what it was told; false: too much. Then, serially, all of it takes effect. */
bool variables_tell(struct variables *variables, const struct told_access *access);
void variables_settle(struct variables *variables);

/* Serial, in a transaction with table_base set: one variable into the table; all from it. */
void variables_keep(const struct variables *variables, uint32_t number, struct txn *txn,
	uint32_t table);
void variables_load(struct variables *variables, struct txn *txn, uint32_t table);

#endif
