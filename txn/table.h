/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One state table: fixed-size keys and values, taken whole at start. Its entries belong to shards,
 * one a worker; each shard has an index of its own, open addressing at no more than half load with
 * backward-shift deletion, and free entries of its own, so that the table holds its capacity
 * whatever its history and workers need no locks. A shard is one thread's at a time; what says
 * "serial" wants the whole table to itself.
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
	uint32_t timer_next; /* in its timer bucket: entries of all tables, see timers.c */
	uint32_t timer_prev;
	uint32_t hash;
	uint8_t live;
	uint8_t dirty;	/* on the list of what changed since the base values */
	uint8_t noted;	/* scratch of a commit: done with */
	uint8_t locked; /* benchmarks alone: see baseline.h */
	uint64_t image_hash;
	uint64_t home;
	uint64_t version;     /* packet ID of the last change */
	uint64_t deadline_ns; /* 0: never */
	uint8_t key[];
};

struct table_shard {
	uint32_t *index; /* entry numbers, ENTRY_NONE where empty */
	uint32_t *free;	 /* stack of free entry numbers */
	uint32_t free_count;
	uint32_t count; /* of entries */
} __attribute__((aligned(64)));

struct table {
	struct table_spec spec;
	const void *self;
	uint32_t number;
	uint32_t stride;
	uint32_t mask;
	uint64_t seed; /* of the index only; no result depends on it */
	uint8_t *entries;
	uint64_t *present; /* a bit for each ordinal; NULL without */
	uint32_t shards_count;
	struct table_shard shards[WORKERS_MAX];
};

/*
 * A table of scope flow has that many shards, a shared one has one. Errors: INVALID (the
 * declaration breaks a rule of txn.h), NO_MEMORY.
 */
MUST_CHECK enum status table_open(struct table *table, const struct table_spec *spec,
	uint32_t number, const void *self, uint64_t seed, uint32_t shards);
void table_close(struct table *table);

/* Serial: entries in all shards. */
static inline uint32_t table_count(const struct table *table)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < table->shards_count; i++)
		count += table->shards[i].count;
	return count;
}

/* Where a home's entries are. */
static inline uint32_t table_shard_of(const struct table *table, uint32_t home)
{
	return table->shards_count == 1 ? 0 : home % table->shards_count;
}

/*
 * Serial: sees to it that each shard can take this many more entries. False if the table has not
 * room for all of that: then only serial additions meet its capacity in packet-ID order.
 */
bool table_reserve(struct table *table, uint32_t entries);

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
static inline void table_prefetch_index(const struct table *table, uint32_t shard, uint32_t hash)
{
	__builtin_prefetch(&table->shards[shard].index[hash & table->mask]);
}

static inline void table_prefetch_entry(const struct table *table, uint32_t shard, uint32_t hash)
{
	uint32_t number = table->shards[shard].index[hash & table->mask];

	if (number != ENTRY_NONE)
		__builtin_prefetch(table_entry(table, number));
}

/* The entry number of a key in a shard, or ENTRY_NONE. */
uint32_t table_find(const struct table *table, uint32_t shard, const void *key);

/*
 * A zeroed entry for a key known to be absent; ENTRY_NONE at capacity. Serial, unless table_reserve
 * has seen to the shard's room.
 */
uint32_t table_add(struct table *table, uint32_t shard, const void *key);
void table_remove(struct table *table, uint32_t shard, uint32_t number);

/* Hash of what the entry means (table, home, version, deadline, key, value): no layout in it. */
uint64_t table_image_hash(const struct table *table, const struct entry *entry);

#endif
