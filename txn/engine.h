/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transactional state engine of one replica: its tables, timers, digests, and what
 * changed since
 * the base values. Transactions run serially in packet-ID order. One thread; no I/O, no clock.
 */
#ifndef UNDERSTUDY_TXN_ENGINE_H
#define UNDERSTUDY_TXN_ENGINE_H

#include "core/outcome.h"
#include "txn/table.h"

#define HOME_NONE UINT16_MAX /* of a shared transaction that belongs nowhere */

/* An entry's state before a transaction changed it. */
struct undo {
	uint8_t table;
	uint8_t kind;
	uint32_t entry;
	uint64_t image_hash;
	uint64_t home;
	uint64_t version;
	uint64_t deadline_ns;
	uint8_t key[KEY_BYTES_MAX];
	uint8_t value[VALUE_BYTES_MAX];
};

struct txn {
	struct engine *engine;
	uint64_t id;
	uint64_t now_ns;
	uint16_t home;	     /* of the entries it inserts */
	bool shared;	     /* it may touch flow entries of any home */
	uint16_t table_base; /* the VNF's table 0 is the stage's table table_base */
	bool aborted;
	uint32_t undo_count;
	uint64_t read_digest;
	const struct table *found_table; /* of the last access: saves a second look-up */
	uint32_t found_entry;
	struct undo undo[TXN_WRITES_MAX];
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
	uint8_t key[KEY_BYTES_MAX];
};

struct engine {
	struct table tables[TABLES_MAX];
	uint32_t tables_count;
	uint64_t hash_seed;
	bool tracks; /* digests and changes; false when unprotected */
	uint64_t state_digest;
	uint64_t batch_digest; /* grows with each transaction; the caller takes and zeroes it */
	uint32_t batch_aborted;
	uint64_t timer_now; /* quanta that have fired */
	uint32_t *timer_heads;
	uint32_t timers_count;
	uint64_t *expired; /* scratch for sorting a bucket */
	struct dirty *dirty;
	uint32_t dirty_count, dirty_capacity;
	struct tombstone *tombstones;
	uint32_t tombstones_count, tombstones_capacity;
	engine_expire expire;
	void *expire_context;
	uint64_t *progress; /* counts steps of work that may take long, for who watches; not NULL */
	uint64_t own_progress;
};

/* hash_seed perturbs layout only. */
void engine_open(struct engine *engine, uint64_t hash_seed, bool tracks, engine_expire expire,
	void *expire_context);
void engine_close(struct engine *engine);

/* Adds a table; its number is the count before. Errors: INVALID, FULL, NO_MEMORY. */
MUST_CHECK enum status engine_add_table(struct engine *engine, const struct table_spec *spec,
	const void *self);

/* After the last table: takes the memory of timers and change lists. Errors: NO_MEMORY. */
MUST_CHECK enum status engine_ready(struct engine *engine);

void txn_begin(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns, uint16_t home);

/* Commits, or rolls back if aborted; returns true if committed. */
bool txn_end(struct txn *txn);

/* Fires all timers due at or before now_ns in (deadline, table, key) order. */
void engine_advance(struct engine *engine, uint64_t now_ns, uint64_t id);

/* True if a timer may fire between two clocks: callers split a batch there. */
static inline bool engine_crosses_quantum(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns / TIMER_QUANTUM_NS != to_ns / TIMER_QUANTUM_NS;
}

/* Forgets changes with versions below next_id: the base values have them. */
void engine_base_advanced(struct engine *engine, uint64_t next_id);

/*
 * Copies images of what changed, from *at (0 to start) on, as many as fit; *at moves on. Tombstones
 * come first. Returns bytes written; *images counts them. Done when engine_changes_left is 0.
 */
uint32_t engine_copy_changes(const struct engine *engine, uint32_t *at, uint8_t *out,
	uint32_t capacity_bytes, uint32_t *images);

static inline uint32_t engine_changes_left(const struct engine *engine, uint32_t at)
{
	return engine->tombstones_count + engine->dirty_count - at;
}

/* Loads one base value into empty tables. Errors: CORRUPT (unknown table, wrong sizes), FULL. */
MUST_CHECK enum status engine_load(struct engine *engine, const struct fold_image *image,
	const uint8_t *key, const uint8_t *value);

#endif
