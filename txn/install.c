/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a batch's graph: what its committed transactions made of each entry goes into the
 * tables and the digests, as serial execution would have left it (txn.c's commit).
 */
#include <string.h>

#include "core/mutants.h"
#include "txn/graph.h"

/* An entry on its way through the versions of one chain. */
struct passage {
	struct graph *graph;
	struct chain *chain;
	struct engine_sums *sums;
	uint64_t hash; /* committed; 0: there was none when its transaction began */
	uint64_t erased_id;
	bool present, changed;
	struct {
		struct entry entry;
		uint8_t rest[KEY_BYTES_MAX + VALUE_BYTES_MAX];
	} image;
};

static uint8_t *image_value(struct passage *passage)
{
	return passage->image.entry.key + passage->chain->table->spec.key_bytes;
}

static void begin(struct passage *passage, struct graph *graph, struct chain *chain)
{
	const struct table_spec *spec = &chain->table->spec;
	struct entry *entry = &passage->image.entry;

	passage->graph = graph;
	passage->chain = chain;
	passage->sums = &graph->engine->shards[0].sums;
	passage->present = chain->entry != ENTRY_NONE;
	passage->changed = false;
	passage->hash = 0;
	passage->erased_id = 0;
	if (passage->present) {
		memcpy(entry, table_entry(chain->table, chain->entry),
			sizeof(*entry) + spec->key_bytes + spec->value_bytes);
		passage->hash = entry->image_hash;
		return;
	}
	*entry = (struct entry){.home = HOME_NONE};
	memcpy(entry->key, chain->key, spec->key_bytes);
}

static void make_erased(struct passage *passage, uint64_t id)
{
	if (!passage->present)
		return;
	passage->sums->state_digest -= passage->hash;
	passage->sums->batch_digest += digest_mix(passage->hash ^ ERASE_SALT);
	passage->hash = 0;
	passage->present = false;
	passage->erased_id = id;
	passage->changed = true;
}

static void make_put(struct passage *passage, const struct operation_node *node)
{
	memcpy(image_value(passage), node->value, passage->chain->table->spec.value_bytes);
	if (!MUTANT(LOSE_DEADLINE))
		passage->image.entry.deadline_ns = node->deadline_ns;
	passage->present = passage->changed = true;
}

/* A transaction's last word on the entry. */
static void commit(struct passage *passage, uint64_t id, bool noted)
{
	if (!noted || !passage->present || !passage->graph->engine->tracks)
		return;
	passage->image.entry.version = id;
	passage->sums->state_digest -= passage->hash;
	passage->hash = table_image_hash(passage->chain->table, &passage->image.entry);
	passage->sums->state_digest += passage->hash;
	passage->sums->batch_digest += digest_mix(passage->hash);
}

static bool counts(const struct operation_node *node)
{
	bool committed = node->txn->fate == FATE_COMMITTED && node->state == NODE_EXECUTED;

	return node->wrote && (committed || MUTANT(LEAK_VERSION));
}

/* The operations of one transaction on the entry; returns the node behind them. */
static struct node *pass(struct passage *passage, struct node *node)
{
	const struct graph_txn *txn = node->operation->txn;
	bool noted = false;

	for (; node != NULL && node->operation->txn == txn; node = node->next) {
		if (!node->writes || !counts(node->operation))
			continue;
		if (node->operation->present)
			make_put(passage, node->operation);
		else
			make_erased(passage, txn->id);
		noted = node->operation->present || (noted && passage->present);
	}
	commit(passage, txn->id, noted);
	return node;
}

static void finish(struct passage *passage)
{
	struct engine *engine = passage->graph->engine;
	struct chain *chain = passage->chain;
	struct table *table = chain->table;
	struct engine_shard *shard = &engine->shards[0];
	uint32_t number = chain->entry;
	struct entry *entry;

	if (!passage->changed)
		return;
	if (passage->erased_id != 0 && engine->tracks)
		change_erased(engine, shard, table->number, passage->image.entry.key,
			passage->erased_id);
	if (!passage->present) {
		if (number == ENTRY_NONE)
			return;
		timer_unlink(engine, shard, table_entry(table, number));
		table_remove(table, 0, number);
		return;
	}
	if (number == ENTRY_NONE)
		number = table_add(table, 0, chain->key);
	BUG_ON(number == ENTRY_NONE);
	entry = table_entry(table, number);
	timer_link(engine, shard, table->number, number, passage->image.entry.deadline_ns);
	entry->home = passage->image.entry.home;
	entry->version = passage->image.entry.version;
	entry->image_hash = passage->hash;
	memcpy(entry_value(table, entry), image_value(passage), table->spec.value_bytes);
	if (engine->tracks)
		change_mark(engine, shard, table->number, number);
}

static void install_chain(struct graph *graph, struct chain *chain)
{
	struct passage passage;
	struct node *node = chain->head;

	begin(&passage, graph, chain);
	while (node != NULL)
		node = pass(&passage, node);
	finish(&passage);
}

static void add_transaction(struct graph *graph, struct graph_txn *txn)
{
	struct engine_sums *sums = &graph->engine->shards[0].sums;

	if (txn->fate == FATE_ABORTED) {
		if (!MUTANT(FORGET_CONTEXT))
			graph->restore(graph->caller, txn->slot);
		sums->batch_aborted++;
		sums->batch_digest += digest_mix(txn->id ^ ABORT_SALT);
		return;
	}
	for (uint32_t i = 0; i < txn->count; i++)
		sums->batch_digest += txn->operations[i]->read_digest;
}

void graph_install(struct graph *graph)
{
	for (uint32_t w = 0; w < graph->workers; w++)
		for (uint32_t c = 0; c < graph->worker[w].chains_count; c++)
			install_chain(graph, &graph->worker[w].chains[c]);
	for (uint32_t slot = graph->first; slot < graph->end; slot++)
		if (graph->txns[slot].count > 0)
			add_transaction(graph, &graph->txns[slot]);
}
