/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/access.h"

#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/fault_points.h"
#include "core/mutants.h"
#include "txn/baseline.h"

#define FORESIGHTS_MAX (BATCH_PACKETS_MAX * 16)
#define ALONE_MAX 8 /* in a batch; with more of them, all of it is done one by one */
#define STEPS 32    /* of a schedule at a time */
#define AHEAD 4	    /* transactions from one depth of prefetching to the next */
#define DEPTHS 3

static void restore_slot(void *caller, uint32_t slot)
{
	struct access *access = caller;

	access->steps->restore(access->caller, slot);
}

enum status access_open(struct access *access, struct engine *engine,
	const struct access_steps *steps, void *caller)
{
	enum status status;

	memset(access, 0, sizeof(*access));
	access->engine = engine;
	access->steps = steps;
	access->caller = caller;
	access->foresights.capacity = FORESIGHTS_MAX;
	access->foresights.list = malloc(FORESIGHTS_MAX * sizeof(*access->foresights.list));
	decision_open(&access->decision, engine->workers);
	status = graph_open(&access->graph, engine, restore_slot, access);
	if (status == STATUS_OK)
		status = schedule_open(&access->schedule, &access->graph);
	return access->foresights.list == NULL ? STATUS_NO_MEMORY : status;
}

void access_close(struct access *access)
{
	schedule_close(&access->schedule);
	graph_close(&access->graph);
	free(access->foresights.list);
}

static void slots_add(struct slots *slots, uint32_t slot)
{
	slots->words[slot / 64] |= 1ull << (slot % 64);
}

/* The first slot in [from, to), or to. */
static uint32_t slots_next(const struct slots *slots, uint32_t from, uint32_t to)
{
	for (uint32_t at = from; at < to; at = (at / 64 + 1) * 64) {
		uint64_t word = slots->words[at / 64] & ~0ull << (at % 64);

		if (word != 0) {
			at = at / 64 * 64 + (uint32_t)__builtin_ctzll(word);
			return at < to ? at : to;
		}
	}
	return to;
}

static void slots_join(struct slots *slots, const struct slots *with)
{
	for (uint32_t i = 0; i < SLOT_WORDS; i++)
		slots->words[i] |= with->words[i];
}

static bool slots_any(const struct slots *slots)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < SLOT_WORDS; i++)
		any |= slots->words[i];
	return any != 0;
}

static bool has_shared_part(const struct access_txn *txn)
{
	return txn->prepares || txn->operations_count > 0;
}

/* Operations in place, as the graph would run them, and the prepare step. */
static void run_shared_part(struct access *access, uint32_t slot, struct txn *txn)
{
	const struct access_txn *declared = &access->txns[slot];
	struct operation_node *const *operations = access->graph.txns[slot].operations;

	for (uint32_t i = 0; i < declared->operations_count && !txn->aborted; i++)
		txn_operate(txn, operations[i]->operation, declared->context);
	if (txn->aborted)
		access->steps->restore(access->caller, slot);
	else if (declared->prepares)
		access->steps->prepare(access->caller, slot, txn);
}

void access_one(struct access *access, uint32_t slot)
{
	struct access_txn *declared = &access->txns[slot];
	struct txn txn;

	txn_begin(&txn, access->engine, declared->id, declared->now_ns, declared->home);
	if (has_shared_part(declared)) {
		txn_go_on(&txn, TXN_PREPARE);
		run_shared_part(access, slot, &txn);
		FAULT_POINT(MID_TRANSACTION);
	}
	if (declared->flows && !txn.aborted) {
		txn_go_on(&txn,
			declared->alone || declared->home == HOME_NONE ? TXN_ALL : TXN_FLOW);
		access->steps->access(access->caller, slot, &txn);
	}
	declared->aborted = !txn_end(&txn);
}

void access_begin_one(struct access *access)
{
	access->strategy = 0;
	graph_begin_plain(&access->graph);
}

void access_begin(struct access *access, uint32_t first, uint32_t end, uint32_t strategy)
{
	access->first = first;
	access->end = end;
	access->strategy = strategy;
	for (uint32_t w = 0; w < access->engine->workers; w++)
		memset(&access->worker[w], 0, sizeof(access->worker[w]));
	if (access->strategy == 0 || BASELINE())
		graph_begin_plain(&access->graph);
	else
		graph_begin(&access->graph, first, end, strategy_of(access->strategy).aborts);
}

void access_declare(struct access *access, uint32_t number, uint32_t slot)
{
	struct access_worker *worker = &access->worker[number];
	struct access_txn *txn = &access->txns[slot];

	if (txn->prepares)
		slots_add(&worker->prepares, slot);
	if (txn->flows && (txn->alone || txn->home == HOME_NONE))
		slots_add(&worker->alone, slot);
	else if ((txn->flows || txn->prepares) && txn->home != HOME_NONE)
		slots_add(&worker->flows[txn->home % access->engine->workers], slot);
}

