/* SPDX-License-Identifier: BSD-3-Clause */
/* The failover planner: the order of what it orders, and random lives under its invariants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/failover.h"
#include "manager/watch.h"
#include "tests/unit/random.h"

static struct failover failover;
static struct failover_effects effects;

static void event(enum failover_event_type type, uint32_t replica, uint64_t incarnation)
{
	failover_step(&failover, &(struct failover_event){type, 0, replica, incarnation, 0},
		&effects);
}

static void attached(uint32_t replica, uint64_t incarnation, uint32_t consumer)
{
	failover_step(&failover,
		&(struct failover_event){EVENT_ATTACHED, 0, replica, incarnation, consumer},
		&effects);
}

/* The place of an effect among the last ones, or -1. */
static int place(enum failover_effect_type type, uint64_t incarnation)
{
	for (uint32_t i = 0; i < effects.count; i++)
		if (effects.list[i].type == type &&
			(incarnation == 0 || effects.list[i].incarnation == incarnation))
			return (int)i;
	return -1;
}

/* A chain of one stage with a master (incarnation 1) and slaves, all ready. */
static void bring_up(uint32_t replicas)
{
	failover_open(&failover, true, 1, &replicas, 3, 3);
	event(EVENT_BEGIN, 0, 0);
	assert_int_equal(effects.count, 4);
	event(EVENT_SEQUENCER, 0, 0);
	assert_int_equal(effects.count, 0);
	for (uint32_t i = 0; i < 3; i++)
		event(EVENT_LOGGER, i, 0);
	assert_int_equal(effects.count, replicas);
	for (uint32_t r = 0; r < replicas; r++) {
		event(EVENT_REPLICA, r, r + 1);
		assert_int_equal(place(EFFECT_ATTACH, r + 1), 0);
		attached(r, r + 1, 0);
		attached(r, r + 1, 2);
		attached(r, r + 1, 2); /* the same consumer again is no other one */
		assert_int_equal(effects.count, 0);
		attached(r, r + 1, 1);
		assert_true(place(EFFECT_GO, r + 1) >= 0);
		assert_int_equal(place(EFFECT_GO_SEQUENCER, 0) >= 0, r + 1 == replicas);
	}
	for (uint32_t r = 0; r < replicas; r++)
		event(EVENT_CAUGHT_UP, r, r + 1);
	assert_true(failover_is_redundant(&failover));
}

static void test_master_lost(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_LOST, 0, 1);
	assert_int_equal(place(EFFECT_SEAL, 1), 0);
	assert_true(place(EFFECT_PROMOTE, 2) > place(EFFECT_SEAL, 1));
	assert_true(place(EFFECT_KILL, 1) > place(EFFECT_PROMOTE, 2));
	assert_true(place(EFFECT_START_REPLICA, 3) > place(EFFECT_SEAL, 1));
	assert_true(place(EFFECT_ALONE, 0) >= 0);
	event(EVENT_LOST, 0, 1);
	assert_int_equal(effects.count,
		0); /* told twice: once by the futex, once by the supervisor */
}

static void test_slave_lost(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_LOST, 1, 2);
	assert_int_equal(place(EFFECT_PROMOTE, 0), -1);
	assert_int_equal(place(EFFECT_SEAL, 2), 0);
	assert_true(place(EFFECT_FOLDER, 1) >= 0); /* a chain without a slave still folds */
	assert_true(place(EFFECT_START_REPLICA, 3) >= 0);
}

/* While a new slave catches up, its leader folds: else nothing would, should it never come. */
static void test_who_folds(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_LOST, 1, 2);
	event(EVENT_REPLICA, 1, 3);
	for (uint32_t i = 0; i < 3; i++)
		attached(1, 3, i);
	assert_int_equal(place(EFFECT_FOLDER, 3), -1);
	event(EVENT_CAUGHT_UP, 1, 3);
	assert_true(place(EFFECT_FOLDER, 3) >= 0);
}

static void test_all_lost(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_LOST, 0, 1);
	event(EVENT_LOST, 1, 2);
	assert_int_equal(place(EFFECT_PROMOTE, 0), -1);
	event(EVENT_REPLICA, 0, 3);
	for (uint32_t i = 0; i < 3; i++)
		attached(0, 3, i);
	assert_true(place(EFFECT_PROMOTE, 3) >= 0);
	assert_true(place(EFFECT_PROMOTE, 3) < place(EFFECT_GO, 3));
}

