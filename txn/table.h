/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One versioned state table: fixed-size keys and values, taken whole at start. An open-addressing
 * index at no more than half load with backward-shift deletion, so that it holds its capacity
 * whatever its history. One thread.
 */
#ifndef UNDERSTUDY_TXN_TABLE_H
#define UNDERSTUDY_TXN_TABLE_H

#include <stddef.h>

#include "core/digest.h"
#include "core/limits.h"
#include "core/status.h"
#include "txn/txn.h"

#define ENTRY_NONE UINT32_MAX

/* An entry, followed by key and value. image_hash covers home to value. */
struct entry {
	uint32_t timer_next; /* in its timer bucket: entries of all tables, see engine.c */
	uint32_t timer_prev;
	uint32_t hash;
	uint8_t live;
	uint8_t dirty; /* on the list of what changed since the base values */
	uint16_t zero;
	uint64_t image_hash;
	uint64_t home;
	uint64_t version;     /* packet ID of the last change */
	uint64_t deadline_ns; /* 0: never */
	uint8_t key[];
};

struct table {
	struct table_spec spec;
	const void *self;
	uint32_t number;
	uint32_t count;
	uint32_t stride;
	uint32_t mask;
	uint64_t seed;	 /* of the index only; no result depends on it */
	uint32_t *index; /* entry numbers, ENTRY_NONE where empty */
	uint8_t *entries;
	uint32_t *free;	   /* stack of free entry numbers */
	uint64_t *present; /* a bit for each ordinal; NULL without */
};

/* Errors: INVALID (the declaration breaks a rule of txn.h), NO_MEMORY. */
MUST_CHECK enum status table_open(struct table *table, const struct table_spec *spec,
	uint32_t number, const void *self, uint64_t seed);
void table_close(struct table *table);

static inline struct entry *table_entry(const struct table *table, uint32_t number)
{
	return (struct entry *)(table->entries + (size_t)number * table->stride);
}

static inline uint8_t *entry_value(const struct table *table, struct entry *entry)
{
	return entry->key + table->spec.key_bytes;
}

/* Keys are whole words. */
static inline bool table_keys_equal(const struct table *table, const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	for (uint32_t i = 0; i < table->spec.key_bytes / 8; i++)
		if (x[i] != y[i])
			return false;
	return true;
}

static inline uint32_t table_hash(const struct table *table, const void *key)
{
	const uint64_t *words = key;
	uint64_t hash = table->seed;

	/* Fibonacci hashing (Knuth 6.4): the upper half of a product depends on every bit. */
	for (uint32_t i = 0; i < table->spec.key_bytes / 8; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return (uint32_t)hash;
}

/* Towards the caches, in two steps with other work between: where an entry is, then the entry. */
static inline void table_prefetch_index(const struct table *table, uint32_t hash)
{
	__builtin_prefetch(&table->index[hash & table->mask]);
}

static inline void table_prefetch_entry(const struct table *table, uint32_t hash)
{
	uint32_t number = table->index[hash & table->mask];

	if (number != ENTRY_NONE)
		__builtin_prefetch(table_entry(table, number));
}

/* The entry number of a key, or ENTRY_NONE. */
uint32_t table_find(const struct table *table, const void *key);

/* A zeroed entry for a key known to be absent; ENTRY_NONE at capacity. */
uint32_t table_add(struct table *table, const void *key);
void table_remove(struct table *table, uint32_t number);

/* Hash of what the entry means (table, home, version, deadline, key, value): no layout in it. */
uint64_t table_image_hash(const struct table *table, const struct entry *entry);

#endif
