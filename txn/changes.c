/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed since the base values: lists by shard, passes over them, and the way back. */
#include <stdlib.h>
#include <string.h>

#include "core/mutants.h"
#include "txn/engine.h"

#define PREFETCH_PLACES 8
#define CHANGES_MAX 2048 /* in one go */

/*
 * The change lists grow by doubling, rarely and only upwards. The bigger one's places lie where the
 * smaller one's did, or as far behind as that was long: every second time round.
 */
static void *grown(void *list, uint64_t first, uint64_t end, uint32_t *capacity, size_t item_bytes)
{
	uint64_t half = *capacity, split = first & (half - 1);
	uint8_t *items;

	if (end - first < half)
		return list;
	*capacity *= 2;
	items = realloc(list, *capacity * item_bytes);
	BUG_ON(items == NULL);
	if (first & half)
		memcpy(items + (half + split) * item_bytes, items + split * item_bytes,
			(half - split) * item_bytes);
	else
		memcpy(items + half * item_bytes, items, split * item_bytes);
	return items;
}

static struct dirty *dirty_at(const struct engine_shard *shard, uint64_t place)
{
	return &shard->dirty[place & (shard->dirty_capacity - 1)];
}

static struct tombstone *tombstone_at(const struct engine_shard *shard, uint64_t place)
{
	return &shard->tombstones[place & (shard->tombstones_capacity - 1)];
}

void change_mark(struct engine *engine, struct engine_shard *shard, uint32_t table, uint32_t number)
{
	struct entry *entry = table_entry(&engine->tables[table], number);

	if (entry->dirty || (MUTANT(LOSE_IMAGE) && number % 4 == 3))
		return;
	entry->dirty = 1;
	shard->dirty = grown(shard->dirty, shard->dirty_places.first, shard->dirty_end,
		&shard->dirty_capacity, sizeof(*shard->dirty));
	*dirty_at(shard, shard->dirty_end++) = (struct dirty){table, number};
}

