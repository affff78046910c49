/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/digest.h"
#include "core/mutants.h"
#include "core/packet_id.h"
#include "txn/baseline.h"

/* Packets that pass all steps together: their views and scratch fit the first-level cache. */
#define CHUNK 32u
#define DELTAS_BYTES (BATCH_PACKETS_MAX * HEADER_VIEW_BYTES * 3 / 2 + EXTRAS_BYTES_MAX + 64)

static void on_expire(void *context, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	struct replica *replica = context;

	for (uint32_t i = 0; i < replica->vnfs_count; i++) {
		const struct vnf_host *vnf = &replica->vnfs[i];

		if (table < vnf->table_base || table >= vnf->table_base + vnf->table_count)
			continue;
		txn->table_base = (uint16_t)vnf->table_base;
		if (vnf->ops->expire != NULL)
			vnf->ops->expire(vnf->self, table - vnf->table_base, txn, key, value);
	}
}

static void on_prepare(void *caller, uint32_t slot, struct txn *txn)
{
	struct replica *replica = caller;
	const struct vnf_host *vnf = replica->vnf;

	txn->table_base = (uint16_t)vnf->table_base;
	vnf->ops->prepare(vnf->self, &replica->packets[slot], txn);
}

static void on_access(void *caller, uint32_t slot, struct txn *txn)
{
	struct replica *replica = caller;
	const struct vnf_host *vnf = replica->vnf;

	txn->table_base = (uint16_t)vnf->table_base;
	vnf->ops->access(vnf->self, &replica->packets[slot], txn);
}

static void save(struct replica *replica, uint32_t slot)
{
	const struct vnf_packet *packet = &replica->packets[slot];
	struct replica_saved *saved = &replica->saved[slot];

	memcpy(saved->scratch, packet->scratch, sizeof(saved->scratch));
	saved->output_port = packet->output_port;
	saved->counted = packet->counted;
	saved->dropped = packet->dropped;
	saved->drop_cause = packet->drop_cause;
}

static void on_restore(void *caller, uint32_t slot)
{
	struct replica *replica = caller;
	struct vnf_packet *packet = &replica->packets[slot];
	const struct replica_saved *saved = &replica->saved[slot];

	memcpy(packet->scratch, saved->scratch, sizeof(saved->scratch));
	packet->output_port = saved->output_port;
	packet->counted = saved->counted;
	packet->dropped = saved->dropped;
	packet->drop_cause = saved->drop_cause;
}

static void prefetch_entry(const struct vnf_packet *packet)
{
	if (packet->expects)
		table_prefetch_entry(packet->expected_table, packet->expected_shard,
			packet->expected_hash);
}

static void on_prefetch(void *caller, uint32_t slot, uint32_t depth)
{
	struct replica *replica = caller;
	const struct vnf_packet *packet = &replica->packets[slot];

	if (depth == 2) {
		prefetch_entry(packet);
	} else if (depth == 1) {
		if (packet->expects)
			table_prefetch_index(packet->expected_table, packet->expected_shard,
				packet->expected_hash);
		__builtin_prefetch(replica->headers[slot], 1);
	} else {
		for (uint32_t at = 0; at < sizeof(*packet); at += LINE_BYTES)
			__builtin_prefetch((const uint8_t *)packet + at, 1);
		__builtin_prefetch(&replica->access.txns[slot], 1);
	}
}

static const struct access_steps steps = {on_prepare, on_access, on_restore, on_prefetch};

static bool take_memory(struct replica *replica)
{
	bool taken = true;

	replica->packets = calloc(BATCH_PACKETS_MAX, sizeof(*replica->packets));
	replica->headers = calloc(BATCH_PACKETS_MAX + 1, sizeof(*replica->headers));
	replica->saved = calloc(BATCH_PACKETS_MAX, sizeof(*replica->saved));
	for (uint32_t w = 0; w < replica->engine.workers; w++) {
		struct replica_worker *worker = &replica->workers[w];

		worker->extras = malloc(EXTRAS_BYTES_MAX + DETERMINANTS_BYTES_MAX);
		worker->edits.bytes = malloc(EXTRAS_BYTES_MAX);
		worker->deltas = malloc(DELTAS_BYTES);
		taken &= worker->extras != NULL && worker->edits.bytes != NULL &&
			 worker->deltas != NULL;
	}
	return taken && replica->packets != NULL && replica->headers != NULL &&
	       replica->saved != NULL;
}