/* Who goes stays away while others are at work; the last one does not. */
static void test_maintenance(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_MAINTAIN, 1, 0);
	assert_int_equal(effects.count, 0);
	event(EVENT_LOST, 0, 1);
	assert_true(place(EFFECT_PROMOTE, 2) >= 0);
	assert_int_equal(place(EFFECT_START_REPLICA, 0), -1);
	event(EVENT_LOST, 1, 2);
	assert_true(place(EFFECT_START_REPLICA, 3) >= 0);
	assert_int_equal(failover.stages[0].replicas[0].phase, PHASE_ABSENT);
	event(EVENT_MAINTAIN, 0, 0);
	assert_int_equal(effects.count, 1);
	assert_int_equal(place(EFFECT_START_REPLICA, 4), 0);
	assert_int_equal(effects.list[0].replica, 0);
	event(EVENT_MAINTAIN, 0, 0);
	assert_int_equal(effects.count, 0);
}

/* A consumer that appears while a journal is being attached is asked again: it may not know. */
static void test_consumer_comes_late(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_LOST, 1, 2);
	event(EVENT_REPLICA, 1, 3);
	attached(1, 3, 0);
	event(EVENT_LOGGER, 2, 0);
	assert_true(place(EFFECT_ATTACH, 3) >= 0);
	/* And of the others': it may be a new one. */
	assert_true(place(EFFECT_ATTACH_SERVICE, 1) >= 0);
	assert_int_equal(effects.count, 2);
	attached(1, 3, 2);
	attached(1, 3, 2);
	assert_int_equal(place(EFFECT_GO, 3), -1);
	attached(1, 3, 1);
	assert_true(place(EFFECT_GO, 3) >= 0);
	event(EVENT_SEQUENCER, 0, 0);
	/* It may be a new one; or not have heard a former manager. */
	assert_true(place(EFFECT_ATTACH_SERVICE, 1) >= 0);
	assert_true(place(EFFECT_ATTACH_SERVICE, 3) >= 0);
	assert_int_equal(effects.count, 3);
	assert_int_equal(effects.list[2].type, EFFECT_GO_SEQUENCER);
}

/* A new manager may have to say and order again what a former one did not get to. */
static void test_carries_on(void **state)
{
	(void)state;
	bring_up(2);
	event(EVENT_REPLICA, 0, 1);
	assert_int_equal(effects.count, 1);
	assert_int_equal(place(EFFECT_GO_AGAIN, 1), 0);
	event(EVENT_MISSING, 0, 0);
	assert_int_equal(effects.count, 0);
	failover.stages[0].replicas[0].phase = PHASE_ABSENT;
	event(EVENT_MISSING, 0, 0);
	assert_int_equal(place(EFFECT_START_REPLICA, 3), 0);
}

/* With two slaves the loss of one is no reason to shout. */
static void test_alone(void **state)
{
	(void)state;
	bring_up(3);
	event(EVENT_LOST, 2, 3);
	assert_int_equal(place(EFFECT_ALONE, 0), -1);
	event(EVENT_LOST, 0, 1);
	assert_true(place(EFFECT_ALONE, 0) >= 0);
}

static void test_unprotected(void **state)
{
	uint32_t one = 1;

	(void)state;
	failover_open(&failover, false, 1, &one, 0, 1);
	event(EVENT_BEGIN, 0, 0);
	event(EVENT_SEQUENCER, 0, 0);
	event(EVENT_REPLICA, 0, 1);
	attached(0, 1, 0);
	assert_true(place(EFFECT_GO_SEQUENCER, 0) >= 0);
	event(EVENT_LOST, 0, 1);
	assert_true(place(EFFECT_FAIL, 0) >= 0);
	assert_int_equal(place(EFFECT_START_REPLICA, 0), -1);
}

/* Whatever happens: sealed before another leads or a successor starts; numbers used once. */
static void check_effects(bool *sealed, uint64_t *leader, uint64_t *highest)
{
	for (uint32_t i = 0; i < effects.count; i++) {
		const struct failover_effect *effect = &effects.list[i];

		switch (effect->type) {
		case EFFECT_SEAL:
			sealed[effect->incarnation] = true;
			break;
		case EFFECT_PROMOTE:
			assert_false(sealed[effect->incarnation]);
			assert_true(*leader == 0 || sealed[*leader]);
			*leader = effect->incarnation;
			break;
		case EFFECT_START_REPLICA:
			assert_true(effect->incarnation > *highest);
			*highest = effect->incarnation;
			break;
		case EFFECT_GO:
		case EFFECT_FOLDER:
			assert_false(sealed[effect->incarnation]);
			break;
		default:
			break;
		}
	}
}

