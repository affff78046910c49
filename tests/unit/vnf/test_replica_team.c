/* SPDX-License-Identifier: BSD-3-Clause */
/* A team makes of any packets, byte for byte, what one worker alone makes of them. */
#include "core/digest.h"
#include "tests/unit/random.h"
#include "tests/unit/vnf/batch_run.h"
#include "txn/schedule.h"

#define BATCHES 6
#define PACKETS 100
#define HOMES 8

/* What a packet does is a number from its ID and the VNF's place. */
static uint64_t dice_of(const struct vnf_packet *packet)
{
	return vnf_random(packet, 9);
}

static uint16_t home_of_key(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key % HOMES);
}

static bool open_mix(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->tables[0] = (struct table_spec){.name = "flows",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 4000,
		.scope = TABLE_FLOW,
		.home = home_of_key};
	setup->tables[1] = (struct table_spec){.name = "sums",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 4000,
		.scope = TABLE_SHARED};
	setup->tables_count = 2;
	return true;
}

static enum operation_effect add_id(struct operation_call *call)
{
	uint64_t *sum = call->value;

	*sum += call->id;
	memcpy((uint8_t *)call->context + 8, sum, sizeof(*sum));
	return *sum % 7 == 0 ? EFFECT_ABORT : EFFECT_PUT;
}

static void pre_mix(const void *self, struct vnf_packet *packet)
{
	uint64_t dice = dice_of(packet), key = dice % 50;
	struct operation operation = {.kind = OPERATION_READ_MODIFY,
		.may_abort = true,
		.table = 1,
		.function = add_id,
		.key = {dice >> 8 & 3}};

	(void)self;
	vnf_count(packet, 0);
	packet->home = (dice >> 46 & 15) == 0 ? VNF_HOME_NONE : home_of_key(NULL, &key);
	packet->wants_access = dice >> 16 & 7;
	packet->prepares = (dice >> 20 & 15) == 0;
	packet->shared = (dice >> 24 & 31) == 0;
	if (packet->home != VNF_HOME_NONE && (dice >> 32 & 1))
		vnf_expect(packet, 0, &key);
	if (dice >> 33 & 1)
		vnf_operate(packet, &operation);
	if ((dice >> 34 & 15) == 0)
		vnf_drop(packet, 1); /* and what it declared is not executed */
}

static void add_in(struct txn *txn, uint32_t table, uint64_t key, uint64_t with)
{
	uint64_t *value = txn_modify(txn, table, &key);

	if (value == NULL)
		value = txn_insert(txn, table, &key);
	if (value != NULL)
		*value += with;
}

static void prepare_mix(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	(void)self;
	add_in(txn, 1, 10 + packet->id % 4, packet->id);
	packet->scratch[1] = 1;
}

static void access_mix(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	uint64_t dice = dice_of(packet), key = dice % 50;
	const uint64_t *value;

	(void)self;
	if (packet->home == VNF_HOME_NONE) {
		add_in(txn, 1, 21, packet->id);
		return;
	}
	value = txn_read(txn, 0, &key);
	packet->scratch[0] = value == NULL ? 0 : (uint8_t)*value;
	packet->output_port = packet->scratch[0] % 2;
	add_in(txn, 0, key, packet->id);
	if (packet->shared)
		add_in(txn, 1, 20, packet->id);
	if ((dice >> 40 & 31) == 0)
		txn_abort(txn);
	if ((dice >> 45 & 31) == 0)
		vnf_drop(packet, 2);
}

static void ask_id(void *value, uint32_t value_bytes, void *context)
{
	memcpy(value, context, value_bytes);
}