void access_operate(struct access *access, uint32_t worker, uint32_t slot,
	const struct operation *operation, uint32_t table_base)
{
	struct access_txn *txn = &access->txns[slot];
	enum probe before = PROBE(PROBE_CONSTRUCT);

	if (txn->operations_count++ == 0) {
		slots_add(&access->worker[worker].operates, slot);
		graph_declare(&access->graph, slot, txn->id, txn->now_ns, txn->context);
	}
	graph_operate(&access->graph, worker, slot, operation, table_base);
	(void)PROBE(before);
}

/* One by one, whole transactions. */
static void run_serially(struct access *access, uint32_t from, uint32_t to)
{
	for (uint32_t slot = from; slot < to; slot++) {
		const struct access_txn *txn = &access->txns[slot];

		if (txn->flows || has_shared_part(txn))
			access_one(access, slot);
	}
}

/* One by one, the shared part of each; what is foreseen is noted. */
static void prepare_one(struct access *access, uint32_t slot)
{
	struct access_txn *declared = &access->txns[slot];
	struct txn txn;

	txn_begin_prepare(&txn, access->engine, declared->id, declared->now_ns, declared->home);
	txn.foresights = &access->foresights;
	run_shared_part(access, slot, &txn);
	access->worker[0].failed |= txn.widened;
	declared->aborted = !txn_end(&txn);
}

static void run_shared_serially(struct access *access, const struct slots *shared)
{
	uint32_t noted = access->from;

	(void)PROBE(PROBE_USEFUL);
	access->foresights.count = 0;
	for (uint32_t slot = slots_next(shared, access->from, access->to); slot < access->to;
		slot = slots_next(shared, slot + 1, access->to)) {
		while (noted <= slot)
			access->foresights_first[noted++] = access->foresights.count;
		prepare_one(access, slot);
	}
	while (noted <= access->to)
		access->foresights_first[noted++] = access->foresights.count;
	(void)PROBE(PROBE_OTHERS);
}

static bool link_work(void *context, uint32_t worker)
{
	struct access *access = context;

	(void)PROBE(PROBE_CONSTRUCT);
	graph_link(&access->graph, worker);
	(void)PROBE(PROBE_OTHERS);
	return true;
}

static bool schedule_work(void *context, uint32_t worker)
{
	struct access *access = context;
	bool idle = false;

	(void)PROBE(PROBE_EXPLORE);
	for (uint32_t i = 0; i < STEPS && !idle; i++)
		idle = !schedule_step(&access->schedule, worker);
	(void)PROBE(PROBE_OTHERS);
	return idle && schedule_is_done(&access->schedule);
}

/* The graph's versions need room for all that operations may add. */
static bool tables_have_room(const struct access *access)
{
	for (uint32_t i = 0; i < access->engine->tables_count; i++) {
		const struct table *table = &access->engine->tables[i];

		if (table->spec.scope == TABLE_SHARED &&
			table->spec.capacity - table_count(table) < graph_writes(&access->graph, i))
			return MUTANT(IGNORE_CAPACITY);
	}
	return true;
}

static void run_graph(struct access *access, struct team *team)
{
	schedule_begin(&access->schedule, strategy_of(access->strategy));
	team->run(team, link_work, access);
	schedule_start(&access->schedule);
	team->run(team, schedule_work, access);
	graph_repair(&access->graph);
	for (uint32_t slot = access->from; slot < access->to; slot++)
		if (access->txns[slot].operations_count > 0)
			access->txns[slot].aborted = graph_aborted(&access->graph, slot);
	memset(access->foresights_first, 0, sizeof(access->foresights_first));
}

/* False: it cannot stand. */
static bool flow_one(struct access *access, uint32_t slot)
{
	struct access_txn *declared = &access->txns[slot];
	uint32_t first = access->foresights_first[slot];
	uint32_t seen = access->foresights_first[slot + 1] - first;
	struct txn txn;

	txn_begin(&txn, access->engine, declared->id, declared->now_ns, declared->home);
	/* Also of one that aborted, maybe for what it thought to see. */
	if (seen > 0 && declared->prepares && !MUTANT(TRUST_FORESIGHT) &&
		!txn_foresaw(&txn, &access->foresights.list[first], seen))
		return false;
	if (!declared->flows || declared->aborted)
		return true;
	access->steps->access(access->caller, slot, &txn);
	if (txn.widened || (txn.aborted && has_shared_part(declared)))
		return false;
	declared->aborted = !txn_end(&txn);
	return true;
}

/* This worker's slots of the range, sorted. */
static uint32_t own_slots(const struct access *access, uint32_t number, uint16_t *own)
{
	struct slots slots = {0};
	uint32_t count = 0;

	for (uint32_t w = 0; w < access->engine->workers; w++)
		slots_join(&slots, &access->worker[w].flows[number]);
	for (uint32_t slot = slots_next(&slots, access->from, access->to); slot < access->to;
		slot = slots_next(&slots, slot + 1, access->to))
		own[count++] = (uint16_t)slot;
	return count;
}

