/* SPDX-License-Identifier: BSD-3-Clause */
/* Single transactions by hand: reach, limits, look-aheads, operations in place, all or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"

/* Every call of txn.h on one table, by number; true if it got anything. */
#define CALLS 7
static bool call(uint32_t number, struct txn *txn, uint32_t table, uint64_t key)
{
	switch (number) {
	case 0:
		return txn_read(txn, table, &key) != NULL;
	case 1:
		return txn_modify(txn, table, &key) != NULL;
	case 2:
		return txn_insert(txn, table, &key) != NULL;
	case 3:
		return txn_erase(txn, table, &key);
	case 4:
		txn_expire_at(txn, table, &key, NOW_NS + SECOND_NS);
		return false;
	case 5:
		txn_keep(txn, table, &key, 20 * SECOND_NS);
		return false;
	default:
		return table == SHARED && txn_lowest_absent(txn, table, 0, 10) != UINT32_MAX;
	}
}

/* What is out of reach aborts, whichever call it is, and the abort is sticky. */
static void test_out_of_reach_aborts(void **state)
{
	struct engine engine;
	uint64_t digest;

	(void)state;
	tables_open(&engine, 3, true, 50, NULL);
	tables_put(&engine, 1, SHARED, 5, 55);
	tables_put(&engine, 2, FLOW, 5, 66);
	digest = engine_state_digest(&engine);
	for (uint32_t number = 0; number < CALLS; number++) {
		struct txn txn;

		txn_begin(&txn, &engine, 3, NOW_NS, 5);
		assert_false(call(number, &txn, SHARED, 5));
		assert_true(txn_aborted(&txn));
		for (uint32_t next = 0; next < CALLS; next++)
			assert_false(call(next, &txn, FLOW, 5));
		assert_false(txn_end(&txn));

		txn_begin_prepare(&txn, &engine, 3, NOW_NS, 5);
		if (number < CALLS - 1) {
			assert_false(call(number, &txn, FLOW, 5));
			assert_true(txn_aborted(&txn));
			assert_null(txn_foresee(&txn, FLOW, KEY(5)));
		}
		txn_abort(&txn);
		for (uint32_t next = 0; next < CALLS; next++)
			assert_false(call(next, &txn, SHARED, 5));
		assert_false(txn_end(&txn));
	}
	assert_int_equal(tables_get(&engine, SHARED, 5), 55);
	assert_int_equal(tables_get(&engine, FLOW, 5), 66);
	assert_int_equal(tables_deadline(&engine, FLOW, 5), 0);
	assert_true(engine_state_digest(&engine) == digest);
	assert_int_equal(engine_batch_aborted(&engine), 2 * CALLS);
	engine_close(&engine);
}

/* What a flow transaction may reach is its home's, by whichever call. */
static void test_off_home_aborts_every_call(void **state)
{
	struct engine engine;

	(void)state;
	for (uint32_t workers = 1; workers <= 2; workers++) {
		tables_open(&engine, workers, true, 50, NULL);
		tables_put(&engine, 1, FLOW, 5, 66);
		for (uint32_t number = 0; number < CALLS - 1; number++)
			for (uint64_t key = 5; key < 64; key += 32) { /* there, or not */
				struct txn txn;

				txn_begin(&txn, &engine, 2, NOW_NS, 4);
				assert_false(call(number, &txn, FLOW, key));
				assert_true(txn_aborted(&txn));
				assert_false(txn_end(&txn));
			}
		assert_int_equal(table_count(&engine.tables[FLOW]), 1);
		assert_int_equal(tables_get(&engine, FLOW, 5), 66);
		engine_close(&engine);
	}
}

/* One that may touch everything puts each flow entry into its own home's shard. */
static void test_reach_of_all(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 4, true, 50, NULL);
	for (uint64_t key = 0; key < 10; key++)
		tables_put(&engine, 1, FLOW, key, key);
	txn_begin(&txn, &engine, 1, NOW_NS, HOME_NONE);
	for (uint64_t key = 0; key < 10; key++)
		txn_expire_at(&txn, FLOW, &key, NOW_NS + 5 * SECOND_NS);
	assert_non_null(txn_insert(&txn, SHARED, KEY(1)));
	assert_true(txn_erase(&txn, FLOW, KEY(3)));
	assert_false(txn_erase(&txn, FLOW, KEY(3)));
	assert_false(txn_erase(&txn, FLOW, KEY(30)));
	assert_true(txn_end(&txn));
	for (uint64_t key = 0; key < 10; key++) {
		txn_begin(&txn, &engine, 2, NOW_NS, (uint16_t)key);
		assert_int_equal(txn_read(&txn, FLOW, &key) != NULL, key != 3);
		assert_true(txn_end(&txn));
	}
	for (uint32_t shard = 0; shard < 4; shard++)
		assert_int_equal(engine.shards[shard].timers_count, shard == 3 ? 1 : 3 - shard / 2);
	engine_close(&engine);
}

