/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/digest.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static bool spec_is_sound(const struct table_spec *spec)
{
	return spec->name != NULL && spec->key_bytes > 0 && spec->key_bytes <= KEY_BYTES_MAX &&
	       spec->key_bytes % 8 == 0 && spec->value_bytes <= VALUE_BYTES_MAX &&
	       spec->value_bytes % 8 == 0 && spec->capacity > 0 && spec->capacity <= 1u << 28 &&
	       (spec->scope == TABLE_SHARED || spec->home != NULL);
}

/*
 * Large memory lies in huge pages where the system gives them: fewer misses of the TLB, and the
 * kernel takes a dead replica's memory back in a moment instead of in milliseconds of a core.
 */
static void *large_alloc(size_t bytes)
{
	size_t unit = bytes < HUGE_PAGE_BYTES ? 64 : HUGE_PAGE_BYTES;
	void *memory;

	bytes = ALIGN_UP(bytes, unit);
	memory = aligned_alloc(unit, bytes);
	if (memory != NULL && unit == HUGE_PAGE_BYTES)
		(void)madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static enum status open_shard(struct table *table, struct table_shard *shard)
{
	uint32_t slots = table->mask + 1;

	shard->index = large_alloc(slots * sizeof(*shard->index));
	shard->free = large_alloc(table->spec.capacity * sizeof(*shard->free));
	if (shard->index == NULL || shard->free == NULL)
		return STATUS_NO_MEMORY;
	memset(shard->index, 0xff, slots * sizeof(*shard->index));
	memset(shard->free, 0, table->spec.capacity * sizeof(*shard->free));
	return STATUS_OK;
}

enum status table_open(struct table *table, const struct table_spec *spec, uint32_t number,
	const void *self, uint64_t seed, uint32_t shards)
{
	uint32_t slots = 16;
	enum status status = STATUS_OK;

	if (!spec_is_sound(spec) || number >= TABLES_MAX)
		return STATUS_INVALID;
	while (slots < spec->capacity * 2)
		slots *= 2;
	*table = (struct table){.spec = *spec, .self = self, .number = number, .seed = seed};
	table->mask = slots - 1;
	table->stride =
		ALIGN_UP((uint32_t)sizeof(struct entry) + spec->key_bytes + spec->value_bytes, 64u);
	table->shards_count = spec->scope == TABLE_FLOW ? shards : 1;
	table->entries = large_alloc((size_t)table->stride * spec->capacity);
	if (spec->ordinal != NULL)
		table->present = calloc(spec->ordinals / 64 + 1, sizeof(uint64_t));
	for (uint32_t i = 0; i < table->shards_count && status == STATUS_OK; i++)
		status = open_shard(table, &table->shards[i]);
	if (status != STATUS_OK || table->entries == NULL ||
		(spec->ordinal != NULL && table->present == NULL)) {
		table_close(table);
		return STATUS_NO_MEMORY;
	}
	memset(table->entries, 0, (size_t)table->stride * spec->capacity);
	for (uint32_t i = 0; i < spec->capacity; i++)
		table->shards[0].free[i] = spec->capacity - 1 - i;
	table->shards[0].free_count = spec->capacity;
	return STATUS_OK;
}

void table_close(struct table *table)
{
	for (uint32_t i = 0; i < table->shards_count; i++) {
		free(table->shards[i].index);
		free(table->shards[i].free);
	}
	free(table->entries);
	free(table->present);
	*table = (struct table){0};
}

static void move_free(struct table_shard *from, struct table_shard *to, uint32_t entries)
{
	from->free_count -= entries;
	memcpy(to->free + to->free_count, from->free + from->free_count,
		entries * sizeof(*to->free));
	to->free_count += entries;
}

/* Serial: half of what the shard with the most free entries has; false if there are none. */
static bool refill(struct table *table, struct table_shard *shard)
{
	struct table_shard *richest = shard;

	for (uint32_t i = 0; i < table->shards_count; i++)
		if (table->shards[i].free_count > richest->free_count)
			richest = &table->shards[i];
	if (richest == shard)
		return false;
	move_free(richest, shard, (richest->free_count + 1) / 2);
	return true;
}

bool table_reserve(struct table *table, uint32_t entries)
{
	if (table->spec.capacity - table_count(table) < (uint64_t)entries * table->shards_count)
		return false;
	for (uint32_t to = 0; to < table->shards_count; to++)
		for (uint32_t from = 0; from < table->shards_count; from++) {
			uint32_t has = table->shards[to].free_count;
			uint32_t spare = table->shards[from].free_count;

			if (has >= entries || spare <= entries)
				continue;
			spare -= entries;
			move_free(&table->shards[from], &table->shards[to],
				spare < entries - has ? spare : entries - has);
		}
	return true;
}

static uint32_t slot_of(const struct table *table, const uint32_t *index, const void *key,
	uint32_t hash)
{
	uint32_t slot = hash & table->mask;

	for (;; slot = (slot + 1) & table->mask) {
		const struct entry *entry;

		if (index[slot] == ENTRY_NONE)
			return slot;
		entry = table_entry(table, index[slot]);
		if (entry->hash == hash && table_keys_equal(table, entry->key, key))
			return slot;
	}
}

uint32_t table_find(const struct table *table, uint32_t shard, const void *key)
{
	const uint32_t *index = table->shards[shard].index;

	return index[slot_of(table, index, key, table_hash(table, key))];
}

/* The words of the map hold ordinals of several shards. */
static void present_set(struct table *table, const struct entry *entry, bool present)
{
	uint32_t ordinal;
	uint64_t *word, bit;

	if (table->present == NULL)
		return;
	ordinal = table->spec.ordinal(table->self, entry->key);
	BUG_ON(ordinal >= table->spec.ordinals);
	word = &table->present[ordinal / 64];
	bit = 1ull << (ordinal % 64);
	if (present)
		atomic_or_relaxed(word, bit);
	else
		atomic_and_relaxed(word, ~bit);
}

uint32_t table_add(struct table *table, uint32_t shard_number, const void *key)
{
	struct table_shard *shard = &table->shards[shard_number];
	uint32_t hash = table_hash(table, key), number;
	struct entry *entry;
	uint8_t dirty;

	if (shard->free_count == 0 && !refill(table, shard))
		return ENTRY_NONE;
	number = shard->free[--shard->free_count];
	shard->count++;
	entry = table_entry(table, number);
	dirty = entry->dirty; /* is of the slot: it is on a list of changes once */
	memset(entry, 0, table->stride);
	entry->dirty = dirty;
	memcpy(entry->key, key, table->spec.key_bytes);
	entry->hash = hash;
	entry->live = 1;
	shard->index[slot_of(table, shard->index, key, hash)] = number;
	present_set(table, entry, true);
	return number;
}

void table_remove(struct table *table, uint32_t shard_number, uint32_t number)
{
	struct table_shard *shard = &table->shards[shard_number];
	struct entry *entry = table_entry(table, number);
	uint32_t *index = shard->index;
	uint32_t hole = slot_of(table, index, entry->key, entry->hash);

	present_set(table, entry, false);
	/* Backward shift (Knuth 6.4, algorithm R): no tombstones, so history leaves no trace. */
	for (uint32_t at = (hole + 1) & table->mask; index[at] != ENTRY_NONE;
		at = (at + 1) & table->mask) {
		uint32_t wanted = table_entry(table, index[at])->hash & table->mask;

		if (((at - wanted) & table->mask) >= ((at - hole) & table->mask)) {
			index[hole] = index[at];
			hole = at;
		}
	}
	index[hole] = ENTRY_NONE;
	entry->live = 0;
	shard->count--;
	shard->free[shard->free_count++] = number;
}

uint64_t table_image_hash(const struct table *table, const struct entry *entry)
{
	return digest_of(&entry->home,
		offsetof(struct entry, key) - offsetof(struct entry, home) + table->spec.key_bytes +
			table->spec.value_bytes,
		table->number);
}
