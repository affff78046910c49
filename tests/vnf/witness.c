/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VNF that makes every call a VNF can make, each for some packets, chosen by how many frames of
 * its length came before it; and that shares state in every way that there is. With WITNESS_ASKS it
 * also asks for what cannot be recomputed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vnf/understudy_vnf.h"

#define SOURCE_MAC 6	/* where what a packet was told is left in it */
#define READ_BYTES 2048 /* of a packet, from its start */
#define EMIT_BYTES 40	/* shorter than what the generator numbers */

enum cause { CAUSE_SEVENTEENTH };
static const char *const causes[] = {"seventeenth"};

enum { TABLE_LENGTHS, TABLE_GROUPS, TABLE_FLOWS };

#define GROUPS 7
#define PREPARED_GROUP 99

struct work {
	uint64_t length; /* the key */
	uint64_t count;	 /* of the length, this one included; 0: aborted */
	uint64_t group;	 /* what the group came to */
	uint64_t flows;
	bool refuses; /* it aborts */
};

struct witness {
	uint32_t homes;
};

static uint16_t home_of(const void *self, const void *key)
{
	const struct witness *witness = self;

	return (uint16_t)(*(const uint64_t *)key % witness->homes);
}

static bool witness_open(struct vnf_setup *setup, void **self)
{
	struct witness *witness = calloc(1, sizeof(*witness));

	if (witness == NULL)
		return false;
	witness->homes = setup->homes;
	setup->tables[TABLE_LENGTHS] = (struct table_spec){
		.name = "lengths",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 65536,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables[TABLE_GROUPS] = setup->tables[TABLE_LENGTHS];
	setup->tables[TABLE_GROUPS].name = "groups";
	setup->tables[TABLE_FLOWS] = setup->tables[TABLE_LENGTHS];
	setup->tables[TABLE_FLOWS].name = "flows";
	setup->tables[TABLE_FLOWS].scope = TABLE_FLOW;
	setup->tables[TABLE_FLOWS].home = home_of;
	setup->tables_count = 3;
#ifdef WITNESS_ASKS
	setup->records = true;
#endif
	*self = witness;
	return true;
}

static void witness_close(void *self)
{
	free(self);
}

/* One more of this length. Now and then a length is forgotten. */
static enum operation_effect count_length(struct operation_call *call)
{
	struct work *work = call->context;

	work->count = ++*(uint64_t *)call->value;
	call->deadline_ns = call->now_ns + 2000000000ull;
	return work->refuses ? EFFECT_ABORT : EFFECT_PUT;
}

/* A sum that depends on another length's count and on the order of all. */
static enum operation_effect sum_group(struct operation_call *call)
{
	struct work *work = call->context;
	const uint64_t *source = call->sources[0];
	uint64_t *sum = call->value;

	*sum = *sum * 31 + work->count + (source == NULL ? 5 : *source);
	work->group = *sum;
	return *sum % 19 == 0 ? EFFECT_ERASE : EFFECT_PUT;
}

static void witness_pre(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;
	struct operation count = {.kind = OPERATION_READ_MODIFY,
		.may_abort = true,
		.table = TABLE_LENGTHS,
		.key = {packet->length},
		.function = count_length};
	struct operation sum = {.kind = OPERATION_READ_MODIFY,
		.after = true,
		.table = TABLE_GROUPS,
		.key = {packet->length % GROUPS},
		.sources_count = 1,
		.sources = {{TABLE_LENGTHS, {packet->length ^ 1}}},
		.function = sum_group};

	work->length = packet->length;
	work->refuses = packet->id % 23 == 0;
	packet->home = home_of(self, &work->length);
	packet->wants_access = true;
	packet->prepares = packet->id % 211 == 0;
	packet->shared = packet->id % 307 == 0;
	vnf_expect(packet, TABLE_FLOWS, &work->length);
	vnf_operate(packet, &count);
	vnf_operate(packet, &sum);
}

static uint64_t *entry_of(struct txn *txn, uint32_t table, uint64_t key)
{
	uint64_t *value = txn_modify(txn, table, &key);

	return value != NULL ? value : txn_insert(txn, table, &key);
}

static void witness_prepare(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;
	const uint64_t *flows = txn_foresee(txn, TABLE_FLOWS, &work->length);
	uint64_t *sum = entry_of(txn, TABLE_GROUPS, PREPARED_GROUP);

	(void)self;
	if (sum == NULL)
		return;
	*sum += flows == NULL ? 1 : *flows;
	work->group += *sum;
}

static void witness_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;
	uint64_t *flows = entry_of(txn, TABLE_FLOWS, work->length), *shared;

	(void)self;
	if (flows == NULL)
		return;
	work->flows = ++*flows;
	if (work->flows % 151 == 0 && txn_widen(txn)) {
		shared = entry_of(txn, TABLE_GROUPS, PREPARED_GROUP);
		if (shared != NULL)
			*shared += work->flows;
	}
	if (packet->id % 239 == 0)
		txn_abort(txn);
	if (packet->shared) {
		shared = entry_of(txn, TABLE_LENGTHS, work->length + 1);
		if (shared != NULL)
			++*shared;
	}
}

