/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/bytes.h"
#include "core/digest.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static bool spec_is_sound(const struct table_spec *spec)
{
	return spec->name != NULL && spec->key_bytes > 0 && spec->key_bytes <= KEY_BYTES_MAX &&
	       spec->key_bytes % 8 == 0 && spec->value_bytes <= VALUE_BYTES_MAX &&
	       spec->value_bytes % 8 == 0 && spec->capacity > 0 && spec->capacity <= 1u << 28;
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

enum status table_open(struct table *table, const struct table_spec *spec, uint32_t number,
	const void *self, uint64_t seed)
{
	uint32_t slots = 16;

	if (!spec_is_sound(spec) || number >= TABLES_MAX)
		return STATUS_INVALID;
	while (slots < spec->capacity * 2)
		slots *= 2;
	*table = (struct table){.spec = *spec, .self = self, .number = number, .seed = seed};
	table->mask = slots - 1;
	table->stride =
		ALIGN_UP((uint32_t)sizeof(struct entry) + spec->key_bytes + spec->value_bytes, 64u);
	table->index = large_alloc(slots * sizeof(*table->index));
	table->entries = large_alloc((size_t)table->stride * spec->capacity);
	table->free = large_alloc(spec->capacity * sizeof(*table->free));
	if (spec->ordinal != NULL)
		table->present = calloc(spec->ordinals / 64 + 1, sizeof(uint64_t));
	if (table->index == NULL || table->entries == NULL || table->free == NULL ||
		(spec->ordinal != NULL && table->present == NULL)) {
		table_close(table);
		return STATUS_NO_MEMORY;
	}
	memset(table->index, 0xff, slots * sizeof(*table->index));
	memset(table->entries, 0, (size_t)table->stride * spec->capacity);
	for (uint32_t i = 0; i < spec->capacity; i++)
		table->free[i] = spec->capacity - 1 - i;
	return STATUS_OK;
}

void table_close(struct table *table)
{
	free(table->index);
	free(table->entries);
	free(table->free);
	free(table->present);
	*table = (struct table){0};
}

static uint32_t slot_of(const struct table *table, const void *key, uint32_t hash)
{
	uint32_t slot = hash & table->mask;

	for (;; slot = (slot + 1) & table->mask) {
		const struct entry *entry;

		if (table->index[slot] == ENTRY_NONE)
			return slot;
		entry = table_entry(table, table->index[slot]);
		if (entry->hash == hash && table_keys_equal(table, entry->key, key))
			return slot;
	}
}

uint32_t table_find(const struct table *table, const void *key)
{
	return table->index[slot_of(table, key, table_hash(table, key))];
}

static void present_set(struct table *table, const struct entry *entry, bool present)
{
	uint32_t ordinal;

	if (table->present == NULL)
		return;
	ordinal = table->spec.ordinal(table->self, entry->key);
	BUG_ON(ordinal >= table->spec.ordinals);
	if (present)
		table->present[ordinal / 64] |= 1ull << (ordinal % 64);
	else
		table->present[ordinal / 64] &= ~(1ull << (ordinal % 64));
}

uint32_t table_add(struct table *table, const void *key)
{
	uint32_t hash = table_hash(table, key), number;
	struct entry *entry;
	uint8_t dirty;

	if (table->count == table->spec.capacity)
		return ENTRY_NONE;
	number = table->free[table->spec.capacity - 1 - table->count++];
	entry = table_entry(table, number);
	dirty = entry->dirty; /* is of the slot: it is on the list of changes once */
	memset(entry, 0, table->stride);
	entry->dirty = dirty;
	memcpy(entry->key, key, table->spec.key_bytes);
	entry->hash = hash;
	entry->live = 1;
	table->index[slot_of(table, key, hash)] = number;
	present_set(table, entry, true);
	return number;
}

void table_remove(struct table *table, uint32_t number)
{
	struct entry *entry = table_entry(table, number);
	uint32_t hole = slot_of(table, entry->key, entry->hash);

	present_set(table, entry, false);
	/* Backward shift (Knuth 6.4, algorithm R): no tombstones, so history leaves no trace. */
	for (uint32_t at = (hole + 1) & table->mask; table->index[at] != ENTRY_NONE;
		at = (at + 1) & table->mask) {
		uint32_t wanted = table_entry(table, table->index[at])->hash & table->mask;

		if (((at - wanted) & table->mask) >= ((at - hole) & table->mask)) {
			table->index[hole] = table->index[at];
			hole = at;
		}
	}
	table->index[hole] = ENTRY_NONE;
	entry->live = 0;
	table->free[table->spec.capacity - table->count--] = number;
}

uint64_t table_image_hash(const struct table *table, const struct entry *entry)
{
	return digest_of(&entry->home,
		offsetof(struct entry, key) - offsetof(struct entry, home) + table->spec.key_bytes +
			table->spec.value_bytes,
		table->number);
}