static void test_random_lives(void **state)
{
	(void)state;
	seed_random();
	for (int life = 0; life < 3000; life++) {
		static bool sealed[4096];
		uint64_t leader = 1, highest = 0;
		uint32_t replicas = 2 + (uint32_t)life % 3;

		memset(sealed, 0, sizeof(sealed));
		bring_up(replicas);
		highest = replicas;
		for (int i = 0; i < 100; i++) {
			uint32_t r = next_random() % replicas, type = next_random() % 4,
				 incarnation;

			incarnation = (uint32_t)failover.stages[0].replicas[r].incarnation;
			if (next_random() % 8 == 0 && incarnation > 1)
				incarnation--; /* news of a former life */
			if (EVENT_REPLICA + type == EVENT_ATTACHED)
				attached(r, incarnation, next_random() % 3);
			else
				event(EVENT_REPLICA + type, r, incarnation);
			check_effects(sealed, &leader, &highest);
		}
		for (uint32_t round = 0; round < 3; round++)
			for (uint32_t r = 0; r < replicas; r++) {
				uint64_t incarnation = failover.stages[0].replicas[r].incarnation;

				event(EVENT_REPLICA, r, incarnation);
				for (uint32_t i = 0; i < 3; i++)
					attached(r, incarnation, i);
				event(EVENT_CAUGHT_UP, r, incarnation);
			}
		assert_true(failover_is_redundant(&failover)); /* L1: once faults stop */
		assert_true(failover.stages[0].leader >= 0);
	}
}

static void step_at(enum failover_event_type type, uint32_t stage, uint32_t replica,
	uint64_t incarnation, uint32_t consumer)
{
	failover_step(&failover,
		&(struct failover_event){type, stage, replica, incarnation, consumer}, &effects);
}

static void open_stages(uint32_t stages)
{
	static const uint32_t replicas[STAGES_MAX] = {2, 2, 2, 2, 2, 2, 2, 2};

	failover_open(&failover, true, stages, replicas, 3, 3);
	event(EVENT_BEGIN, 0, 0);
	event(EVENT_SEQUENCER, 0, 0);
	for (uint32_t i = 0; i < 3; i++)
		event(EVENT_LOGGER, i, 0);
	assert_int_equal(effects.count, stages * 2);
}

/* Who reads whom before anybody publishes: incarnations 1, 2 in the first stage, 3, 4 behind. */
static void test_two_stages(void **state)
{
	(void)state;
	open_stages(2);
	step_at(EVENT_REPLICA, 1, 0, 3, 0);
	for (uint32_t c = 0; c < 3; c++)
		step_at(EVENT_ATTACHED, 1, 0, 3, c);
	assert_true(place(EFFECT_GO, 3) >= 0); /* nobody before it has a journal yet */
	step_at(EVENT_REPLICA, 0, 0, 1, 0);
	for (uint32_t c = 0; c < 3; c++)
		step_at(EVENT_ATTACHED, 0, 0, 1, c);
	assert_int_equal(place(EFFECT_GO, 1), -1); /* the one behind does not read it yet */
	/* Another one behind comes: it is to read what is there, and is waited for. */
	step_at(EVENT_REPLICA, 1, 1, 4, 0);
	assert_true(place(EFFECT_ATTACH, 4) >= 0 && place(EFFECT_ATTACH, 1) >= 0);
	step_at(EVENT_ATTACHED, 0, 0, 1, failover_consumer(&failover, 0));
	assert_int_equal(place(EFFECT_GO, 1), -1);
	for (uint32_t c = 0; c < 3; c++)
		step_at(EVENT_ATTACHED, 1, 1, 4, c);
	assert_int_equal(place(EFFECT_GO, 4), -1); /* it does not read the first's either */
	step_at(EVENT_ATTACHED, 0, 0, 1, failover_consumer(&failover, 1));
	assert_true(place(EFFECT_GO, 1) >= 0 && place(EFFECT_GO, 4) >= 0);
	/* One that is waited for dies: nobody waits for it any more. */
	step_at(EVENT_REPLICA, 0, 1, 2, 0);
	for (uint32_t c = 0; c < 4; c++)
		step_at(EVENT_ATTACHED, 0, 1, 2, c);
	assert_int_equal(place(EFFECT_GO, 2), -1);
	step_at(EVENT_LOST, 1, 1, 4, 0);
	assert_true(place(EFFECT_GO, 2) > place(EFFECT_SEAL, 4));
	/* Its successor reads all anew before it may run. */
	step_at(EVENT_REPLICA, 1, 1, 5, 0);
	for (uint32_t c = 0; c < 3; c++)
		step_at(EVENT_ATTACHED, 1, 1, 5, c);
	assert_int_equal(place(EFFECT_GO, 5), -1);
	step_at(EVENT_ATTACHED, 0, 0, 1, failover_consumer(&failover, 1));
	assert_int_equal(place(EFFECT_GO, 5), -1);
	step_at(EVENT_ATTACHED, 0, 1, 2, failover_consumer(&failover, 1));
	assert_true(place(EFFECT_GO, 5) >= 0);
}