/* As many changes as there are notes for; the next one aborts, and all are taken back. */
static void test_a_step_has_a_limit_of_changes(void **state)
{
	struct engine engine;
	uint64_t digest;

	(void)state;
	tables_open(&engine, 1, true, 100, NULL);
	for (uint64_t key = 0; key < 20; key++)
		tables_put(&engine, 1 + key, SHARED, key, key);
	digest = engine_state_digest(&engine);
	for (uint32_t number = 1; number < 6; number++) {
		struct txn txn;

		txn_begin_prepare(&txn, &engine, 100, NOW_NS, 0);
		for (uint64_t key = 0; key < TXN_WRITES_MAX; key++)
			*(uint64_t *)txn_modify(&txn, SHARED, &key) = 1000;
		/* A second change of the same entry needs no note. */
		assert_non_null(txn_modify(&txn, SHARED, KEY(3)));
		txn_expire_at(&txn, SHARED, KEY(4), NOW_NS + SECOND_NS);
		assert_false(txn_aborted(&txn));
		assert_false(call(number, &txn, SHARED, number == 2 ? 50 : 18));
		assert_true(txn_aborted(&txn));
		assert_false(txn_end(&txn));
		for (uint64_t key = 0; key < 20; key++)
			assert_int_equal(tables_get(&engine, SHARED, key), key);
		assert_int_equal(tables_deadline(&engine, SHARED, 4), 0);
		assert_int_equal(table_count(&engine.tables[SHARED]), 20);
		assert_true(engine_state_digest(&engine) == digest);
	}
	engine_close(&engine);
}

/* Of each step; a transaction of two has twice the room. */
static void test_each_step_has_its_own_limit(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, 100, NULL);
	txn_begin_prepare(&txn, &engine, 1, NOW_NS, 3);
	for (uint64_t key = 0; key < TXN_WRITES_MAX; key++)
		assert_non_null(txn_insert(&txn, SHARED, &key));
	txn_go_on(&txn, TXN_FLOW);
	for (uint64_t i = 0; i < TXN_INSERTS_MAX; i++)
		assert_non_null(txn_insert(&txn, FLOW, KEY(3 + HOMES * i)));
	assert_false(txn_aborted(&txn));
	assert_null(txn_insert(&txn, FLOW, KEY(3 + HOMES * TXN_INSERTS_MAX)));
	assert_true(txn_aborted(&txn));
	assert_false(txn_end(&txn));
	assert_int_equal(table_count(&engine.tables[SHARED]), 0);
	assert_int_equal(table_count(&engine.tables[FLOW]), 0);
	assert_true(engine_state_digest(&engine) == 0);
	engine_close(&engine);
}

/* A full table, and a key that is there, are no reason to abort. */
static void test_insert_may_find_no_room(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, 3, NULL);
	for (uint64_t key = 0; key < 3; key++)
		tables_put(&engine, 1, SHARED, key, key);
	txn_begin_prepare(&txn, &engine, 2, NOW_NS, 0);
	assert_null(txn_insert(&txn, SHARED, KEY(1)));
	assert_null(txn_insert(&txn, SHARED, KEY(9)));
	assert_true(txn_erase(&txn, SHARED, KEY(1)));
	assert_non_null(txn_insert(&txn, SHARED, KEY(9)));
	assert_true(txn_end(&txn));
	assert_int_equal(tables_get(&engine, SHARED, 9), 0);
	assert_int_equal(tables_get(&engine, SHARED, 1), UINT64_MAX);
	engine_close(&engine);
}

