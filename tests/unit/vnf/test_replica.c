/* SPDX-License-Identifier: BSD-3-Clause */
/* A replica: what it takes in, hands to its VNFs, makes of a stage before it, keeps and shows. */
#include "tests/unit/vnf/batch_run.h"

/* How many tables the VNFs of this test ask for, and what the first is like. */
static uint32_t tables_wanted, capacity_wanted, list_wanted;
static bool opens;

static bool open_as_wanted(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	snprintf(setup->error, setup->error_bytes, "as told");
	for (uint32_t t = 0; t < tables_wanted; t++)
		setup->tables[setup->tables_count++] = (struct table_spec){.name = "wanted",
			.key_bytes = 8,
			.value_bytes = 8,
			.capacity = capacity_wanted,
			.scope = TABLE_SHARED};
	setup->records = list_wanted > 0;
	setup->variables_count = list_wanted > 0;
	setup->variables[0] = (struct variable_spec){"list", list_wanted};
	return opens;
}

static char error[128];

/* One that is refused stays with the replica until it is closed, and so do its operations. */
static enum status add_as_wanted(struct replica *replica, uint32_t tables, uint32_t capacity)
{
	static struct vnf_ops ops;
	struct vnf_setup setup = {.homes = 8, .error = error, .error_bytes = sizeof(error)};

	ops = plain_ops();
	ops.open = open_as_wanted;
	tables_wanted = tables;
	capacity_wanted = capacity;
	error[0] = 0;
	return replica_add_vnf(replica, &ops, &setup);
}

static void test_a_stage_has_room_for_so_many_vnfs(void **state)
{
	struct vnf_ops ops[VNFS_MAX];
	struct replica *replica;

	(void)state;
	for (uint32_t i = 0; i < VNFS_MAX; i++)
		ops[i] = plain_ops();
	ops[2].name = "other";
	replica = open_replica(ops, VNFS_MAX, 1);
	assert_string_equal(replica->vnfs[0].name, "plain");
	assert_string_equal(replica->vnfs[1].name, "plain.2");
	assert_string_equal(replica->vnfs[2].name, "other");
	assert_string_equal(replica->vnfs[3].name, "plain.3");
	assert_int_equal(add_vnf(replica, &ops[0]), STATUS_FULL);
	assert_int_equal(replica->vnfs_count, VNFS_MAX);
	close_replica(replica);
}

static void test_a_vnf_that_does_not_fit_is_refused(void **state)
{
	struct replica *replica = open_replica(NULL, 0, 1);
	struct vnf_ops ops = plain_ops();

	(void)state;
	ops.abi = VNF_ABI + 1;
	assert_int_equal(add_vnf(replica, &ops), STATUS_VERSION);
	ops = plain_ops();
	ops.drop_causes_count = DROP_CAUSES_MAX + 1;
	assert_int_equal(add_vnf(replica, &ops), STATUS_INVALID);
	ops = plain_ops();
	ops.counters_count = COUNTERS_PER_VNF + 1;
	assert_int_equal(add_vnf(replica, &ops), STATUS_INVALID);
	opens = false;
	assert_int_equal(add_as_wanted(replica, 0, 1), STATUS_INVALID);
	assert_string_equal(error, "as told");
	assert_int_equal(replica->vnfs_count, 0);
	opens = true;
	assert_int_equal(add_as_wanted(replica, 1, 0), STATUS_INVALID);
	assert_string_equal(error, "table wanted: not valid");
	/* And each a table for its counters. */
	assert_int_equal(add_as_wanted(replica, TABLES_MAX - 3, 4), STATUS_OK);
	assert_string_equal(error, "as told");
	assert_int_equal(add_as_wanted(replica, 1, 4), STATUS_OK);
	assert_int_equal(replica->engine.tables_count, TABLES_MAX);
	assert_int_equal(add_as_wanted(replica, 1, 4), STATUS_FULL);
	assert_string_equal(error, "table wanted: full");
	close_replica(replica);
}

static void test_a_replica_records_if_one_of_its_vnfs_does(void **state)
{
	struct replica *replica = open_replica(NULL, 0, 1);

	(void)state;
	opens = true;
	assert_false(replica_records(replica));
	assert_int_equal(add_as_wanted(replica, 1, 4), STATUS_OK);
	assert_false(replica_records(replica));
	list_wanted = VARIABLE_LIST_MAX;
	assert_int_equal(add_as_wanted(replica, 1, 4), STATUS_OK);
	assert_true(replica_records(replica));
	list_wanted = VARIABLE_LIST_MAX + 1;
	assert_int_not_equal(add_as_wanted(replica, 1, 4), STATUS_OK);
	list_wanted = 0;
	close_replica(replica);
}

