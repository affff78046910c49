/* SPDX-License-Identifier: BSD-3-Clause */
/* What a slave is told of a leader's accesses, in whatever order, leaves what the leader has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/atomics.h"
#include "tests/unit/random.h"
#include "vnf/variables.h"

#define ACCESSES 500

static const struct variable_spec specs[] = {{"total", 0}, {"recent", 5}, {"other", 0}};

static void assert_same(const struct variables *a, const struct variables *b)
{
	for (uint32_t v = 0; v < a->count; v++) {
		const struct variable *x = &a->list[v], *y = &b->list[v];

		assert_true(x->sequence == y->sequence);
		assert_int_equal(x->count, y->count);
		if (x->capacity == 0)
			assert_true(x->values[0] == y->values[0]);
		for (uint32_t i = 0; i < x->count; i++)
			assert_true(x->values[(x->first + i) % x->capacity] ==
				    y->values[(y->first + i) % y->capacity]);
	}
}

static void test_told_in_any_order(void **state)
{
	struct variables leader, slave;

	(void)state;
	seed_random();
	assert_int_equal(variables_open(&leader, specs, 3), STATUS_OK);
	assert_int_equal(variables_open(&slave, specs, 3), STATUS_OK);
	for (int batch = 0; batch < 50; batch++) {
		static struct told_access told[ACCESSES];

		for (uint32_t i = 0; i < ACCESSES; i++) {
			uint32_t variable = next_random() % 3, j = next_random() % (i + 1);
			enum pad_kind kind = (enum pad_kind)(PAD_GET + next_random() % 4);
			uint64_t value = next_random(), put = value;
			struct told_access access = {.variable = (uint16_t)variable,
				.kind = (uint8_t)kind};

			access.sequence = variable_access(&leader.list[variable], kind, &put);
			access.value = kind == PAD_GET || kind == PAD_POP ? put : value;
			told[i] = told[j];
			told[j] = access;
		}
		for (uint32_t i = 0; i < ACCESSES; i++)
			assert_true(variables_tell(&slave, &told[i]));
		variables_settle(&slave);
		assert_same(&leader, &slave);
	}
	variables_close(&leader);
	variables_close(&slave);
}

static void test_a_list_keeps_the_newest(void **state)
{
	struct variables variables;
	uint64_t value;

	(void)state;
	assert_int_equal(variables_open(&variables, specs, 3), STATUS_OK);
	for (value = 1; value <= 7; value++)
		(void)variable_access(&variables.list[1], PAD_PUSH, &value);
	(void)variable_access(&variables.list[1], PAD_GET, &value);
	assert_true(value == 7);
	for (uint64_t wanted = 3; wanted <= 7; wanted++) {
		(void)variable_access(&variables.list[1], PAD_POP, &value);
		assert_true(value == wanted);
	}
	(void)variable_access(&variables.list[1], PAD_POP, &value);
	assert_true(value == 0);
	variables_close(&variables);
}

static void test_too_many_or_too_long_are_refused(void **state)
{
	struct variable_spec many[VARIABLES_MAX + 1] = {{"value", 0}};
	struct variable_spec lists[2] = {{"list", VARIABLE_LIST_MAX}, {"long", 13}};
	struct variables variables = {0};

	(void)state;
	assert_int_equal(variables_open(&variables, many, VARIABLES_MAX + 1), STATUS_INVALID);
	assert_int_equal(variables_open(&variables, lists, 2), STATUS_INVALID);
	variables_close(&variables); /* of what was opened before */
	assert_int_equal(variables.count, 0);
	assert_int_equal(variables_open(&variables, lists, 1), STATUS_OK);
	assert_int_equal(variables_table(&variables).capacity, 1 + 1 + VARIABLE_LIST_MAX);
	variables_close(&variables);
	assert_int_equal(variables_open(&variables, many, VARIABLES_MAX), STATUS_OK);
	variables_close(&variables);
	assert_int_equal(variables_open(&variables, NULL, 0), STATUS_OK);
	assert_null(variables.told);
	variables_close(&variables);
}

/* Accesses of the other kind of variable count, and change nothing. */
static void test_what_does_not_suit_a_variable_changes_nothing(void **state)
{
	struct variables variables;
	struct variable *total, *recent;
	uint64_t value = 42;

	(void)state;
	assert_int_equal(variables_open(&variables, specs, 3), STATUS_OK);
	total = &variables.list[0];
	recent = &variables.list[1];
	assert_int_equal(variable_access(total, PAD_SET, &value), 0);
	value = 1;
	assert_int_equal(variable_access(total, PAD_PUSH, &value), 1);
	assert_int_equal(variable_access(total, PAD_POP, &value), 2);
	assert_int_equal(value, 0);
	assert_int_equal(variable_access(total, PAD_GET, &value), 3);
	assert_int_equal(value, 42);
	assert_int_equal(variable_access(recent, PAD_SET, &value), 0);
	assert_int_equal(recent->count, 0);
	assert_int_equal(variable_access(recent, PAD_GET, &value), 1);
	assert_int_equal(value, 0);
	variables_close(&variables);
}

