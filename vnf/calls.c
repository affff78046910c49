/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls that a VNF makes (understudy_vnf.h), on the packet that its step was given. */
#include <string.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/digest.h"
#include "core/mutants.h"
#include "core/packet_id.h"
#include "vnf/replica.h"

void vnf_expect(struct vnf_packet *packet, uint32_t table, const void *key)
{
	const struct vnf_host *vnf = packet->host;

	BUG_ON(table >= vnf->table_count);
	packet->expected_table = &vnf->replica->engine.tables[vnf->table_base + table];
	packet->expected_hash = table_hash(packet->expected_table, key);
	packet->expects = true;
	packet->expected_shard = (uint8_t)table_shard_of(packet->expected_table, packet->home);
	table_prefetch_index(packet->expected_table, packet->expected_shard, packet->expected_hash);
}

bool vnf_glance(const struct vnf_packet *packet, uint32_t table_number, const void *key)
{
	const struct vnf_host *vnf = packet->host;
	const struct table *table = &vnf->replica->engine.tables[vnf->table_base + table_number];

	BUG_ON(table_number >= vnf->table_count);
	return table_find(table, table_shard_of(table, packet->home), key) != ENTRY_NONE;
}

void vnf_operate(struct vnf_packet *packet, const struct operation *operation)
{
	const struct vnf_host *vnf = packet->host;
	struct replica_worker *worker = replica_worker_of(packet);

	if (worker->declared_count == OPERATIONS_MAX ||
		operation->sources_count > OPERATION_SOURCES_MAX)
		return;
	BUG_ON(operation->table >= vnf->table_count);
	for (uint32_t i = 0; i < operation->sources_count; i++)
		BUG_ON(operation->sources[i].table >= vnf->table_count);
	memcpy(&worker->declared[worker->declared_count++], operation,
		offsetof(struct operation, sources) +
			operation->sources_count * sizeof(operation->sources[0]));
}

void vnf_drop(struct vnf_packet *packet, uint8_t cause)
{
	packet->dropped = true;
	packet->drop_cause = cause & (DROP_CAUSES_MAX - 1);
}

void vnf_count(struct vnf_packet *packet, uint32_t counter)
{
	if (counter < COUNTERS_PER_VNF)
		packet->counted |= (uint16_t)(1u << counter);
}

uint64_t vnf_random(const struct vnf_packet *packet, uint32_t draw)
{
	const struct replica *replica = packet->host->replica;
	uint64_t words[3] = {packet_id_sequence(packet->id),
		replica->vnfs_before + packet->host->number, draw};

	return digest_of(words, sizeof(words), replica->seed);
}