enum status replica_open(struct replica *replica, uint32_t stage, uint64_t seed, uint64_t hash_seed,
	bool tracks, uint32_t ports_count, uint32_t workers)
{
	memset(replica, 0, sizeof(*replica));
	engine_open(&replica->engine, hash_seed, tracks, workers, on_expire, replica);
	replica->seed = seed;
	replica->stage = stage;
	replica->ports_count = ports_count;
	if (!take_memory(replica))
		return STATUS_NO_MEMORY;
	return access_open(&replica->access, &replica->engine, &steps, replica);
}

void replica_close(struct replica *replica)
{
	for (uint32_t i = 0; i < replica->vnfs_count; i++) {
		replica->vnfs[i].ops->close(replica->vnfs[i].self);
		variables_close(&replica->vnfs[i].variables);
	}
	access_close(&replica->access);
	for (uint32_t w = 0; w < WORKERS_MAX; w++) {
		free(replica->workers[w].extras);
		free(replica->workers[w].edits.bytes);
		free(replica->workers[w].deltas);
	}
	engine_close(&replica->engine);
	free(replica->packets);
	free(replica->headers);
	free(replica->saved);
}

static void name_vnf(const struct replica *replica, struct vnf_host *vnf)
{
	uint32_t same = 1;

	for (uint32_t i = 0; i < vnf->number; i++)
		same += strcmp(replica->vnfs[i].ops->name, vnf->ops->name) == 0;
	snprintf(vnf->name, sizeof(vnf->name), same == 1 ? "%.48s" : "%.48s.%u", vnf->ops->name,
		same);
}

/* By a counter's number, its count. */
static const struct table_spec counters_table = {
	.name = "counters",
	.key_bytes = sizeof(uint64_t),
	.value_bytes = sizeof(uint64_t),
	.capacity = COUNTERS_PER_VNF,
	.scope = TABLE_SHARED,
	.writers = TABLE_MULTI_WRITER,
};

enum status replica_add_vnf(struct replica *replica, const struct vnf_ops *ops,
	struct vnf_setup *setup)
{
	struct vnf_host *vnf = &replica->vnfs[replica->vnfs_count];
	struct table_spec tables[TABLES_MAX];
	enum status status;

	if (replica->vnfs_count == VNFS_MAX)
		return STATUS_FULL;
	if (ops->abi != VNF_ABI)
		return STATUS_VERSION;
	if (ops->drop_causes_count > DROP_CAUSE_ASIDE || ops->counters_count > COUNTERS_PER_VNF)
		return STATUS_INVALID;
	memset(tables, 0, sizeof(tables));
	setup->tables = tables;
	setup->tables_max = TABLES_MAX - 2; /* and two for its counters and variables */
	setup->tables_count = setup->variables_count = 0;
	setup->records = false;
	setup->seed = replica->seed;
	*vnf = (struct vnf_host){
		.replica = replica,
		.number = replica->vnfs_count,
		.ops = ops,
		.table_base = replica->engine.tables_count,
	};
	name_vnf(replica, vnf);
	if (!ops->open(setup, &vnf->self))
		return STATUS_INVALID;
	replica->vnfs_count++;
	vnf->table_count = setup->tables_count;
	vnf->records = setup->records;
	status = variables_open(&vnf->variables, setup->variables, setup->variables_count);
	if (status == STATUS_INVALID)
		snprintf(setup->error, setup->error_bytes,
			"variables: at most %d, lists of at most %d", VARIABLES_MAX,
			VARIABLE_LIST_MAX);
	if (status != STATUS_OK)
		return status;
	tables[setup->tables_count++] = counters_table;
	if (setup->variables_count > 0)
		tables[setup->tables_count++] = variables_table(&vnf->variables);
	for (uint32_t i = 0; i < setup->tables_count; i++) {
		status = engine_add_table(&replica->engine, &tables[i], vnf->self);
		if (status != STATUS_OK) {
			snprintf(setup->error, setup->error_bytes, "table %s: %s", tables[i].name,
				status_text(status));
			return status;
		}
	}
	return STATUS_OK;
}