static struct vnf_packet seen[8];
static uint32_t seen_count;

static void pre_see(const void *self, struct vnf_packet *packet)
{
	(void)self;
	assert_true(seen_count < 8);
	seen[seen_count++] = *packet;
}

static void test_a_vnf_sees_packets_as_they_came(void **state)
{
	static const uint16_t across[][3] = {{0, 0, 0}, {1, 0, 0}, {1, 0, 2}}; /* by ports, port */
	struct vnf_ops ops = plain_ops();

	(void)state;
	ops.pre = pre_see;
	for (uint32_t ports = 1; ports <= 3; ports++) {
		struct replica *replica = open_replica(&ops, 1, 1);
		struct batch_record *record;
		struct batch_run run;

		replica->ports_count = ports;
		seen_count = 0;
		begin_batch(&run, 40);
		put_tick(&run, 5);
		for (uint16_t port = 0; port < ports; port++) {
			record = put_packet(&run, 60 + port * 100, 10 + port);
			record->port = port;
			record->wire_length = 1000;
			record->vlan_tci = 77;
			record->flags = port == 0   ? RECORD_IP_CKSUM_BAD
					: port == 1 ? RECORD_VLAN_STRIPPED
						    : RECORD_L4_CKSUM_BAD;
		}
		run_batch(&run, replica, NULL);
		assert_int_equal(seen_count, ports);
		assert_int_equal(outcome_verdict(&run.outcome.records[0]), VERDICT_NONE);
		for (uint16_t port = 0; port < ports; port++) {
			const struct vnf_packet *packet = &seen[port];

			assert_int_equal(packet->port, port);
			assert_int_equal(packet->output_port, across[ports - 1][port]);
			assert_int_equal(run.outcome.records[1 + port].where,
				across[ports - 1][port]);
			assert_int_equal(packet->id, 41 + port);
			assert_int_equal(packet->clock_ns, 10 + port);
			assert_int_equal(packet->length, 60 + port * 100);
			assert_int_equal(packet->header_bytes, port == 0 ? 60 : HEADER_VIEW_BYTES);
			assert_int_equal(packet->wire_length, 1000);
			assert_int_equal(packet->vlan_tci, port == 1 ? 77 : 0);
			assert_int_equal(packet->cksum_bad, port != 1);
			assert_int_equal(packet->home, VNF_HOME_NONE);
		}
		free_batch(&run);
		close_replica(replica);
	}
}

/* The first stage: a drop, edits, extras; then what the second makes of it. */
static void ask_nothing(void *value, uint32_t value_bytes, void *context)
{
	(void)value;
	(void)value_bytes;
	(void)context;
}

static void post_first(const void *self, struct vnf_packet *packet)
{
	uint64_t value;

	(void)self;
	if (packet->record == 1)
		vnf_drop(packet, 4);
	if (packet->record != 2)
		return;
	packet->current[3] = 0xcc;
	assert_true(vnf_edit(packet, 150, "beyond", 6));
	assert_true(vnf_resize(packet, 180));
	packet->output_port = 0;
	vnf_alarm(packet, "first");
	assert_true(vnf_emit(packet, 1, packet->arrival, 60));
	vnf_determinant(packet, &value, sizeof(value), ask_nothing, NULL);
}

static void post_second(const void *self, struct vnf_packet *packet)
{
	uint8_t bytes[6];

	(void)self;
	seen[seen_count++] = *packet;
	if (packet->record == 0)
		vnf_drop(packet, 2);
	if (packet->record != 2)
		return;
	assert_int_equal(packet->current[3], 0xcc);
	assert_int_equal(packet->arrival[3], 3);
	assert_true(vnf_read(packet, 150, bytes, 6));
	assert_memory_equal(bytes, "beyond", 6);
	assert_true(vnf_edit(packet, 152, "XY", 2));
	vnf_alarm(packet, "second");
}

static struct replica *open_second(const struct vnf_ops *ops)
{
	struct replica *replica = open_replica(ops, 1, 1);

	replica->stage = 1;
	return replica;
}

