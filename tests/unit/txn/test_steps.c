/* SPDX-License-Identifier: BSD-3-Clause */
/* A batch's steps by hand: who is run alone, what is fetched ahead, what the clock teaches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"
#include "txn/access.h"

#define SLOTS 40

static struct engine engine;
static struct access access_;
static uint32_t order[2 * SLOTS], order_count; /* slots, as their access steps ran */
static uint32_t depths[SLOTS], fetches[SLOTS]; /* of prefetching, so far */
static uint32_t restored[SLOTS];
static bool all_reached;
static uint64_t ticks;

static void on_prepare(void *caller, uint32_t slot, struct txn *txn)
{
	uint64_t *count = txn_modify(txn, SHARED, KEY(0));

	(void)caller;
	(void)slot;
	if (count != NULL)
		++*count;
}

static void on_access(void *caller, uint32_t slot, struct txn *txn)
{
	(void)caller;
	order[order_count++] = slot;
	if (txn->reach == TXN_ALL) {
		uint64_t *count = txn_modify(txn, SHARED, KEY(0));

		all_reached &= count != NULL && txn_read(txn, FLOW, KEY(3)) != NULL &&
			       txn_read(txn, FLOW, KEY(4)) != NULL;
		if (count != NULL)
			*count = *count * 10 + slot % 10;
		return;
	}
	if (txn_modify(txn, FLOW, KEY(txn->home)) != NULL)
		txn_expire_at(txn, FLOW, KEY(txn->home), NOW_NS + (2 + slot) * SECOND_NS);
}

static void on_restore(void *caller, uint32_t slot)
{
	(void)caller;
	restored[slot]++;
}

/* Each depth after the one before, and all before the slot's own step. */
static void on_prefetch(void *caller, uint32_t slot, uint32_t depth)
{
	(void)caller;
	assert_in_range(depth, depths[slot], 2);
	depths[slot] = depth + 1;
	fetches[slot]++;
	for (uint32_t i = 0; i < order_count; i++)
		assert_int_not_equal(order[i], slot);
}

static const struct access_steps plain = {on_prepare, on_access, on_restore, NULL};
static const struct access_steps fetching = {on_prepare, on_access, on_restore, on_prefetch};

/* One worker after the other. */
static void in_turn(struct team *team, team_work work, void *context)
{
	bool done[WORKERS_MAX] = {false};

	for (uint32_t left = team->workers; left > 0;)
		for (uint32_t worker = 0; worker < team->workers; worker++)
			if (!done[worker] && work(context, worker)) {
				done[worker] = true;
				left--;
			}
}

static void start(uint32_t workers, const struct access_steps *steps)
{
	tables_open(&engine, workers, true, 2000, NULL);
	assert_int_equal(access_open(&access_, &engine, steps, NULL), STATUS_OK);
	tables_put(&engine, 1, SHARED, 0, 0);
	for (uint64_t home = 0; home < HOMES; home++)
		tables_put(&engine, 1, FLOW, home, 0);
	engine_batch_zero(&engine);
	order_count = 0;
	all_reached = true;
	ticks = 0;
	memset(depths, 0, sizeof(depths));
	memset(fetches, 0, sizeof(fetches));
	memset(restored, 0, sizeof(restored));
}

static void declare(uint32_t slot, struct access_txn txn)
{
	txn.id = 100 + slot;
	txn.now_ns = NOW_NS;
	access_.txns[slot] = txn;
	access_declare(&access_, slot % engine.workers, slot);
}

static void run(void)
{
	struct team team = {engine.workers, in_turn};

	access_run(&access_, &team);
}

static void finish(void)
{
	access_close(&access_);
	engine_close(&engine);
}

/* What a slot far enough behind needs is fetched in three steps, and none is fetched too late. */
static void test_what_comes_next_is_fetched(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= 2; workers++) {
		start(workers, &fetching);
		access_begin(&access_, 0, SLOTS, 0);
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			declare(slot, (struct access_txn){.home = 3, .flows = true});
		run();
		assert_int_equal(order_count, SLOTS);
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			assert_int_equal(order[slot], slot);
			/* The first ones are too near for some depths, or for all. */
			assert_int_equal(fetches[slot], slot >= 12 ? 3 : slot / 4);
		}
		finish();
	}
}

/*
 * Those that may touch everything divide the batch; with many of them all is done one by one, in
 * order. What has no home is one of them, whether it says so or not.
 */