enum status replica_ready(struct replica *replica)
{
	return engine_ready(&replica->engine);
}

bool replica_records(const struct replica *replica)
{
	for (uint32_t i = 0; i < replica->vnfs_count; i++)
		if (replica->vnfs[i].records)
			return true;
	return false;
}

/* Emitted packets and alarms of the stages before go along; their determinants are their own. */
static void take_extras(struct replica *replica, const struct outcome_view *before)
{
	struct replica_worker *worker = &replica->workers[0];
	const struct outcome_extra *extra;
	uint32_t offset = 0;

	while ((extra = outcome_extra_next(before, &offset)) != NULL) {
		uint32_t bytes = (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);

		if (extra->type == EXTRA_DETERMINANT)
			continue;
		if (bytes > replica->room[extra->record]) {
			replica->diverged = 1;
			return;
		}
		replica->room[extra->record] -= bytes;
		memcpy(worker->extras + worker->extras_used, extra, bytes);
		worker->extras_used += bytes;
	}
}

/* Where in the leader's outcome each record's extras begin. */
static void index_leader(struct replica *replica)
{
	const struct outcome_extra *extra;
	uint32_t offset = 0, at = 0, last = UINT32_MAX;

	for (uint32_t i = 0; i < BATCH_PACKETS_MAX; i++)
		replica->leader_extras[i] = replica->leader.header->extra_bytes;
	while ((extra = outcome_extra_next(&replica->leader, &offset)) != NULL) {
		if (extra->record != last)
			replica->leader_extras[extra->record] = at;
		last = extra->record;
		at = offset;
	}
}

static void take_before(struct replica *replica, const struct outcome_view *before)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < before->header->count; i++) {
		replica->before_delta[i] = at;
		at += before->records[i].delta_bytes;
	}
	take_extras(replica, before);
}

void replica_begin(struct replica *replica, const struct batch_view *batch,
	const struct outcome_view *before, void *out)
{
	replica->out = out;
	replica->delta = out == NULL ? NULL
				     : replica->out + outcome_deltas_at(batch->header->count);
	replica->batch = batch;
	replica->before = before;
	engine_batch_zero(&replica->engine);
	for (uint32_t w = 0; w < replica->engine.workers; w++) {
		struct replica_worker *worker = &replica->workers[w];

		worker->extras_used = worker->edits.used = worker->edits.count = 0;
		worker->digest = 0;
	}
	memset(replica->emits, 0, sizeof(replica->emits));
	memset(replica->determinant_bytes, 0, sizeof(replica->determinant_bytes));
	for (uint32_t i = 0; i < batch->header->count; i++)
		replica->room[i] = batch->records[i]->length + PACKET_ROOM_BYTES;
	if (before != NULL)
		take_before(replica, before);
	if (replica->determinants == DETERMINANT_REPLAY && replica->leader.header != NULL)
		index_leader(replica);
}

/* Bump-in-the-wire: ports are paired 0-1, 2-3, ...; a single port sends back. */
static uint16_t port_across(const struct replica *replica, uint16_t port)
{
	return (port ^ 1) < replica->ports_count ? port ^ 1 : port;
}

/* The packet as the stages before have left it. */
static void load_before(struct replica *replica, struct replica_worker *worker,
	struct vnf_packet *packet)
{
	const struct outcome_record *record = &replica->before->records[packet->record];

	if (outcome_verdict(record) == VERDICT_DROP)
		packet->dropped = true;
	if (outcome_verdict(record) != VERDICT_FORWARD)
		return;
	packet->output_port = record->where;
	if (!edits_load(&worker->edits, packet, &replica->room[packet->record],
		    replica->before->deltas + replica->before_delta[packet->record],
		    record->delta_bytes))
		atomic_write_relaxed(&replica->diverged, 1u);
}

/* What replicas crashed on, every replica drops alike. */
static bool is_aside(const struct replica *replica, uint64_t id)
{
	for (uint64_t i = 0; i < replica->asides_count; i++)
		if (replica->asides[i] == packet_id_sequence(id))
			return true;
	return false;
}

