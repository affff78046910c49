/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/graph.h"

#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/mutants.h"
#include "txn/baseline.h"

#define OPERATIONS_ALL (BATCH_PACKETS_MAX * OPERATIONS_MAX)
#define NODES_ALL (OPERATIONS_ALL * (1 + OPERATION_SOURCES_MAX))
#define SLOTS 32768u /* of a partition's hash: over twice as many as chains */

_Static_assert(SLOTS >= 2 * NODES_ALL, "chains");

enum status graph_open(struct graph *graph, struct engine *engine,
	void (*restore)(void *caller, uint32_t slot), void *caller)
{
	*graph = (struct graph){.engine = engine,
		.workers = engine->workers,
		.restore = restore,
		.caller = caller};
	graph->txns = calloc(BATCH_PACKETS_MAX, sizeof(*graph->txns));
	if (graph->txns == NULL)
		return STATUS_NO_MEMORY;
	for (uint32_t w = 0; w < graph->workers; w++) {
		struct graph_worker *worker = &graph->worker[w];

		worker->nodes = malloc(OPERATIONS_ALL * sizeof(*worker->nodes));
		worker->operations = malloc(OPERATIONS_ALL * sizeof(*worker->operations));
		worker->chains = malloc(NODES_ALL * sizeof(*worker->chains));
		worker->slots = calloc(SLOTS, sizeof(*worker->slots));
		if (worker->nodes == NULL || worker->operations == NULL || worker->chains == NULL ||
			worker->slots == NULL)
			return STATUS_NO_MEMORY;
	}
	return STATUS_OK;
}

void graph_close(struct graph *graph)
{
	for (uint32_t w = 0; w < graph->workers; w++) {
		free(graph->worker[w].nodes);
		free(graph->worker[w].operations);
		free(graph->worker[w].chains);
		free(graph->worker[w].slots);
	}
	free(graph->txns);
	*graph = (struct graph){0};
}

void graph_begin_plain(struct graph *graph)
{
	graph->plain = true;
	for (uint32_t w = 0; w < graph->workers; w++)
		graph->worker[w].count = 0;
}

void graph_begin(struct graph *graph, uint32_t first, uint32_t end, enum abort_handling aborts)
{
	graph->plain = false;
	graph->aborts = aborts;
	graph->first = first;
	graph->end = end;
	/* The hashes' tags begin anew: what has them may not look like this round's. */
	if (++graph->round == 0) {
		for (uint32_t w = 0; w < graph->workers; w++)
			memset(graph->worker[w].slots, 0, SLOTS * sizeof(uint64_t));
		graph->round = 1;
	}
	for (uint32_t i = first; i < end; i++)
		graph->txns[i].count = 0;
	for (uint32_t w = 0; w < graph->workers; w++) {
		struct graph_worker *worker = &graph->worker[w];

		worker->count = worker->chains_count = worker->longest = 0;
		memset(worker->writes, 0, sizeof(worker->writes));
		for (uint32_t p = 0; p < graph->workers; p++) {
			worker->lists[p].head = NULL;
			worker->lists[p].tail = &worker->lists[p].head;
		}
	}
}

void graph_declare(struct graph *graph, uint32_t slot, uint64_t id, uint64_t now_ns, void *context)
{
	graph->txns[slot] = (struct graph_txn){.id = id,
		.now_ns = now_ns,
		.context = context,
		.slot = slot,
		.fate = FATE_COMMITTED};
}

/* Into the list of the partition that has its key. */
static void list_node(struct graph *graph, struct graph_worker *worker, struct node *node,
	uint32_t table, const uint64_t *key)
{
	uint32_t hash = table_hash(&graph->engine->tables[table], key) + table * 0x9e3779b9u;
	struct partition_list *list = &worker->lists[(hash >> 20) % graph->workers];

	node->partition_next = NULL;
	*list->tail = node;
	list->tail = &node->partition_next;
}