/* Room for an extra's content, or NULL. */
static uint8_t *add_extra(struct vnf_packet *packet, enum extra_type type, uint32_t bytes)
{
	struct replica *replica = packet->host->replica;
	struct replica_worker *worker = replica_worker_of(packet);
	uint32_t padded = ALIGN_UP(bytes, 8u);
	struct outcome_extra extra = {.type = type, .record = packet->record, .bytes = bytes};
	uint8_t *at = worker->extras + worker->extras_used;
	uint16_t *determinants = &replica->determinant_bytes[packet->record];
	uint32_t *room = &replica->room[packet->record];

	/* What VNFs emit never takes the room of what they are told. */
	if (type == EXTRA_DETERMINANT) {
		if (*determinants + sizeof(extra) + padded > PACKET_DETERMINANTS_BYTES_MAX)
			return NULL;
		*determinants = (uint16_t)(*determinants + sizeof(extra) + padded);
	} else {
		if (*room < sizeof(extra) + padded)
			return NULL;
		*room -= (uint32_t)sizeof(extra) + padded;
	}
	memcpy(at, &extra, sizeof(extra));
	memset(at + sizeof(extra), 0, padded);
	worker->extras_used += (uint32_t)sizeof(extra) + padded;
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

bool vnf_edit(struct vnf_packet *packet, uint16_t offset, const void *bytes, uint16_t bytes_count)
{
	return (uint32_t)offset + bytes_count <= packet->length &&
	       edits_edit(&replica_worker_of(packet)->edits, packet,
		       &packet->host->replica->room[packet->record], offset, bytes, bytes_count);
}

bool vnf_resize(struct vnf_packet *packet, uint16_t length)
{
	return length >= FRAME_BYTES_MIN &&
	       edits_resize(&replica_worker_of(packet)->edits, packet,
		       &packet->host->replica->room[packet->record], length);
}

bool vnf_read(const struct vnf_packet *packet, uint32_t offset, void *bytes, uint32_t bytes_count)
{
	if (bytes_count > packet->length || offset > packet->length - bytes_count ||
		!packet->host->ops->reads_payload)
		return false;
	edits_read(&replica_worker_of(packet)->edits, packet, offset, bytes, bytes_count);
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

static void diverge(struct vnf_packet *packet)
{
	atomic_write_relaxed(&packet->host->replica->diverged, 1u);
}

/* Records an access in the leader; tells a slave what it was. */
static uint64_t access_variable(struct vnf_packet *packet, uint32_t number, enum pad_kind kind,
	uint64_t value)
{
	struct variables *variables = &packet->host->variables;
	bool gets = kind == PAD_GET || kind == PAD_POP, held = packet->locked == number + 1;
	uint32_t bytes = gets ? 16 : 8;
	uint64_t pad[2];
	uint8_t *at;

	BUG_ON(number >= variables->count);
	if (packet->host->replica->determinants == DETERMINANT_RECORD) {
		struct variable *variable = &variables->list[number];
		uint64_t sequence;

		if (!held)
			variable_lock(variable);
		sequence = variable_access(variable, kind, &value);
		if (!held)
			variable_unlock(variable);
		pad[0] = (uint64_t)kind | (uint64_t)number << 8 | sequence << 24;
		pad[1] = value;
	} else {
		const struct outcome_extra *extra =
			leader_determinant(packet->host->replica, packet->record);

		if (extra == NULL || extra->bytes != bytes) {
			diverge(packet);
			return 0;
		}
		memcpy(pad, outcome_extra_content(extra), bytes);
		value = gets ? pad[1] : value;
		if ((pad[0] & 0xffffff) != ((uint64_t)kind | (uint64_t)number << 8) ||
			!variables_tell(variables, &(struct told_access){pad[0] >> 24, value,
							   (uint16_t)number, (uint8_t)kind}))
			diverge(packet);
	}
	at = add_extra(packet, EXTRA_DETERMINANT, bytes);
	if (at == NULL)
		diverge(packet);
	else
		memcpy(at, pad, bytes);
	return value;
}

/* A slave needs no locks: it is told the order. */
void vnf_lock(struct vnf_packet *packet, uint32_t variable)
{
	BUG_ON(variable >= packet->host->variables.count || packet->locked != 0);
	if (packet->host->replica->determinants == DETERMINANT_RECORD)
		variable_lock(&packet->host->variables.list[variable]);
	packet->locked = (uint16_t)(variable + 1);
}

void vnf_unlock(struct vnf_packet *packet, uint32_t variable)
{
	BUG_ON(packet->locked != variable + 1);
	if (packet->host->replica->determinants == DETERMINANT_RECORD)
		variable_unlock(&packet->host->variables.list[variable]);
	packet->locked = 0;
}

uint64_t vnf_get(struct vnf_packet *packet, uint32_t variable)
{
	return access_variable(packet, variable, PAD_GET, 0);
}

void vnf_set(struct vnf_packet *packet, uint32_t variable, uint64_t value)
{
	(void)access_variable(packet, variable, PAD_SET, value);
}

void vnf_push(struct vnf_packet *packet, uint32_t variable, uint64_t value)
{
	(void)access_variable(packet, variable, PAD_PUSH, value);
}

uint64_t vnf_pop(struct vnf_packet *packet, uint32_t variable)
{
	return access_variable(packet, variable, PAD_POP, 0);
}

void vnf_determinant(struct vnf_packet *packet, void *value, uint32_t value_bytes,
	void (*ask)(void *value, uint32_t value_bytes, void *context), void *context)
{
	struct replica *replica = packet->host->replica;
	bool told = true;
	uint8_t *at;

	memset(value, 0, value_bytes);
	if (replica->determinants == DETERMINANT_RECORD || MUTANT(ASK_AGAIN)) {
		ask(value, value_bytes, context);
	} else {
		const struct outcome_extra *extra = leader_determinant(replica, packet->record);

		told = extra != NULL && extra->bytes == value_bytes;
		if (told)
			memcpy(value, outcome_extra_content(extra), value_bytes);
	}
	at = value_bytes <= DETERMINANT_BYTES_MAX
		     ? add_extra(packet, EXTRA_DETERMINANT, value_bytes)
		     : NULL;
	if (at != NULL && !(MUTANT(DROP_DETERMINANT) && packet->id % 4 == 0))
		memcpy(at, value, value_bytes);
	if (at == NULL || !told)
		diverge(packet);
}
