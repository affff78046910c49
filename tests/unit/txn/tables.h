/* SPDX-License-Identifier: BSD-3-Clause */
/* An engine with a shared and a flow table, for cases by hand: keys are words, homes key mod 16. */
#ifndef UNDERSTUDY_TESTS_UNIT_TXN_TABLES_H
#define UNDERSTUDY_TESTS_UNIT_TXN_TABLES_H

#include "txn/engine.h"

#define SECOND_NS 1000000000ull
#define NOW_NS (1000 * SECOND_NS)
#define HOMES 16
#define ORDINALS 200

enum { SHARED, FLOW }; /* tables */

#define KEY(k) (&(uint64_t){k})

static inline uint16_t tables_home(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key % HOMES);
}

static inline uint32_t tables_ordinal(const void *self, const void *key)
{
	(void)self;
	return (uint32_t)(*(const uint64_t *)key % ORDINALS);
}

static inline enum status tables_add(struct engine *engine, uint32_t capacity)
{
	struct table_spec shared = {.name = "shared",
		.key_bytes = 8,
		.value_bytes = 16,
		.capacity = capacity,
		.scope = TABLE_SHARED,
		.ordinal = tables_ordinal,
		.ordinals = ORDINALS};
	struct table_spec flow = {.name = "flow",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = capacity,
		.home = tables_home};
	enum status status = engine_add_table(engine, &shared, NULL);

	return status == STATUS_OK ? engine_add_table(engine, &flow, NULL) : status;
}

static inline void tables_open(struct engine *engine, uint32_t workers, bool tracks,
	uint32_t capacity, engine_expire expire)
{
	engine_open(engine, 5, tracks, workers, expire, NULL);
	assert_int_equal(tables_add(engine, capacity), STATUS_OK);
	assert_int_equal(engine_ready(engine), STATUS_OK);
}

/* One entry, by a transaction of its own that may touch everything. */
static inline void tables_put(struct engine *engine, uint64_t id, uint32_t table, uint64_t key,
	uint64_t value)
{
	struct txn txn;
	uint64_t *at;

	txn_begin(&txn, engine, id, NOW_NS, HOME_NONE);
	at = txn_insert(&txn, table, &key);
	if (at == NULL)
		at = txn_modify(&txn, table, &key);
	assert_non_null(at);
	*at = value;
	assert_true(txn_end(&txn));
}

/* The value under a key, UINT64_MAX if there is none; leaves the digests as they are. */
static inline uint64_t tables_get(const struct engine *engine, uint32_t number, uint64_t key)
{
	const struct table *table = &engine->tables[number];
	uint32_t shard = number == FLOW ? table_shard_of(table, key % HOMES) : 0;
	uint32_t entry = table_find(table, shard, &key);

	return entry == ENTRY_NONE ? UINT64_MAX
				   : *(uint64_t *)entry_value(table, table_entry(table, entry));
}

static inline uint64_t tables_deadline(const struct engine *engine, uint32_t number, uint64_t key)
{
	const struct table *table = &engine->tables[number];
	uint32_t shard = number == FLOW ? table_shard_of(table, key % HOMES) : 0;

	return table_entry(table, table_find(table, shard, &key))->deadline_ns;
}

#endif