static void post_mix(const void *self, struct vnf_packet *packet)
{
	uint64_t dice = dice_of(packet), value;

	(void)self;
	packet->current[4] = packet->scratch[0];
	packet->current[5] += packet->scratch[1];
	memcpy(packet->current + 16, packet->scratch + 8, 8);
	if (packet->aborted)
		vnf_count(packet, 1);
	if ((dice >> 50 & 7) == 0)
		vnf_alarm(packet, "eighth");
	if ((dice >> 53 & 3) == 0)
		(void)vnf_edit(packet, (uint16_t)(packet->length - 8), packet->scratch, 8);
	if ((dice >> 55 & 7) == 0)
		(void)vnf_resize(packet, (uint16_t)(packet->length + 10));
	if (dice >> 62 == 0)
		vnf_determinant(packet, &value, sizeof(value), ask_id, &packet->id);
	if ((dice >> 58 & 15) == 0)
		vnf_drop(packet, 3);
}

static struct vnf_ops mix_ops(void)
{
	static const char *const names[] = {"all", "aborted"};
	struct vnf_ops ops = plain_ops();

	ops.name = "mix";
	ops.open = open_mix;
	ops.pre = pre_mix;
	ops.prepare = prepare_mix;
	ops.access = access_mix;
	ops.post = post_mix;
	ops.counters = names;
	ops.counters_count = 2;
	return ops;
}

/* Workers take steps by turns, in one thread. */
static void run_by_turns(struct team *team, team_work work, void *context)
{
	bool done[WORKERS_MAX] = {false};

	for (uint32_t left = team->workers; left > 0;)
		for (uint32_t w = 0; w < team->workers; w++)
			if (!done[w] && work(context, w)) {
				done[w] = true;
				left--;
			}
}

static uint64_t clock_now;

static uint64_t next_clock(void)
{
	return clock_now += 1000;
}

/* Two stages of a chain; the second has two VNFs. */
struct stages {
	struct replica *of[2];
	struct team team;
};

static void open_stages(struct stages *both, uint32_t workers, uint32_t forced)
{
	static struct vnf_ops ops[2];

	ops[0] = ops[1] = mix_ops();
	*both = (struct stages){.team = {workers, run_by_turns}};
	for (uint32_t s = 0; s < 2; s++) {
		struct replica *replica = open_replica(ops, s + 1, workers);

		replica->stage = replica->vnfs_before = s;
		replica->access.decision.forced = forced;
		if (workers > 1)
			replica->team = &both->team;
		both->of[s] = replica;
	}
}

static void close_stages(struct stages *both)
{
	for (uint32_t s = 0; s < 2; s++)
		close_replica(both->of[s]);
}

static void fill_batch(struct batch_run *run, uint32_t batch, uint64_t sizes)
{
	begin_batch(run, 1 + batch * PACKETS);
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint64_t clock_ns = (batch * PACKETS + i) * SECOND_NS / 70;

		if (i % 40 == 39)
			put_tick(run, clock_ns);
		else
			(void)put_packet(run, 60 + (uint32_t)(digest_mix(sizes + i) % 200),
				clock_ns);
	}
}

static void run_stages(struct stages *both, struct batch_run *runs, uint32_t batch, uint64_t sizes)
{
	for (uint32_t s = 0; s < 2; s++) {
		fill_batch(&runs[s], batch, sizes);
		run_batch(&runs[s], both->of[s], s == 0 ? NULL : &runs[0].outcome);
		assert_int_equal(both->of[s]->diverged, 0);
	}
}

static void assert_same_states(const struct stages *one, const struct stages *other)
{
	for (uint32_t s = 0; s < 2; s++) {
		replica_keep_counters(one->of[s], BATCHES * PACKETS + 1);
		replica_keep_counters(other->of[s], BATCHES * PACKETS + 1);
		assert_true(engine_state_digest(&one->of[s]->engine) ==
			    engine_state_digest(&other->of[s]->engine));
	}
}