static void put_three(struct batch_run *run)
{
	begin_batch(run, 1);
	for (uint32_t i = 0; i < 3; i++)
		(void)put_packet(run, 200, 0);
	put_tick(run, 0);
}

static void test_a_stage_goes_on_from_the_one_before(void **state)
{
	struct vnf_ops ops[2] = {plain_ops(), plain_ops()};
	struct replica *first, *second;
	struct batch_run before, run;
	uint8_t frame[256];

	(void)state;
	ops[0].post = post_first;
	ops[1].post = post_second;
	first = open_replica(&ops[0], 1, 1);
	second = open_second(&ops[1]);
	put_three(&before);
	run_batch(&before, first, NULL);
	assert_int_equal(count_extras(&before, EXTRA_DETERMINANT), 1);
	seen_count = 0;
	put_three(&run);
	run_batch(&run, second, &before.outcome);
	assert_int_equal(second->diverged, 0);
	assert_int_equal(seen_count, 2); /* not what came dropped */
	assert_int_equal(seen[1].length, 180);
	assert_int_equal(run.outcome.records[0].verdict, VERDICT_DROP | 1 << VERDICT_STAGE_SHIFT);
	assert_int_equal(run.outcome.records[0].where, 2);
	assert_int_equal(run.outcome.records[1].verdict, VERDICT_DROP);
	assert_int_equal(run.outcome.records[1].where, 4);
	assert_int_equal(run.outcome.records[2].verdict, VERDICT_FORWARD);
	assert_int_equal(run.outcome.records[2].where, 0);
	assert_int_equal(outcome_verdict(&run.outcome.records[3]), VERDICT_NONE);
	assert_int_equal(apply_delta(&run, 2, frame, sizeof(frame)), 180);
	assert_memory_equal(frame + 150, "beXYnd", 6);
	assert_int_equal(frame[3], 0xcc);
	assert_int_equal(frame[149], 149);
	/* Extras of both, in order; determinants are each stage's own. */
	assert_int_equal(count_extras(&run, EXTRA_DETERMINANT), 0);
	assert_int_equal(count_extras(&run, EXTRA_EMIT), 1);
	assert_memory_equal(outcome_extra_content(find_extra(&run, EXTRA_ALARM, 0)), "first", 5);
	assert_memory_equal(outcome_extra_content(find_extra(&run, EXTRA_ALARM, 1)), "second", 6);
	/* What the first stage took of the packet's room is gone for the second. */
	assert_int_equal(second->room[2],
		200 + PACKET_ROOM_BYTES - (4 + 6) - 4 - (8 + 8) - (8 + 8 + 64) - (4 + 2) - (8 + 8));
	free_batch(&before);
	free_batch(&run);
	close_replica(first);
	close_replica(second);
}

/* An outcome for three packets of 200 bytes and a tick that no replica makes. */
static void make_outcome(struct batch_run *made, const uint8_t *delta, uint32_t delta_bytes,
	uint32_t alarms)
{
	struct outcome_header *header;
	struct outcome_record *records;
	uint8_t *at;

	begin_batch(made, 1);
	header = (struct outcome_header *)made->out;
	records = (struct outcome_record *)(header + 1);
	at = made->out + outcome_deltas_at(4);
	memset(records, 0, 4 * sizeof(*records));
	for (uint32_t i = 0; i < 3; i++)
		records[i] = (struct outcome_record){.verdict = VERDICT_FORWARD, .where = 1};
	records[1].delta_bytes = (uint16_t)delta_bytes;
	memset(at, 0, delta_bytes + 8);
	memcpy(at, delta, delta_bytes);
	at = made->out + (outcome_deltas_at(4) + delta_bytes + 7) / 8 * 8;
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC,
		.first_id = 1,
		.delta_bytes = delta_bytes,
		.extra_bytes = alarms * 168,
		.count = 4};
	for (uint32_t i = 0; i < alarms; i++) {
		*(struct outcome_extra *)at = (struct outcome_extra){EXTRA_ALARM, 1, 160};
		memset(at + 8, 'x', 160);
		at += 168;
	}
	header->bytes = (uint32_t)(at - made->out);
	assert_int_equal(outcome_open(&made->outcome, made->out, header->bytes), STATUS_OK);
}

