/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VNF's calls do to its packets, tables and figures, and where they say no. */
#include "tests/unit/vnf/batch_run.h"

#define PACKETS 4

static const char *const counter_names[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8",
	"c9", "c10", "c11", "c12", "c13", "c14", "c15"};

/* One packet of so many bytes through a VNF; the caller frees both. */
static struct replica *run_packet(struct batch_run *run, const struct vnf_ops *ops, uint32_t length)
{
	struct replica *replica = open_replica(ops, 1, 1);

	begin_batch(run, 1);
	(void)put_packet(run, length, 0);
	run_batch(run, replica, NULL);
	return replica;
}

static void post_drop(const void *self, struct vnf_packet *packet)
{
	(void)self;
	vnf_count(packet, 2);
	vnf_count(packet, 2);
	vnf_count(packet, 15);
	vnf_count(packet, 16); /* there is none */
	if (packet->id % 2 == 0)
		vnf_drop(packet, DROP_CAUSES_MAX + 5);
}

static void post_count(const void *self, struct vnf_packet *packet)
{
	(void)self;
	vnf_count(packet, 0);
}

static void test_dropped_packets_go_no_further(void **state)
{
	struct vnf_ops ops[2] = {plain_ops(), plain_ops()};
	struct replica *replica;
	struct batch_run run;

	(void)state;
	ops[0].counters = ops[1].counters = counter_names;
	ops[0].counters_count = ops[1].counters_count = COUNTERS_PER_VNF;
	ops[1].post = post_drop;
	ops[0].post = post_count;
	replica = open_replica((struct vnf_ops[]){ops[1], ops[0]}, 2, 1);
	begin_batch(&run, 10);
	for (uint32_t i = 0; i < 5; i++)
		(void)put_packet(&run, 60, 0);
	run_batch(&run, replica, NULL);
	for (uint32_t i = 0; i < 5; i++) {
		const struct outcome_record *record = &run.outcome.records[i];

		assert_int_equal(outcome_verdict(record),
			(10 + i) % 2 == 0 ? VERDICT_DROP : VERDICT_FORWARD);
		assert_int_equal(record->where, (10 + i) % 2 == 0 ? 5 : 1);
		assert_int_equal(replica_forwards(replica, i), (10 + i) % 2);
	}
	/* Once a packet; the second VNF saw those that were not dropped. */
	assert_int_equal(figure_of(replica, "plain/c2"), 5);
	assert_int_equal(figure_of(replica, "plain/c15"), 5);
	assert_int_equal(figure_of(replica, "plain/c0"), 0);
	assert_int_equal(figure_of(replica, "plain.2/c0"), 2);
	assert_int_equal(figure_of(replica, "plain.2/c2"), 0);
	free_batch(&run);
	close_replica(replica);
}

static uint64_t drawn[2][PACKETS][2];

static void post_draw(const void *self, struct vnf_packet *packet)
{
	uint64_t(*of)[2] = drawn[packet->host->number];

	(void)self;
	for (uint32_t draw = 0; draw < 2; draw++)
		of[packet->record][draw] = vnf_random(packet, draw);
}

static void draw(uint64_t seed, uint32_t vnfs, uint32_t vnfs_before, uint64_t (*into)[PACKETS][2])
{
	struct vnf_ops ops[2] = {plain_ops(), plain_ops()};
	struct replica *replica;
	struct batch_run run;

	ops[0].post = ops[1].post = post_draw;
	replica = open_replica(ops, vnfs, 1);
	replica->seed = seed;
	replica->vnfs_before = vnfs_before;
	begin_batch(&run, 50);
	for (uint32_t i = 0; i < PACKETS; i++)
		(void)put_packet(&run, 60, 0);
	run_batch(&run, replica, NULL);
	memcpy(into, drawn, sizeof(drawn));
	free_batch(&run);
	close_replica(replica);
}

static void test_random_numbers_are_by_seed_packet_place_and_draw(void **state)
{
	static uint64_t first[2][PACKETS][2], again[2][PACKETS][2], other[2][PACKETS][2];
	const uint64_t *all = &first[0][0][0], *others = &other[0][0][0];

	(void)state;
	draw(1, 2, 0, first);
	draw(1, 2, 0, again);
	assert_memory_equal(first, again, sizeof(first));
	for (uint32_t i = 0; i < sizeof(first) / sizeof(*all); i++)
		for (uint32_t j = 0; j < i; j++)
			assert_true(all[i] != all[j]);
	draw(2, 2, 0, other);
	for (uint32_t i = 0; i < sizeof(first) / sizeof(*all); i++)
		assert_true(all[i] != others[i]);
	/* The same VNF in a stage of its own: its place in the chain is what counts. */
	draw(1, 1, 1, other);
	assert_memory_equal(other[0], first[1], sizeof(other[0]));
}