static void load_packet(struct replica *replica, uint32_t number, uint32_t i)
{
	struct replica_worker *worker = &replica->workers[number];
	const struct batch_view *batch = replica->batch;
	const struct batch_record *record = batch->records[i];
	struct vnf_packet *packet = &replica->packets[i];
	uint32_t length = record->length;

	packet->arrival = batch_frame(record);
	packet->current = replica->headers[i];
	packet->header_bytes = length < HEADER_VIEW_BYTES ? (uint16_t)length : HEADER_VIEW_BYTES;
	packet->port = record->port;
	packet->output_port = port_across(replica, record->port);
	packet->length = length;
	packet->wire_length = record->wire_length;
	packet->id = batch->header->first_id + i;
	packet->clock_ns = record->clock_ns;
	packet->vlan_tci = record->flags & RECORD_VLAN_STRIPPED ? record->vlan_tci : 0;
	packet->cksum_bad = (record->flags & (RECORD_IP_CKSUM_BAD | RECORD_L4_CKSUM_BAD)) != 0;
	packet->dropped = record->kind != RECORD_PACKET;
	packet->record = (uint16_t)i;
	packet->worker = (uint8_t)number;
	packet->host = NULL;
	edits_forget(&worker->edits, i);
	copy_frame(packet->current, packet->arrival, packet->header_bytes);
	packet->drop_cause = 0;
	if (replica->before != NULL && record->kind == RECORD_PACKET)
		load_before(replica, worker, packet);
	if (replica->asides_count > 0 && !packet->dropped && is_aside(replica, packet->id)) {
		packet->dropped = true;
		packet->drop_cause = DROP_CAUSE_ASIDE;
	}
}

/* The packet phase's first part: what the packet's transaction is. */
static void pre_packet(struct replica *replica, struct vnf_host *vnf, struct vnf_packet *packet)
{
	struct access_txn *txn = &replica->access.txns[packet->record];
	struct replica_worker *worker = &replica->workers[packet->worker];

	txn->id = packet->id;
	txn->now_ns = packet->clock_ns;
	txn->context = packet->scratch;
	txn->operations_count = 0;
	packet->host = vnf;
	packet->home = VNF_HOME_NONE;
	packet->wants_access = packet->prepares = packet->shared = packet->expects = false;
	packet->aborted = false;
	packet->counted = packet->locked = 0;
	memset(packet->scratch, 0, sizeof(packet->scratch));
	worker->declared_count = 0;
	vnf->ops->pre(vnf->self, packet);
	packet->prepares &= vnf->ops->prepare != NULL;
	for (uint32_t i = 0; !packet->dropped && i < worker->declared_count; i++)
		access_operate(&replica->access, packet->worker, packet->record,
			&worker->declared[i], vnf->table_base);
}

/* Says what the packet's transaction is; false: it has none. */
static bool describe(struct replica *replica, struct vnf_packet *packet)
{
	struct access_txn *txn = &replica->access.txns[packet->record];

	txn->home = packet->home;
	txn->prepares = packet->prepares && !packet->dropped;
	txn->flows = packet->wants_access && !packet->dropped;
	txn->alone = packet->shared;
	txn->aborted = false;
	return txn->flows || txn->prepares || txn->operations_count > 0;
}

/* A packet's transaction, in its turn. Most are of flow state alone. */
static void access_packet(struct replica *replica, struct vnf_host *vnf, struct vnf_packet *packet)
{
	struct txn *txn = &replica->txn;

	if (packet->prepares || replica->access.txns[packet->record].operations_count > 0) {
		if (describe(replica, packet)) {
			access_one(&replica->access, packet->record);
			packet->aborted = replica->access.txns[packet->record].aborted;
		}
		return;
	}
	if (packet->dropped || !packet->wants_access)
		return;
	txn_begin(txn, &replica->engine, packet->id, packet->clock_ns, packet->home);
	if (packet->shared)
		txn->reach = TXN_ALL;
	txn->table_base = (uint16_t)vnf->table_base;
	vnf->ops->access(vnf->self, packet, txn);
	packet->aborted = !txn_end(txn);
}

