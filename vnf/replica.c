/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/delta.h"
#include "core/digest.h"

/* Packets that pass all steps together: their views and scratch fit the first-level cache. */
#define CHUNK 32u

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

enum status replica_open(struct replica *replica, uint32_t stage, uint64_t seed, uint64_t hash_seed,
	bool tracks, uint32_t ports_count)
{
	memset(replica, 0, sizeof(*replica));
	engine_open(&replica->engine, hash_seed, tracks, on_expire, replica);
	replica->seed = seed;
	replica->stage = stage;
	replica->ports_count = ports_count;
	replica->packets = calloc(BATCH_PACKETS_MAX, sizeof(*replica->packets));
	replica->headers = calloc(BATCH_PACKETS_MAX + 1, sizeof(*replica->headers));
	replica->extras.bytes = malloc(EXTRAS_ROOM_BYTES);
	replica->edit_bytes.bytes = malloc(EDITS_BYTES_MAX);
	if (replica->packets == NULL || replica->headers == NULL || replica->extras.bytes == NULL ||
		replica->edit_bytes.bytes == NULL)
		return STATUS_NO_MEMORY;
	return STATUS_OK;
}

void replica_close(struct replica *replica)
{
	for (uint32_t i = 0; i < replica->vnfs_count; i++)
		replica->vnfs[i].ops->close(replica->vnfs[i].self);
	engine_close(&replica->engine);
	free(replica->packets);
	free(replica->headers);
	free(replica->extras.bytes);
	free(replica->edit_bytes.bytes);
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

	if (replica->vnfs_count == VNFS_MAX)
		return STATUS_FULL;
	if (ops->abi != VNF_ABI)
		return STATUS_VERSION;
	if (ops->drop_causes_count > DROP_CAUSES_MAX || ops->counters_count > COUNTERS_PER_VNF)
		return STATUS_INVALID;
	memset(tables, 0, sizeof(tables));
	setup->tables = tables;
	setup->tables_max = TABLES_MAX - 1; /* and one for its counters */
	setup->tables_count = 0;
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
	tables[setup->tables_count++] = counters_table;
	for (uint32_t i = 0; i < setup->tables_count; i++) {
		enum status status = engine_add_table(&replica->engine, &tables[i], vnf->self);

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

/* Emitted packets and alarms of the stages before go along; their determinants are their own. */
static void take_extras(struct replica *replica, const struct outcome_view *before)
{
	const struct outcome_extra *extra;
	uint32_t offset = 0;

	while ((extra = outcome_extra_next(before, &offset)) != NULL) {
		uint32_t bytes = (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);

		if (extra->type == EXTRA_DETERMINANT)
			continue;
		BUG_ON(replica->extras.used + bytes > EXTRAS_BYTES_MAX);
		memcpy(replica->extras.bytes + replica->extras.used, extra, bytes);
		replica->extras.used += bytes;
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

void replica_begin(struct replica *replica, const struct batch_view *batch,
	const struct outcome_view *before, void *out)
{
	replica->out = out;
	replica->delta = out == NULL ? NULL
				     : replica->out + outcome_deltas_at(batch->header->count);
	replica->extras.used = 0;
	replica->edit_bytes.used = 0;
	replica->edits_count = 0;
	replica->edits_left = EDITS_MAX - (before == NULL ? 0 : before->header->edits);
	replica->edit_bytes_left =
		EDITS_BYTES_MAX - (before == NULL ? 0 : before->header->edit_bytes);
	replica->determinant_bytes = 0;
	replica->before = before;
	replica->engine.batch_digest = 0;
	replica->engine.batch_aborted = 0;
	memset(replica->emits, 0, sizeof(replica->emits));
	if (before != NULL) {
		replica->before_delta = before->deltas;
		take_extras(replica, before);
	}
	if (replica->determinants == DETERMINANT_REPLAY && replica->leader.header != NULL)
		index_leader(replica);
}

/* Bump-in-the-wire: ports are paired 0-1, 2-3, ...; a single port sends back. */
static uint16_t port_across(const struct replica *replica, uint16_t port)
{
	return (port ^ 1) < replica->ports_count ? port ^ 1 : port;
}

static bool add_edit(struct replica *replica, uint32_t record, enum delta_operation operation,
	uint16_t offset, const void *bytes, uint16_t bytes_count)
{
	struct replica_extras *room = &replica->edit_bytes;
	uint16_t *last = &replica->edits_last[record];
	size_t put;

	if (replica->edits_count == EDITS_MAX || replica->record_edit_bytes[record] + bytes_count >
							 DELTA_BYTES_MAX - 2 * HEADER_VIEW_BYTES)
		return false;
	put = delta_put(room->bytes + room->used, EDITS_BYTES_MAX - room->used, operation, offset,
		bytes, bytes_count);
	if (put == 0)
		return false;
	replica->record_edit_bytes[record] += (uint32_t)put;
	replica->edits[replica->edits_count++] = (struct replica_edit){
		.bytes = (uint16_t)put,
		.at = room->used,
	};
	room->used += (uint32_t)put;
	if (*last == 0)
		replica->edits_first[record] = (uint16_t)replica->edits_count;
	else
		replica->edits[*last - 1].next = (uint16_t)replica->edits_count;
	*last = (uint16_t)replica->edits_count;
	return true;
}

/* The view holds the packet's first bytes as long as no resize has cut them. */
static bool resize(struct replica *replica, struct vnf_packet *packet, uint16_t length)
{
	if (!add_edit(replica, packet->record, DELTA_RESIZE, length, NULL, 0))
		return false;
	packet->length = length;
	if (packet->header_bytes > length)
		packet->header_bytes = length;
	return true;
}

/* What is in view is changed there, the rest is an edit of its own. */
static bool edit(struct replica *replica, struct vnf_packet *packet, uint16_t offset,
	const uint8_t *bytes, uint16_t bytes_count)
{
	uint16_t in_view = 0;

	if (offset < packet->header_bytes) {
		in_view = packet->header_bytes - offset;
		if (in_view > bytes_count)
			in_view = bytes_count;
	}
	if (in_view < bytes_count &&
		!add_edit(replica, packet->record, DELTA_EDIT, offset + in_view, bytes + in_view,
			bytes_count - in_view))
		return false;
	if (in_view > 0)
		memcpy(packet->current + offset, bytes, in_view);
	return true;
}

/* The packet as the stages before have left it. */
static void load_before(struct replica *replica, struct vnf_packet *packet)
{
	const struct outcome_record *record = &replica->before->records[packet->record];
	const uint8_t *at = replica->before_delta, *end = at + record->delta_bytes;
	bool fits = true;

	replica->before_delta = end;
	if (outcome_verdict(record) == VERDICT_DROP)
		packet->dropped = true;
	if (outcome_verdict(record) != VERDICT_FORWARD)
		return;
	packet->output_port = record->where;
	while (at < end && fits) {
		struct delta_step step;

		fits = delta_next(&step, &at, end) == STATUS_OK;
		if (fits && step.operation == DELTA_EDIT)
			fits = edit(replica, packet, step.offset, step.bytes, step.length);
		else if (fits) /* no call of a VNF inserts or removes */
			fits = step.operation == DELTA_RESIZE &&
			       resize(replica, packet, step.offset);
	}
	replica->diverged |= !fits;
}

static void load_packet(struct replica *replica, const struct batch_view *batch, uint32_t i)
{
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
	packet->host = NULL;
	replica->edits_first[i] = replica->edits_last[i] = 0;
	replica->record_edit_bytes[i] = 0;
	copy_frame(packet->current, packet->arrival, packet->header_bytes);
	if (replica->before != NULL && record->kind == RECORD_PACKET)
		load_before(replica, packet);
}

static void run_vnf(struct replica *replica, struct vnf_host *vnf, uint32_t from, uint32_t to)
{
	const struct vnf_ops *ops = vnf->ops;
	struct vnf_packet *packets = replica->packets;

	for (uint32_t i = from; i < to; i++) {
		if (packets[i].dropped)
			continue;
		packets[i].host = vnf;
		packets[i].home = VNF_HOME_NONE;
		packets[i].wants_access = false;
		packets[i].shared = false;
		packets[i].expects = false;
		memset(packets[i].scratch, 0, sizeof(packets[i].scratch));
		ops->pre(vnf->self, &packets[i]);
	}
	for (uint32_t i = from; i < to; i++)
		if (!packets[i].dropped && packets[i].expects)
			table_prefetch_entry(packets[i].expected_table, packets[i].expected_hash);
	for (uint32_t i = from; i < to; i++) {
		if (packets[i].dropped || !packets[i].wants_access)
			continue;
		txn_begin(&replica->txn, &replica->engine, packets[i].id, packets[i].clock_ns,
			packets[i].home);
		replica->txn.shared |= packets[i].shared;
		replica->txn.table_base = (uint16_t)vnf->table_base;
		ops->access(vnf->self, &packets[i], &replica->txn);
		(void)txn_end(&replica->txn);
	}
	for (uint32_t i = from; i < to; i++)
		if (!packets[i].dropped)
			ops->post(vnf->self, &packets[i]);
}

/* The packet's delta: what changed in view, then edits beyond it in the order they were made. */
static uint32_t put_delta(const struct replica *replica, uint32_t i, uint8_t *out)
{
	const struct vnf_packet *packet = &replica->packets[i];
	uint32_t bytes =
		(uint32_t)delta_diff(out, packet->arrival, packet->current, packet->header_bytes);

	for (uint32_t e = replica->edits_first[i]; e != 0; e = replica->edits[e - 1].next) {
		const struct replica_edit *edit = &replica->edits[e - 1];

		memcpy(out + bytes, replica->edit_bytes.bytes + edit->at, edit->bytes);
		bytes += edit->bytes;
	}
	return bytes;
}

static void put_record(struct replica *replica, const struct batch_record *record, uint32_t i)
{
	const struct vnf_packet *packet = &replica->packets[i];
	struct outcome_record *out = (struct outcome_record *)(replica->out + outcome_deltas_at(i));

	*out = (struct outcome_record){0};
	if (record->kind != RECORD_PACKET)
		return;
	if (packet->dropped && packet->host == NULL) {
		*out = replica->before->records[i];
	} else if (packet->dropped) {
		out->verdict = (uint8_t)(VERDICT_DROP | replica->stage << VERDICT_STAGE_SHIFT);
		out->where = (uint8_t)(packet->host->number << 5 | packet->drop_cause);
	} else {
		out->verdict = VERDICT_FORWARD;
		out->where = (uint8_t)packet->output_port;
		out->delta_bytes = (uint16_t)put_delta(replica, i, replica->delta);
	}
	if (replica->engine.tracks)
		replica->engine.batch_digest += digest_of_short(replica->delta, out->delta_bytes,
			digest_mix(packet->id) + (uint64_t)(out->verdict << 8 | out->where));
	replica->delta += out->delta_bytes;
}

void replica_execute(struct replica *replica, const struct batch_view *batch, uint32_t from,
	uint32_t to)
{
	while (from < to) {
		uint64_t clock_ns = batch->records[from]->clock_ns;
		uint32_t end = from, most = to - from < CHUNK ? to : from + CHUNK;

		/*
		 * Within one timer quantum no timer can fire, old or new: the phases may run
		 * apart.
		 */
		while (end < most &&
			!engine_crosses_quantum(clock_ns, batch->records[end]->clock_ns))
			load_packet(replica, batch, end++);
		counter_add(replica->engine.progress, 1);
		engine_advance(&replica->engine, clock_ns, batch->header->first_id + from);
		for (uint32_t i = 0; i < replica->vnfs_count; i++)
			run_vnf(replica, &replica->vnfs[i], from, end);
		if (replica->out != NULL)
			for (uint32_t i = from; i < end; i++)
				put_record(replica, batch->records[i], i);
		from = end;
	}
}

/* The batch's extras by record; those of one record in the order in which they came. */
static void put_extras(struct replica *replica, uint8_t *out)
{
	uint32_t first[BATCH_PACKETS_MAX], last[BATCH_PACKETS_MAX], bytes;
	const uint8_t *extras = replica->extras.bytes;
	const struct outcome_extra *extra;

	memset(first, 0xff, sizeof(first));
	for (uint32_t at = 0; at < replica->extras.used; at += bytes) {
		extra = (const struct outcome_extra *)(extras + at);
		bytes = (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
		replica->extras_next[at / 8] = UINT32_MAX;
		if (first[extra->record] == UINT32_MAX)
			first[extra->record] = at;
		else
			replica->extras_next[last[extra->record] / 8] = at;
		last[extra->record] = at;
	}
	for (uint32_t i = 0; i < BATCH_PACKETS_MAX; i++)
		for (uint32_t at = first[i]; at != UINT32_MAX; at = replica->extras_next[at / 8]) {
			extra = (const struct outcome_extra *)(extras + at);
			bytes = (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
			memcpy(out, extra, bytes);
			out += bytes;
		}
}

uint32_t replica_end(struct replica *replica, const struct batch_view *batch)
{
	struct outcome_header *header = (struct outcome_header *)replica->out;
	uint32_t count = batch->header->count;
	uint8_t *deltas = replica->out + outcome_deltas_at(count);
	uint8_t *extras = replica->out + ALIGN_UP((uint32_t)(replica->delta - replica->out), 8u);

	memset(replica->delta, 0, (size_t)(extras - replica->delta));
	if (replica->extras.used > 0)
		put_extras(replica, extras);
	if (replica->engine.tracks && replica->extras.used > 0)
		replica->engine.batch_digest +=
			digest_of(extras, replica->extras.used, batch->header->first_id);
	*header = (struct outcome_header){
		.magic = OUTCOME_MAGIC,
		.batch_no = batch->header->batch_no,
		.first_id = batch->header->first_id,
		.digest = replica->engine.tracks ? replica->engine.batch_digest : 0,
		.bytes = (uint32_t)(extras - replica->out) + replica->extras.used,
		.delta_bytes = (uint32_t)(replica->delta - deltas),
		.extra_bytes = replica->extras.used,
		.count = (uint16_t)count,
		.aborted = (uint16_t)replica->engine.batch_aborted,
		.edits = replica->edits_count,
		.edit_bytes = replica->edit_bytes.used,
	};
	return header->bytes;
}

static void begin_apart(struct replica *replica, const struct vnf_host *vnf, uint64_t id)
{
	txn_begin(&replica->txn, &replica->engine, id, 0, HOME_NONE);
	replica->txn.table_base = (uint16_t)vnf->table_base;
}

void replica_keep_counters(struct replica *replica, uint64_t next_id)
{
	uint64_t batch_digest = replica->engine.batch_digest; /* replicas keep at other times */

	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		const struct vnf_host *vnf = &replica->vnfs[v];

		begin_apart(replica, vnf, next_id - 1);
		for (uint64_t i = 0; i < vnf->ops->counters_count; i++) {
			uint64_t *count;

			/*
			 * All of them each time: an entry's version is in the state's digest, and
			 * who folded before, when, is no part of the state.
			 */
			if (vnf->counters[i] == 0)
				continue;
			count = txn_modify(&replica->txn, vnf->table_count, &i);
			if (count == NULL)
				count = txn_insert(&replica->txn, vnf->table_count, &i);
			BUG_ON(count == NULL);
			*count = vnf->counters[i];
		}
		(void)txn_end(&replica->txn);
	}
	replica->engine.batch_digest = batch_digest;
}

void replica_load_counters(struct replica *replica)
{
	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		struct vnf_host *vnf = &replica->vnfs[v];

		begin_apart(replica, vnf, 0);
		for (uint64_t i = 0; i < vnf->ops->counters_count; i++) {
			const uint64_t *kept = txn_read(&replica->txn, vnf->table_count, &i);

			vnf->counters[i] = kept == NULL ? 0 : *kept;
		}
	}
}

struct vnf_show {
	struct figures *figures;
	uint32_t count;
	const char *vnf;
};

void vnf_show(struct vnf_show *show, const char *subject, const char *name, uint64_t value)
{
	struct figure *figure = &show->figures->list[show->count];
	char full[FIGURE_NAME_BYTES];

	if (show->count == FIGURES_MAX)
		return;
	snprintf(full, sizeof(full), "%s/%s%s%s", show->vnf, subject, subject[0] == 0 ? "" : "/",
		name);
	if (strcmp(full, figure->name) != 0)
		memcpy(figure->name, full, sizeof(full));
	atomic_write_relaxed(&figure->value, value);
	show->count++;
}

void replica_show(struct replica *replica, struct figures *figures)
{
	struct vnf_show show = {.figures = figures};

	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		const struct vnf_host *vnf = &replica->vnfs[v];

		show.vnf = vnf->name;
		for (uint32_t i = 0; i < vnf->ops->counters_count; i++)
			vnf_show(&show, "", vnf->ops->counters[i], vnf->counters[i]);
		for (uint32_t t = 0; t < vnf->table_count; t++)
			vnf_show(&show, replica->engine.tables[vnf->table_base + t].spec.name,
				"entries", replica->engine.tables[vnf->table_base + t].count);
		if (vnf->ops->show == NULL)
			continue;
		begin_apart(replica, vnf, 0);
		vnf->ops->show(vnf->self, &replica->txn, &show);
	}
	atomic_write_release(&figures->count, show.count);
}

void vnf_expect(struct vnf_packet *packet, uint32_t table, const void *key)
{
	const struct vnf_host *vnf = packet->host;

	BUG_ON(table >= vnf->table_count);
	packet->expected_table = &vnf->replica->engine.tables[vnf->table_base + table];
	packet->expected_hash = table_hash(packet->expected_table, key);
	packet->expects = true;
	table_prefetch_index(packet->expected_table, packet->expected_hash);
}

void vnf_drop(struct vnf_packet *packet, uint8_t cause)
{
	packet->dropped = true;
	packet->drop_cause = cause & (DROP_CAUSES_MAX - 1);
}

void vnf_count(struct vnf_packet *packet, uint32_t counter)
{
	if (counter < COUNTERS_PER_VNF)
		packet->host->counters[counter]++;
}

uint64_t vnf_random(const struct vnf_packet *packet, uint32_t draw)
{
	const struct replica *replica = packet->host->replica;
	uint64_t words[3] = {packet->id, replica->vnfs_before + packet->host->number, draw};

	return digest_of(words, sizeof(words), replica->seed);
}

/* Room for an extra's content, or NULL. */
static uint8_t *add_extra(struct vnf_packet *packet, enum extra_type type, uint32_t bytes)
{
	struct replica_extras *extras = &packet->host->replica->extras;
	uint32_t padded = ALIGN_UP(bytes, 8u);
	struct outcome_extra extra = {.type = type, .record = packet->record, .bytes = bytes};
	uint8_t *at = extras->bytes + extras->used;
	uint32_t *determinants = &packet->host->replica->determinant_bytes;

	/* What VNFs emit never takes the room of what they are told. */
	if (type == EXTRA_DETERMINANT) {
		if (*determinants + sizeof(extra) + padded > DETERMINANTS_BYTES_MAX)
			return NULL;
		*determinants += (uint32_t)sizeof(extra) + padded;
	} else if (extras->used - *determinants + sizeof(extra) + padded > EXTRAS_BYTES_MAX) {
		return NULL;
	}
	memcpy(at, &extra, sizeof(extra));
	memset(at + sizeof(extra), 0, padded);
	extras->used += (uint32_t)sizeof(extra) + padded;
	return at + sizeof(extra);
}

void vnf_alarm(struct vnf_packet *packet, const char *text)
{
	uint32_t bytes = (uint32_t)strnlen(text, ALARM_BYTES_MAX);
	uint8_t *at = add_extra(packet, EXTRA_ALARM, bytes);

	if (at != NULL)
		memcpy(at, text, bytes);
}

bool vnf_emit(struct vnf_packet *packet, uint16_t port, const void *frame, uint32_t frame_bytes)
{
	uint8_t *count = &packet->host->replica->emits[packet->record];
	uint8_t *at;

	if (*count == EMITS_PER_PACKET_MAX || port >= packet->host->replica->ports_count ||
		frame_bytes < FRAME_BYTES_MIN || frame_bytes > FRAME_BYTES_MAX)
		return false;
	at = add_extra(packet, EXTRA_EMIT, 8 + frame_bytes);
	if (at == NULL)
		return false;
	memcpy(at, &port, sizeof(port));
	memcpy(at + 8, frame, frame_bytes);
	(*count)++;
	return true;
}

/* Whether this stage may make one more edit beyond the view; takes it off what is left. */
static bool may_edit(struct replica *replica, uint32_t bytes)
{
	if (replica->edits_left == 0 || replica->edit_bytes_left < bytes)
		return false;
	replica->edits_left--;
	replica->edit_bytes_left -= bytes;
	return true;
}

bool vnf_edit(struct vnf_packet *packet, uint16_t offset, const void *bytes, uint16_t bytes_count)
{
	struct replica *replica = packet->host->replica;

	uint32_t end = (uint32_t)offset + bytes_count;

	return end <= packet->length &&
	       (end <= packet->header_bytes ||
		       may_edit(replica, DELTA_OPERATION_BYTES + bytes_count)) &&
	       edit(replica, packet, offset, bytes, bytes_count);
}

bool vnf_resize(struct vnf_packet *packet, uint16_t length)
{
	return length >= FRAME_BYTES_MIN &&
	       may_edit(packet->host->replica, DELTA_OPERATION_BYTES) &&
	       resize(packet->host->replica, packet, length);
}

/* Part of a range of bytes, where it overlaps [from, to): copied from bytes there, or zeroed. */
static void overlay(uint8_t *out, uint32_t offset, uint32_t count, uint32_t from, uint32_t to,
	const uint8_t *bytes)
{
	uint32_t begin = from > offset ? from : offset;
	uint32_t end = to < offset + count ? to : offset + count;

	if (begin >= end)
		return;
	if (bytes != NULL)
		memcpy(out + (begin - offset), bytes + (begin - from), end - begin);
	else
		memset(out + (begin - offset), 0, end - begin);
}

bool vnf_read(const struct vnf_packet *packet, uint32_t offset, void *bytes, uint32_t bytes_count)
{
	const struct replica *replica = packet->host->replica;
	const struct batch_record *record = (const struct batch_record *)packet->arrival - 1;
	uint32_t length = record->length;

	if (bytes_count > packet->length || offset > packet->length - bytes_count ||
		!packet->host->ops->reads_payload)
		return false;
	overlay(bytes, offset, bytes_count, 0, length, packet->arrival);
	for (uint32_t e = replica->edits_first[packet->record]; e != 0;
		e = replica->edits[e - 1].next) {
		const uint8_t *at = replica->edit_bytes.bytes + replica->edits[e - 1].at;
		struct delta_step step;

		BUG_ON(delta_next(&step, &at, at + replica->edits[e - 1].bytes) != STATUS_OK);
		if (step.operation == DELTA_EDIT)
			overlay(bytes, offset, bytes_count, step.offset,
				(uint32_t)step.offset + step.length, step.bytes);
		else
			overlay(bytes, offset, bytes_count, length, step.offset, NULL);
		if (step.operation == DELTA_RESIZE)
			length = step.offset;
	}
	overlay(bytes, offset, bytes_count, 0, packet->header_bytes, packet->current);
	return true;
}

/* The leader's next determinant for this record, or NULL. */
static const struct outcome_extra *leader_determinant(struct replica *replica, uint16_t record)
{
	const struct outcome_extra *extra;

	while ((extra = outcome_extra_next(&replica->leader, &replica->leader_extras[record])) !=
			NULL &&
		extra->record == record)
		if (extra->type == EXTRA_DETERMINANT)
			return extra;
	return NULL;
}

void vnf_determinant(struct vnf_packet *packet, void *value, uint32_t value_bytes,
	void (*ask)(void *value, uint32_t value_bytes, void *context), void *context)
{
	struct replica *replica = packet->host->replica;
	uint8_t *at;

	memset(value, 0, value_bytes);
	if (replica->determinants == DETERMINANT_RECORD) {
		ask(value, value_bytes, context);
	} else {
		const struct outcome_extra *extra = leader_determinant(replica, packet->record);

		if (extra == NULL || extra->bytes != value_bytes)
			replica->diverged = true;
		else
			memcpy(value, outcome_extra_content(extra), value_bytes);
	}
	at = value_bytes <= DETERMINANT_BYTES_MAX
		     ? add_extra(packet, EXTRA_DETERMINANT, value_bytes)
		     : NULL;
	if (at != NULL)
		memcpy(at, value, value_bytes);
	else
		replica->diverged = true;
}