static uint16_t home_of_key(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key % 8);
}

static bool open_flows(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->tables[setup->tables_count++] = (struct table_spec){.name = "flows",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 100,
		.scope = TABLE_FLOW,
		.home = home_of_key};
	return true;
}

/* Hints of pre: the key that access will ask for, another one, or none. */
static uint64_t expected_key_offset;
static bool expects;

static void pre_flow(const void *self, struct vnf_packet *packet)
{
	uint64_t key = packet->id % 3, expected = key + expected_key_offset;

	(void)self;
	packet->home = home_of_key(NULL, &key);
	packet->wants_access = true;
	if (expects)
		vnf_expect(packet, 0, &expected);
	packet->scratch[0] = vnf_glance(packet, 0, &key);
}

static void access_flow(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	uint64_t key = packet->id % 3, *value = txn_modify(txn, 0, &key);

	(void)self;
	if (value == NULL)
		value = txn_insert(txn, 0, &key);
	assert_non_null(value);
	*value += packet->id;
}

static uint32_t glanced;

static void post_flow(const void *self, struct vnf_packet *packet)
{
	(void)self;
	glanced |= (uint32_t)packet->scratch[0] << packet->record;
}

static uint64_t run_flows(uint64_t key_offset, bool with_hints)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;
	uint64_t digest = 0;

	ops.open = open_flows;
	ops.pre = pre_flow;
	ops.access = access_flow;
	ops.post = post_flow;
	expected_key_offset = key_offset;
	expects = with_hints;
	replica = open_replica(&ops, 1, 1);
	for (uint64_t id = 1; id < 7; id += 2) {
		glanced = 0;
		begin_batch(&run, id);
		(void)put_packet(&run, 60, 0);
		(void)put_packet(&run, 60, 0);
		run_batch(&run, replica, NULL);
		/* IDs 1 and 2, 3 and 4, 5 and 6, of keys 1 2 0 1 2 0: what is there before. */
		assert_int_equal(glanced, id == 1 ? 0 : id == 3 ? 2 : 3);
		digest = digest * 31 + run.outcome.header->digest;
		free_batch(&run);
	}
	assert_int_equal(figure_of(replica, "plain/flows/entries"), 3);
	digest += engine_state_digest(&replica->engine);
	close_replica(replica);
	return digest;
}

static void test_hints_change_no_result(void **state)
{
	uint64_t without;

	(void)state;
	without = run_flows(0, false);
	assert_true(run_flows(0, true) == without);
	assert_true(run_flows(1, true) == without);
}

static bool open_sums(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->tables[setup->tables_count++] = (struct table_spec){.name = "sums",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 100,
		.scope = TABLE_SHARED};
	return true;
}

static enum operation_effect add_one(struct operation_call *call)
{
	*(uint64_t *)call->value += 1;
	((uint8_t *)call->context)[0]++;
	return EFFECT_PUT;
}

static enum operation_effect give_up(struct operation_call *call)
{
	((uint8_t *)call->context)[0] = 99;
	return call->id == 2 ? EFFECT_ABORT : EFFECT_NONE;
}

static void operate(struct vnf_packet *packet, uint64_t key, uint8_t sources,
	enum operation_effect (*function)(struct operation_call *call))
{
	struct operation operation = {.kind = OPERATION_READ_MODIFY,
		.may_abort = true,
		.sources_count = sources,
		.function = function,
		.key = {key}};

	vnf_operate(packet, &operation);
}

static void pre_operate(const void *self, struct vnf_packet *packet)
{
	(void)self;
	packet->scratch[0] = 10;
	operate(packet, 50, OPERATION_SOURCES_MAX + 1, add_one); /* left out */
	operate(packet, 7, OPERATION_SOURCES_MAX, add_one);
	for (uint64_t key = 1; packet->id == 1 && key < OPERATIONS_MAX + 3; key++)
		operate(packet, key, 0, add_one); /* the last three are left out */
	if (packet->id == 2)
		operate(packet, 60, 0, give_up);
}

static uint8_t seen[4];
static bool aborted[4];

static void post_operate(const void *self, struct vnf_packet *packet)
{
	(void)self;
	seen[packet->id] = packet->scratch[0];
	aborted[packet->id] = packet->aborted;
}

