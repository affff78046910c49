/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/baseline.h"

#include <x86intrin.h>

#include "core/atomics.h"
#include "txn/access.h"

#define HELD_MAX (OPERATIONS_MAX * (1 + OPERATION_SOURCES_MAX) + TXN_WRITES_MAX + 64)

enum baseline baseline;
_Thread_local struct probes *probes;
static _Thread_local struct entry *held[HELD_MAX];
static _Thread_local uint32_t held_count;

enum probe probe_enter(enum probe kind)
{
	enum probe before;
	uint64_t now;

	if (probes == NULL)
		return PROBE_OTHERS;
	before = probes->kind;
	probes->kind = kind;
	if (atomic_read_relaxed(&probes->since) == 0)
		return before;
	now = __rdtsc();
	probes->ticks[before] += now - probes->since;
	atomic_write_relaxed(&probes->since, now);
	return before;
}

void baseline_touch(struct txn *txn, struct entry *entry)
{
	enum probe before;

	(void)txn;
	if (baseline != BASELINE_LOCKS)
		return;
	for (uint32_t i = 0; i < held_count; i++)
		if (held[i] == entry)
			return;
	BUG_ON(held_count == HELD_MAX);
	held[held_count++] = entry;
	if (atomic_exchange_seq_cst(&entry->locked, (uint8_t)1) == 0)
		return;
	before = PROBE(PROBE_LOCK);
	while (atomic_read_relaxed(&entry->locked) != 0 ||
		atomic_exchange_seq_cst(&entry->locked, (uint8_t)1) != 0)
		cpu_relax();
	(void)PROBE(before);
}

void baseline_let_go(struct txn *txn)
{
	(void)txn;
	while (held_count > 0)
		atomic_write_release(&held[--held_count]->locked, (uint8_t)0);
}

static void lock_key(struct txn *txn, uint32_t number, const uint64_t *key, struct entry **entries,
	uint32_t *count)
{
	struct table *table = &txn->engine->tables[number];
	uint32_t found = table_find(table, 0, key);

	if (found == ENTRY_NONE)
		return;
	for (uint32_t at = (*count)++;; at--) {
		if (at == 0 || entries[at - 1] <= table_entry(table, found)) {
			entries[at] = table_entry(table, found);
			return;
		}
		entries[at] = entries[at - 1];
	}
}

/* All that its operations touch, in one order: so that nobody waits in a circle. */
static void lock_operations(struct access *access, struct txn *txn, uint32_t slot)
{
	const struct graph_txn *declared = &access->graph.txns[slot];
	struct entry *entries[HELD_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < access->txns[slot].operations_count; i++) {
		const struct operation *operation = declared->operations[i]->operation;

		lock_key(txn, operation->table, operation->key, entries, &count);
		for (uint32_t s = 0; s < operation->sources_count; s++)
			lock_key(txn, operation->sources[s].table, operation->sources[s].key,
				entries, &count);
	}
	for (uint32_t i = 0; i < count; i++)
		baseline_touch(txn, entries[i]);
}

static void run_one(struct access *access, uint32_t slot)
{
	struct txn txn = {.engine = access->engine};

	if (baseline == BASELINE_LOCKS && access->txns[slot].operations_count > 0)
		lock_operations(access, &txn, slot);
	access_one(access, slot);
}

static bool run_work(void *context, uint32_t worker)
{
	struct access *access = context;

	(void)PROBE(PROBE_USEFUL);
	for (uint32_t slot = access->first; slot < access->end; slot++) {
		const struct access_txn *txn = &access->txns[slot];

		if (txn->home % access->engine->workers == worker &&
			(txn->flows || txn->prepares || txn->operations_count > 0))
			run_one(access, slot);
	}
	(void)PROBE(PROBE_OTHERS);
	return true;
}

void baseline_run(struct access *access, struct team *team)
{
	for (uint32_t i = 0; i < access->engine->tables_count; i++)
		(void)table_reserve(&access->engine->tables[i],
			BATCH_PACKETS_MAX * TXN_INSERTS_MAX);
	team->run(team, run_work, access);
}
