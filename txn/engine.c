/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/engine.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_START 65536
#define UNDO_MAX ((BATCH_PACKETS_MAX + 1) * (OPERATIONS_MAX + 2 * TXN_WRITES_MAX))

void engine_open(struct engine *engine, uint64_t hash_seed, bool tracks, uint32_t workers,
	engine_expire expire, void *expire_context)
{
	BUG_ON(workers == 0 || workers > WORKERS_MAX);
	*engine = (struct engine){
		.workers = workers,
		.hash_seed = hash_seed,
		.tracks = tracks,
		.expire = expire,
		.expire_context = expire_context,
	};
	for (uint32_t w = 0; w < workers; w++)
		engine->shards[w].number = (uint8_t)w;
	engine->progress = &engine->own_progress;
}

void engine_close(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->tables_count; i++)
		table_close(&engine->tables[i]);
	for (uint32_t w = 0; w < engine->workers; w++) {
		free(engine->shards[w].undo);
		free(engine->shards[w].timer_heads);
		free(engine->shards[w].dirty);
		free(engine->shards[w].tombstones);
	}
	free(engine->expired);
	*engine = (struct engine){0};
}

enum status engine_add_table(struct engine *engine, const struct table_spec *spec, const void *self)
{
	enum status status;

	if (engine->tables_count == TABLES_MAX)
		return STATUS_FULL;
	status = table_open(&engine->tables[engine->tables_count], spec, engine->tables_count, self,
		engine->hash_seed, engine->workers);
	if (status == STATUS_OK)
		engine->tables_count++;
	return status;
}

static bool ready_shard(struct engine_shard *shard)
{
	shard->undo = malloc(UNDO_MAX * sizeof(*shard->undo));
	shard->timer_heads = malloc(TIMER_QUANTA_MAX * sizeof(uint32_t));
	shard->dirty_capacity = shard->tombstones_capacity = CHANGES_START;
	shard->dirty = malloc(shard->dirty_capacity * sizeof(*shard->dirty));
	shard->tombstones = malloc(shard->tombstones_capacity * sizeof(*shard->tombstones));
	if (shard->undo == NULL || shard->timer_heads == NULL || shard->dirty == NULL ||
		shard->tombstones == NULL)
		return false;
	memset(shard->timer_heads, 0xff, TIMER_QUANTA_MAX * sizeof(uint32_t));
	return true;
}

enum status engine_ready(struct engine *engine)
{
	uint64_t entries = 1;

	for (uint32_t i = 0; i < engine->tables_count; i++)
		entries += engine->tables[i].spec.capacity;
	engine->expired = malloc(entries * sizeof(uint64_t));
	if (engine->expired == NULL)
		return STATUS_NO_MEMORY;
	for (uint32_t w = 0; w < engine->workers; w++)
		if (!ready_shard(&engine->shards[w]))
			return STATUS_NO_MEMORY;
	return STATUS_OK;
}

void engine_flip(struct engine *engine)
{
	for (uint32_t t = 0; t < engine->tables_count; t++) {
		struct table *table = &engine->tables[t];
		struct entry *youngest = NULL;

		for (uint32_t i = 0; i < table->spec.capacity; i++) {
			struct entry *entry = table_entry(table, i);

			if (entry->live && (youngest == NULL || entry->version > youngest->version))
				youngest = entry;
		}
		if (youngest == NULL || table->spec.value_bytes == 0)
			continue;
		*entry_value(table, youngest) ^= 1;
		return;
	}
}

uint64_t engine_state_digest(const struct engine *engine)
{
	uint64_t digest = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		digest += engine->shards[w].sums.state_digest;
	return digest;
}

uint64_t engine_batch_digest(const struct engine *engine)
{
	uint64_t digest = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		digest += engine->shards[w].sums.batch_digest;
	return digest;
}

uint32_t engine_batch_aborted(const struct engine *engine)
{
	uint32_t aborted = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		aborted += engine->shards[w].sums.batch_aborted;
	return aborted;
}

void engine_batch_zero(struct engine *engine)
{
	for (uint32_t w = 0; w < engine->workers; w++)
		engine->shards[w].sums.batch_digest = engine->shards[w].sums.batch_aborted = 0;
}