/* The packet phase's last part; what it counted counts. */
static void post_packet(struct replica *replica, struct vnf_host *vnf, struct vnf_packet *packet)
{
	uint64_t *counters = replica->workers[packet->worker].counters[vnf->number];

	if (!packet->dropped)
		vnf->ops->post(vnf->self, packet);
	for (uint32_t counted = packet->counted; counted != 0; counted &= counted - 1)
		counters[__builtin_ctz(counted)]++;
}

/* By one worker: a chunk of packets through one VNF. */
static void run_chunk(struct replica *replica, struct vnf_host *vnf, uint32_t from, uint32_t to)
{
	struct vnf_packet *packets = replica->packets;

	access_begin_one(&replica->access);
	replica->vnf = vnf;
	for (uint32_t i = from; i < to; i++) {
		if (packets[i].dropped)
			continue;
		pre_packet(replica, vnf, &packets[i]);
		if (replica->access.txns[i].operations_count > 0)
			save(replica, i);
	}
	/* Those that came dropped have another host. */
	for (uint32_t i = from; i < to; i++)
		if (packets[i].host == vnf)
			prefetch_entry(&packets[i]);
	for (uint32_t i = from; i < to; i++)
		if (packets[i].host == vnf)
			access_packet(replica, vnf, &packets[i]);
	for (uint32_t i = from; i < to; i++)
		if (packets[i].host == vnf)
			post_packet(replica, vnf, &packets[i]);
}

static void put_record(struct replica *replica, uint32_t i, uint8_t *delta)
{
	const struct vnf_packet *packet = &replica->packets[i];
	const struct batch_record *record = replica->batch->records[i];
	struct replica_worker *worker = &replica->workers[packet->worker];
	struct outcome_record *out = (struct outcome_record *)(replica->out + outcome_deltas_at(i));

	*out = (struct outcome_record){0};
	if (record->kind != RECORD_PACKET)
		return;
	if (packet->dropped && packet->host == NULL && packet->drop_cause == DROP_CAUSE_ASIDE) {
		out->verdict = (uint8_t)(VERDICT_DROP | replica->stage << VERDICT_STAGE_SHIFT);
		out->where = DROP_CAUSE_ASIDE;
	} else if (packet->dropped && packet->host == NULL) {
		*out = replica->before->records[i];
	} else if (packet->dropped) {
		out->verdict = (uint8_t)(VERDICT_DROP | replica->stage << VERDICT_STAGE_SHIFT);
		out->where = (uint8_t)(packet->host->number << 5 | packet->drop_cause);
	} else {
		out->verdict = VERDICT_FORWARD;
		out->where = (uint8_t)packet->output_port;
		out->delta_bytes = (uint16_t)edits_delta(&worker->edits, packet, delta);
	}
	if (replica->engine.tracks)
		worker->digest += digest_of_short(delta, out->delta_bytes,
			digest_mix(packet->id) + (uint64_t)(out->verdict << 8 | out->where));
}

static uint32_t delta_bytes(const struct replica *replica, uint32_t i)
{
	return ((const struct outcome_record *)(replica->out + outcome_deltas_at(i)))->delta_bytes;
}

static void execute_chunk(struct replica *replica, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		load_packet(replica, 0, i);
	for (uint32_t v = 0; v < replica->vnfs_count; v++)
		run_chunk(replica, &replica->vnfs[v], from, to);
	for (uint32_t i = from; i < to && replica->out != NULL; i++) {
		put_record(replica, i, replica->delta);
		replica->delta += delta_bytes(replica, i);
	}
}

/* A worker's slice of the packets in work. */
static uint32_t slice(const struct replica *replica, uint32_t worker)
{
	return replica->from + (replica->to - replica->from) * worker / replica->engine.workers;
}

static bool is_last(const struct replica *replica)
{
	return replica->vnf == &replica->vnfs[replica->vnfs_count - 1];
}

/*
 * Who finishes a packet: whoever has its flow state, and so the packet, in its caches. One that has
 * edits or extras already stays with its worker, who keeps them in order.
 */
