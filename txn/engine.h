/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of one replica: its tables, timers, digests, and what changed since the base values;
 * and single transactions on it. Who runs a batch's transactions, and in which order, is said in
 * access.h. No I/O, no clock, no threads of its own.
 *
 * State that changes is kept by shard, one a worker: a flow entry is in its home's, a shared one in
 * shard 0. A shard is one thread's at a time; what says "serial" wants the whole engine to itself.
 */
#ifndef UNDERSTUDY_TXN_ENGINE_H
#define UNDERSTUDY_TXN_ENGINE_H

#include "core/outcome.h"
#include "txn/table.h"

#define HOME_NONE UINT16_MAX /* of a shared transaction that belongs nowhere, and shared entries */

/* An entry's state before a transaction changed it. */
struct undo {
	uint8_t table;
	uint8_t kind;
	uint8_t shard;
	uint32_t entry;
	uint64_t image_hash;
	uint64_t home;
	uint64_t version;
	uint64_t deadline_ns;
	uint8_t key[KEY_BYTES_MAX] __attribute__((aligned(8)));
	uint8_t value[VALUE_BYTES_MAX];
};

/* What a transaction may get at. */
enum txn_reach {
	TXN_FLOW,    /* flow entries of its home */
	TXN_PREPARE, /* shared tables; flow entries of its home by txn_foresee */
	TXN_ALL,     /* everything, flow entries of any home */
};

/* A look ahead: what it saw, to be seen again. */
struct foresight {
	uint32_t table;
	uint64_t key[KEY_BYTES_MAX / 8];
	uint64_t hash;
};

struct foresights {
	struct foresight *list;
	uint32_t count, capacity;
};

struct txn {
	struct engine *engine;
	struct engine_shard *shard; /* of its home: where its changes are noted */
	uint64_t id;
	uint64_t now_ns;
	uint16_t home;	     /* of the flow entries it inserts */
	uint16_t table_base; /* the VNF's table 0 is the stage's table table_base */
	uint8_t reach;
	uint8_t home_shard; /* where the home's flow entries are */
	bool aborted;
	bool widened;			 /* it has asked for more than it may have now */
	bool may_widen;			 /* all before it are done, none after it has begun */
	uint32_t undo_start, step_start; /* its first note, and its step's */
	uint64_t read_digest;
	struct foresights *foresights;	 /* NULL: what it sees ahead is so */
	const struct table *found_table; /* of the last access: saves a second look-up */
	uint32_t found_entry;
};

/* Called for an expired entry, in its own transaction, before the entry is erased. */
typedef void (*engine_expire)(void *context, uint32_t table, struct txn *txn, const void *key,
	const void *value);

struct dirty {
	uint32_t table;
	uint32_t entry;
};

struct tombstone {
	uint64_t version;
	uint32_t table;
	uint8_t key[KEY_BYTES_MAX] __attribute__((aligned(8)));
};

/* Sums that a batch adds to, and may take back. */
struct engine_sums {
	uint64_t state_digest; /* this shard's part */
	uint64_t batch_digest; /* grows with each transaction; the caller takes and zeroes it */
	uint32_t batch_aborted;
	uint64_t tombstones_end;
};

/*
 * A list of what changed, by place: places count on. Items before the first are forgotten, as the
 * base values have them; those before the cursor the pass has been at. See engine_pass_begin.
 */
struct change_places {
	uint64_t first, cursor;
};

/* All that changed below next_id is before these places, and nothing that changed later is. */
struct pass_mark {
	uint64_t next_id;
	uint64_t dirty[WORKERS_MAX], tombstones[WORKERS_MAX];
};

#define PASS_MARKS_MAX 4

struct engine_shard {
	struct engine_sums sums, saved;
	struct undo *undo; /* of the transaction in work; of all since engine_begin_parallel */
	uint32_t undo_count;
	uint32_t timers_count;
	uint32_t *timer_heads;
	struct dirty *dirty; /* the item of a place is at it mod the capacity, a power of two */
	uint32_t dirty_capacity, tombstones_capacity;
	struct tombstone *tombstones;
	struct change_places dirty_places, tombstone_places;
	uint64_t dirty_end;
	uint64_t dirty_passed; /* from here on entries that are listed are marked so, once each */
	uint8_t number;
} __attribute__((aligned(64)));

struct engine {
	struct table tables[TABLES_MAX];
	uint32_t tables_count;
	uint32_t workers;
	uint64_t hash_seed;
	bool tracks; /* digests and changes; false when unprotected */
	bool parallel;
	struct engine_shard shards[WORKERS_MAX];
	struct pass_mark marks[PASS_MARKS_MAX]; /* oldest first */
	uint32_t marks_count;
	uint64_t timer_now; /* quanta that have fired */
	uint64_t *expired;  /* scratch for sorting a bucket */
	engine_expire expire;
	void *expire_context;
	uint64_t *progress; /* counts steps of work that may take long, for who watches; not NULL */
	uint64_t own_progress;
};

/* hash_seed perturbs layout only; so does the number of workers, from 1 to WORKERS_MAX. */
void engine_open(struct engine *engine, uint64_t hash_seed, bool tracks, uint32_t workers,
	engine_expire expire, void *expire_context);
void engine_close(struct engine *engine);

/* Adds a table; its number is the count before. Errors: INVALID, FULL, NO_MEMORY. */
MUST_CHECK enum status engine_add_table(struct engine *engine, const struct table_spec *spec,
	const void *self);

/* After the last table: takes the memory of timers and change lists. Errors: NO_MEMORY. */
MUST_CHECK enum status engine_ready(struct engine *engine);