static void test_an_outcome_that_no_replica_makes_diverges(void **state)
{
	uint8_t ours[16], foreign[16];
	uint32_t ours_bytes =
		(uint32_t)delta_put(ours, 16, DELTA_EDIT, 150, (const uint8_t *)"abcd", 4);
	uint32_t foreign_bytes =
		(uint32_t)delta_put(foreign, 16, DELTA_INSERT, 150, (const uint8_t *)"abcd", 4);
	const struct {
		const uint8_t *delta;
		uint32_t bytes, alarms;
		bool diverges;
	} rows[] = {
		{ours, ours_bytes, 5, false}, {foreign, foreign_bytes, 0, true},
		{ours, ours_bytes, 6, true}, /* over its room */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vnf_ops ops = plain_ops();
		struct replica *second = open_second(&ops);
		struct batch_run made, run;

		make_outcome(&made, rows[i].delta, rows[i].bytes, rows[i].alarms);
		put_three(&run);
		close_batch(&run);
		assert_true(outcome_fits(&made.outcome, &run.batch, 2));
		replica_begin(second, &run.batch, &made.outcome, run.out);
		replica_execute(second, &run.batch, 0, 4);
		assert_int_equal(second->diverged, rows[i].diverges);
		free_batch(&made);
		free_batch(&run);
		close_replica(second);
	}
}

/* A table whose entries expire; what expired is counted in another table of the same VNF. */
static bool open_expiring(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->tables[0] = (struct table_spec){.name = "leases",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 16,
		.scope = TABLE_SHARED};
	setup->tables[1] = setup->tables[0];
	setup->tables[1].name = "expired";
	setup->tables_count = 2;
	return true;
}

static void pre_shared(const void *self, struct vnf_packet *packet)
{
	(void)self;
	packet->wants_access = packet->shared = true;
}

static void access_lease(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	uint64_t *value = txn_insert(txn, 0, &packet->id);

	(void)self;
	assert_non_null(value);
	*value = packet->id * 10;
	txn_expire_at(txn, 0, &packet->id, packet->clock_ns + 3 * SECOND_NS);
}

static void expire_lease(const void *self, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	uint64_t *kept = txn_insert(txn, 1, key);

	(void)self;
	assert_int_equal(table, 0);
	assert_non_null(kept);
	*kept = *(const uint64_t *)value;
}

static void test_entries_expire_by_their_own_vnf(void **state)
{
	struct vnf_ops ops[2] = {plain_ops(), plain_ops()};
	struct replica *replica;
	struct batch_run run;

	(void)state;
	for (uint32_t v = 0; v < 2; v++) {
		ops[v].open = open_expiring;
		ops[v].pre = pre_shared;
		ops[v].access = access_lease;
	}
	ops[1].expire = expire_lease; /* the first has none */
	replica = open_replica(ops, 2, 1);
	begin_batch(&run, 1);
	(void)put_packet(&run, 60, SECOND_NS);
	(void)put_packet(&run, 60, 2 * SECOND_NS);
	put_tick(&run, 4 * SECOND_NS);
	run_batch(&run, replica, NULL);
	assert_int_equal(figure_of(replica, "plain/leases/entries"), 1);
	assert_int_equal(figure_of(replica, "plain/expired/entries"), 0);
	assert_int_equal(figure_of(replica, "plain.2/leases/entries"), 1);
	assert_int_equal(figure_of(replica, "plain.2/expired/entries"), 1);
	free_batch(&run);
	close_replica(replica);
}

/* Counters and variables go with the state: what one replica kept, another loads and counts on. */
static void post_counts(const void *self, struct vnf_packet *packet)
{
	(void)self;
	vnf_count(packet, 0);
	if (packet->record == 0)
		vnf_count(packet, 2);
	vnf_push(packet, 0, packet->id);
}

static void copy_state(struct replica *to, struct replica *from)
{
	static uint8_t bytes[FOLD_BYTES_MAX] __attribute__((aligned(8)));
	struct fold_header *header = (struct fold_header *)bytes;
	const struct fold_image *image;
	const uint8_t *key, *value;
	uint32_t images, offset = 0, used;
	bool sound;

	engine_pass_begin(&from->engine, true);
	used = engine_pass_copy(&from->engine, bytes + sizeof(*header),
		sizeof(bytes) - sizeof(*header), &images, &sound);
	assert_true(sound && engine_pass_left(&from->engine) == 0);
	*header = (struct fold_header){.magic = FOLD_MAGIC,
		.bytes = (uint32_t)sizeof(*header) + used,
		.images = images};
	while ((image = fold_image_next(header, &offset, &key, &value)) != NULL) {
		assert_int_equal(engine_load(&to->engine, image, key, value), STATUS_OK);
		images--;
	}
	assert_int_equal(images, 0);
}