void change_erased(struct engine *engine, struct engine_shard *shard, uint32_t table,
	const uint8_t *key, uint64_t version)
{
	struct tombstone *tombstone;

	if (MUTANT(LOSE_TOMBSTONE))
		return;
	shard->tombstones = grown(shard->tombstones, shard->tombstone_places.first,
		shard->sums.tombstones_end, &shard->tombstones_capacity,
		sizeof(*shard->tombstones));
	tombstone = tombstone_at(shard, shard->sums.tombstones_end++);
	*tombstone = (struct tombstone){.version = version, .table = table};
	memcpy(tombstone->key, key, engine->tables[table].spec.key_bytes);
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

static uint32_t copy_entry(const struct table *table, const struct entry *entry, uint8_t *out)
{
	struct fold_image image = {
		.table = (uint8_t)table->number,
		.key_bytes = (uint8_t)table->spec.key_bytes,
		.value_bytes = (uint8_t)table->spec.value_bytes,
		.home = (uint16_t)entry->home,
		.deadline_ns = entry->deadline_ns,
		.version = entry->version,
	};

	memcpy(out, &image, sizeof(image));
	memcpy(out + sizeof(image), entry->key, table->spec.key_bytes + table->spec.value_bytes);
	return fold_image_bytes(table->spec.key_bytes, table->spec.value_bytes);
}

void engine_pass_begin(struct engine *engine, bool copies)
{
	for (uint32_t w = 0; w < engine->workers; w++) {
		struct engine_shard *shard = &engine->shards[w];

		if (copies) {
			shard->dirty_places.cursor = shard->dirty_places.first;
			shard->tombstone_places.cursor = shard->tombstone_places.first;
		} else {
			shard->dirty_places.cursor = shard->dirty_passed;
			shard->tombstone_places.cursor = shard->sums.tombstones_end;
		}
	}
}

uint64_t engine_pass_left(const struct engine *engine)
{
	uint64_t changes = 0;

	for (uint32_t w = 0; w < engine->workers; w++) {
		const struct engine_shard *shard = &engine->shards[w];

		changes += shard->dirty_end - shard->dirty_places.cursor +
			   shard->sums.tombstones_end - shard->tombstone_places.cursor;
	}
	return changes;
}

/* Whether there is one more tombstone; those of all shards come first. */
static const struct tombstone *next_tombstone(struct engine *engine)
{
	for (uint32_t w = 0; w < engine->workers; w++) {
		struct engine_shard *shard = &engine->shards[w];

		if (shard->tombstone_places.cursor < shard->sums.tombstones_end)
			return tombstone_at(shard, shard->tombstone_places.cursor++);
	}
	return NULL;
}

static void prefetch(const struct engine *engine, const struct dirty *dirty)
{
	const struct table *table = &engine->tables[dirty->table];
	const uint8_t *entry = (const uint8_t *)table_entry(table, dirty->entry);

	for (uint32_t at = 0; at < table->stride; at += LINE_BYTES)
		__builtin_prefetch(entry + at, 1);
}

/* One that changes from now on is listed anew. */
static const struct dirty *next_dirty(struct engine *engine)
{
	for (uint32_t w = 0; w < engine->workers; w++) {
		struct engine_shard *shard = &engine->shards[w];
		uint64_t place = shard->dirty_places.cursor;
		const struct dirty *dirty = dirty_at(shard, place);

		if (place == shard->dirty_end)
			continue;
		if (place == shard->dirty_passed) {
			table_entry(&engine->tables[dirty->table], dirty->entry)->dirty =
				MUTANT(LIST_ONCE);
			shard->dirty_passed++;
		}
		shard->dirty_places.cursor++;
		if (shard->dirty_end - place > PREFETCH_PLACES)
			prefetch(engine, dirty_at(shard, place + PREFETCH_PLACES));
		return dirty;
	}
	return NULL;
}

uint32_t engine_pass_copy(struct engine *engine, uint8_t *out, uint32_t capacity_bytes,
	uint32_t *images, bool *sound)
{
	const struct tombstone *tombstone;
	const struct dirty *dirty;
	uint32_t bytes = 0;

	*images = 0;
	*sound = true;
	for (uint32_t changes = 0;
		changes < CHANGES_MAX &&
		capacity_bytes - bytes >= fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX);
		changes++) {
		const struct table *table;
		const struct entry *entry;

		if ((tombstone = next_tombstone(engine)) != NULL) {
			bytes += copy_tombstone(engine, tombstone, out + bytes);
			++*images;
			continue;
		}
		if ((dirty = next_dirty(engine)) == NULL)
			break;
		table = &engine->tables[dirty->table];
		entry = table_entry(table, dirty->entry);
		if (!entry->live)
			continue; /* its tombstone tells */
		*sound &= table_image_hash(table, entry) == entry->image_hash;
		bytes += copy_entry(table, entry, out + bytes);
		++*images;
	}
	return bytes;
}

void engine_pass_over(struct engine *engine, uint64_t changes)
{
	while (changes-- > 0 && (next_tombstone(engine) != NULL || next_dirty(engine) != NULL))
		;
}

void engine_pass_end(struct engine *engine, uint64_t next_id)
{
	struct pass_mark *mark;

	/* The base values are far behind: what is between the last two is forgotten together. */
	if (engine->marks_count == PASS_MARKS_MAX)
		engine->marks_count--;
	mark = &engine->marks[engine->marks_count++];
	mark->next_id = next_id;
	for (uint32_t w = 0; w < engine->workers; w++) {
		mark->dirty[w] = engine->shards[w].dirty_end;
		mark->tombstones[w] = engine->shards[w].sums.tombstones_end;
	}
}

bool engine_base_advanced(struct engine *engine, uint64_t next_id)
{
	uint32_t done = 0;

	while (done < engine->marks_count && engine->marks[done].next_id <= next_id)
		done++;
	if (done == 0)
		return false;
	for (uint32_t w = 0; w < engine->workers; w++) {
		struct engine_shard *shard = &engine->shards[w];
		const struct pass_mark *mark = &engine->marks[done - 1];

		shard->dirty_places.first = mark->dirty[w];
		shard->tombstone_places.first = mark->tombstones[w];
	}
	engine->marks_count -= done;
	memmove(engine->marks, engine->marks + done,
		engine->marks_count * sizeof(engine->marks[0]));
	engine_pass_begin(engine, false);
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