#ifdef WITNESS_ASKS
static void ask(void *value, uint32_t value_bytes, void *context)
{
	(void)context;
	if (getrandom(value, value_bytes, 0) != (ssize_t)value_bytes)
		memset(value, 1, value_bytes);
}
#endif

/* A sum of the packet as this VNF sees it, edits and resizes before it included. */
static uint8_t sum_of(const struct vnf_packet *packet)
{
	uint8_t bytes[READ_BYTES], sum = 0;
	uint32_t count = packet->length < READ_BYTES ? packet->length : READ_BYTES;

	if (!vnf_read(packet, 0, bytes, count))
		return 0;
	for (uint32_t i = 0; i < count; i++)
		sum = (uint8_t)(sum * 31 + bytes[i]);
	return sum;
}

static void witness_post(const void *self, struct vnf_packet *packet)
{
	const struct work *work = (const struct work *)packet->scratch;
	uint8_t last = (uint8_t)work->count;
	char text[64];

	(void)self;
	packet->current[SOURCE_MAC] = (uint8_t)vnf_random(packet, 0);
	packet->current[SOURCE_MAC + 1] = (uint8_t)vnf_random(packet, 1);
	packet->current[SOURCE_MAC + 4] = (uint8_t)(work->group + work->flows + packet->aborted);
	packet->current[SOURCE_MAC + 5] = sum_of(packet);
	if (work->count == 0)
		return;
	if (work->count % 7 == 0) {
		snprintf(text, sizeof(text), "length \"%u\" seen %llu times", packet->length,
			(unsigned long long)work->count);
		vnf_alarm(packet, text);
	}
	if (work->count % 5 == 0)
		(void)vnf_edit(packet, (uint16_t)(packet->length - 1), &last, 1);
	if (work->count % 11 == 0 && packet->header_bytes >= EMIT_BYTES)
		(void)vnf_emit(packet, packet->output_port, packet->current, EMIT_BYTES);
	if (work->count % 13 == 0)
		(void)vnf_resize(packet,
			(uint16_t)(packet->length + (packet->length & 1 ? 9 : -5)));
	if (work->count % 17 == 0)
		vnf_drop(packet, CAUSE_SEVENTEENTH);
#ifdef WITNESS_ASKS
	if (work->count % 3 == 0) {
		uint64_t answer[2];

		vnf_determinant(packet, answer, sizeof(answer), ask, NULL);
		packet->current[SOURCE_MAC + 2] = (uint8_t)answer[0];
		packet->current[SOURCE_MAC + 3] = (uint8_t)answer[1];
	}
#endif
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "witness",
	.drop_causes = causes,
	.drop_causes_count = sizeof(causes) / sizeof(causes[0]),
	.reads_payload = true,
	.open = witness_open,
	.close = witness_close,
	.pre = witness_pre,
	.access = witness_access,
	.prepare = witness_prepare,
	.post = witness_post,
};