static void show_sums(const void *self, struct txn *txn, struct vnf_show *show)
{
	(void)self;
	for (uint64_t key = 0; key < 64; key++) {
		const uint64_t *sum = txn_read(txn, 0, &key);
		char name[8];

		snprintf(name, sizeof(name), "%u", (unsigned int)key);
		if (sum != NULL)
			vnf_show(show, "sum", name, *sum);
	}
}

static void test_operations_are_of_the_packets_transaction(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;

	(void)state;
	ops.open = open_sums;
	ops.pre = pre_operate;
	ops.post = post_operate;
	ops.show = show_sums;
	replica = open_replica(&ops, 1, 1);
	begin_batch(&run, 1);
	for (uint32_t i = 0; i < 3; i++)
		(void)put_packet(&run, 60, 0);
	run_batch(&run, replica, NULL);
	/* Of 1: 7, and 1 to 7, which is all that it may declare. Of 2: nothing. Of 3: 7. */
	assert_int_equal(figure_of(replica, "plain/sums/entries"), 7);
	assert_int_equal(figure_of(replica, "plain/sum/1"), 1);
	assert_int_equal(figure_of(replica, "plain/sum/7"), 3);
	assert_true(figure_of(replica, "plain/sum/8") == UINT64_MAX);
	assert_true(figure_of(replica, "plain/sum/50") == UINT64_MAX);
	assert_int_equal(seen[1], 10 + OPERATIONS_MAX);
	assert_int_equal(seen[3], 11);
	/* What an aborted one left in the scratch is taken back. */
	assert_int_equal(seen[2], 10);
	assert_true(!aborted[1] && aborted[2] && !aborted[3]);
	assert_int_equal(run.outcome.header->aborted, 1);
	free_batch(&run);
	close_replica(replica);
}

static void post_alarm(const void *self, struct vnf_packet *packet)
{
	char text[202];

	(void)self;
	memset(text, 'a', sizeof(text));
	text[201] = 0;
	for (int i = 0; i < 5; i++)
		vnf_alarm(packet, text); /* the fifth has no room */
	text[102] = 0;
	vnf_alarm(packet, text); /* nor has this one */
	text[96] = 0;
	vnf_alarm(packet, text);
}

static void test_alarms_are_cut_and_take_room(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;
	const struct outcome_extra *extra;

	(void)state;
	ops.post = post_alarm;
	replica = run_packet(&run, &ops, FRAME_BYTES_MIN);
	assert_int_equal(count_extras(&run, EXTRA_ALARM), 5);
	extra = find_extra(&run, EXTRA_ALARM, 0);
	assert_int_equal(extra->bytes, ALARM_BYTES_MAX);
	assert_int_equal(outcome_extra_content(extra)[ALARM_BYTES_MAX - 1], 'a');
	extra = find_extra(&run, EXTRA_ALARM, 4);
	assert_int_equal(extra->bytes, 96);
	assert_int_equal(replica->room[0],
		FRAME_BYTES_MIN + PACKET_ROOM_BYTES - 4 * (8 + ALARM_BYTES_MAX) - (8 + 96));
	free_batch(&run);
	close_replica(replica);
}

static uint8_t frame[FRAME_BYTES_MAX + 1];

static void post_emit(const void *self, struct vnf_packet *packet)
{
	(void)self;
	assert_false(vnf_emit(packet, 0, frame, FRAME_BYTES_MIN - 1));
	assert_false(vnf_emit(packet, 0, frame, FRAME_BYTES_MAX + 1));
	assert_false(vnf_emit(packet, 2, frame, 60)); /* there are two ports */
	for (uint16_t i = 0; i < EMITS_PER_PACKET_MAX; i++)
		assert_true(vnf_emit(packet, i % 2, frame + i, FRAME_BYTES_MIN + i));
	assert_false(vnf_emit(packet, 0, frame, FRAME_BYTES_MIN));
}

static void post_emit_large(const void *self, struct vnf_packet *packet)
{
	(void)self;
	assert_false(vnf_emit(packet, 0, frame, 60 + PACKET_ROOM_BYTES - 8));
	assert_true(vnf_emit(packet, 0, frame, 800));
	assert_false(vnf_emit(packet, 0, frame, FRAME_BYTES_MIN)); /* 12 bytes are left */
	for (int i = 0; i < 3; i++)
		assert_true(vnf_resize(packet, 61));
	assert_false(vnf_resize(packet, 62));
	assert_false(vnf_edit(packet, 60, frame, 1)); /* beyond what is in view */
	assert_true(vnf_edit(packet, 59, frame, 1));
}