static void test_counters_and_variables_go_with_the_state(void **state)
{
	static const char *const names[] = {"all", "none", "first"};
	struct vnf_ops ops = plain_ops();
	struct replica *from, *to;
	struct batch_run run;
	uint64_t value;

	(void)state;
	ops.open = open_as_wanted;
	ops.post = post_counts;
	ops.counters = names;
	ops.counters_count = 3;
	tables_wanted = 0;
	opens = true;
	list_wanted = 5;
	from = open_replica(&ops, 1, 1);
	to = open_replica(&ops, 1, 2);
	list_wanted = 0;
	for (uint64_t id = 1; id <= 5; id += 4) { /* kept twice */
		begin_batch(&run, id);
		for (uint32_t i = 0; i < 4; i++)
			(void)put_packet(&run, 60, 0);
		run_batch(&run, from, NULL);
		replica_keep_counters(from, id + 4);
		free_batch(&run);
	}
	copy_state(to, from);
	to->workers[0].counters[0][1] = 99; /* of its own, gone with what is loaded */
	to->workers[1].counters[0][0] = 99;
	replica_load_counters(to);
	assert_int_equal(figure_of(to, "plain/all"), 8);
	assert_int_equal(figure_of(to, "plain/none"), 0);
	assert_int_equal(figure_of(to, "plain/first"), 2);
	for (uint64_t id = 4; id <= 8; id++) {
		(void)variable_access(&to->vnfs[0].variables.list[0], PAD_POP, &value);
		assert_int_equal(value, id);
	}
	replica_load_counters(to);
	replica_keep_counters(to, 9);
	assert_true(engine_state_digest(&to->engine) == engine_state_digest(&from->engine));
	close_replica(from);
	close_replica(to);
}

#define KEPT_MAX 64

/* Base values of one table, as folds bring them, one after the other. */
struct kept {
	struct fold_image images[KEPT_MAX];
	uint64_t keys[KEPT_MAX], values[KEPT_MAX];
	uint32_t count;
};

static void fold_into(struct kept *kept, struct replica *from)
{
	uint8_t bytes[8192];
	uint32_t images;
	bool sound;

	engine_pass_begin(&from->engine, true);
	(void)engine_pass_copy(&from->engine, bytes, sizeof(bytes), &images, &sound);
	assert_true(engine_pass_left(&from->engine) == 0);
	for (const uint8_t *at = bytes; images > 0; images--) {
		struct fold_image image;
		uint64_t key;
		uint32_t i = 0;

		memcpy(&image, at, sizeof(image));
		memcpy(&key, at + sizeof(image), sizeof(key));
		while (i < kept->count &&
			(kept->keys[i] != key || kept->images[i].table != image.table))
			i++;
		assert_in_range(i, 0, KEPT_MAX - 1);
		kept->count += i == kept->count;
		kept->images[i] = image;
		kept->keys[i] = key;
		memcpy(&kept->values[i], at + sizeof(image) + sizeof(key), sizeof(uint64_t));
		at += fold_image_bytes(image.key_bytes, image.value_bytes);
	}
}

/* Of two replicas one folds, later the other one, which has never folded, with a shorter list. */
static void test_another_folds_on(void **state)
{
	static const char *const names[] = {"all", "none", "first"};
	struct vnf_ops ops = plain_ops();
	struct replica *replicas[3];
	struct kept kept = {0};
	struct batch_run run;
	uint64_t value;

	(void)state;
	ops.open = open_as_wanted;
	ops.post = post_counts;
	ops.counters = names;
	ops.counters_count = 3;
	tables_wanted = 0;
	opens = true;
	list_wanted = 5;
	for (uint32_t r = 0; r < 3; r++)
		replicas[r] = open_replica(&ops, 1, 1);
	list_wanted = 0;
	for (uint32_t r = 0; r < 2; r++) {
		begin_batch(&run, 1);
		for (uint32_t i = 0; i < 4; i++)
			(void)put_packet(&run, 60, 0);
		run_batch(&run, replicas[r], NULL);
		free_batch(&run);
	}
	replica_keep_counters(replicas[0], 5);
	fold_into(&kept, replicas[0]);
	(void)variable_access(&replicas[1]->vnfs[0].variables.list[0], PAD_POP, &value);
	(void)variable_access(&replicas[1]->vnfs[0].variables.list[0], PAD_POP, &value);
	replica_keep_counters(replicas[1], 5);
	fold_into(&kept, replicas[1]);
	for (uint32_t i = 0; i < kept.count; i++)
		if (kept.images[i].flags != IMAGE_TOMBSTONE)
			assert_int_equal(engine_load(&replicas[2]->engine, &kept.images[i],
						 (const uint8_t *)&kept.keys[i],
						 (const uint8_t *)&kept.values[i]),
				STATUS_OK);
	assert_true(engine_state_digest(&replicas[2]->engine) ==
		    engine_state_digest(&replicas[1]->engine));
	replica_load_counters(replicas[2]);
	assert_int_equal(replicas[2]->vnfs[0].variables.list[0].count, 2);
	for (uint64_t id = 3; id <= 4; id++) {
		(void)variable_access(&replicas[2]->vnfs[0].variables.list[0], PAD_POP, &value);
		assert_int_equal(value, id);
	}
	for (uint32_t r = 0; r < 3; r++)
		close_replica(replicas[r]);
}

