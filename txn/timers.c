/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: an entry's deadline links it into a bucket of its shard, one a quantum. */
#include <string.h>

#include "core/atomics.h"
#include "txn/engine.h"

/* Timer links name entries of all tables in 32 bits: table 4, entry 28. */
#define LINK(table, entry) ((uint32_t)(table) << 28 | (entry))
#define LINK_TABLE(link) ((link) >> 28)
#define LINK_ENTRY(link) ((link)&0x0fffffffu)

static struct entry *linked(const struct engine *engine, uint32_t link)
{
	return table_entry(&engine->tables[LINK_TABLE(link)], LINK_ENTRY(link));
}

uint64_t timer_deadline(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t quanta = (deadline_ns + TIMER_QUANTUM_NS - 1) / TIMER_QUANTUM_NS;
	uint64_t now = now_ns / TIMER_QUANTUM_NS;

	if (deadline_ns == 0)
		return 0;
	if (quanta <= now)
		quanta = now + 1;
	if (quanta > now + TIMER_QUANTA_MAX - 1)
		quanta = now + TIMER_QUANTA_MAX - 1;
	return quanta * TIMER_QUANTUM_NS;
}

static uint32_t *bucket(const struct engine_shard *shard, uint64_t quantum)
{
	return &shard->timer_heads[quantum % TIMER_QUANTA_MAX];
}

void timer_unlink(struct engine *engine, struct engine_shard *shard, struct entry *entry)
{
	if (entry->deadline_ns == 0)
		return;
	if (entry->timer_prev == LINK_NONE)
		*bucket(shard, entry->deadline_ns / TIMER_QUANTUM_NS) = entry->timer_next;
	else
		linked(engine, entry->timer_prev)->timer_next = entry->timer_next;
	if (entry->timer_next != LINK_NONE)
		linked(engine, entry->timer_next)->timer_prev = entry->timer_prev;
	entry->deadline_ns = 0;
	shard->timers_count--;
}

void timer_link(struct engine *engine, struct engine_shard *shard, uint32_t table, uint32_t number,
	uint64_t deadline_ns)
{
	struct entry *entry = table_entry(&engine->tables[table], number);
	uint32_t *head;

	timer_unlink(engine, shard, entry);
	if (deadline_ns == 0)
		return;
	head = bucket(shard, deadline_ns / TIMER_QUANTUM_NS);
	entry->deadline_ns = deadline_ns;
	entry->timer_prev = LINK_NONE;
	entry->timer_next = *head;
	if (*head != LINK_NONE)
		linked(engine, *head)->timer_prev = LINK(table, number);
	*head = LINK(table, number);
	shard->timers_count++;
}

static void expire_one(struct engine *engine, uint32_t link, uint64_t now_ns, uint64_t id)
{
	struct table *table = &engine->tables[LINK_TABLE(link)];
	struct entry *entry = table_entry(table, LINK_ENTRY(link));
	uint8_t key[KEY_BYTES_MAX] __attribute__((aligned(8)));
	struct txn txn;

	counter_add(engine->progress, 1);
	memcpy(key, entry->key, table->spec.key_bytes);
	txn_begin(&txn, engine, id, now_ns, (uint16_t)entry->home);
	txn.reach = TXN_ALL;
	if (engine->expire != NULL)
		engine->expire(engine->expire_context, table->number, &txn, key,
			entry_value(table, entry));
	txn.table_base = 0;
	(void)txn_erase(&txn, table->number, key);
	(void)txn_end(&txn);
}

static void sift_links(const struct engine *engine, uint64_t *links, uint32_t root, uint32_t count);

static int link_compare(const struct engine *engine, uint32_t a, uint32_t b)
{
	const struct table *table = &engine->tables[LINK_TABLE(a)];

	if (LINK_TABLE(a) != LINK_TABLE(b))
		return LINK_TABLE(a) < LINK_TABLE(b) ? -1 : 1;
	return memcmp(table_entry(table, LINK_ENTRY(a))->key,
		table_entry(table, LINK_ENTRY(b))->key, table->spec.key_bytes);
}

/* Heapsort: in place, no allocation, no recursion (qsort may allocate). */
static void sort_links(const struct engine *engine, uint64_t *links, uint32_t count)
{
	for (uint32_t root = count / 2; root-- > 0;)
		sift_links(engine, links, root, count);
	while (count > 1) {
		uint64_t top = links[0];

		counter_add(engine->progress, 1);
		links[0] = links[--count];
		links[count] = top;
		sift_links(engine, links, 0, count);
	}
}

static void sift_links(const struct engine *engine, uint64_t *links, uint32_t root, uint32_t count)
{
	for (;;) {
		uint32_t child = 2 * root + 1;
		uint64_t moved = links[root];

		if (child >= count)
			return;
		if (child + 1 < count && link_compare(engine, (uint32_t)links[child],
						 (uint32_t)links[child + 1]) < 0)
			child++;
		if (link_compare(engine, (uint32_t)moved, (uint32_t)links[child]) >= 0)
			return;
		links[root] = links[child];
		links[child] = moved;
		root = child;
	}
}

static void expire_bucket(struct engine *engine, uint64_t quantum, uint64_t id)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		for (uint32_t link = *bucket(&engine->shards[w], quantum); link != LINK_NONE;
			link = linked(engine, link)->timer_next)
			engine->expired[count++] = link;
	sort_links(engine, engine->expired, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t link = (uint32_t)engine->expired[i];
		const struct entry *entry = linked(engine, link);

		/* An earlier expiry of the same bucket may have erased or refreshed it. */
		if (entry->live && entry->deadline_ns == quantum * TIMER_QUANTUM_NS)
			expire_one(engine, link, quantum * TIMER_QUANTUM_NS, id);
	}
}

static uint32_t timers_count(const struct engine *engine)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < engine->workers; w++)
		count += engine->shards[w].timers_count;
	return count;
}

void timers_begin_before(struct engine *engine, uint64_t deadline_ns)
{
	uint64_t quantum = deadline_ns / TIMER_QUANTUM_NS;

	if (quantum > 0 && (timers_count(engine) == 0 || quantum <= engine->timer_now))
		engine->timer_now = quantum - 1;
}

void engine_advance(struct engine *engine, uint64_t now_ns, uint64_t id)
{
	uint64_t now = now_ns / TIMER_QUANTUM_NS;

	while (engine->timer_now < now && timers_count(engine) > 0)
		expire_bucket(engine, ++engine->timer_now, id);
	engine->timer_now = now;
}