static void test_emitted_packets_are_whole_or_refused(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;

	(void)state;
	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 3 + 1);
	ops.post = post_emit;
	replica = run_packet(&run, &ops, 60);
	assert_int_equal(count_extras(&run, EXTRA_EMIT), EMITS_PER_PACKET_MAX);
	for (uint16_t i = 0; i < EMITS_PER_PACKET_MAX; i++) {
		const struct outcome_extra *extra = find_extra(&run, EXTRA_EMIT, i);
		const uint8_t *content = outcome_extra_content(extra), zero[6] = {0};
		uint16_t port = i % 2;

		assert_int_equal(extra->record, 0);
		assert_int_equal(extra->bytes, 8 + FRAME_BYTES_MIN + i);
		assert_memory_equal(content, &port, sizeof(port));
		assert_memory_equal(content + 2, zero, sizeof(zero));
		assert_memory_equal(content + 8, frame + i, FRAME_BYTES_MIN + i);
	}
	free_batch(&run);
	close_replica(replica);
	ops.post = post_emit_large;
	replica = run_packet(&run, &ops, 60);
	assert_int_equal(count_extras(&run, EXTRA_EMIT), 1);
	assert_int_equal(find_extra(&run, EXTRA_EMIT, 0)->bytes, 808);
	free_batch(&run);
	close_replica(replica);
}

static void post_edit(const void *self, struct vnf_packet *packet)
{
	uint8_t back[210];

	(void)self;
	assert_false(vnf_edit(packet, 190, frame, 11));
	assert_false(vnf_edit(packet, UINT16_MAX, frame, UINT16_MAX));
	assert_true(vnf_edit(packet, 190, frame, 10));
	assert_true(vnf_edit(packet, 120, frame, 16)); /* across the view's end */
	assert_false(vnf_resize(packet, FRAME_BYTES_MIN - 1));
	assert_true(vnf_resize(packet, 195));
	assert_false(vnf_edit(packet, 195, frame, 1));
	assert_true(vnf_read(packet, 0, back, 195));
	assert_int_equal(back[119], 119);
	assert_memory_equal(back + 120, frame, 16);
	assert_int_equal(back[136], 136);
	assert_memory_equal(back + 190, frame, 5);
	assert_true(vnf_read(packet, 195, back, 0));
	assert_false(vnf_read(packet, 0, back, 196));
	assert_false(vnf_read(packet, 190, back, 6));
	assert_false(vnf_read(packet, UINT32_MAX, back, 2));
}

static void test_edits_are_within_the_packet(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;
	uint8_t leaves[256];

	(void)state;
	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 3 + 1);
	ops.post = post_edit;
	replica = run_packet(&run, &ops, 200);
	assert_int_equal(apply_delta(&run, 0, leaves, sizeof(leaves)), 195);
	for (uint32_t i = 0; i < 120; i++)
		assert_int_equal(leaves[i], i);
	assert_memory_equal(leaves + 120, frame, 16);
	for (uint32_t i = 136; i < 190; i++)
		assert_int_equal(leaves[i], i);
	assert_memory_equal(leaves + 190, frame, 5);
	free_batch(&run);
	close_replica(replica);
}

static void post_read(const void *self, struct vnf_packet *packet)
{
	uint8_t byte = 0xee;

	(void)self;
	assert_false(vnf_read(packet, 0, &byte, 1));
	assert_int_equal(byte, 0xee);
	vnf_drop(packet, 1);
}

static void test_payloads_are_for_those_who_say_that_they_read(void **state)
{
	struct vnf_ops ops = plain_ops();
	struct replica *replica;
	struct batch_run run;

	(void)state;
	ops.reads_payload = false;
	ops.post = post_read;
	replica = run_packet(&run, &ops, 200);
	assert_int_equal(run.outcome.records[0].where, 1);
	free_batch(&run);
	close_replica(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dropped_packets_go_no_further),
		cmocka_unit_test(test_random_numbers_are_by_seed_packet_place_and_draw),
		cmocka_unit_test(test_hints_change_no_result),
		cmocka_unit_test(test_operations_are_of_the_packets_transaction),
		cmocka_unit_test(test_alarms_are_cut_and_take_room),
		cmocka_unit_test(test_emitted_packets_are_whole_or_refused),
		cmocka_unit_test(test_edits_are_within_the_packet),
		cmocka_unit_test(test_payloads_are_for_those_who_say_that_they_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
