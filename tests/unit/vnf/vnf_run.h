/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets made for VNFs, and one VNF in a replica that they run through. */
#ifndef UNDERSTUDY_TESTS_UNIT_VNF_VNF_RUN_H
#define UNDERSTUDY_TESTS_UNIT_VNF_VNF_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/delta.h"
#include "tests/unit/vnf/checksum.h"
#include "vnf/packet.h"
#include "vnf/replica.h"

#define SECOND_NS 1000000000ull
#define INSIDE 0x0a000001u
#define SERVER 0xc6336401u
#define POOL 0xc0000201u

extern const struct vnf_ops understudy_vnf;

/* A packet to make, and what came of it. */
struct packet {
	uint32_t source, destination;
	uint16_t source_port, destination_port; /* of ICMP: identifier, type */
	uint8_t protocol;
	uint16_t fragment; /* the IPv4 field */
	uint64_t clock_s;
	uint8_t flags;		     /* of TCP */
	const char *payload;	     /* of TCP; NULL: zeroes */
	const struct packet *quoted; /* by an ICMP error: its header and 20 bytes */
	uint16_t id;		     /* of IPv4 */
};

struct result {
	bool forwarded;
	uint8_t cause;
	uint8_t port;
	uint8_t frame[256];
	size_t length;
	uint64_t digest; /* of its batch */
};

static uint32_t alarms_seen;

static inline struct packet make(uint32_t source, uint32_t destination, uint16_t source_port,
	uint16_t destination_port, uint8_t protocol, uint16_t fragment, uint64_t clock_s)
{
	return (struct packet){.source = source,
		.destination = destination,
		.source_port = source_port,
		.destination_port = destination_port,
		.protocol = protocol,
		.fragment = fragment,
		.clock_s = clock_s};
}

/* A replica with the VNF that this program is linked with. */
static inline struct replica *open_vnf(const struct vnf_setting *settings, uint32_t count,
	uint64_t hash_seed)
{
	char error[256] = "";
	struct vnf_setup setup = {.settings = settings,
		.settings_count = count,
		.homes = 1,
		.error = error,
		.error_bytes = sizeof(error)};
	struct replica *replica = calloc(1, sizeof(*replica));

	assert_int_equal(replica_open(replica, 0, 1, hash_seed, true, 2, 1), STATUS_OK);
	assert_int_equal(replica_add_vnf(replica, &understudy_vnf, &setup), STATUS_OK);
	assert_int_equal(replica_ready(replica), STATUS_OK);
	return replica;
}

static inline void close_vnf(struct replica *replica)
{
	replica_close(replica);
	free(replica);
}

static uint32_t l4_bytes(const uint8_t *ip)
{
	return (uint32_t)load_be16(ip + 2) - 20;
}

static uint32_t pseudo_sum(const uint8_t *ip)
{
	return sum_of(ip + 12, 8, 0) + ip[9] + l4_bytes(ip);
}

static uint32_t checksum_at(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? 16 : protocol == PROTOCOL_UDP ? 6 : 2;
}