/* What one transaction did and undid itself leaves no trace in the state, committed or not. */
static void test_coming_and_going_leaves_no_trace(void **state)
{
	struct engine one, other;
	uint64_t digest;
	struct txn txn;

	(void)state;
	tables_open(&one, 1, true, 4, NULL);
	tables_open(&other, 1, true, 4, NULL);
	for (int commits = 0; commits < 2; commits++) {
		digest = engine_state_digest(&one);
		txn_begin_prepare(&txn, &one, 7, NOW_NS, 0);
		for (uint64_t key = 1; key < 4; key++) { /* each in the slot of the one before */
			*(uint64_t *)txn_insert(&txn, SHARED, &key) = key;
			txn_expire_at(&txn, SHARED, &key, NOW_NS + SECOND_NS);
			assert_true(txn_erase(&txn, SHARED, &key));
		}
		*(uint64_t *)txn_insert(&txn, SHARED, KEY(9)) = 99;
		assert_true(txn_erase(&txn, SHARED, KEY(9)));
		*(uint64_t *)txn_insert(&txn, SHARED, KEY(9)) = 90;
		if (commits == 0)
			txn_abort(&txn);
		assert_int_equal(txn_end(&txn), commits);
		assert_int_equal(table_count(&one.tables[SHARED]), commits);
		assert_int_equal(one.shards[0].timers_count, 0);
		if (commits == 0)
			assert_true(engine_state_digest(&one) == digest);
	}
	tables_put(&other, 7, SHARED, 9, 90);
	assert_true(engine_state_digest(&one) == engine_state_digest(&other));
	engine_close(&one);
	engine_close(&other);
}

/* An erased entry that is there again after an abort has its value, deadline and timer. */
static void test_an_abort_brings_deadlines_back(void **state)
{
	struct engine engine;
	uint64_t digest;
	struct txn txn;

	(void)state;
	for (uint32_t workers = 1; workers <= 3; workers += 2) {
		tables_open(&engine, workers, true, 10, NULL);
		txn_begin(&txn, &engine, 1, NOW_NS, 5);
		*(uint64_t *)txn_insert(&txn, FLOW, KEY(5)) = 55;
		txn_expire_at(&txn, FLOW, KEY(5), NOW_NS + 3 * SECOND_NS);
		assert_true(txn_end(&txn));
		engine_advance(&engine, NOW_NS, 2);
		digest = engine_state_digest(&engine);
		txn_begin(&txn, &engine, 2, NOW_NS, 5);
		txn_expire_at(&txn, FLOW, KEY(5), NOW_NS + 9 * SECOND_NS);
		assert_true(txn_erase(&txn, FLOW, KEY(5)));
		assert_non_null(txn_insert(&txn, FLOW, KEY(5)));
		txn_expire_at(&txn, FLOW, KEY(5), 0); /* has none as it is */
		txn_abort(&txn);
		assert_false(txn_end(&txn));
		assert_int_equal(tables_get(&engine, FLOW, 5), 55);
		assert_int_equal(tables_deadline(&engine, FLOW, 5), NOW_NS + 3 * SECOND_NS);
		assert_true(engine_state_digest(&engine) == digest);
		engine_advance(&engine, NOW_NS + 2 * SECOND_NS, 3);
		assert_int_equal(table_count(&engine.tables[FLOW]), 1);
		engine_advance(&engine, NOW_NS + 3 * SECOND_NS, 3);
		assert_int_equal(table_count(&engine.tables[FLOW]), 0);
		assert_true(engine_state_digest(&engine) == 0);
		engine_close(&engine);
	}
}

/* A deadline is of the key that is named, not of the entry that was found last. */
static void test_deadlines_are_of_the_key_named(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, 10, NULL);
	tables_put(&engine, 1, SHARED, 1, 1);
	tables_put(&engine, 2, SHARED, 2, 2);
	tables_put(&engine, 3, FLOW, 1, 3);
	txn_begin(&txn, &engine, 4, NOW_NS, HOME_NONE);
	assert_non_null(txn_read(&txn, SHARED, KEY(1)));
	txn_expire_at(&txn, SHARED, KEY(2), NOW_NS + 2 * SECOND_NS);
	txn_expire_at(&txn, FLOW, KEY(1), NOW_NS + 3 * SECOND_NS);
	txn_expire_at(&txn, SHARED, KEY(3), NOW_NS + 4 * SECOND_NS); /* is not there */
	txn_keep(&txn, SHARED, KEY(3), 4 * SECOND_NS);
	assert_non_null(txn_insert(&txn, SHARED, KEY(4)));
	assert_true(txn_erase(&txn, SHARED, KEY(4)));
	txn_expire_at(&txn, SHARED, KEY(4), NOW_NS + 4 * SECOND_NS); /* any more */
	assert_true(txn_end(&txn));
	assert_int_equal(tables_deadline(&engine, SHARED, 1), 0);
	assert_int_equal(tables_deadline(&engine, SHARED, 2), NOW_NS + 2 * SECOND_NS);
	assert_int_equal(tables_deadline(&engine, FLOW, 1), NOW_NS + 3 * SECOND_NS);
	assert_int_equal(engine.shards[0].timers_count, 2);
	engine_close(&engine);
}