static bool in_reach(const struct graph *graph, const struct operation *operation)
{
	bool reach = graph->engine->tables[operation->table].spec.scope == TABLE_SHARED;

	for (uint32_t i = 0; i < operation->sources_count; i++)
		reach &= graph->engine->tables[operation->sources[i].table].spec.scope ==
			 TABLE_SHARED;
	return reach;
}

void graph_operate(struct graph *graph, uint32_t worker_number, uint32_t slot,
	const struct operation *declared, uint32_t table_base)
{
	struct graph_worker *worker = &graph->worker[worker_number];
	struct graph_txn *txn = &graph->txns[slot];
	struct operation *operation = &worker->operations[worker->count];
	struct operation_node *node = &worker->nodes[worker->count];
	uint32_t number = txn->count;

	BUG_ON(number == OPERATIONS_MAX);
	worker->count++;
	memcpy(operation, declared,
		offsetof(struct operation, sources) +
			declared->sources_count * sizeof(operation->sources[0]));
	operation->table += table_base;
	for (uint32_t i = 0; i < operation->sources_count; i++)
		operation->sources[i].table += table_base;
	node->operation = operation;
	if (graph->plain) {
		txn->operations[txn->count++] = node;
		return;
	}
	worker->writes[operation->table] += operation->kind != OPERATION_READ;
	node->txn = txn;
	node->state = NODE_BLOCKED;
	node->released = 0;
	node->wrote = false;
	/* Its own chain, its sources', and all operations before it. */
	node->waits = (int32_t)(1u + operation->sources_count + (operation->after ? number : 0));
	node->node = (struct node){.operation = node,
		.order = slot << 8 | number << 1 | 1,
		.writes = operation->kind != OPERATION_READ};
	list_node(graph, worker, &node->node, operation->table, operation->key);
	for (uint32_t i = 0; i < operation->sources_count; i++) {
		node->proxies[i] = (struct node){.operation = node,
			.order = slot << 8 | number << 1,
			.is_proxy = true};
		list_node(graph, worker, &node->proxies[i], operation->sources[i].table,
			operation->sources[i].key);
	}
	txn->operations[txn->count++] = node;
	if (operation->may_abort && graph->aborts == ABORT_EAGER && txn->fate != FATE_ABORTED) {
		txn->undecided++;
		txn->fate = FATE_OPEN;
	}
	if (!in_reach(graph, operation))
		txn->fate = FATE_ABORTED;
}

static const struct operation_source *source_of(const struct node *proxy)
{
	const struct operation_node *node = proxy->operation;

	return &node->operation->sources[proxy - node->proxies];
}

static struct table *table_of(const struct graph *graph, const struct node *node)
{
	uint32_t table = node->is_proxy ? source_of(node)->table
					: node->operation->operation->table;

	return &graph->engine->tables[table];
}

static const uint64_t *key_of(const struct node *node)
{
	return node->is_proxy ? source_of(node)->key : node->operation->operation->key;
}

static struct chain *chain_of(struct graph *graph, struct graph_worker *worker,
	const struct node *node)
{
	struct table *table = table_of(graph, node);
	const uint64_t *key = key_of(node);
	uint32_t hash = table_hash(table, key) + table->number * 0x9e3779b9u;
	struct chain *chain;

	for (uint32_t slot = hash & (SLOTS - 1);; slot = (slot + 1) & (SLOTS - 1)) {
		if (worker->slots[slot] >> 32 != graph->round) {
			worker->slots[slot] = (uint64_t)graph->round << 32 | worker->chains_count;
			chain = &worker->chains[worker->chains_count++];
			*chain = (struct chain){.table = table,
				.key = key,
				.hash = hash,
				.entry = table_find(table, 0, key),
				.dirty_from = UINT32_MAX};
			return chain;
		}
		chain = &worker->chains[(uint32_t)worker->slots[slot]];
		if (chain->hash == hash && chain->table == table &&
			table_keys_equal(table, chain->key, key))
			return chain;
	}
}

