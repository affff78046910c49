/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: how deadlines are rounded, and expiries that erase or keep what expires with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"

static void test_deadlines_are_rounded_up(void **state)
{
	static const struct {
		uint64_t now_ns, deadline_ns, wanted_s;
	} rows[] = {
		{0, 0, 0},
		{NOW_NS, 0, 0},
		{NOW_NS, NOW_NS + SECOND_NS, 1001},
		{NOW_NS, NOW_NS + SECOND_NS + 1, 1002},
		{NOW_NS, NOW_NS + 1, 1001},
		{NOW_NS, NOW_NS, 1001}, /* not in the second that has fired */
		{NOW_NS + 5, NOW_NS + 1, 1001},
		{NOW_NS + 5, 1, 1001},
		{NOW_NS, NOW_NS + 16383 * SECOND_NS, 1000 + 16383},
		{NOW_NS, NOW_NS + 16384 * SECOND_NS, 1000 + 16383},
		{NOW_NS, UINT64_MAX / 2, 1000 + 16383},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(timer_deadline(rows[i].now_ns, rows[i].deadline_ns) ==
			    rows[i].wanted_s * SECOND_NS);
}

static uint64_t fired[8];
static uint32_t fired_count;

/* Key 1 erases 2, keeps 3 for longer, and ends 4 at once. */
static void on_expire(void *context, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	uint64_t number = *(const uint64_t *)key;

	(void)context;
	(void)value;
	assert_int_equal(table, SHARED);
	fired[fired_count++] = number;
	if (number != 1)
		return;
	assert_true(txn_erase(txn, SHARED, KEY(2)));
	txn_expire_at(txn, SHARED, KEY(3), txn_now_ns(txn) + 5 * SECOND_NS);
	txn_expire_at(txn, SHARED, KEY(4), txn_now_ns(txn));
}

static void test_an_expiry_touches_others_of_its_second(void **state)
{
	struct engine engine;
	struct txn txn;

	(void)state;
	tables_open(&engine, 1, true, 10, on_expire);
	fired_count = 0;
	for (uint64_t key = 1; key <= 6; key++)
		tables_put(&engine, key, SHARED, key, key);
	engine_advance(&engine, NOW_NS, 7);
	txn_begin_prepare(&txn, &engine, 7, NOW_NS, 0);
	for (uint64_t key = 1; key <= 5; key++)
		txn_expire_at(&txn, SHARED, &key, NOW_NS + 3 * SECOND_NS);
	txn_expire_at(&txn, SHARED, KEY(6), NOW_NS + 4 * SECOND_NS);
	txn_expire_at(&txn, SHARED, KEY(6), 0); /* after all not */
	assert_true(txn_end(&txn));
	engine_advance(&engine, NOW_NS + 3 * SECOND_NS, 8);
	assert_int_equal(fired_count, 2); /* 1 and 5 */
	assert_int_equal(fired[1], 5);
	assert_true(tables_get(&engine, SHARED, 2) == UINT64_MAX);
	engine_advance(&engine, NOW_NS + 4 * SECOND_NS, 9);
	assert_int_equal(fired_count, 3);
	assert_int_equal(fired[2], 4);
	engine_advance(&engine, NOW_NS + 100 * SECOND_NS, 10);
	assert_int_equal(fired_count, 4);
	assert_int_equal(fired[3], 3);
	assert_int_equal(table_count(&engine.tables[SHARED]), 1);
	assert_int_equal(tables_get(&engine, SHARED, 6), 6);
	engine_close(&engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines_are_rounded_up),
		cmocka_unit_test(test_an_expiry_touches_others_of_its_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