static void compare(uint32_t workers, uint32_t forced, uint64_t sizes)
{
	struct stages alone, together;
	uint32_t aborted = 0, alarms = 0;

	print_message("%u workers, strategy %u\n", workers, forced);
	open_stages(&alone, 1, STRATEGIES);
	open_stages(&together, workers, forced);
	if (forced == STRATEGIES)
		together.of[0]->access.clock_ns = next_clock;
	for (uint32_t batch = 0; batch < BATCHES; batch++) {
		struct batch_run expected[2], got[2];

		run_stages(&alone, expected, batch, sizes);
		run_stages(&together, got, batch, sizes);
		for (uint32_t s = 0; s < 2; s++) {
			uint32_t bytes = expected[s].outcome.header->bytes;

			assert_int_equal(got[s].outcome.header->bytes, bytes);
			assert_memory_equal(got[s].out, expected[s].out, bytes);
			aborted += got[s].outcome.header->aborted;
			alarms += count_extras(&got[s], EXTRA_ALARM);
			free_batch(&expected[s]);
			free_batch(&got[s]);
		}
	}
	assert_true(aborted > 0 && alarms > 0);
	assert_same_states(&alone, &together);
	close_stages(&alone);
	close_stages(&together);
}

static void test_a_team_makes_what_one_makes(void **state)
{
	(void)state;
	seed_random();
	for (uint32_t strategy = 0; strategy <= STRATEGIES; strategy += 1 + strategy % 3)
		compare(2 + strategy % 3, strategy, next_random());
	compare(4, STRATEGIES, next_random());
}

static void test_workers_without_a_team_go_alone(void **state)
{
	struct stages alone, many;
	struct batch_run expected[2], got[2];

	(void)state;
	open_stages(&alone, 1, STRATEGIES);
	open_stages(&many, 3, STRATEGIES);
	many.of[0]->team = many.of[1]->team = NULL;
	run_stages(&alone, expected, 0, 1);
	run_stages(&many, got, 0, 1);
	for (uint32_t s = 0; s < 2; s++) {
		assert_memory_equal(got[s].out, expected[s].out, expected[s].outcome.header->bytes);
		free_batch(&expected[s]);
		free_batch(&got[s]);
	}
	close_stages(&alone);
	close_stages(&many);
}

/* To completion: no outcome is wanted, only who goes on. */
static void test_without_an_outcome_the_state_is_the_same(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= 3; workers += 2) {
		struct stages with, without;
		struct batch_run expected, run;

		open_stages(&with, workers, 4);
		open_stages(&without, workers, 4);
		fill_batch(&expected, 0, 5);
		run_batch(&expected, with.of[0], NULL);
		fill_batch(&run, 0, 5);
		close_batch(&run);
		replica_begin(without.of[0], &run.batch, NULL, NULL);
		replica_execute(without.of[0], &run.batch, 0, PACKETS);
		for (uint32_t i = 0; i < PACKETS; i++)
			assert_int_equal(replica_forwards(without.of[0], i),
				outcome_verdict(&expected.outcome.records[i]) == VERDICT_FORWARD);
		assert_same_states(&with, &without);
		free_batch(&expected);
		free_batch(&run);
		close_stages(&with);
		close_stages(&without);
	}
}

/* Unprotected: the packets are the same, digests are not made. */
static void test_who_does_not_track_has_no_digest(void **state)
{
	struct vnf_ops ops = mix_ops();
	struct replica *tracking = open_replica(&ops, 1, 1), *plain = calloc(1, sizeof(*plain));
	struct batch_run expected, got;
	uint32_t from = sizeof(struct outcome_header);

	(void)state;
	assert_non_null(plain);
	assert_int_equal(replica_open(plain, 0, RUN_SEED, 5, false, 2, 1), STATUS_OK);
	assert_int_equal(add_vnf(plain, &ops), STATUS_OK);
	assert_int_equal(replica_ready(plain), STATUS_OK);
	fill_batch(&expected, 0, 8);
	fill_batch(&got, 0, 8);
	run_batch(&expected, tracking, NULL);
	run_batch(&got, plain, NULL);
	assert_true(expected.outcome.header->digest != 0);
	assert_true(got.outcome.header->digest == 0);
	assert_memory_equal(got.out + from, expected.out + from,
		expected.outcome.header->bytes - from);
	free_batch(&expected);
	free_batch(&got);
	close_replica(tracking);
	close_replica(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_team_makes_what_one_makes),
		cmocka_unit_test(test_workers_without_a_team_go_alone),
		cmocka_unit_test(test_without_an_outcome_the_state_is_the_same),
		cmocka_unit_test(test_who_does_not_track_has_no_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
