/* SPDX-License-Identifier: BSD-3-Clause */
/* What a leader was told, its slaves are told: the same values, or they know that they diverged. */
#include "tests/unit/vnf/batch_run.h"

#define PACKETS 20
#define CALLS 3

/* What the VNF of this test did, by packet. */
struct seen {
	uint64_t values[PACKETS][CALLS];
};

static struct seen *seen;
static uint32_t asked;

static void ask_next(void *value, uint32_t value_bytes, void *context)
{
	uint8_t *bytes = value;

	asked++;
	for (uint32_t i = 0; i < value_bytes; i++) {
		assert_int_equal(bytes[i], 0);
		bytes[i] = (uint8_t)(*(const uint64_t *)context * 16 + asked + i);
	}
}

/* Asks a different number of times for each packet, of different lengths, with alarms between. */
static void post_ask(const void *self, struct vnf_packet *packet)
{
	(void)self;
	for (uint32_t i = 0; i < packet->id % CALLS + 1; i++) {
		uint64_t value = UINT64_MAX;
		uint8_t large[DETERMINANT_BYTES_MAX];

		vnf_alarm(packet, "asked");
		vnf_determinant(packet, &value, sizeof(value), ask_next, &packet->id);
		seen->values[packet->record][i] = value;
		vnf_determinant(packet, large, 1 + (uint32_t)packet->id, ask_next, &packet->id);
		seen->values[packet->record][i] += (uint64_t)large[packet->id] << 32;
	}
}

/* A replica runs a batch of so many packets; leader: whose outcome it replays, or NULL. */
static struct replica *run_as(struct batch_run *run, const struct vnf_ops *ops, uint32_t packets,
	const struct batch_run *leader)
{
	struct replica *replica = open_replica(ops, 1, 1);

	if (leader != NULL) {
		replica->determinants = DETERMINANT_REPLAY;
		replica->leader = leader->outcome;
	}
	begin_batch(run, 1);
	for (uint32_t i = 0; i < packets; i++)
		(void)put_packet(run, 60, 0);
	run_batch(run, replica, NULL);
	return replica;
}

static void assert_same_outcome(const struct batch_run *leader, const struct batch_run *slave)
{
	assert_int_equal(slave->outcome.header->bytes, leader->outcome.header->bytes);
	assert_memory_equal(slave->out, leader->out, leader->outcome.header->bytes);
}

static void test_a_slave_is_told_what_its_leader_asked(void **state)
{
	static struct seen by_leader, by_slave;
	struct vnf_ops ops = plain_ops();
	struct batch_run first, second;
	struct replica *leader, *slave;

	(void)state;
	ops.post = post_ask;
	seen = &by_leader;
	asked = 0;
	leader = run_as(&first, &ops, PACKETS, NULL);
	assert_int_equal(leader->diverged, 0);
	assert_int_equal(asked, count_extras(&first, EXTRA_DETERMINANT));
	seen = &by_slave;
	asked = 0;
	slave = run_as(&second, &ops, PACKETS, &first);
	assert_int_equal(asked, 0);
	assert_int_equal(slave->diverged, 0);
	assert_memory_equal(&by_slave, &by_leader, sizeof(by_slave));
	assert_true(by_leader.values[0][0] != by_leader.values[1][0]);
	assert_same_outcome(&first, &second);
	free_batch(&first);
	free_batch(&second);
	close_replica(leader);
	close_replica(slave);
}

/* Which packet asks how often, for how many bytes. */
static uint32_t times[2], value_bytes;

static void post_times(const void *self, struct vnf_packet *packet)
{
	uint8_t value[DETERMINANT_BYTES_MAX + 1];

	(void)self;
	for (uint32_t i = 0; i < times[packet->record]; i++) {
		memset(value, 0xff, sizeof(value));
		vnf_determinant(packet, value, value_bytes, ask_next, &packet->id);
		seen->values[packet->record][i % CALLS] = value[0];
	}
}

static const struct asking_case {
	const char *what;
	uint32_t leader[2], slave[2]; /* how often packets ask */
	uint32_t leader_bytes, slave_bytes;
	bool diverges;
} askings[] = {
	{"the same", {1, 2}, {1, 2}, 8, 8, false},
	{"fewer are no harm", {2, 2}, {1, 2}, 8, 8, false},
	{"another length", {1, 1}, {1, 1}, 8, 7, true},
	{"more than there are", {1, 0}, {2, 0}, 8, 8, true},
	{"the next packet's is not its own", {1, 1}, {2, 1}, 8, 8, true},
	{"none is there", {0, 0}, {0, 1}, 8, 8, true},
};

