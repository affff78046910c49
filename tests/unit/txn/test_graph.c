/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Graphs by hand: what happens in an order that threads meet only now and then. A function may let
 * the other worker take a step in its midst.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"
#include "txn/schedule.h"

#define TXNS 16

static struct engine engine;
static struct graph graph;
static struct schedule schedule;

/* One operation's part, and what became of it. */
struct part {
	enum operation_effect effect;
	uint64_t value;
	bool lets_other; /* take a step */
	uint32_t calls;
	uint64_t old, source; /* NONE: not there */
	bool other_did;
};

#define NONE UINT64_MAX

static struct part parts[TXNS];
static uint32_t restored[TXNS];

static void on_restore(void *caller, uint32_t slot)
{
	(void)caller;
	restored[slot]++;
}

static enum operation_effect play(struct operation_call *call, struct part *part)
{
	part->calls++;
	part->old = call->old == NULL ? NONE : *(const uint64_t *)call->old;
	part->source = call->sources[0] == NULL ? NONE : *(const uint64_t *)call->sources[0];
	if (part->lets_other)
		part->other_did = schedule_step(&schedule, 1);
	*(uint64_t *)call->value = part->value;
	return part->effect;
}

/* A transaction has up to two operations: the parts at its context and behind it. */
static enum operation_effect play_first(struct operation_call *call)
{
	return play(call, call->context);
}

static enum operation_effect play_second(struct operation_call *call)
{
	return play(call, (struct part *)call->context + 1);
}

static void start(const char *strategy)
{
	engine_open(&engine, 5, true, 2, NULL, NULL);
	assert_int_equal(tables_add(&engine, 100), STATUS_OK);
	assert_int_equal(tables_add(&engine, 100), STATUS_OK);
	assert_int_equal(engine_ready(&engine), STATUS_OK);
	assert_int_equal(graph_open(&graph, &engine, on_restore, NULL), STATUS_OK);
	assert_int_equal(schedule_open(&schedule, &graph), STATUS_OK);
	memset(parts, 0, sizeof(parts));
	memset(restored, 0, sizeof(restored));
	graph_begin(&graph, 0, TXNS, strategy_of(strategy_find(strategy)).aborts);
	schedule_begin(&schedule, strategy_of(strategy_find(strategy)));
}

static void declare(uint32_t slot, struct part *context)
{
	graph_declare(&graph, slot, 100 + slot, NOW_NS, context);
}

static struct operation operation_on(enum operation_kind kind, uint64_t key)
{
	return (struct operation){.kind = kind,
		.table = SHARED,
		.function = play_first,
		.key = {key}};
}

static void operate(uint32_t slot, const struct operation *operation)
{
	graph_operate(&graph, slot % 2, slot, operation, 0);
}

static void link_all(void)
{
	graph_link(&graph, 0);
	graph_link(&graph, 1);
	schedule_start(&schedule);
}

static void run_and_install(void)
{
	for (uint32_t steps = 0; !schedule_is_done(&schedule); steps++) {
		(void)schedule_step(&schedule, steps % 2);
		assert_in_range(steps, 0, 1000);
	}
	for (uint32_t worker = 0; worker < 2; worker++)
		assert_false(schedule_step(&schedule, worker));
	graph_repair(&graph);
	graph_install(&graph);
}

static void finish(void)
{
	schedule_close(&schedule);
	graph_close(&graph);
	engine_close(&engine);
}

/*
 * A transaction of two operations, of which one or both abort while the other is at work, in either
 * order: neither leaves anything, and who comes later sees what was there before.
 */
