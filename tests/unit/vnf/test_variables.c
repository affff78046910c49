/* SPDX-License-Identifier: BSD-3-Clause */
/* What a slave is told of a leader's accesses, in whatever order, leaves what the leader has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told_in_any_order),
		cmocka_unit_test(test_a_list_keeps_the_newest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