static void test_a_slave_knows_when_it_diverges(void **state)
{
	static struct seen any;

	(void)state;
	seen = &any;
	for (size_t i = 0; i < sizeof(askings) / sizeof(askings[0]); i++) {
		const struct asking_case *c = &askings[i];
		struct vnf_ops ops = plain_ops();
		struct batch_run first, second;
		struct replica *leader, *slave;

		print_message("%s\n", c->what);
		ops.post = post_times;
		memcpy(times, c->leader, sizeof(times));
		value_bytes = c->leader_bytes;
		leader = run_as(&first, &ops, 2, NULL);
		assert_int_equal(leader->diverged, 0);
		memcpy(times, c->slave, sizeof(times));
		value_bytes = c->slave_bytes;
		slave = run_as(&second, &ops, 2, &first);
		assert_int_equal(slave->diverged, c->diverges);
		free_batch(&first);
		free_batch(&second);
		close_replica(leader);
		close_replica(slave);
	}
}

static void test_what_cannot_be_recorded_diverges(void **state)
{
	static struct seen any;
	static const struct {
		uint32_t times, bytes;
		bool diverges;
	} rows[] = {
		{3, DETERMINANT_BYTES_MAX, false},
		{4, DETERMINANT_BYTES_MAX, true}, /* 288 bytes */
		{1, DETERMINANT_BYTES_MAX + 1, true},
		{16, 8, false},
		{17, 8, true},
	};

	(void)state;
	seen = &any;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vnf_ops ops = plain_ops();
		struct batch_run run;
		struct replica *leader;

		print_message("%u of %u bytes\n", rows[i].times, rows[i].bytes);
		ops.post = post_times;
		times[0] = rows[i].times;
		value_bytes = rows[i].bytes;
		leader = run_as(&run, &ops, 1, NULL);
		assert_int_equal(leader->diverged, rows[i].diverges);
		free_batch(&run);
		close_replica(leader);
	}
}

enum { TOTAL, RECENT, OTHER };

static bool open_variables(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->records = true;
	setup->variables[TOTAL].name = "total";
	setup->variables[RECENT].name = "recent";
	setup->variables[RECENT].list_capacity = 3;
	setup->variables[OTHER].name = "other";
	setup->variables_count = 3;
	return true;
}

static void post_share(const void *self, struct vnf_packet *packet)
{
	uint64_t *values = seen->values[packet->record];

	(void)self;
	vnf_lock(packet, TOTAL);
	values[0] = vnf_get(packet, TOTAL);
	vnf_set(packet, TOTAL, values[0] + packet->id);
	vnf_unlock(packet, TOTAL);
	vnf_push(packet, RECENT, packet->id * 100);
	values[1] = vnf_get(packet, RECENT);
	if (packet->id % 4 == 0)
		values[2] = vnf_pop(packet, RECENT);
}

static void test_a_slave_is_told_what_variables_were(void **state)
{
	static struct seen by_leader, by_slave;
	struct vnf_ops ops = plain_ops();
	struct batch_run first, second;
	struct replica *leader, *slave;
	uint64_t value = 0;

	(void)state;
	ops.open = open_variables;
	ops.post = post_share;
	seen = &by_leader;
	leader = run_as(&first, &ops, PACKETS, NULL);
	assert_true(replica_records(leader));
	assert_int_equal(leader->diverged, 0);
	for (uint32_t i = 0; i < PACKETS; i++) {
		assert_int_equal(by_leader.values[i][0], i * (i + 1) / 2);
		assert_int_equal(by_leader.values[i][1], (i + 1) * 100);
		assert_int_equal(by_leader.values[i][2], (i + 1) % 4 != 0 ? 0 : (i - 1) * 100);
	}
	seen = &by_slave;
	slave = run_as(&second, &ops, PACKETS, &first);
	assert_int_equal(slave->diverged, 0);
	assert_memory_equal(&by_slave, &by_leader, sizeof(by_slave));
	assert_same_outcome(&first, &second);
	assert_int_equal(slave->vnfs[0].variables.list[TOTAL].lock, 0);
	assert_int_equal(slave->vnfs[0].variables.list[TOTAL].sequence,
		leader->vnfs[0].variables.list[TOTAL].sequence);
	/* The slave may lead on from there. */
	(void)variable_access(&slave->vnfs[0].variables.list[TOTAL], PAD_GET, &value);
	assert_int_equal(value, PACKETS * (PACKETS + 1) / 2);
	replica_keep_counters(leader, PACKETS + 1);
	replica_keep_counters(slave, PACKETS + 1);
	assert_true(engine_state_digest(&leader->engine) == engine_state_digest(&slave->engine));
	free_batch(&first);
	free_batch(&second);
	close_replica(leader);
	close_replica(slave);
}