/* Sorted by order; most often the last one. */
static void chain_insert(struct chain *chain, struct node *node)
{
	struct node *before = chain->tail;

	while (before != NULL && before->order > node->order)
		before = before->prev;
	if (MUTANT(REORDER) && before != NULL && before->operation->txn->slot % 8 == 3)
		before = before->prev;
	node->chain = chain;
	node->prev = before;
	node->next = before == NULL ? chain->head : before->next;
	if (node->next == NULL)
		chain->tail = node;
	else
		node->next->prev = node;
	if (before == NULL)
		chain->head = node;
	else
		before->next = node;
	chain->nodes++;
}

static void resolve(struct graph *graph, uint32_t worker, struct operation_node *node)
{
	if (atomic_sub_acq_rel(&node->waits, 1) != 0)
		return;
	atomic_write_release(&node->state, (uint32_t)NODE_READY);
	graph->on_ready(graph->schedule, worker, node);
}

void graph_link(struct graph *graph, uint32_t number)
{
	struct graph_worker *own = &graph->worker[number];

	for (uint32_t w = 0; w < graph->workers; w++)
		for (struct node *node = graph->worker[w].lists[number].head; node != NULL;
			node = node->partition_next)
			chain_insert(chain_of(graph, own, node), node);
	for (uint32_t c = 0; c < own->chains_count; c++) {
		struct chain *chain = &own->chains[c];
		bool waits = false;

		chain->cursor = chain->head;
		if (chain->nodes > own->longest)
			own->longest = chain->nodes;
		for (struct node *node = chain->head; node != NULL; node = node->next) {
			if (!waits || (node->is_proxy && MUTANT(SKIP_PARAMETRIC)) ||
				(!node->is_proxy && MUTANT(SKIP_TEMPORAL)))
				resolve(graph, number, node->operation);
			waits |= node->writes;
		}
	}
}

uint32_t graph_operations(const struct graph *graph)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < graph->workers; w++)
		count += graph->worker[w].count;
	return count;
}

uint32_t graph_longest(const struct graph *graph)
{
	uint32_t longest = 0;

	for (uint32_t w = 0; w < graph->workers; w++)
		if (graph->worker[w].longest > longest)
			longest = graph->worker[w].longest;
	return longest;
}

uint32_t graph_writes(const struct graph *graph, uint32_t table)
{
	uint32_t writes = 0;

	for (uint32_t w = 0; w < graph->workers; w++)
		writes += graph->worker[w].writes[table];
	return writes;
}

/* What a place in a chain sees: the last version before it, or the table's. */
struct seen {
	const void *value; /* NULL: no entry */
	uint64_t deadline_ns;
};

static struct seen see(const struct node *node)
{
	const struct chain *chain = node->chain;
	struct entry *entry;

	for (const struct node *at = node->prev; at != NULL; at = at->prev) {
		const struct operation_node *maker = at->operation;

		if (node->is_proxy && MUTANT(WRONG_VERSION))
			break;
		if (at->writes && atomic_read_relaxed(&maker->state) == NODE_EXECUTED &&
			maker->wrote)
			return (struct seen){maker->present ? maker->value : NULL,
				maker->deadline_ns};
	}
	if (chain->entry == ENTRY_NONE)
		return (struct seen){NULL, 0};
	entry = table_entry(chain->table, chain->entry);
	return (struct seen){entry_value(chain->table, entry), entry->deadline_ns};
}

static uint64_t digest_seen(const struct node *node, const struct seen *seen)
{
	return read_digest_of(node->chain->table, node->chain->key, seen->value, seen->deadline_ns);
}

