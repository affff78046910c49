/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VNF that makes every call a VNF can make, each for some packets, chosen by how many frames of
 * its length came before it. With WITNESS_ASKS it also asks for what cannot be recomputed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "vnf/understudy_vnf.h"

#define SOURCE_MAC 6	/* where what a packet was told is left in it */
#define READ_BYTES 2048 /* of a packet, from its start */
#define EMIT_BYTES 40	/* shorter than what the generator numbers */

enum cause { CAUSE_SEVENTEENTH };
static const char *const causes[] = {"seventeenth"};

struct work {
	uint64_t length; /* the key */
	uint64_t count;
};

static bool witness_open(struct vnf_setup *setup, void **self)
{
	setup->tables[0] = (struct table_spec){
		.name = "lengths",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 65536,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables_count = 1;
	*self = NULL;
	return true;
}

static void witness_close(void *self)
{
	(void)self;
}

static void witness_pre(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;

	(void)self;
	work->length = packet->length;
	packet->wants_access = true;
	packet->shared = true;
	vnf_expect(packet, 0, &work->length);
}

static void witness_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;
	uint64_t *count = txn_modify(txn, 0, &work->length);

	(void)self;
	if (count == NULL)
		count = txn_insert(txn, 0, &work->length);
	if (count != NULL)
		work->count = ++*count;
	/* Now and then a length is forgotten. */
	txn_expire_at(txn, 0, &work->length, txn_now_ns(txn) + 2000000000ull);
	if (packet->id % 23 == 0)
		txn_abort(txn);
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
	packet->current[SOURCE_MAC + 5] = sum_of(packet);
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
#ifdef WITNESS_ASKS
	.uses_determinants = true,
#endif
	.open = witness_open,
	.close = witness_close,
	.pre = witness_pre,
	.access = witness_access,
	.post = witness_post,
};