static void test_aborts_that_cross(void **state)
{
	uint32_t crossed = 0;

	(void)state;
	for (uint64_t key = 0; key < 16; key++) {
		struct operation first = operation_on(OPERATION_READ_MODIFY, key);
		struct operation second = operation_on(OPERATION_WRITE, key + 1);
		struct operation later = operation_on(OPERATION_READ_MODIFY, key);

		start("unstructured-operation-eager");
		tables_put(&engine, 1, SHARED, key, 11);
		engine_batch_zero(&engine);
		parts[0] = (struct part){.effect = key % 2 ? EFFECT_ABORT : EFFECT_PUT,
			.value = 22,
			.lets_other = true};
		parts[1] = (struct part){.effect = EFFECT_ABORT, .lets_other = key % 2};
		parts[2] = (struct part){.effect = EFFECT_PUT, .value = 33};
		first.may_abort = key % 2;
		second.may_abort = true;
		second.function = play_second;
		declare(0, &parts[0]);
		operate(0, &first);
		operate(0, &second);
		declare(3, &parts[2]);
		operate(3, &later);
		link_all();
		run_and_install();
		crossed += parts[0].calls == 1 && parts[1].calls == 1;
		assert_in_range(parts[0].calls, 0, 1);
		assert_true(graph_aborted(&graph, 0));
		assert_false(graph_aborted(&graph, 3));
		assert_int_equal(restored[0], 1);
		assert_int_equal(parts[2].old, 11);
		assert_int_equal(tables_get(&engine, SHARED, key), 33);
		assert_true(tables_get(&engine, SHARED, key + 1) == NONE);
		assert_int_equal(engine_batch_aborted(&engine), 1);
		finish();
	}
	assert_true(crossed > 4);
}

/* One that may not abort, and says so all the same, has no effect. */
static void test_undeclared_aborts_have_no_effect(void **state)
{
	struct operation operation = operation_on(OPERATION_READ_MODIFY, 3);

	(void)state;
	start("depth-operation-eager");
	tables_put(&engine, 1, SHARED, 3, 11);
	parts[0] = (struct part){.effect = EFFECT_ABORT, .value = 22};
	declare(0, &parts[0]);
	operate(0, &operation);
	link_all();
	run_and_install();
	assert_false(graph_aborted(&graph, 0));
	assert_int_equal(tables_get(&engine, SHARED, 3), 11);
	assert_int_equal(engine_batch_aborted(&engine), 0);
	finish();
}

/* Breadth-first: what a round makes ready waits for the whole round. */
static void test_rounds_are_finished_first(void **state)
{
	(void)state;
	start("breadth-operation-eager");
	for (uint32_t slot = 0; slot < 4; slot++) {
		struct operation operation = operation_on(OPERATION_READ_MODIFY, slot % 2);

		parts[slot] = (struct part){.effect = EFFECT_PUT, .value = slot};
		declare(slot, &parts[slot]);
		operate(slot, &operation);
	}
	link_all();
	assert_true(schedule_step(&schedule, 0));
	assert_int_equal(parts[0].calls + parts[1].calls, 1);
	parts[0].lets_other = parts[1].lets_other = true;
	assert_true(schedule_step(&schedule, 0)); /* the last of the first round */
	assert_false(parts[0].other_did || parts[1].other_did);
	assert_int_equal(parts[2].calls + parts[3].calls, 0);
	run_and_install();
	assert_int_equal(parts[2].old, 0);
	assert_int_equal(parts[3].old, 1);
	finish();
}

/* A place that is taken in the queue, and not filled yet, is waited for, not passed over. */
static void test_places_not_filled_yet(void **state)
{
	struct operation operation = operation_on(OPERATION_WRITE, 3);
	void *unit;

	(void)state;
	start("unstructured-chain-lazy");
	parts[0] = (struct part){.effect = EFFECT_PUT, .value = 22};
	declare(0, &parts[0]);
	operate(0, &operation);
	link_all();
	assert_int_equal(schedule.tail, 1);
	unit = schedule.queue[0];
	schedule.queue[0] = NULL;
	assert_false(schedule_step(&schedule, 0));
	assert_false(schedule_is_done(&schedule));
	schedule.queue[0] = unit;
	assert_true(schedule_step(&schedule, 1));
	run_and_install();
	assert_int_equal(parts[0].calls, 1);
	assert_int_equal(tables_get(&engine, SHARED, 3), 22);
	finish();
}

/* The key whose hash, in a table of number 0 or 2, is as said: see table_hash and graph.c. */
static uint64_t key_of_hash(uint32_t table, uint32_t hash, uint32_t variant)
{
	uint64_t odd = 0x9e3779b97f4a7c15ull, inverse = odd;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - odd * inverse; /* Newton's */
	hash -= table * 0x9e3779b9u;
	return (((uint64_t)variant << 32 | (hash ^ variant)) * inverse) ^ engine.tables[table].seed;
}