/* Calls the function and makes the version; false: it aborts. */
static bool call(struct operation_node *node)
{
	const struct operation *operation = node->operation;
	uint32_t value_bytes = node->node.chain->table->spec.value_bytes;
	struct operation_call call = {.context = node->txn->context,
		.value = node->value,
		.id = node->txn->id,
		.now_ns = node->txn->now_ns};
	enum operation_effect effect;
	enum probe before;
	struct seen seen;

	node->read_digest = 0;
	node->wrote = false;
	for (uint32_t i = 0; i < operation->sources_count; i++) {
		seen = see(&node->proxies[i]);
		call.sources[i] = seen.value;
		node->read_digest += digest_seen(&node->proxies[i], &seen);
	}
	memset(node->value, 0, sizeof(node->value));
	if (operation->kind != OPERATION_WRITE) {
		seen = see(&node->node);
		call.old = seen.value;
		call.deadline_ns = seen.value == NULL ? 0 : seen.deadline_ns;
		if (seen.value != NULL)
			memcpy(node->value, seen.value, value_bytes);
		node->read_digest += digest_seen(&node->node, &seen);
	}
	before = PROBE(PROBE_USEFUL);
	effect = operation->function(&call);
	(void)PROBE(before);
	(void)before;
	if (effect == EFFECT_ABORT && operation->may_abort)
		return false;
	if (operation->kind != OPERATION_READ && (effect == EFFECT_PUT || effect == EFFECT_ERASE)) {
		node->wrote = true;
		node->present = effect == EFFECT_PUT;
		node->deadline_ns = timer_deadline(call.now_ns, call.deadline_ns);
	}
	return true;
}

/* Tells those that wait for this write: of its own transaction, or of others. */
static void tell_chain(struct graph *graph, uint32_t worker, struct operation_node *node, bool own)
{
	if (!node->node.writes)
		return;
	for (struct node *at = node->node.next; at != NULL; at = at->next) {
		bool is_own = at->operation->txn == node->txn;

		if (own && !is_own)
			return;
		if (own == is_own)
			resolve(graph, worker, at->operation);
		if (at->writes)
			return;
	}
}

static void tell_own(struct graph *graph, uint32_t worker, struct operation_node *node)
{
	const struct graph_txn *txn = node->txn;
	bool later = false;

	for (uint32_t i = 0; i < txn->count; i++) {
		if (later && txn->operations[i]->operation->after)
			resolve(graph, worker, txn->operations[i]);
		later |= txn->operations[i] == node;
	}
	tell_chain(graph, worker, node, true);
}

static void release(struct graph *graph, uint32_t worker, struct operation_node *node)
{
	if (atomic_exchange_seq_cst(&node->released, 1u) == 0)
		tell_chain(graph, worker, node, false);
}

/* Eager: the transaction is decided; who has run may be seen, or is taken back. */
static void settle(struct graph *graph, uint32_t worker, struct graph_txn *txn, enum txn_fate fate)
{
	uint32_t open = FATE_OPEN;

	if (!atomic_swap_if(&txn->fate, &open, (uint32_t)fate))
		return;
	for (uint32_t i = 0; i < txn->count; i++) {
		struct operation_node *node = txn->operations[i];

		if (atomic_read_seq_cst(&node->state) != NODE_EXECUTED)
			continue;
		if (fate == FATE_ABORTED && !MUTANT(FORGET_ROLLBACK))
			atomic_write_relaxed(&node->state, (uint32_t)NODE_ABORTED);
		release(graph, worker, node);
	}
}

static void pass_over(struct graph *graph, uint32_t worker, struct operation_node *node)
{
	atomic_write_seq_cst(&node->state, (uint32_t)NODE_ABORTED);
	tell_own(graph, worker, node);
	release(graph, worker, node);
}

