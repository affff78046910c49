/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VNF's access step sees: one atomic transaction over declared tables (TransNFV section 3:
 * READ, WRITE, READ_MODIFY). Executed as if serially in packet-ID order. An abort is sticky: later
 * calls return NULL or do nothing, and all changes are taken back, so the author need not
 * check each.
 *
 * Values are fixed-size and live in the table; a pointer is good until the step returns. Layout
 * (slots, iteration order, capacity of the structure) never shows; a table holds exactly its
 * capacity.
 */
#ifndef UNDERSTUDY_TXN_TXN_H
#define UNDERSTUDY_TXN_TXN_H

#include <stdbool.h>
#include <stdint.h>

struct txn;

enum table_scope { TABLE_FLOW = 0, TABLE_SHARED = 1 };
enum table_writers { TABLE_SINGLE_WRITER = 0, TABLE_MULTI_WRITER = 1 };

/*
 * A table as its VNF declares it. Sizes are multiples of 8, keys are 8-byte aligned, and
 * unused bytes of a key must be 0.
 */
struct table_spec {
	const char *name;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t capacity; /* entries, decided in ID order */
	enum table_scope scope;
	enum table_writers writers;
	uint32_t staleness_packets;		     /* that a reader tolerates; 0: none */
	void (*merge)(void *into, const void *from); /* of two writers' values; NULL: none */
	/* Optional: a number below ordinals for each key, one to one. Serves txn_lowest_absent. */
	uint32_t (*ordinal)(const void *self, const void *key);
	uint32_t ordinals;
};

/* The value under key, or NULL. */
const void *txn_read(struct txn *txn, uint32_t table, const void *key);

/* The value under key to change in place, or NULL. */
void *txn_modify(struct txn *txn, uint32_t table, const void *key);

/* A new zeroed value under key; NULL if the key is there or the table is at capacity. */
void *txn_insert(struct txn *txn, uint32_t table, const void *key);

/* False if the key is not there. */
bool txn_erase(struct txn *txn, uint32_t table, const void *key);

/* The lowest ordinal in [first, first + count) without an entry; UINT32_MAX if all are there. */
uint32_t txn_lowest_absent(struct txn *txn, uint32_t table, uint32_t first, uint32_t count);

/*
 * The entry under key expires at the first packet at or past deadline_ns (rounded up to the timer
 * quantum, at most 16384 quanta ahead); 0: never. Costs a change only where the deadline changes.
 */
void txn_expire_at(struct txn *txn, uint32_t table, const void *key, uint64_t deadline_ns);

/*
 * The entry under key expires once it is idle: idle_ns from now, or up to a sixteenth of that
 * later, so that an entry in use is a change, and a base value to write, only now and then.
 */
void txn_keep(struct txn *txn, uint32_t table, const void *key, uint64_t idle_ns);

/* Takes back everything the transaction did. */
void txn_abort(struct txn *txn);
bool txn_aborted(const struct txn *txn);

/* The packet clock. */
uint64_t txn_now_ns(const struct txn *txn);

#endif
