/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state access phase of a batch (TransNFV section 3.1): its transactions, declared in the
 * packet phase, are executed as if one by one in packet-ID order. By one worker, or by all:
 *
 *   declare   by all workers side by side, in any order: what each transaction wants
 *             (access_declare, access_operate)
 *   shared    operations and prepare steps, by the strategy given (decision.h picks one): one by
 *             one in ID order, or by the graph. Where there are prepare steps, or a table is
 *             nearly full, one by one whatever the strategy
 *   flow      each worker the access steps of its homes, in ID order, without any graph. What a
 *             prepare step foresaw is looked at again
 *   final     versions into tables. Where a look ahead was wrong, a flow step asked for more, or
 *             one aborted after its shared part: all is taken back, and done one by one
 *
 * A transaction that may touch everything (alone) divides the batch. The choice of all this changes
 * speed, never results or digests.
 */
#ifndef UNDERSTUDY_TXN_ACCESS_H
#define UNDERSTUDY_TXN_ACCESS_H

#include "core/team.h"
#include "txn/decision.h"
#include "txn/schedule.h"

/* A transaction, by its slot: its place in the batch. Who declares fills it; the rest is 0. */
struct access_txn {
	uint64_t id, now_ns;
	void *context;		  /* of its operations */
	uint16_t home;		  /* of its flow state, or HOME_NONE */
	bool prepares;		  /* it has a prepare step */
	bool flows;		  /* it has an access step */
	bool alone;		  /* which may touch everything */
	bool aborted;		  /* out */
	uint8_t operations_count; /* access_operate's */
};

/* What the caller does of a transaction; table_base is the caller's to set. */
struct access_steps {
	void (*prepare)(void *caller, uint32_t slot, struct txn *txn);
	void (*access)(void *caller, uint32_t slot, struct txn *txn);
	/* What the steps leave outside the tables, back to how it was declared. */
	void (*restore)(void *caller, uint32_t slot);
	/*
	 * Another worker has it in its caches; this one's access is next but a few. First what it
	 * is, later what that says where to look, then what is there. May be NULL.
	 */
	void (*prefetch)(void *caller, uint32_t slot, uint32_t depth);
};

#define SLOT_WORDS (BATCH_PACKETS_MAX / 64)

/* A set of slots: sorted by packet ID whatever the order in which they came. */
struct slots {
	uint64_t words[SLOT_WORDS];
};

struct access_worker {
	struct slots flows[WORKERS_MAX]; /* by shard */
	struct slots prepares, operates, alone;
	uint32_t failed; /* atomic: this worker's flow steps cannot stand */
} __attribute__((aligned(64)));

struct access {
	struct engine *engine;
	const struct access_steps *steps;
	void *caller;
	struct graph graph;
	struct schedule schedule;
	struct decision decision;
	struct access_txn txns[BATCH_PACKETS_MAX];
	struct access_worker worker[WORKERS_MAX];
	uint32_t first, end; /* slots of the batch */
	uint32_t from, to;   /* the range in work */
	uint32_t strategy;   /* of the batch's shared phase */
	struct foresights foresights;
	uint32_t foresights_first[BATCH_PACKETS_MAX + 1];
	uint64_t (*clock_ns)(void); /* to learn from; NULL: nothing is learned */
};

/* steps stays; caller is handed to it. Errors: NO_MEMORY. */
MUST_CHECK enum status access_open(struct access *access, struct engine *engine,
	const struct access_steps *steps, void *caller);
void access_close(struct access *access);

/*
 * For one worker alone: transactions that are filled in, and whose operations are given, run one at
 * a time, each when access_one is called for it.
 */
void access_begin_one(struct access *access);
void access_one(struct access *access, uint32_t slot);

/* Serial: a batch of slots [first, end) begins, for the team, by that strategy. */
void access_begin(struct access *access, uint32_t first, uint32_t end, uint32_t strategy);

/*
 * When access->txns[slot] is filled; before or after that its operations, whose tables are counted
 * from table_base. By one worker a slot.
 */
void access_declare(struct access *access, uint32_t worker, uint32_t slot);
void access_operate(struct access *access, uint32_t worker, uint32_t slot,
	const struct operation *operation, uint32_t table_base);

/* Serial: executes all that is declared, with the team's help. */
void access_run(struct access *access, struct team *team);

#endif
