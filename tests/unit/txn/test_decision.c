/* SPDX-License-Identifier: BSD-3-Clause */
/* The decision model: on machines with other costs it finds what is cheapest there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "txn/decision.h"

#define PACKETS 128
#define STRATEGY_OF(pick) ((pick)-1)

/* What a batch takes on some machine: its shared part by each strategy, and the rest. */
struct machine {
	uint64_t alone_ns, rest_ns;
	uint64_t shared_ns[STRATEGIES];
	struct features features;
};

/* Runs so many batches; counts what was picked. */
static void run(struct decision *decision, const struct machine *machine, uint32_t batches,
	uint32_t *picked)
{
	memset(picked, 0, PICKS * sizeof(*picked));
	while (batches-- > 0) {
		uint32_t pick = decision_pick(decision, PACKETS);
		uint64_t took_ns = machine->alone_ns;

		assert_in_range(pick, 0, PICKS - 1);
		assert_int_equal(decision->picked, pick);
		picked[pick]++;
		if (pick != PICK_ALONE) {
			took_ns = machine->shared_ns[STRATEGY_OF(pick)];
			decision_learn_shared(decision, STRATEGY_OF(pick), &machine->features,
				took_ns);
			took_ns += machine->rest_ns;
		}
		decision_learn(decision, PACKETS, took_ns);
	}
}

static struct machine machine_of(uint64_t alone_ns, uint64_t rest_ns, uint64_t shared_ns)
{
	struct machine machine = {.alone_ns = alone_ns,
		.rest_ns = rest_ns,
		.features = {.operations = 256, .longest = 9, .transactions = 128}};

	for (uint32_t s = 0; s < STRATEGIES; s++)
		machine.shared_ns[s] = shared_ns;
	return machine;
}

/* Each strategy in turn is the cheapest; so is one worker. */
static void test_the_cheapest_is_found(void **state)
{
	(void)state;
	for (uint32_t best = 0; best < PICKS; best++) {
		struct machine machine = machine_of(100000, 10000, 80000);
		struct decision decision;
		uint32_t picked[PICKS];

		if (best == PICK_ALONE)
			machine.alone_ns = 20000;
		else
			machine.shared_ns[STRATEGY_OF(best)] = 20000;
		decision_open(&decision, 4);
		run(&decision, &machine, 600, picked);
		run(&decision, &machine, 1000, picked);
		assert_in_range(picked[best], 900, 1000);
	}
}

/* What was best does not stay so: it is seen, though it is only tried now and then. */
static void test_a_machine_that_changes(void **state)
{
	struct machine machine = machine_of(100000, 10000, 80000);
	struct decision decision;
	uint32_t picked[PICKS];

	(void)state;
	decision_open(&decision, 4);
	machine.shared_ns[7] = 20000;
	run(&decision, &machine, 1000, picked);
	assert_in_range(picked[PICK_TEAM(7)], 500, 1000);
	machine.alone_ns = 5000;
	run(&decision, &machine, 1000, picked);
	assert_true(picked[PICK_ALONE] > 400);
	machine.alone_ns = 400000;
	run(&decision, &machine, 1000, picked);
	assert_true(picked[PICK_TEAM(7)] > 400);
}

/* Before it knows anything, it has tried everything. */
static void test_all_have_their_first_turn(void **state)
{
	struct machine machine = machine_of(100000, 10000, 80000);
	struct decision decision;
	uint32_t picked[PICKS];

	(void)state;
	decision_open(&decision, 4);
	run(&decision, &machine, 28, picked);
	for (uint32_t p = 0; p < PICKS; p++)
		assert_int_not_equal(picked[p], 0);
	assert_true(picked[PICK_TEAM(0)] > picked[PICK_TEAM(1)]);
	/* Without operations there are two. */
	decision_open(&decision, 4);
	machine.features.operations = 0;
	run(&decision, &machine, 500, picked);
	assert_int_equal(picked[PICK_ALONE] + picked[PICK_TEAM(0)], 500);
	assert_true(picked[PICK_ALONE] > 0 && picked[PICK_TEAM(0)] > 400);
}

/* No clock: it works, and knows of no difference. */
static void test_nothing_measured(void **state)
{
	struct machine machine = {.features = {.operations = 64, .transactions = 32, .aborted = 8}};
	struct decision decision;
	uint32_t picked[PICKS], all = 0;

	(void)state;
	decision_open(&decision, 2);
	run(&decision, &machine, 300, picked);
	for (uint32_t s = 0; s < STRATEGIES; s++) {
		assert_int_equal(decision.chosen[s], picked[PICK_TEAM(s)]);
		assert_true(decision.correction[s].value == 0);
		all += picked[PICK_TEAM(s)];
	}
	assert_int_equal(decision.alone, 300 - all);
	assert_int_equal(decision.team, all);
	assert_true(decision.alone_ns.value == 0 && decision.rest_ns.value == 0);
	assert_true(decision.longest.value == 0);
	assert_true(decision.operations.value == 64);
}