static uint8_t owner_of(const struct replica *replica, const struct vnf_packet *packet)
{
	const struct access_txn *txn = &replica->access.txns[packet->record];
	uint32_t untouched = replica->batch->records[packet->record]->length + PACKET_ROOM_BYTES;

	if (!is_last(replica) || !txn->flows || txn->alone || txn->home == HOME_NONE ||
		replica->room[packet->record] != untouched ||
		replica->determinant_bytes[packet->record] != 0)
		return packet->worker;
	return (uint8_t)(txn->home % replica->engine.workers);
}

static void take_over(struct replica *replica, struct vnf_packet *packet, uint32_t worker)
{
	if (packet->worker == worker)
		return;
	packet->worker = (uint8_t)worker;
	edits_forget(&replica->workers[worker].edits, packet->record);
}

static bool pre_work(void *context, uint32_t worker)
{
	struct replica *replica = context;
	uint32_t from = slice(replica, worker), to = slice(replica, worker + 1);

	(void)PROBE(PROBE_USEFUL);
	for (uint32_t i = from; i < to; i++) {
		struct vnf_packet *packet = &replica->packets[i];

		if (replica->vnf == replica->vnfs)
			load_packet(replica, worker, i);
		if (packet->dropped) {
			replica->access.txns[i] = (struct access_txn){0};
			replica->owners[i] = packet->worker;
			continue;
		}
		pre_packet(replica, replica->vnf, packet);
		if (describe(replica, packet)) {
			save(replica, i);
			access_declare(&replica->access, worker, i);
		}
		replica->owners[i] = owner_of(replica, packet);
	}
	(void)PROBE(PROBE_OTHERS);
	return true;
}

static bool post_work(void *context, uint32_t number)
{
	struct replica *replica = context;
	struct replica_worker *worker = &replica->workers[number];
	bool last = is_last(replica);

	(void)PROBE(PROBE_USEFUL);
	worker->deltas_used = 0;
	for (uint32_t i = replica->from; i < replica->to; i++) {
		struct vnf_packet *packet = &replica->packets[i];

		if (replica->owners[i] != number)
			continue;
		take_over(replica, packet, number);

		/* Not what came dropped from the VNF or the stage before. */
		if (packet->host == replica->vnf) {
			packet->aborted = replica->access.txns[i].aborted;
			post_packet(replica, replica->vnf, packet);
		}
		if (!last || replica->out == NULL)
			continue;
		replica->delta_at[i] = worker->deltas_used;
		put_record(replica, i, worker->deltas + worker->deltas_used);
		worker->deltas_used += delta_bytes(replica, i);
	}
	(void)PROBE(PROBE_OTHERS);
	return true;
}

/* By the whole team. */
static void execute_together(struct replica *replica, uint32_t from, uint32_t to, uint32_t strategy)
{
	struct team *team = replica->team;

	replica->from = from;
	replica->to = to;
	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		replica->vnf = &replica->vnfs[v];
		access_begin(&replica->access, from, to, strategy);
		team->run(team, pre_work, replica);
		access_run(&replica->access, team);
		team->run(team, post_work, replica);
	}
	for (uint32_t i = from; i < to && replica->out != NULL; i++) {
		const struct replica_worker *worker = &replica->workers[replica->owners[i]];
		uint32_t bytes = delta_bytes(replica, i);

		memcpy(replica->delta, worker->deltas + replica->delta_at[i], bytes);
		replica->delta += bytes;
	}
}

static uint64_t now_ns(const struct replica *replica)
{
	return replica->access.clock_ns == NULL ? 0 : replica->access.clock_ns();
}

/* Records in one timer quantum: no timer can fire, old or new, so phases may run apart. */
static void execute_quantum(struct replica *replica, uint32_t from, uint32_t to)
{
	struct decision *decision = &replica->access.decision;
	uint32_t pick = replica->team == NULL || replica->careful != NULL
				? PICK_ALONE
				: decision_pick(decision, to - from);
	uint32_t chunk = replica->careful != NULL ? 1 : CHUNK;
	uint64_t began_ns = replica->engine.workers > 1 ? now_ns(replica) : 0;

	engine_advance(&replica->engine, replica->batch->records[from]->clock_ns,
		replica->batch->header->first_id + from);
	if (pick != PICK_ALONE)
		execute_together(replica, from, to, pick - 1);
	for (uint32_t at = from; at < to && pick == PICK_ALONE; at += chunk) {
		counter_add(replica->engine.progress, 1);
		if (replica->careful != NULL)
			atomic_write_release(replica->careful,
				replica->batch->header->first_id + at);
		(void)PROBE(PROBE_USEFUL);
		execute_chunk(replica, at, to - at < chunk ? to : at + chunk);
	}
	if (replica->careful != NULL)
		atomic_write_release(replica->careful, 0ull);
	(void)PROBE(PROBE_OTHERS);
	if (replica->engine.workers > 1)
		decision_learn(decision, to - from, now_ns(replica) - began_ns);
}