/* What a packet does, given by a test: leader and slave differ. */
static void (*step)(struct vnf_packet *packet);

static void post_step(const void *self, struct vnf_packet *packet)
{
	(void)self;
	step(packet);
}

static void do_nothing(struct vnf_packet *packet)
{
	(void)packet;
}

static void get_total(struct vnf_packet *packet)
{
	seen->values[0][0] = vnf_get(packet, TOTAL);
}

static void get_other(struct vnf_packet *packet)
{
	seen->values[0][0] = vnf_get(packet, OTHER);
}

static void pop_total(struct vnf_packet *packet)
{
	seen->values[0][0] = vnf_pop(packet, TOTAL);
}

static void set_total(struct vnf_packet *packet)
{
	vnf_set(packet, TOTAL, 5);
}

static void get_twice(struct vnf_packet *packet)
{
	get_total(packet);
	get_total(packet);
}

static const struct sharing_case {
	const char *what;
	void (*leader)(struct vnf_packet *packet);
	void (*slave)(struct vnf_packet *packet);
	bool diverges;
} sharings[] = {
	{"the same", get_total, get_total, false},
	{"another variable", get_total, get_other, true},
	{"another kind", get_total, pop_total, true},
	{"a setter for a getter", get_total, set_total, true},
	{"a getter for a setter", set_total, get_total, true},
	{"nothing was recorded", do_nothing, get_total, true},
	{"once more", get_total, get_twice, true},
};

static void test_another_access_than_the_leaders_diverges(void **state)
{
	static struct seen any;

	(void)state;
	seen = &any;
	for (size_t i = 0; i < sizeof(sharings) / sizeof(sharings[0]); i++) {
		struct vnf_ops ops = plain_ops();
		struct batch_run first, second;
		struct replica *leader, *slave;

		print_message("%s\n", sharings[i].what);
		ops.open = open_variables;
		ops.post = post_step;
		step = sharings[i].leader;
		leader = run_as(&first, &ops, 1, NULL);
		assert_int_equal(leader->diverged, 0);
		step = sharings[i].slave;
		slave = run_as(&second, &ops, 1, &first);
		assert_int_equal(slave->diverged, sharings[i].diverges);
		free_batch(&first);
		free_batch(&second);
		close_replica(leader);
		close_replica(slave);
	}
}

static uint32_t gets;

static void get_often(struct vnf_packet *packet)
{
	for (uint32_t i = 0; i < gets; i++)
		assert_int_equal(vnf_get(packet, TOTAL), 0);
}

static void test_accesses_beyond_a_packets_room_diverge(void **state)
{
	(void)state;
	step = get_often;
	for (gets = 10; gets <= 11; gets++) { /* 24 bytes each, of 256 */
		struct vnf_ops ops = plain_ops();
		struct batch_run run;
		struct replica *leader;

		ops.open = open_variables;
		ops.post = post_step;
		leader = run_as(&run, &ops, 1, NULL);
		assert_int_equal(leader->diverged, gets == 11);
		assert_int_equal(count_extras(&run, EXTRA_DETERMINANT), 10);
		free_batch(&run);
		close_replica(leader);
	}
}

static void test_a_slave_that_is_told_too_much_diverges(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct batch_run first, second;
	struct replica *leader, *slave;

	(void)state;
	ops.open = open_variables;
	ops.post = post_step;
	step = set_total;
	leader = run_as(&first, &ops, 1, NULL);
	slave = open_replica(&ops, 1, 1);
	slave->determinants = DETERMINANT_REPLAY;
	slave->leader = first.outcome;
	begin_batch(&second, 1);
	(void)put_packet(&second, 60, 0);
	close_batch(&second);
	replica_begin(slave, &second.batch, NULL, second.out);
	slave->vnfs[0].variables.told_count = TOLD_MAX;
	replica_execute(slave, &second.batch, 0, 1);
	assert_int_equal(slave->diverged, 1);
	free_batch(&first);
	free_batch(&second);
	close_replica(leader);
	close_replica(slave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slave_is_told_what_its_leader_asked),
		cmocka_unit_test(test_a_slave_knows_when_it_diverges),
		cmocka_unit_test(test_what_cannot_be_recorded_diverges),
		cmocka_unit_test(test_a_slave_is_told_what_variables_were),
		cmocka_unit_test(test_another_access_than_the_leaders_diverges),
		cmocka_unit_test(test_accesses_beyond_a_packets_room_diverge),
		cmocka_unit_test(test_a_slave_that_is_told_too_much_diverges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
