/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed since the base values: lists by shard, images for folds, and the way back. */
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/mutants.h"
#include "txn/engine.h"

#define STEP_ENTRIES 1024 /* that count as progress */

/* The change lists grow by doubling, rarely and only upwards. */
static void *grown(void *list, uint32_t count, uint32_t *capacity, size_t item_bytes)
{
	if (count < *capacity)
		return list;
	*capacity *= 2;
	list = realloc(list, *capacity * item_bytes);
	BUG_ON(list == NULL);
	return list;
}

void change_mark(struct engine *engine, struct engine_shard *shard, uint32_t table, uint32_t number)
{
	struct entry *entry = table_entry(&engine->tables[table], number);

	if (entry->dirty || (MUTANT(LOSE_IMAGE) && number % 4 == 3))
		return;
	entry->dirty = 1;
	shard->dirty = grown(shard->dirty, shard->dirty_count, &shard->dirty_capacity,
		sizeof(*shard->dirty));
	shard->dirty[shard->dirty_count++] = (struct dirty){table, number};
}

void change_erased(struct engine *engine, struct engine_shard *shard, uint32_t table,
	const uint8_t *key, uint64_t version)
{
	struct tombstone *tombstone;

	if (MUTANT(LOSE_TOMBSTONE))
		return;
	shard->tombstones = grown(shard->tombstones, shard->sums.tombstones_count,
		&shard->tombstones_capacity, sizeof(*shard->tombstones));
	tombstone = &shard->tombstones[shard->sums.tombstones_count++];
	*tombstone = (struct tombstone){.version = version, .table = table};
	memcpy(tombstone->key, key, engine->tables[table].spec.key_bytes);
}

static void base_advanced(struct engine *engine, struct engine_shard *shard, uint64_t next_id)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < shard->dirty_count; i++) {
		struct dirty *dirty = &shard->dirty[i];
		struct entry *entry = table_entry(&engine->tables[dirty->table], dirty->entry);

		if (i % STEP_ENTRIES == 0)
			counter_add(engine->progress, 1);
		if (!entry->live || entry->version < next_id)
			entry->dirty = 0;
		else
			shard->dirty[kept++] = *dirty;
	}
	shard->dirty_count = kept;
	kept = 0;
	for (uint32_t i = 0; i < shard->sums.tombstones_count; i++)
		if (shard->tombstones[i].version >= next_id)
			shard->tombstones[kept++] = shard->tombstones[i];
	shard->sums.tombstones_count = kept;
}

void engine_base_advanced(struct engine *engine, uint64_t next_id)
{
	for (uint32_t w = 0; w < engine->workers; w++)
		base_advanced(engine, &engine->shards[w], next_id);
}

static uint32_t copy_tombstone(const struct engine *engine, const struct tombstone *tombstone,
	uint8_t *out)
{
	const struct table_spec *spec = &engine->tables[tombstone->table].spec;
	uint32_t bytes = fold_image_bytes(spec->key_bytes, 0);
	struct fold_image image = {
		.table = (uint8_t)tombstone->table,
		.flags = IMAGE_TOMBSTONE,
		.key_bytes = (uint8_t)spec->key_bytes,
		.version = tombstone->version,
	};

	memcpy(out, &image, sizeof(image));
	memcpy(out + sizeof(image), tombstone->key, spec->key_bytes);
	return bytes;
}

static uint32_t copy_entry(const struct engine *engine, const struct dirty *dirty, uint8_t *out)
{
	const struct table *table = &engine->tables[dirty->table];
	struct entry *entry = table_entry(table, dirty->entry);
	struct fold_image image = {
		.table = (uint8_t)dirty->table,
		.key_bytes = (uint8_t)table->spec.key_bytes,
		.value_bytes = (uint8_t)table->spec.value_bytes,
		.home = (uint16_t)entry->home,
		.deadline_ns = entry->deadline_ns,
		.version = entry->version,
	};

	if (!entry->live)
		return 0; /* its tombstone tells */
	memcpy(out, &image, sizeof(image));
	memcpy(out + sizeof(image), entry->key, table->spec.key_bytes + table->spec.value_bytes);
	return fold_image_bytes(table->spec.key_bytes, table->spec.value_bytes);
}

uint32_t engine_changes_left(const struct engine *engine, uint32_t at)
{
	uint32_t changes = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		changes += engine->shards[w].sums.tombstones_count + engine->shards[w].dirty_count;
	return changes - at;
}

/* The change at a place of the whole list: the tombstones of all shards come first. */
static uint32_t copy_change(const struct engine *engine, uint32_t at, uint8_t *out)
{
	for (uint32_t w = 0; w < engine->workers; w++) {
		const struct engine_shard *shard = &engine->shards[w];

		if (at < shard->sums.tombstones_count)
			return copy_tombstone(engine, &shard->tombstones[at], out);
		at -= shard->sums.tombstones_count;
	}
	for (uint32_t w = 0; w < engine->workers; w++) {
		if (at < engine->shards[w].dirty_count)
			return copy_entry(engine, &engine->shards[w].dirty[at], out);
		at -= engine->shards[w].dirty_count;
	}
	return 0;
}

uint32_t engine_copy_changes(const struct engine *engine, uint32_t *at, uint8_t *out,
	uint32_t capacity_bytes, uint32_t *images)
{
	uint32_t bytes = 0, left = engine_changes_left(engine, *at);

	*images = 0;
	while (left-- > 0 &&
		capacity_bytes - bytes >= fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX)) {
		uint32_t copied = copy_change(engine, (*at)++, out + bytes);

		*images += copied > 0;
		bytes += copied;
	}
	return bytes;
}

bool engine_changes_sound(const struct engine *engine, uint32_t at, uint32_t end)
{
	uint32_t first = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		first += engine->shards[w].sums.tombstones_count;
	for (uint32_t w = 0; w < engine->workers; w++) {
		const struct engine_shard *shard = &engine->shards[w];

		for (uint32_t i = at > first ? at - first : 0;
			i < shard->dirty_count && first + i < end; i++) {
			const struct table *table = &engine->tables[shard->dirty[i].table];
			const struct entry *entry = table_entry(table, shard->dirty[i].entry);

			if (entry->live && table_image_hash(table, entry) != entry->image_hash)
				return false;
		}
		first += shard->dirty_count;
	}
	return true;
}

enum status engine_load(struct engine *engine, const struct fold_image *image, const uint8_t *key,
	const uint8_t *value)
{
	struct table *table;
	struct engine_shard *shard;
	struct entry *entry;
	uint32_t number, in;

	if (image->table >= engine->tables_count)
		return STATUS_CORRUPT;
	table = &engine->tables[image->table];
	in = table_shard_of(table, image->home);
	shard = &engine->shards[in];
	if (image->key_bytes != table->spec.key_bytes ||
		image->value_bytes != table->spec.value_bytes || image->flags != 0 ||
		table_find(table, in, key) != ENTRY_NONE)
		return STATUS_CORRUPT;
	number = table_add(table, in, key);
	if (number == ENTRY_NONE)
		return STATUS_FULL;
	entry = table_entry(table, number);
	entry->home = image->home;
	entry->version = image->version;
	memcpy(entry_value(table, entry), value, image->value_bytes);
	timers_begin_before(engine, image->deadline_ns);
	timer_link(engine, shard, image->table, number, image->deadline_ns);
	entry->image_hash = table_image_hash(table, entry);
	shard->sums.state_digest += entry->image_hash;
	return STATUS_OK;
}
