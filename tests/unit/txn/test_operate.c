/* SPDX-License-Identifier: BSD-3-Clause */
/* Declared operations in place: kinds, effects, sources, deadlines, and what aborts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"

/* What a function is to do, and what it was given. */
struct script {
	enum operation_effect effect;
	uint64_t value, deadline_ns;
	uint32_t calls;
	bool had_old;
	uint64_t old, sources[OPERATION_SOURCES_MAX], was_deadline_ns;
};

static enum operation_effect play(struct operation_call *call)
{
	struct script *script = call->context;
	uint64_t *value = call->value;

	script->calls++;
	script->had_old = call->old != NULL;
	script->old = call->old == NULL ? 0 : *(const uint64_t *)call->old;
	script->was_deadline_ns = call->deadline_ns;
	for (uint32_t i = 0; i < OPERATION_SOURCES_MAX; i++)
		script->sources[i] = call->sources[i] == NULL ? 0
							      : *(const uint64_t *)call->sources[i];
	assert_int_equal(call->id, 9);
	assert_int_equal(call->now_ns, NOW_NS);
	assert_int_equal(*value, script->old); /* at first as old, or zeroed */
	*value = script->value;
	if (script->deadline_ns != 0)
		call->deadline_ns = script->deadline_ns;
	return script->effect;
}

static struct operation operation_on(enum operation_kind kind, uint32_t table, uint64_t key)
{
	return (struct operation){.kind = kind, .table = table, .function = play, .key = {key}};
}

static void open_three(struct engine *engine, uint32_t capacity)
{
	struct txn txn;

	tables_open(engine, 2, true, capacity, NULL);
	for (uint64_t key = 1; key <= 3; key++)
		tables_put(engine, key, SHARED, key, 10 * key);
	txn_begin_prepare(&txn, engine, 4, NOW_NS, 0);
	txn_expire_at(&txn, SHARED, KEY(2), NOW_NS + 7 * SECOND_NS);
	assert_true(txn_end(&txn));
}

#define NOTHING UINT64_MAX