static void show_many(const void *self, struct txn *txn, struct vnf_show *show)
{
	(void)self;
	(void)txn;
	for (uint32_t i = 0; i < FIGURES_MAX + 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		vnf_show(show, i % 2 == 0 ? "" : "odd", name, i);
	}
}

static void test_so_much_is_shown_and_no_more(void **state)
{
	struct vnf_ops ops[2] = {plain_ops(), plain_ops()};
	const struct figures *figures;
	struct replica *replica;

	(void)state;
	ops[0].show = show_many;
	replica = open_replica(ops, 2, 1);
	figures = figures_of(replica);
	assert_int_equal(figures->count, FIGURES_MAX);
	assert_string_equal(figures->list[0].name, "plain/0");
	assert_string_equal(figures->list[1].name, "plain/odd/1");
	assert_int_equal(figures->list[FIGURES_MAX - 1].value, FIGURES_MAX - 1);
	close_replica(replica);
	/* Of one worker without a choice, the engine shows just that. */
	replica = open_replica(NULL, 0, 1);
	assert_int_equal(figure_of(replica, "engine/workers"), 1);
	assert_int_equal(figures_of(replica)->count, 1);
	replica->access.decision.forced = 0;
	replica->access.decision.chosen[0] = 4;
	assert_int_equal(figure_of(replica, "engine/strategy/serial"), 4);
	figures = figures_of(replica);
	assert_true(figures->count > 1);
	assert_string_equal(figures->list[0].name, "engine/workers");
	close_replica(replica);
}

static uint32_t variables_count, list_capacity;

static bool open_listed(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->records = true;
	setup->variables[0] = (struct variable_spec){"list", list_capacity};
	setup->variables_count = variables_count;
	return true;
}

static enum status add_variables(uint32_t count, uint32_t capacity)
{
	struct replica *replica = open_replica(NULL, 0, 1);
	struct vnf_ops ops = plain_ops();
	enum status status;

	variables_count = count;
	list_capacity = capacity;
	ops.open = open_listed;
	status = add_vnf(replica, &ops);
	close_replica(replica);
	return status;
}

static void test_variables_that_are_not_valid_are_refused(void **state)
{
	(void)state;
	assert_int_equal(add_variables(1, VARIABLE_LIST_MAX), STATUS_OK);
	assert_int_equal(add_variables(1, VARIABLE_LIST_MAX + 1), STATUS_INVALID);
	assert_int_equal(add_variables(VARIABLES_MAX + 1, 0), STATUS_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stage_has_room_for_so_many_vnfs),
		cmocka_unit_test(test_a_vnf_that_does_not_fit_is_refused),
		cmocka_unit_test(test_variables_that_are_not_valid_are_refused),
		cmocka_unit_test(test_a_replica_records_if_one_of_its_vnfs_does),
		cmocka_unit_test(test_a_vnf_sees_packets_as_they_came),
		cmocka_unit_test(test_a_stage_goes_on_from_the_one_before),
		cmocka_unit_test(test_an_outcome_that_no_replica_makes_diverges),
		cmocka_unit_test(test_entries_expire_by_their_own_vnf),
		cmocka_unit_test(test_counters_and_variables_go_with_the_state),
		cmocka_unit_test(test_another_folds_on),
		cmocka_unit_test(test_so_much_is_shown_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