void graph_execute(struct graph *graph, uint32_t worker, struct operation_node *node)
{
	struct graph_txn *txn = node->txn;
	uint32_t fate;

	if (atomic_read_seq_cst(&txn->fate) == FATE_ABORTED) {
		pass_over(graph, worker, node);
		return;
	}
	if (!call(node)) {
		if (graph->aborts == ABORT_LAZY)
			atomic_write_seq_cst(&txn->fate, (uint32_t)FATE_ABORTED);
		else
			settle(graph, worker, txn, FATE_ABORTED);
		pass_over(graph, worker, node);
		return;
	}
	atomic_write_seq_cst(&node->state, (uint32_t)NODE_EXECUTED);
	tell_own(graph, worker, node);
	if (graph->aborts == ABORT_EAGER && node->operation->may_abort &&
		atomic_sub_acq_rel(&txn->undecided, 1) == 0)
		settle(graph, worker, txn, FATE_COMMITTED);
	fate = atomic_read_seq_cst(&txn->fate);
	if (graph->aborts == ABORT_LAZY || MUTANT(SKIP_LOGICAL)) {
		release(graph, worker, node);
		return;
	}
	if (fate == FATE_ABORTED && !MUTANT(FORGET_ROLLBACK))
		atomic_write_seq_cst(&node->state, (uint32_t)NODE_ABORTED);
	if (fate != FATE_OPEN)
		release(graph, worker, node);
}

static bool is_dirty(const struct node *node)
{
	return node->chain->dirty_from < node->order;
}

static bool inputs_are_dirty(const struct graph_txn *txn)
{
	for (uint32_t i = 0; i < txn->count; i++) {
		const struct operation_node *node = txn->operations[i];

		if (node->operation->kind != OPERATION_WRITE && is_dirty(&node->node))
			return true;
		for (uint32_t s = 0; s < node->operation->sources_count; s++)
			if (is_dirty(&node->proxies[s]))
				return true;
	}
	return false;
}

static void mark_dirty(const struct node *node)
{
	if (node->chain->dirty_from > node->order)
		node->chain->dirty_from = node->order;
}

static bool is_visible(const struct operation_node *node)
{
	return node->state == NODE_EXECUTED && node->wrote;
}

static bool versions_differ(const struct operation_node *a, const struct operation_node *b)
{
	if (is_visible(a) != is_visible(b))
		return true;
	return is_visible(a) && (a->present != b->present || a->deadline_ns != b->deadline_ns ||
					memcmp(a->value, b->value, sizeof(a->value)) != 0);
}

static void take_back(struct graph_txn *txn)
{
	for (uint32_t i = 0; i < txn->count; i++) {
		struct operation_node *node = txn->operations[i];

		if (is_visible(node))
			mark_dirty(&node->node);
		node->state = NODE_ABORTED;
	}
}

/* All before it are final: in program order, once more. */
static void run_again(struct graph *graph, struct graph_txn *txn)
{
	struct operation_node before[OPERATIONS_MAX];

	graph->restore(graph->caller, txn->slot);
	for (uint32_t i = 0; i < txn->count; i++) {
		before[i] = *txn->operations[i];
		txn->operations[i]->state = NODE_READY;
	}
	txn->fate = FATE_COMMITTED;
	for (uint32_t i = 0; i < txn->count && txn->fate == FATE_COMMITTED; i++) {
		if (call(txn->operations[i]))
			txn->operations[i]->state = NODE_EXECUTED;
		else
			txn->fate = FATE_ABORTED;
	}
	for (uint32_t i = 0; i < txn->count; i++) {
		if (txn->fate == FATE_ABORTED)
			txn->operations[i]->state = NODE_ABORTED;
		if (versions_differ(&before[i], txn->operations[i]))
			mark_dirty(&txn->operations[i]->node);
	}
}

void graph_repair(struct graph *graph)
{
	if (graph->aborts == ABORT_EAGER)
		return;
	for (uint32_t slot = graph->first; slot < graph->end; slot++) {
		struct graph_txn *txn = &graph->txns[slot];
		bool out_of_reach = false;

		for (uint32_t i = 0; i < txn->count; i++)
			out_of_reach |= !in_reach(graph, txn->operations[i]->operation);
		if (txn->count > 0 && !out_of_reach && inputs_are_dirty(txn) &&
			!MUTANT(FORGET_REDO))
			run_again(graph, txn);
		else if (txn->count > 0 && txn->fate == FATE_ABORTED)
			take_back(txn);
	}
}