/* No replica runs that somebody behind it does not read, as long as both live. */
static void check_readers(void)
{
	for (uint32_t s = 0; s + 1 < failover.stages_count; s++)
		for (uint32_t r = 0; r < 2; r++)
			for (uint32_t d = 0; d < 2; d++)
				if (failover.stages[s].replicas[r].phase >= PHASE_RUNNING &&
					failover.stages[s + 1].replicas[d].phase >= PHASE_RUNNING)
					assert_true(failover.stages[s].replicas[r].attached &
						    1u << failover_consumer(&failover, d));
}

static void test_random_stages(void **state)
{
	(void)state;
	seed_random();
	for (int life = 0; life < 2000; life++) {
		uint32_t stages = 2 + (uint32_t)life % 2;

		open_stages(stages);
		for (int i = 0; i < 300; i++) {
			uint32_t s = next_random() % stages, r = next_random() % 2;
			uint32_t type = next_random() % 16;

			step_at(type == 0  ? EVENT_LOST
				: type < 4 ? EVENT_REPLICA
				: type < 6 ? EVENT_CAUGHT_UP
					   : EVENT_ATTACHED,
				s, r, failover.stages[s].replicas[r].incarnation,
				next_random() % 5);
			check_readers();
		}
		for (uint32_t round = 0; round < 2; round++)
			for (uint32_t i = 0; i < stages * 2; i++) {
				uint64_t incarnation =
					failover.stages[i / 2].replicas[i % 2].incarnation;

				step_at(EVENT_REPLICA, i / 2, i % 2, incarnation, 0);
				for (uint32_t c = 0; c < 5; c++)
					step_at(EVENT_ATTACHED, i / 2, i % 2, incarnation, c);
				step_at(EVENT_CAUGHT_UP, i / 2, i % 2, incarnation, 0);
			}
		assert_true(failover_is_redundant(&failover));
	}
}

static void test_hangs(void **state)
{
	static const struct {
		struct watch_sight sight;
		bool hangs;
	} rows[] = {
		{{.outstanding = true, .stopped = true}, true},
		{{.outstanding = true, .blocked = true}, true},
		{{.outstanding = true, .cpu_ns = 200}, true},
		{{.outstanding = true, .cpu_ns = 50}, false}, /* starved of CPU */
		{{.outstanding = false, .blocked = true}, false},
		{{.outstanding = true, .blocked = true, .waits_on_others = true}, false},
		{{.outstanding = true, .stopped = true, .waits_on_others = true}, true},
		{{.outstanding = true, .blocked = true, .progress = 9}, false}, /* it moved */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct watch watch = {0};
		struct watch_sight first = rows[i].sight;

		first.cpu_ns = 0;
		first.progress = 0;
		assert_false(watch_step(&watch, &first, 1000, 100));
		assert_false(watch_step(&watch, &first, 1099, 100));
		assert_int_equal(watch_step(&watch, &rows[i].sight, 1100, 100), rows[i].hangs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_master_lost),
		cmocka_unit_test(test_slave_lost),
		cmocka_unit_test(test_who_folds),
		cmocka_unit_test(test_all_lost),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_consumer_comes_late),
		cmocka_unit_test(test_carries_on),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_unprotected),
		cmocka_unit_test(test_random_lives),
		cmocka_unit_test(test_two_stages),
		cmocka_unit_test(test_random_stages),
		cmocka_unit_test(test_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