/* Too early, too late and in between: only what has to be changed is. */
static void test_keep_changes_what_it_must(void **state)
{
	static const struct {
		uint32_t has_s, wanted_s;
	} rows[] = {{0, 340}, {100, 340}, {319, 340}, {320, 320}, {340, 340}, {341, 341},
		{342, 340}, {1000, 340}};
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, 10, NULL);
	tables_put(&engine, 1, SHARED, 1, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		txn_begin(&txn, &engine, 2, NOW_NS, HOME_NONE);
		txn_expire_at(&txn, SHARED, KEY(1),
			rows[i].has_s == 0 ? 0 : NOW_NS + rows[i].has_s * SECOND_NS);
		txn_keep(&txn, SHARED, KEY(1), 320 * SECOND_NS);
		assert_true(txn_end(&txn));
		assert_int_equal(tables_deadline(&engine, SHARED, 1),
			NOW_NS + rows[i].wanted_s * SECOND_NS);
	}
	engine_close(&engine);
}

/* The lowest number is found whatever the words that the map is kept in. */
static void test_lowest_absent_of_any_range(void **state)
{
	static const struct {
		uint32_t first, count, wanted;
	} rows[] = {{0, 200, 150}, {0, 150, UINT32_MAX}, {0, 151, 150}, {150, 1, 150},
		{151, 49, 199}, {151, 48, UINT32_MAX}, {63, 2, UINT32_MAX}, {199, 1, 199},
		{0, 64, UINT32_MAX}, {5, 0, UINT32_MAX}};
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, ORDINALS, NULL);
	for (uint64_t key = 0; key < ORDINALS; key++)
		if (key != 150 && key != 199)
			tables_put(&engine, 1, SHARED, key, 0);
	txn_begin_prepare(&txn, &engine, 2, NOW_NS, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(txn_lowest_absent(&txn, SHARED, rows[i].first, rows[i].count),
			rows[i].wanted);
	assert_true(txn_end(&txn));
	engine_close(&engine);
}

/* A look ahead holds as long as the value is as it was seen, or still absent. */
static void test_foresight_is_checked_again(void **state)
{
	struct foresight list[3];
	struct foresights seen = {.list = list, .capacity = 3};
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 2, true, 10, NULL);
	tables_put(&engine, 1, FLOW, 5, 55);
	txn_begin_prepare(&txn, &engine, 2, NOW_NS, 5);
	assert_int_equal(*(const uint64_t *)txn_foresee(&txn, FLOW, KEY(5)), 55); /* not noted */
	txn.foresights = &seen;
	assert_int_equal(*(const uint64_t *)txn_foresee(&txn, FLOW, KEY(5)), 55);
	assert_null(txn_foresee(&txn, FLOW, KEY(21)));
	assert_int_equal(seen.count, 2);
	assert_true(txn_end(&txn));

	txn_begin(&txn, &engine, 2, NOW_NS, 5);
	assert_true(txn_foresaw(&txn, list, seen.count));
	txn_expire_at(&txn, FLOW, KEY(5), NOW_NS + SECOND_NS); /* decides nothing */
	assert_true(txn_foresaw(&txn, list, seen.count));
	*(uint64_t *)txn_modify(&txn, FLOW, KEY(5)) = 56;
	assert_false(txn_foresaw(&txn, list, 1));
	*(uint64_t *)txn_modify(&txn, FLOW, KEY(5)) = 55;
	assert_non_null(txn_insert(&txn, FLOW, KEY(21)));
	assert_true(txn_foresaw(&txn, list, 1));
	assert_false(txn_foresaw(&txn, list, 2));
	assert_true(txn_end(&txn));

	/* Another home, or one that has aborted, cannot say so. */
	for (uint16_t home = 4; home <= 5; home++) {
		txn_begin(&txn, &engine, 3, NOW_NS, home);
		if (home == 5)
			txn_abort(&txn);
		assert_false(txn_foresaw(&txn, list, seen.count));
		assert_true(txn_aborted(&txn));
		assert_false(txn_end(&txn));
	}
	/* Off home it aborts; where there is no room to note it, it asks to be run alone. */
	txn_begin_prepare(&txn, &engine, 3, NOW_NS, 5);
	txn.foresights = &seen;
	assert_null(txn_foresee(&txn, FLOW, KEY(6)));
	assert_true(txn_aborted(&txn) && !txn.widened);
	assert_false(txn_end(&txn));
	txn_begin_prepare(&txn, &engine, 3, NOW_NS, 5);
	txn.foresights = &seen;
	assert_non_null(txn_foresee(&txn, FLOW, KEY(5)));
	assert_null(txn_foresee(&txn, FLOW, KEY(5)));
	assert_true(txn_aborted(&txn) && txn.widened);
	assert_int_equal(seen.count, 3);
	assert_false(txn_end(&txn));
	engine_close(&engine);
}