void replica_execute(struct replica *replica, const struct batch_view *batch, uint32_t from,
	uint32_t to)
{
	while (from < to) {
		uint64_t clock_ns = batch->records[from]->clock_ns;
		uint32_t end = from + 1;

		while (end < to &&
			(MUTANT(CUT_IN_RESULT) ||
				!engine_crosses_quantum(clock_ns, batch->records[end]->clock_ns)))
			end++;
		counter_add(replica->engine.progress, 1);
		execute_quantum(replica, from, end);
		from = end;
	}
}

/* The batch's extras by record; those of one record in the order in which they came. */
static uint32_t put_extras(struct replica *replica, uint8_t *out)
{
	uint16_t first[BATCH_PACKETS_MAX] = {0}, last[BATCH_PACKETS_MAX];
	uint8_t *begin = out;
	uint32_t places = 0;

	for (uint32_t w = 0; w < replica->engine.workers; w++) {
		const struct replica_worker *worker = &replica->workers[w];

		for (uint32_t at = 0; at < worker->extras_used;) {
			const struct outcome_extra *extra =
				(const struct outcome_extra *)(worker->extras + at);
			uint16_t record = extra->record;

			replica->places[places++] = (struct extra_place){worker->extras + at, 0};
			if (first[record] == 0)
				first[record] = (uint16_t)places;
			else
				replica->places[last[record] - 1].next = (uint16_t)places;
			last[record] = (uint16_t)places;
			at += (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
		}
	}
	for (uint32_t i = 0; i < replica->batch->header->count && places > 0; i++)
		for (uint32_t p = first[i]; p != 0; p = replica->places[p - 1].next) {
			const struct outcome_extra *extra =
				(const struct outcome_extra *)replica->places[p - 1].at;
			uint32_t bytes = (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);

			memcpy(out, extra, bytes);
			out += bytes;
		}
	return (uint32_t)(out - begin);
}

uint32_t replica_end(struct replica *replica, const struct batch_view *batch)
{
	struct outcome_header *header = (struct outcome_header *)replica->out;
	uint32_t count = batch->header->count;
	uint8_t *deltas = replica->out + outcome_deltas_at(count);
	uint8_t *extras = replica->out + ALIGN_UP((uint32_t)(replica->delta - replica->out), 8u);
	uint64_t digest = engine_batch_digest(&replica->engine);
	uint32_t extra_bytes;

	for (uint32_t v = 0; v < replica->vnfs_count; v++)
		if (replica->vnfs[v].variables.told_count > 0)
			variables_settle(&replica->vnfs[v].variables);
	memset(replica->delta, 0, (size_t)(extras - replica->delta));
	extra_bytes = put_extras(replica, extras);
	for (uint32_t w = 0; w < replica->engine.workers; w++)
		digest += replica->workers[w].digest;
	if (extra_bytes > 0 && replica->engine.tracks)
		digest += digest_of(extras, extra_bytes, batch->header->first_id);
	*header = (struct outcome_header){
		.magic = OUTCOME_MAGIC,
		.batch_no = batch->header->batch_no,
		.first_id = batch->header->first_id,
		.digest = replica->engine.tracks ? digest : 0,
		.bytes = (uint32_t)(extras - replica->out) + extra_bytes,
		.delta_bytes = (uint32_t)(replica->delta - deltas),
		.extra_bytes = extra_bytes,
		.count = (uint16_t)count,
		.aborted = (uint16_t)engine_batch_aborted(&replica->engine),
	};
	return header->bytes;
}
