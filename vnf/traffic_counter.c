/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic counter: packets and bytes of all traffic, and who was seen lately; tells both with an
 * alarm every so many packets. Written twice, for one to be held against the other:
 *
 * - transactional: totals and list are entries of shared tables, changed by declared operations;
 * - recorded: they are variables that threads share under locks, as in functions that were written
 *   without transactions, and every access is recorded (FTvNF section 3). Which packet tells a
 *   milestone then depends on the threads, in the leader alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "vnf/packet.h"
#include "vnf/settings.h"

#define RECENT_MAX 8

enum { TABLE_TOTALS, TABLE_RECENT };
enum { VARIABLE_PACKETS, VARIABLE_BYTES, VARIABLE_RECENT };
enum { COUNT_PACKETS, COUNT_MILESTONES };

static const char *const counters[] = {"packets", "milestones"};

struct counter {
	bool records;
	uint32_t every; /* packets; a milestone */
};

struct totals {
	uint64_t packets, bytes;
};

/* Newest last. */
struct recent {
	uint32_t address[RECENT_MAX];
};

/* From pre to post, in the packet's scratch. */
struct work {
	struct totals totals; /* with this packet */
	uint32_t bytes;
	uint32_t source;
	uint32_t newest; /* before this one */
};

static bool counter_open(struct vnf_setup *setup, void **result)
{
	static const char *const known[] = {"determinism", "every", NULL};
	struct counter *self = calloc(1, sizeof(*self));

	if (self == NULL)
		return settings_fail(setup, 0, "out of memory");
	self->every = 1000;
	if (!settings_known(setup, known) ||
		!settings_choice(setup, "determinism", "recorded", "transactional",
			&self->records) ||
		!settings_number(setup, "every", 1, 1u << 30, &self->every)) {
		free(self);
		return false;
	}
	*result = self;
	setup->records = self->records;
	if (self->records) {
		setup->variables[VARIABLE_PACKETS] = (struct variable_spec){"packets", 0};
		setup->variables[VARIABLE_BYTES] = (struct variable_spec){"bytes", 0};
		setup->variables[VARIABLE_RECENT] = (struct variable_spec){"recent", RECENT_MAX};
		setup->variables_count = 3;
		return true;
	}
	setup->tables[TABLE_TOTALS] = (struct table_spec){
		.name = "traffic_totals",
		.key_bytes = sizeof(uint64_t),
		.value_bytes = sizeof(struct totals),
		.capacity = 8192,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables[TABLE_RECENT] = setup->tables[TABLE_TOTALS];
	setup->tables[TABLE_RECENT].name = "traffic_recent";
	setup->tables[TABLE_RECENT].value_bytes = sizeof(struct recent);
	setup->tables_count = 2;
	return true;
}

static void counter_close(void *self)
{
	free(self);
}

static enum operation_effect add_totals(struct operation_call *call)
{
	struct work *work = call->context;
	struct totals *totals = call->value;

	totals->packets++;
	totals->bytes += work->bytes;
	work->totals = *totals;
	return EFFECT_PUT;
}

static enum operation_effect add_recent(struct operation_call *call)
{
	struct work *work = call->context;
	struct recent *recent = call->value;

	work->newest = recent->address[RECENT_MAX - 1];
	if (work->newest == work->source)
		return EFFECT_NONE;
	memmove(recent->address, recent->address + 1, sizeof(*recent) - sizeof(uint32_t));
	recent->address[RECENT_MAX - 1] = work->source;
	return EFFECT_PUT;
}

static void counter_pre(const void *self, struct vnf_packet *packet)
{
	const struct counter *counter = self;
	struct work *work = (struct work *)packet->scratch;
	struct packet_headers headers =
		packet_parse(packet->current, packet->header_bytes, packet->length);
	struct operation totals = {.kind = OPERATION_READ_MODIFY,
		.table = TABLE_TOTALS,
		.function = add_totals};
	struct operation recent = {.kind = OPERATION_READ_MODIFY,
		.table = TABLE_RECENT,
		.function = add_recent};

	work->bytes = packet->wire_length;
	if (headers.l3 != 0 && headers.ethertype == ETHERTYPE_IPV4)
		work->source = load_be32(packet->current + headers.l3 + 12);
	if (counter->records)
		return;
	vnf_operate(packet, &totals);
	if (work->source != 0)
		vnf_operate(packet, &recent);
}

/* Under locks, as threads that share variables do. */
static void count_recorded(struct vnf_packet *packet, struct work *work)
{
	vnf_lock(packet, VARIABLE_PACKETS);
	work->totals.packets = vnf_get(packet, VARIABLE_PACKETS) + 1;
	vnf_set(packet, VARIABLE_PACKETS, work->totals.packets);
	/* Bytes change under the lock of packets: the two go together. */
	work->totals.bytes = vnf_get(packet, VARIABLE_BYTES) + work->bytes;
	vnf_set(packet, VARIABLE_BYTES, work->totals.bytes);
	vnf_unlock(packet, VARIABLE_PACKETS);
	if (work->source == 0)
		return;
	vnf_lock(packet, VARIABLE_RECENT);
	work->newest = (uint32_t)vnf_get(packet, VARIABLE_RECENT);
	if (work->newest != work->source)
		vnf_push(packet, VARIABLE_RECENT, work->source);
	vnf_unlock(packet, VARIABLE_RECENT);
}

static void counter_post(const void *self, struct vnf_packet *packet)
{
	const struct counter *counter = self;
	struct work *work = (struct work *)packet->scratch;
	char text[120];

	if (counter->records)
		count_recorded(packet, work);
	vnf_count(packet, COUNT_PACKETS);
	if (work->totals.packets == 0 || work->totals.packets % counter->every != 0)
		return;
	vnf_count(packet, COUNT_MILESTONES);
	snprintf(text, sizeof(text), "traffic: %llu packets, %llu bytes; before it %u.%u.%u.%u",
		(unsigned long long)work->totals.packets, (unsigned long long)work->totals.bytes,
		work->newest >> 24, work->newest >> 16 & 255, work->newest >> 8 & 255,
		work->newest & 255);
	vnf_alarm(packet, text);
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "traffic_counter",
	.counters = counters,
	.counters_count = sizeof(counters) / sizeof(counters[0]),
	.open = counter_open,
	.close = counter_close,
	.pre = counter_pre,
	.post = counter_post,
};