/*
 * Serial, of an injected fault: changes a bit of the youngest entry's value in the first table that
 * has any, as bad memory does: nothing that goes with the entry is told.
 */
void engine_flip(struct engine *engine);

/* Serial: sums over the shards. */
uint64_t engine_state_digest(const struct engine *engine);
uint64_t engine_batch_digest(const struct engine *engine);
uint32_t engine_batch_aborted(const struct engine *engine);
void engine_batch_zero(struct engine *engine);

/*
 * Serial: from here on shards may be worked on side by side, by transactions of reach TXN_FLOW in
 * their home's shard, and everything can be taken back. False: a flow table is so full that only
 * serial transactions meet its capacity in ID order.
 */
bool engine_begin_parallel(struct engine *engine, uint32_t transactions);
/* Serial: what was done since then stays, or is taken back. */
void engine_end_parallel(struct engine *engine);
void engine_undo_parallel(struct engine *engine);

/* home HOME_NONE: of reach TXN_ALL, else of TXN_FLOW; the caller may set another. */
void txn_begin(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns, uint16_t home);

/*
 * Of reach TXN_PREPARE; home: of the flow entries that it may foresee. Serial, and noted in shard
 * 0, so that all that changes shared tables is taken back in one order.
 */
void txn_begin_prepare(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns,
	uint16_t home);

/* Commits, or rolls back if aborted; returns true if committed. */
bool txn_end(struct txn *txn);

/* The next step of the same transaction, of another reach. */
static inline void txn_go_on(struct txn *txn, enum txn_reach reach)
{
	txn->reach = (uint8_t)reach;
	txn->found_table = NULL;
	txn->step_start = txn->shard->undo_count;
}

/* Runs an operation in place, as part of a transaction that is not flow's alone. */
void txn_operate(struct txn *txn, const struct operation *operation, void *context);

/* A flow transaction's turn: whether what was seen ahead is so. */
bool txn_foresaw(struct txn *txn, const struct foresight *foresights, uint32_t count);

/* Serial: fires all timers due at or before now_ns in (deadline, table, key) order. */
void engine_advance(struct engine *engine, uint64_t now_ns, uint64_t id);

/* True if a timer may fire between two clocks: callers split a batch there. */
static inline bool engine_crosses_quantum(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns / TIMER_QUANTUM_NS != to_ns / TIMER_QUANTUM_NS;
}

/*
 * Serial. A pass over what changed since the base values, some changes at a time, between batches,
 * so that no packet waits for millions of them: what changes again behind the pass is listed again
 * at the end, and comes once more. The images that it copied, in their order, are base values as of
 * where none is left (as live migration copies memory: Clark et al., NSDI'05, section 3). copies:
 * from the oldest change on; else only over those that no pass was at yet, so that they can be
 * forgotten in one go when another replica's fold has become base values.
 */
void engine_pass_begin(struct engine *engine, bool copies);
uint64_t engine_pass_left(const struct engine *engine);

/*
 * Copies images, as many as fit, of at most so many changes that no packet waits for long; returns
 * bytes written; *images counts them. A key's tombstone comes before its image. *sound: whether
 * entries were what they were when they changed; else the memory under them is bad, and nobody may
 * take them for base values.
 */
uint32_t engine_pass_copy(struct engine *engine, uint8_t *out, uint32_t capacity_bytes,
	uint32_t *images, bool *sound);

/* So many without copying them. */
void engine_pass_over(struct engine *engine, uint64_t changes);

/* None is left, and next_id is the next packet's: what changed so far can be forgotten one day. */
void engine_pass_end(struct engine *engine, uint64_t next_id);

/*
 * Serial: the base values have all below next_id; what a pass ended on below that is forgotten.
 * True: something was; then a pass that copies is to begin anew, as it may have copied a tombstone
 * whose key's image is forgotten now.
 */
bool engine_base_advanced(struct engine *engine, uint64_t next_id);

/* Serial: loads one base value into empty tables. Errors: CORRUPT (unknown table, wrong sizes),
 * FULL. */
MUST_CHECK enum status engine_load(struct engine *engine, const struct fold_image *image,
	const uint8_t *key, const uint8_t *value);

/* Within txn/: timers.c, changes.c. */
#define LINK_NONE UINT32_MAX

uint64_t timer_deadline(uint64_t now_ns, uint64_t deadline_ns); /* as it is kept */
void timer_unlink(struct engine *engine, struct engine_shard *shard, struct entry *entry);
void timer_link(struct engine *engine, struct engine_shard *shard, uint32_t table, uint32_t number,
	uint64_t deadline_ns);
void timers_begin_before(struct engine *engine, uint64_t deadline_ns);
void change_mark(struct engine *engine, struct engine_shard *shard, uint32_t table,
	uint32_t number);
void change_erased(struct engine *engine, struct engine_shard *shard, uint32_t table,
	const uint8_t *key, uint64_t version);

#define READ_ABSENT_SALT 0x9e3779b97f4a7c15ull
#define ERASE_SALT 0xc2b2ae3d27d4eb4full
#define ABORT_SALT 0x165667b19e3779f9ull

/* What reading an entry adds to the digest; value NULL: there is none. */
static inline uint64_t read_digest_of(const struct table *table, const void *key, const void *value,
	uint64_t deadline_ns)
{
	if (value == NULL)
		return digest_mix(digest_of_words(key, table->spec.key_bytes, table->number) ^
				  READ_ABSENT_SALT);
	return digest_of_words(value, table->spec.value_bytes, deadline_ns ^ table->number);
}

#endif