/* Entries whose keys hash alike, in one table or two, have chains of their own. */
static void test_chains_that_hash_alike(void **state)
{
	(void)state;
	start("depth-chain-eager");
	for (uint32_t slot = 0; slot < TXNS; slot++) {
		struct operation operation = operation_on(OPERATION_READ_MODIFY, 0);

		operation.table = slot % 2 * 2;
		operation.key[0] = key_of_hash(operation.table, 0x1234567, slot / 2 % 4);
		parts[slot] = (struct part){.effect = EFFECT_PUT, .value = 100 + slot};
		declare(slot, &parts[slot]);
		operate(slot, &operation);
	}
	link_all();
	assert_int_equal(graph_operations(&graph), TXNS);
	assert_int_equal(graph_longest(&graph), 2);
	assert_int_equal(graph_writes(&graph, 0), TXNS / 2);
	run_and_install();
	for (uint32_t slot = 0; slot < TXNS; slot++) {
		uint32_t table = slot % 2 * 2;
		uint64_t key = key_of_hash(table, 0x1234567, slot / 2 % 4);

		assert_true(parts[slot].old == (slot < 8 ? NONE : 100 + slot - 8));
		if (slot >= 8)
			assert_int_equal(tables_get(&engine, table, key), 100 + slot);
	}
	finish();
}

/* By what its source is, one of these: the same version, or another. */
static enum operation_effect same_version(struct operation_call *call)
{
	*(uint64_t *)call->value = 5;
	return EFFECT_PUT;
}

static enum operation_effect by_value(struct operation_call *call)
{
	*(uint64_t *)call->value = *(const uint64_t *)call->sources[0];
	return EFFECT_PUT;
}

static enum operation_effect by_deadline(struct operation_call *call)
{
	*(uint64_t *)call->value = 5;
	call->deadline_ns = NOW_NS + *(const uint64_t *)call->sources[0] * SECOND_NS;
	return EFFECT_PUT;
}

static enum operation_effect by_presence(struct operation_call *call)
{
	*(uint64_t *)call->value = 5;
	return *(const uint64_t *)call->sources[0] == 11 ? EFFECT_ERASE : EFFECT_PUT;
}

static enum operation_effect by_writing(struct operation_call *call)
{
	*(uint64_t *)call->value = 5;
	return *(const uint64_t *)call->sources[0] == 11 ? EFFECT_NONE : EFFECT_PUT;
}

static enum operation_effect by_aborting(struct operation_call *call)
{
	*(uint64_t *)call->value = 5;
	return *(const uint64_t *)call->sources[0] == 11 ? EFFECT_ABORT : EFFECT_PUT;
}

/*
 * Lazy: transaction 0 puts 22 and aborts after that; 1 has read it as its source, and runs again;
 * 2, which has read what 1 wrote, runs again only if that is another version.
 */
static void test_only_what_read_another_version_runs_again(void **state)
{
	static const struct {
		enum operation_effect (*function)(struct operation_call *call);
		uint32_t calls; /* of transaction 2 */
		bool aborted;	/* transaction 1, in the end */
		uint64_t sees;	/* transaction 2, in the end */
	} rows[] = {
		{same_version, 1, false, 5},
		{by_value, 2, false, 11},
		{by_deadline, 2, false, 5},
		{by_presence, 2, false, NONE},
		{by_writing, 2, false, 44},
		{by_aborting, 2, true, 44},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct operation put = operation_on(OPERATION_WRITE, 1);
		struct operation abort = operation_on(OPERATION_READ, 2);
		struct operation middle = operation_on(OPERATION_WRITE, 3);
		struct operation last = operation_on(OPERATION_READ_MODIFY, 3);

		start("unstructured-operation-lazy");
		tables_put(&engine, 1, SHARED, 1, 11);
		tables_put(&engine, 2, SHARED, 3, 44);
		parts[0] = (struct part){.effect = EFFECT_PUT, .value = 22};
		parts[1] = (struct part){.effect = EFFECT_ABORT};
		parts[4] = (struct part){.effect = EFFECT_PUT, .value = 66};
		abort.may_abort = abort.after = true;
		abort.function = play_second;
		middle.function = rows[i].function;
		middle.may_abort = true;
		middle.sources_count = 1;
		middle.sources[0] = (struct operation_source){SHARED, {1}};
		declare(0, &parts[0]);
		operate(0, &put);
		operate(0, &abort);
		declare(1, &parts[3]);
		operate(1, &middle);
		declare(2, &parts[4]);
		operate(2, &last);
		link_all();
		run_and_install();
		assert_true(graph_aborted(&graph, 0));
		assert_int_equal(graph_aborted(&graph, 1), rows[i].aborted);
		assert_int_equal(parts[4].calls, rows[i].calls);
		assert_true(parts[4].old == rows[i].sees);
		assert_int_equal(tables_get(&engine, SHARED, 1), 11);
		assert_int_equal(tables_get(&engine, SHARED, 3), 66);
		finish();
	}
}