/* Beside others it is taken back, and asks to be run alone; alone it may have all. */
static void test_widening(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 2, true, 1000, NULL);
	tables_put(&engine, 1, SHARED, 1, 11);
	txn_begin(&txn, &engine, 2, NOW_NS, 5);
	assert_true(txn_widen(&txn));
	assert_non_null(txn_read(&txn, SHARED, KEY(1)));
	assert_false(txn.widened);
	txn_abort(&txn);
	assert_false(txn_widen(&txn));
	assert_false(txn.widened); /* it only aborts */
	assert_false(txn_end(&txn));

	assert_true(engine_begin_parallel(&engine, 10));
	txn_begin(&txn, &engine, 2, NOW_NS, 5);
	assert_non_null(txn_insert(&txn, FLOW, KEY(5)));
	assert_false(txn_widen(&txn));
	assert_true(txn.widened && txn_aborted(&txn));
	assert_false(txn_end(&txn));
	engine_end_parallel(&engine);
	assert_int_equal(table_count(&engine.tables[FLOW]), 0);
	engine_close(&engine);
}

/* Without protection there are no digests and nothing to write, and values are the same. */
static void test_untracked(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 2, false, 10, NULL);
	tables_put(&engine, 1, SHARED, 1, 11);
	tables_put(&engine, 2, FLOW, 2, 22);
	txn_begin(&txn, &engine, 3, NOW_NS, HOME_NONE);
	assert_true(txn_erase(&txn, SHARED, KEY(1)));
	*(uint64_t *)txn_modify(&txn, FLOW, KEY(2)) = 23;
	txn_abort(&txn);
	assert_false(txn_end(&txn));
	assert_int_equal(tables_get(&engine, SHARED, 1), 11);
	assert_int_equal(tables_get(&engine, FLOW, 2), 22);
	assert_int_equal(engine_batch_aborted(&engine), 1);
	assert_true(engine_state_digest(&engine) == 0 && engine_batch_digest(&engine) == 0);
	assert_true(engine_pass_left(&engine) == 0);
	engine_close(&engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_reach_aborts),
		cmocka_unit_test(test_off_home_aborts_every_call),
		cmocka_unit_test(test_reach_of_all),
		cmocka_unit_test(test_a_step_has_a_limit_of_changes),
		cmocka_unit_test(test_each_step_has_its_own_limit),
		cmocka_unit_test(test_insert_may_find_no_room),
		cmocka_unit_test(test_coming_and_going_leaves_no_trace),
		cmocka_unit_test(test_an_abort_brings_deadlines_back),
		cmocka_unit_test(test_deadlines_are_of_the_key_named),
		cmocka_unit_test(test_keep_changes_what_it_must),
		cmocka_unit_test(test_lowest_absent_of_any_range),
		cmocka_unit_test(test_foresight_is_checked_again),
		cmocka_unit_test(test_widening),
		cmocka_unit_test(test_untracked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