static void test_those_alone_see_all_before_them(void **state)
{
	(void)state;
	for (uint32_t alone = 1; alone <= 10; alone++) {
		uint64_t wanted = 0;

		start(3, &plain);
		access_begin(&access_, 0, SLOTS, 0);
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			bool is_alone = slot % 3 == 1 && slot / 3 < alone;

			declare(slot,
				(struct access_txn){.home = is_alone && slot % 2 ? HOME_NONE : 3,
					.alone = is_alone && slot % 2 == 0,
					.prepares = slot % 3 == 0,
					.flows = slot % 3 != 2});
			wanted = is_alone ? wanted * 10 + slot % 10 : wanted + (slot % 3 == 0);
		}
		run();
		assert_true(all_reached);
		assert_true(tables_get(&engine, SHARED, 0) == wanted);
		assert_int_equal(order_count, (SLOTS * 2 + 2) / 3);
		for (uint32_t i = 1; i < order_count; i++)
			assert_true(order[i - 1] < order[i]);
		assert_int_equal(engine_batch_aborted(&engine), 0);
		assert_int_equal(access_.decision.taken_back, 0);
		finish();
	}
}

/* A shared part without a home and without an access step, and a transaction of nothing at all. */
static void test_parts_that_are_missing(void **state)
{
	(void)state;
	start(2, &plain);
	access_begin(&access_, 0, 6, 0);
	for (uint32_t slot = 0; slot < 6; slot++)
		declare(slot, (struct access_txn){.home = slot % 2 ? HOME_NONE : 5,
				      .prepares = slot < 4});
	run();
	assert_int_equal(order_count, 0);
	assert_int_equal(tables_get(&engine, SHARED, 0), 4);
	finish();
}

static uint64_t tick(void)
{
	return ticks += 1000;
}

static enum operation_effect add_one(struct operation_call *call)
{
	++*(uint64_t *)call->value;
	return EFFECT_PUT;
}

/* With a clock, what the shared part took is learned of the strategy that was used; else not. */
static void test_the_clock_teaches(void **state)
{
	struct operation operation = {.kind = OPERATION_READ_MODIFY,
		.table = SHARED,
		.function = add_one,
		.key = {0}};

	(void)state;
	for (uint32_t strategy = 0; strategy < STRATEGIES; strategy++)
		for (int clock = 0; clock < 2; clock++) {
			start(2, &plain);
			access_.clock_ns = clock ? tick : NULL;
			access_begin(&access_, 0, SLOTS, strategy);
			for (uint32_t slot = 0; slot < SLOTS; slot++) {
				declare(slot, (struct access_txn){.home = 3, .flows = true});
				access_operate(&access_, slot % 2, slot, &operation, 0);
			}
			run();
			assert_int_equal(tables_get(&engine, SHARED, 0), SLOTS);
			assert_int_equal(access_.decision.chosen[strategy], 1);
			/* Twice two readings: around the shared part, and after the flow steps. */
			assert_int_equal(access_.decision.shared_ns, clock ? 2000 : 0);
			assert_true(access_.decision.longest.value == (strategy > 0 ? SLOTS : 0));
			for (uint32_t s = 0; s < STRATEGIES; s++)
				assert_int_equal(access_.decision.correction[s].value != 0,
					clock && s == strategy);
			finish();
		}
}

/* One asks for more than it has: all is taken back, restored, and done once more. */
static void ask_for_more(void *caller, uint32_t slot, struct txn *txn)
{
	if (slot == 7 && txn_widen(txn))
		*(uint64_t *)txn_modify(txn, SHARED, KEY(0)) += 500;
	if (!txn_aborted(txn) && slot != 7)
		on_access(caller, slot, txn);
}

static const struct access_steps widening = {on_prepare, ask_for_more, on_restore, NULL};

static void test_what_is_taken_back_is_restored(void **state)
{
	(void)state;
	start(3, &widening);
	access_begin(&access_, 0, 20, 0);
	for (uint32_t slot = 0; slot < 20; slot++)
		declare(slot, (struct access_txn){.home = (uint16_t)(slot % HOMES),
				      .prepares = slot == 2,
				      .flows = slot < 15});
	run();
	assert_int_equal(access_.decision.taken_back, 1);
	assert_int_equal(tables_get(&engine, SHARED, 0), 501);
	assert_int_equal(engine_batch_aborted(&engine), 0);
	for (uint32_t slot = 0; slot < 20; slot++) {
		assert_int_equal(restored[slot], slot < 15);
		assert_false(access_.txns[slot].aborted);
	}
	/* Deadlines are those of the run that stands. */
	for (uint64_t home = 0; home < 15; home++)
		assert_true(tables_deadline(&engine, FLOW, home) ==
			    (home == 7 ? 0 : NOW_NS + (2 + home) * SECOND_NS));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_comes_next_is_fetched),
		cmocka_unit_test(test_those_alone_see_all_before_them),
		cmocka_unit_test(test_parts_that_are_missing),
		cmocka_unit_test(test_the_clock_teaches),
		cmocka_unit_test(test_what_is_taken_back_is_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