/* Each kind with each effect on an entry that is there, and on one that is not. */
static void test_kinds_and_effects(void **state)
{
	static const struct {
		enum operation_kind kind;
		enum operation_effect effect;
		bool may_abort;
		uint64_t key, wanted; /* of the entry afterwards */
		bool committed;
	} rows[] = {
		{OPERATION_READ, EFFECT_NONE, false, 2, 20, true},
		{OPERATION_READ, EFFECT_PUT, false, 2, 20, true},
		{OPERATION_READ, EFFECT_ERASE, false, 2, 20, true},
		{OPERATION_READ, EFFECT_PUT, false, 5, NOTHING, true},
		{OPERATION_WRITE, EFFECT_NONE, false, 2, 20, true},
		{OPERATION_WRITE, EFFECT_PUT, false, 2, 77, true},
		{OPERATION_WRITE, EFFECT_PUT, false, 5, 77, true},
		{OPERATION_WRITE, EFFECT_ERASE, false, 2, NOTHING, true},
		{OPERATION_WRITE, EFFECT_ERASE, false, 5, NOTHING, true},
		{OPERATION_READ_MODIFY, EFFECT_NONE, false, 2, 20, true},
		{OPERATION_READ_MODIFY, EFFECT_PUT, false, 2, 77, true},
		{OPERATION_READ_MODIFY, EFFECT_PUT, false, 5, 77, true},
		{OPERATION_READ_MODIFY, EFFECT_ERASE, false, 2, NOTHING, true},
		{OPERATION_READ_MODIFY, EFFECT_ABORT, false, 2, 20, true}, /* not declared so */
		{OPERATION_READ_MODIFY, EFFECT_ABORT, true, 2, 20, false},
		{OPERATION_READ, EFFECT_ABORT, true, 2, 20, false},
		{OPERATION_READ_MODIFY, EFFECT_PUT, true, 2, 77, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct operation operation = operation_on(rows[i].kind, SHARED, rows[i].key);
		struct script script = {.effect = rows[i].effect, .value = 77};
		bool sees = rows[i].kind != OPERATION_WRITE && rows[i].key == 2;
		struct engine engine;
		struct txn txn;

		open_three(&engine, 10);
		operation.may_abort = rows[i].may_abort;
		txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
		txn_operate(&txn, &operation, &script);
		assert_int_equal(txn_end(&txn), rows[i].committed);
		assert_int_equal(script.calls, 1);
		assert_int_equal(script.had_old, sees);
		assert_int_equal(script.old, sees ? 20 : 0);
		assert_true(script.was_deadline_ns == (sees ? NOW_NS + 7 * SECOND_NS : 0));
		assert_true(tables_get(&engine, SHARED, rows[i].key) == rows[i].wanted);
		assert_int_equal(tables_get(&engine, SHARED, 1), 10);
		engine_close(&engine);
	}
}

/* A value that is put keeps the deadline that was seen, or takes the one that is set. */
static void test_deadlines_of_what_is_put(void **state)
{
	static const struct {
		enum operation_kind kind;
		uint64_t key, set_s, wanted_s;
	} rows[] = {
		{OPERATION_READ_MODIFY, 2, 0, 7},
		{OPERATION_READ_MODIFY, 2, 3, 3},
		{OPERATION_READ_MODIFY, 1, 3, 3},
		{OPERATION_READ_MODIFY, 5, 4, 4},
		{OPERATION_WRITE, 2, 0, 0}, /* it has not seen any */
		{OPERATION_WRITE, 5, 4, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct operation operation = operation_on(rows[i].kind, SHARED, rows[i].key);
		struct script script = {.effect = EFFECT_PUT,
			.value = 1,
			.deadline_ns = rows[i].set_s == 0 ? 0 : NOW_NS + rows[i].set_s * SECOND_NS};
		struct engine engine;
		struct txn txn;

		open_three(&engine, 10);
		txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
		txn_operate(&txn, &operation, &script);
		assert_true(txn_end(&txn));
		assert_true(tables_deadline(&engine, SHARED, rows[i].key) ==
			    (rows[i].wanted_s == 0 ? 0 : NOW_NS + rows[i].wanted_s * SECOND_NS));
		engine_close(&engine);
	}
}

static void test_sources_are_seen(void **state)
{
	struct operation operation = operation_on(OPERATION_READ_MODIFY, SHARED, 1);
	struct script script = {.effect = EFFECT_PUT, .value = 5};
	struct engine engine;
	struct txn txn;

	(void)state;
	open_three(&engine, 10);
	operation.sources_count = 3;
	for (uint64_t i = 0; i < 3; i++) /* 1, 3 and 5, which is not there */
		operation.sources[i] = (struct operation_source){SHARED, {1 + 2 * i}};
	txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
	txn_operate(&txn, &operation, &script);
	assert_int_equal(script.sources[0], 10);
	assert_int_equal(script.sources[1], 30);
	assert_int_equal(script.sources[2], 0);
	assert_int_equal(script.sources[3], 0);
	txn_operate(&txn, &operation, &script); /* sees what the one before has left */
	assert_int_equal(script.sources[0], 5);
	assert_int_equal(script.old, 5);
	assert_true(txn_end(&txn));
	engine_close(&engine);
}

/* A function whose table or source is out of reach is not called, or what it does is not done. */
static void test_out_of_reach_aborts(void **state)
{
	struct engine engine;

	(void)state;
	open_three(&engine, 10);
	for (int kind = OPERATION_READ; kind <= OPERATION_READ_MODIFY; kind++)
		for (int by_source = 0; by_source < 2; by_source++) {
			struct operation operation = operation_on((enum operation_kind)kind,
				by_source ? SHARED : FLOW, 2);
			struct script script = {.effect = EFFECT_PUT, .value = 5};
			struct txn txn;

			operation.sources_count = (uint8_t)by_source;
			operation.sources[0] = (struct operation_source){FLOW, {1}};
			txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
			txn_operate(&txn, &operation, &script);
			assert_int_equal(script.calls, 0);
			assert_false(txn_end(&txn));
			assert_int_equal(tables_get(&engine, SHARED, 2), 20);
		}
	engine_close(&engine);
}

/* Where a table is full, or there are no more notes, a put aborts; an erase makes room. */
static void test_a_put_without_room_aborts(void **state)
{
	struct operation put = operation_on(OPERATION_WRITE, SHARED, 8), erase = put;
	struct script puts = {.effect = EFFECT_PUT, .value = 5}, erases = {.effect = EFFECT_ERASE};
	struct engine engine;
	struct txn txn;

	(void)state;
	open_three(&engine, 3);
	erase.key[0] = 1;
	for (int makes_room = 0; makes_room < 2; makes_room++) {
		txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
		if (makes_room)
			txn_operate(&txn, &erase, &erases);
		txn_operate(&txn, &put, &puts);
		assert_int_equal(txn_end(&txn), makes_room);
		assert_true(tables_get(&engine, SHARED, 8) == (makes_room ? 5 : NOTHING));
		assert_true(tables_get(&engine, SHARED, 1) == (makes_room ? NOTHING : 10));
	}
	engine_close(&engine);
	open_three(&engine, 50);
	for (uint64_t last = 1; last < 9; last += 7) { /* one that is there, and one that is not */
		txn_begin_prepare(&txn, &engine, 9, NOW_NS, 0);
		for (uint64_t key = 10; key < 10 + TXN_WRITES_MAX; key++)
			assert_non_null(txn_insert(&txn, SHARED, &key));
		put.key[0] = last;
		txn_operate(&txn, &put, &puts);
		assert_false(txn_end(&txn));
		assert_true(tables_get(&engine, SHARED, last) == (last == 1 ? 10 : NOTHING));
		assert_int_equal(table_count(&engine.tables[SHARED]), 3);
	}
	engine_close(&engine);
}

/* In one that may touch everything, flow entries too, each in its own home's shard. */
static void test_flow_entries_of_any_home(void **state)
{
	struct engine engine;

	(void)state;
	for (uint32_t workers = 1; workers <= 3; workers++) {
		struct txn txn;

		tables_open(&engine, workers, true, 20, NULL);
		for (uint64_t key = 0; key < 4; key++)
			tables_put(&engine, 1, FLOW, key, 10 + key);
		txn_begin(&txn, &engine, 9, NOW_NS, HOME_NONE);
		for (uint64_t key = 0; key < 8; key++) {
			struct operation operation =
				operation_on(key % 2 ? OPERATION_WRITE : OPERATION_READ_MODIFY,
					FLOW, key);
			struct script script = {.effect = key % 4 < 2 ? EFFECT_PUT : EFFECT_ERASE,
				.value = 70 + key};

			operation.sources_count = 1;
			operation.sources[0] = (struct operation_source){FLOW, {3}};
			txn_operate(&txn, &operation, &script);
			assert_int_equal(script.old, key < 4 && key % 2 == 0 ? 10 + key : 0);
			assert_int_equal(script.sources[0], key < 4 ? 13 : 0);
			if (key < 2)
				assert_int_equal(*(const uint64_t *)txn_foresee(&txn, FLOW, &key),
					70 + key);
			else if (key < 4)
				assert_null(txn_foresee(&txn, FLOW, &key));
		}
		assert_true(txn_end(&txn));
		for (uint64_t key = 0; key < 8; key++)
			assert_true(tables_get(&engine, FLOW, key) ==
				    (key % 4 < 2 ? 70 + key : NOTHING));
		for (uint16_t home = 0; home < 8; home++) { /* each finds its own */
			txn_begin(&txn, &engine, 10, NOW_NS, home);
			assert_int_equal(txn_read(&txn, FLOW, KEY(home)) != NULL, home % 4 < 2);
			assert_true(txn_end(&txn));
		}
		engine_close(&engine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds_and_effects),
		cmocka_unit_test(test_deadlines_of_what_is_put),
		cmocka_unit_test(test_sources_are_seen),
		cmocka_unit_test(test_out_of_reach_aborts),
		cmocka_unit_test(test_a_put_without_room_aborts),
		cmocka_unit_test(test_flow_entries_of_any_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