/* Ethernet, IPv4 and 28 bytes or what it takes, checksums right; returns the length. */
static uint32_t make_frame(const struct packet *packet, uint8_t *frame)
{
	uint8_t *ip = frame + 14, *l4 = ip + 20, quoted[256];
	uint32_t bytes = 28;

	memset(frame, 0, 256);
	if (packet->payload != NULL)
		bytes = 20 + (uint32_t)strlen(packet->payload);
	if (packet->quoted != NULL)
		bytes = 8 + 20 + 20;
	store_be16(frame + 12, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(20 + bytes));
	store_be16(ip + 4, packet->id == 0 ? 77 : packet->id);
	store_be16(ip + 6, packet->fragment);
	ip[8] = 64;
	ip[9] = packet->protocol;
	store_be32(ip + 12, packet->source);
	store_be32(ip + 16, packet->destination);
	store_be16(ip + 10, (uint16_t)~sum_of(ip, 20, 0));
	if (packet->protocol == PROTOCOL_ICMP) {
		l4[0] = (uint8_t)packet->destination_port;
		store_be16(l4 + 4, packet->source_port);
		if (packet->quoted != NULL) {
			(void)make_frame(packet->quoted, quoted);
			memcpy(l4 + 8, quoted + 14, 40);
		}
		store_be16(l4 + 2, (uint16_t)~sum_of(l4, bytes, 0));
		return 34 + bytes;
	}
	store_be16(l4, packet->source_port);
	store_be16(l4 + 2, packet->destination_port);
	if (packet->protocol == PROTOCOL_TCP) {
		l4[12] = 0x50;
		l4[13] = packet->flags;
	}
	if (packet->payload != NULL)
		memcpy(l4 + 20, packet->payload, bytes - 20);
	store_be16(l4 + checksum_at(packet->protocol),
		(uint16_t)~sum_of(l4, bytes, pseudo_sum(ip)));
	return 34 + bytes;
}

/* Of a whole packet; with quoted, of the one that an ICMP error quotes too. */
static inline bool checksums_are_right(const struct result *result)
{
	const uint8_t *ip = result->frame + 14, *l4 = ip + 20;

	if (sum_of(ip, 20, 0) != 0xffff)
		return false;
	if ((load_be16(ip + 6) & 0x1fff) != 0)
		return true;
	return sum_of(l4, l4_bytes(ip), ip[9] == PROTOCOL_ICMP ? 0 : pseudo_sum(ip)) == 0xffff;
}

/* Runs packets as one batch per `cut` of them. */
static void run(struct replica *replica, const struct packet *packets, struct result *results,
	uint32_t count, uint32_t cut, uint64_t *first_id)
{
	uint8_t *memory = aligned_alloc(64, BATCH_BYTES_MAX),
		*out = aligned_alloc(64, OUTCOME_BYTES_MAX);

	for (uint32_t from = 0; from < count; from += cut) {
		uint32_t n = count - from < cut ? count - from : cut, bytes;
		struct batch_writer writer;
		struct batch_view batch;
		struct outcome_view outcome;
		struct batch_record *record;
		const struct outcome_extra *extra;
		const uint8_t *delta;
		uint32_t offset = 0;

		batch_begin(&writer, memory, 0, *first_id, 1);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t frame[256];
			uint32_t length = make_frame(&packets[from + i], frame);

			memcpy(batch_add(&writer, RECORD_PACKET, length, &record), frame, length);
			record->clock_ns = packets[from + i].clock_s * SECOND_NS;
		}
		assert_int_equal(batch_open(&batch, memory, batch_end(&writer)), STATUS_OK);
		replica_begin(replica, &batch, NULL, out);
		replica_execute(replica, &batch, 0, n);
		bytes = replica_end(replica, &batch);
		assert_int_equal(outcome_open(&outcome, out, bytes), STATUS_OK);
		delta = outcome.deltas;
		while ((extra = outcome_extra_next(&outcome, &offset)) != NULL)
			if (extra->type == EXTRA_ALARM)
				alarms_seen++;
		for (uint32_t i = 0; i < n; i++) {
			struct result *result = &results[from + i];

			result->forwarded = outcome_verdict(&outcome.records[i]) == VERDICT_FORWARD;
			result->cause = outcome.records[i].where & 31;
			result->port = outcome.records[i].where;
			result->length = make_frame(&packets[from + i], result->frame);
			result->digest = i == 0 ? outcome.header->digest : 0;
			assert_int_equal(delta_apply(result->frame, &result->length,
						 sizeof(result->frame), delta,
						 outcome.records[i].delta_bytes),
				STATUS_OK);
			delta += outcome.records[i].delta_bytes;
		}
		*first_id += n;
	}
	free(memory);
	free(out);
}

static inline struct result run_one(struct replica *replica, struct packet packet, uint64_t *id)
{
	struct result result;

	run(replica, &packet, &result, 1, 1, id);
	return result;
}

#endif