static void prefetch(const struct access *access, const uint16_t *own, uint32_t count, uint32_t at)
{
	for (uint32_t depth = 0; depth < DEPTHS; depth++) {
		uint32_t ahead = at + AHEAD * (DEPTHS - depth);

		if (ahead < count)
			access->steps->prefetch(access->caller, own[ahead], depth);
	}
}

static bool flow_work(void *context, uint32_t number)
{
	struct access *access = context;
	uint16_t own[BATCH_PACKETS_MAX];
	uint32_t count = own_slots(access, number, own);

	(void)PROBE(PROBE_USEFUL);
	for (uint32_t i = 0; i < count; i++) {
		if (access->steps->prefetch != NULL)
			prefetch(access, own, count, i);
		if (!flow_one(access, own[i])) {
			access->worker[number].failed = 1;
			break;
		}
	}
	(void)PROBE(PROBE_OTHERS);
	return true;
}

static uint64_t now_ns(const struct access *access)
{
	return access->clock_ns == NULL ? 0 : access->clock_ns();
}

static bool has_failed(const struct access *access)
{
	uint32_t failed = 0;

	for (uint32_t w = 0; w < access->engine->workers; w++)
		failed |= access->worker[w].failed;
	return failed != 0;
}

/* Nothing of the range stands: once more, one by one. */
static void take_back(struct access *access)
{
	engine_undo_parallel(access->engine);
	for (uint32_t w = 0; w < access->engine->workers; w++)
		access->worker[w].failed = 0;
	for (uint32_t slot = access->from; slot < access->to; slot++) {
		access->txns[slot].aborted = false;
		if (access->txns[slot].flows || has_shared_part(&access->txns[slot]))
			access->steps->restore(access->caller, slot);
	}
	access->decision.taken_back++;
	run_serially(access, access->from, access->to);
}

static void learn(struct access *access, uint32_t strategy, bool linked, uint64_t took_ns)
{
	struct features features = {.longest = linked ? graph_longest(&access->graph) : 0};

	for (uint32_t slot = access->from; slot < access->to; slot++)
		if (access->txns[slot].operations_count > 0) {
			features.operations += access->txns[slot].operations_count;
			features.transactions++;
			features.aborted += access->txns[slot].aborted;
		}
	decision_learn_shared(&access->decision, strategy, &features, took_ns);
}

/* [from, to), of which none runs alone. */
static void run_range(struct access *access, struct team *team, const struct slots *shared,
	bool by_graph)
{
	uint64_t began_ns = now_ns(access), shared_ns, flow_ns;

	if (!engine_begin_parallel(access->engine, access->to - access->from)) {
		run_serially(access, access->from, access->to);
		return;
	}
	if (by_graph)
		run_graph(access, team);
	else
		run_shared_serially(access, shared);
	shared_ns = now_ns(access);
	team->run(team, flow_work, access);
	flow_ns = now_ns(access);
	if (has_failed(access)) {
		take_back(access);
		return;
	}
	engine_end_parallel(access->engine);
	if (by_graph)
		graph_install(&access->graph);
	learn(access, by_graph ? access->strategy : 0, by_graph,
		shared_ns - began_ns + now_ns(access) - flow_ns);
}

void access_run(struct access *access, struct team *team)
{
	struct slots shared = {0}, alone = {0}, prepares = {0}, operates = {0};
	uint32_t divisions = 0, next;
	bool by_graph;

	if (BASELINE()) {
		baseline_run(access, team);
		return;
	}
	for (uint32_t w = 0; w < access->engine->workers; w++) {
		slots_join(&prepares, &access->worker[w].prepares);
		slots_join(&operates, &access->worker[w].operates);
		slots_join(&alone, &access->worker[w].alone);
	}
	shared = operates;
	slots_join(&shared, &prepares);
	for (uint32_t i = 0; i < SLOT_WORDS; i++)
		divisions += (uint32_t)__builtin_popcountll(alone.words[i]);
	by_graph = access->strategy > 0 && slots_any(&operates);
	if (by_graph && (slots_any(&prepares) || divisions > 0 || !tables_have_room(access))) {
		access->decision.not_by_graph++;
		by_graph = false;
	}
	if (divisions > ALONE_MAX) {
		run_serially(access, access->first, access->end);
		return;
	}
	for (uint32_t from = access->first; from < access->end; from = next + 1) {
		next = slots_next(&alone, from, access->end);
		access->from = from;
		access->to = next;
		if (next > from)
			run_range(access, team, &shared, by_graph);
		if (next < access->end)
			run_serially(access, next, next + 1);
	}
}