static void test_so_much_is_told_and_no_more(void **state)
{
	struct variables variables;
	struct told_access access = {.variable = 0, .kind = PAD_SET};

	(void)state;
	assert_int_equal(variables_open(&variables, specs, 3), STATUS_OK);
	for (uint32_t i = 0; i < TOLD_MAX; i++) {
		access.sequence = i;
		access.value = i;
		assert_true(variables_tell(&variables, &access));
	}
	access.value = access.sequence = TOLD_MAX;
	assert_false(variables_tell(&variables, &access));
	variables_settle(&variables);
	assert_int_equal(variables.list[0].values[0], TOLD_MAX - 1);
	assert_int_equal(variables.list[0].sequence, TOLD_MAX);
	assert_int_equal(variables.told_count, 0);
	assert_true(variables_tell(&variables, &access));
	variables_close(&variables);
}

/* Lists of any length, kept over and over, are loaded as they were. */
static void test_what_is_kept_is_loaded(void **state)
{
	struct variables variables, loaded;
	struct engine engine;
	struct table_spec table;
	struct txn txn;

	(void)state;
	seed_random();
	assert_int_equal(variables_open(&variables, specs, 3), STATUS_OK);
	assert_int_equal(variables_open(&loaded, specs, 3), STATUS_OK);
	table = variables_table(&variables);
	engine_open(&engine, 1, true, 1, NULL, NULL);
	assert_int_equal(engine_add_table(&engine, &table, NULL), STATUS_OK);
	assert_int_equal(engine_ready(&engine), STATUS_OK);
	for (uint32_t i = 1; i <= 200; i++) {
		uint64_t value = next_random(), dropped;
		bool pops = next_random() % 2 == 0;

		(void)variable_access(&variables.list[i % 2 * 2], PAD_SET, &value);
		(void)variable_access(&variables.list[1], pops ? PAD_POP : PAD_PUSH, &value);
		dropped = 77;
		(void)variable_access(&loaded.list[1], PAD_PUSH, &dropped);
		for (uint32_t v = 0; v < 3; v++) {
			txn_begin(&txn, &engine, i, 0, HOME_NONE);
			variables_keep(&variables, v, &txn, 0);
			assert_true(txn_end(&txn));
			loaded.list[v].sequence = variables.list[v].sequence;
		}
		txn_begin(&txn, &engine, i, 0, HOME_NONE);
		variables_load(&loaded, &txn, 0);
		(void)txn_end(&txn);
		assert_same(&variables, &loaded);
	}
	engine_close(&engine);
	variables_close(&variables);
	variables_close(&loaded);
}

/* A plain number that only who has the lock may touch. */
static struct {
	struct variable variable;
	uint32_t number;
	uint32_t started; /* atomic */
} guarded;

static void *add_guarded(void *argument)
{
	(void)argument;
	atomic_write_release(&guarded.started, 1u);
	for (int i = 0; i < 2000; i++) {
		variable_lock(&guarded.variable);
		guarded.number++;
		variable_unlock(&guarded.variable);
	}
	return NULL;
}

static void test_a_lock_keeps_others_out(void **state)
{
	pthread_t thread;

	(void)state;
	variable_lock(&guarded.variable);
	assert_int_equal(pthread_create(&thread, NULL, add_guarded, NULL), 0);
	while (atomic_read_acquire(&guarded.started) == 0)
		usleep(100);
	usleep(5000); /* it waits, and gives its core away */
	assert_int_equal(guarded.number, 0);
	variable_unlock(&guarded.variable);
	(void)add_guarded(NULL);
	pthread_join(thread, NULL);
	assert_int_equal(guarded.number, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_in_any_order),
		cmocka_unit_test(test_a_list_keeps_the_newest),
		cmocka_unit_test(test_too_many_or_too_long_are_refused),
		cmocka_unit_test(test_what_does_not_suit_a_variable_changes_nothing),
		cmocka_unit_test(test_so_much_is_told_and_no_more),
		cmocka_unit_test(test_what_is_kept_is_loaded),
		cmocka_unit_test(test_a_lock_keeps_others_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