/* What one transaction puts and erases, and puts again, is one change; untracked it is none. */
static void test_versions_within_one_transaction(void **state)
{
	static const struct {
		enum operation_effect first, second;
		uint64_t wanted;
	} rows[] = {{EFFECT_PUT, EFFECT_PUT, 33}, {EFFECT_PUT, EFFECT_ERASE, NONE},
		{EFFECT_ERASE, EFFECT_PUT, 33}, {EFFECT_ERASE, EFFECT_ERASE, NONE},
		{EFFECT_PUT, EFFECT_NONE, 22}, {EFFECT_NONE, EFFECT_NONE, 11}};

	(void)state;
	for (uint32_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct operation first = operation_on(OPERATION_WRITE, 1), second = first;
		uint64_t digest;
		struct txn txn;

		start("depth-operation-eager");
		engine.tracks = i % 2 == 0;
		tables_put(&engine, 1, SHARED, 1, 11);
		second.function = play_second;
		parts[0] = (struct part){.effect = rows[i / 2].first, .value = 22};
		parts[1] = (struct part){.effect = rows[i / 2].second, .value = 33};
		declare(0, &parts[0]);
		operate(0, &first);
		operate(0, &second);
		link_all();
		run_and_install();
		assert_true(tables_get(&engine, SHARED, 1) == rows[i / 2].wanted);
		digest = engine_state_digest(&engine);
		finish();
		/* In place it comes to the same. */
		start("serial");
		engine.tracks = i % 2 == 0;
		tables_put(&engine, 1, SHARED, 1, 11);
		txn_begin_prepare(&txn, &engine, 100, NOW_NS, 0);
		parts[0] = (struct part){.effect = rows[i / 2].first, .value = 22};
		parts[1] = (struct part){.effect = rows[i / 2].second, .value = 33};
		txn_operate(&txn, &first, parts);
		txn_operate(&txn, &second, parts);
		assert_true(txn_end(&txn));
		assert_true(tables_get(&engine, SHARED, 1) == rows[i / 2].wanted);
		assert_true(engine_state_digest(&engine) == digest);
		assert_int_equal(digest == 0, !engine.tracks || rows[i / 2].wanted == NONE);
		finish();
	}
}

static void test_every_strategy_has_its_name(void **state)
{
	(void)state;
	for (uint32_t number = 0; number < STRATEGIES; number++) {
		struct strategy strategy = strategy_of(number);

		assert_int_equal(strategy_number(&strategy), number);
		assert_int_equal(strategy_find(strategy_name(number)), number);
		assert_int_equal(strategy.serial, number == 0);
		assert_int_equal(strstr(strategy_name(number), "lazy") != NULL,
			strategy.aborts == ABORT_LAZY);
		assert_int_equal(strstr(strategy_name(number), "chain") != NULL,
			strategy.granularity == GRANULE_CHAIN);
		assert_int_equal(strstr(strategy_name(number), "breadth") != NULL,
			strategy.exploration == EXPLORE_BREADTH_FIRST);
	}
	assert_int_equal(strategy_find("auto"), STRATEGIES);
	assert_int_equal(strategy_find(""), STRATEGIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aborts_that_cross),
		cmocka_unit_test(test_undeclared_aborts_have_no_effect),
		cmocka_unit_test(test_rounds_are_finished_first),
		cmocka_unit_test(test_places_not_filled_yet),
		cmocka_unit_test(test_chains_that_hash_alike),
		cmocka_unit_test(test_only_what_read_another_version_runs_again),
		cmocka_unit_test(test_versions_within_one_transaction),
		cmocka_unit_test(test_every_strategy_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