static void test_what_leaves_no_choice(void **state)
{
	static const struct {
		uint32_t workers, forced, packets, wanted;
	} rows[] = {
		{1, STRATEGIES, PACKETS, PICK_ALONE},
		{4, STRATEGIES, 23, PICK_ALONE},
		{1, 0, PACKETS, PICK_ALONE},
		{4, 5, PACKETS, PICK_TEAM(5)},
		{4, 5, 1, PICK_TEAM(5)},
		{1, STRATEGIES - 1, 1, PICK_TEAM(STRATEGIES - 1)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct decision decision;

		decision_open(&decision, rows[i].workers);
		decision.forced = rows[i].forced;
		for (uint32_t n = 0; n < 100; n++)
			assert_int_equal(decision_pick(&decision, rows[i].packets), rows[i].wanted);
	}
}

/* Forced to be serial: by one worker or by the team, and never by a graph. */
static void test_forced_serial(void **state)
{
	struct machine machine = machine_of(100000, 10000, 80000);
	struct decision decision;
	uint32_t picked[PICKS];

	(void)state;
	machine.shared_ns[3] = 1000;
	decision_open(&decision, 4);
	decision.forced = 0;
	run(&decision, &machine, 300, picked);
	assert_int_equal(picked[PICK_ALONE] + picked[PICK_TEAM(0)], 300);
	assert_true(picked[PICK_TEAM(0)] > 200);
}

/* One long measurement counts little, a short one is believed, a rare one counts for more. */
static void test_averages(void **state)
{
	struct decision decision;
	double before;

	(void)state;
	decision_open(&decision, 4);
	decision.picked = PICK_ALONE;
	for (int i = 0; i < 10; i++)
		decision_learn(&decision, 100, 100000);
	assert_true(decision.alone_ns.value == 1000);
	decision_learn(&decision, 100, 100000000);
	assert_true(decision.alone_ns.value > 1000 && decision.alone_ns.value < 1201);
	decision_learn(&decision, 100, 40000);
	assert_true(decision.alone_ns.value == 400);
	decision_learn(&decision, 100, 60000);
	assert_true(decision.alone_ns.value == 420);
	decision.batches = 100;
	before = decision.alone_ns.value;
	decision_learn(&decision, 100, 62000);
	assert_true(decision.alone_ns.value == before + (620 - before) / 2);
	/* Small batches, and what was not measured, teach nothing but their number. */
	before = decision.alone_ns.value;
	decision_learn(&decision, 23, 100);
	decision_learn(&decision, 100, 0);
	assert_true(decision.alone_ns.value == before);
	assert_true(decision.packets.value == 100);
	assert_int_equal(decision.alone, 16);
}

static void test_shared_parts(void **state)
{
	struct features features = {.operations = 100, .transactions = 50, .aborted = 25};
	struct decision decision;

	(void)state;
	decision_open(&decision, 4);
	(void)decision_pick(&decision, PACKETS);
	for (int i = 0; i < 100; i++)
		decision_learn_shared(&decision, 0, &features, 10000);
	assert_true(decision.abort_rate > 0.49 && decision.abort_rate <= 0.5);
	assert_true(decision.cost_ns.value > 54 && decision.cost_ns.value < 56); /* 100 - 45 */
	assert_true(decision.correction[0].value > 0.99 && decision.correction[0].value < 1.01);
	assert_int_equal(decision.shared_ns, 1000000);
	assert_int_equal(decision.chosen[0], 100);
	/* A batch that takes no longer than its shared part says nothing of the rest. */
	decision.picked = PICK_TEAM(0);
	decision_learn(&decision, PACKETS, 1000000);
	assert_true(decision.rest_ns.value == 0);
	decision_learn(&decision, PACKETS, 1000000 + PACKETS * 50);
	assert_true(decision.rest_ns.value == 50);
	/* Functions cost something even where the clock says that they do not. */
	decision_learn_shared(&decision, 0, &features, 100);
	assert_true(decision.cost_ns.value == 1);
	(void)decision_pick(&decision, PACKETS);
	assert_int_equal(decision.shared_ns, 0);
	/* No operations: not a shared part at all. */
	features.operations = 0;
	decision_learn_shared(&decision, 0, &features, 12345);
	assert_int_equal(decision.chosen[0], 101);
	assert_int_equal(decision.shared_ns, 0);
}

/* With none of them measured, the model tells graphs apart: aborts speak for eager. */
static void test_aborts_speak_against_lazy(void **state)
{
	(void)state;
	for (uint32_t aborted = 0; aborted <= 128; aborted += 128) {
		struct machine machine = machine_of(1000000, 10000, 0);
		struct decision decision;
		uint32_t picked[PICKS], lazy = 0;

		machine.shared_ns[0] = 256000; /* from which it knows what functions take */
		machine.features.aborted = aborted;
		decision_open(&decision, 4);
		run(&decision, &machine, 28, picked); /* of features alone */
		run(&decision, &machine, 200, picked);
		for (uint32_t p = PICK_TEAM(1); p < PICKS; p++)
			lazy += strategy_of(STRATEGY_OF(p)).aborts == ABORT_LAZY ? picked[p] : 0;
		if (aborted > 0)
			assert_in_range(lazy, 0, 20);
		else
			assert_true(lazy > 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_cheapest_is_found),
		cmocka_unit_test(test_a_machine_that_changes),
		cmocka_unit_test(test_all_have_their_first_turn),
		cmocka_unit_test(test_nothing_measured),
		cmocka_unit_test(test_what_leaves_no_choice),
		cmocka_unit_test(test_forced_serial),
		cmocka_unit_test(test_averages),
		cmocka_unit_test(test_shared_parts),
		cmocka_unit_test(test_aborts_speak_against_lazy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
