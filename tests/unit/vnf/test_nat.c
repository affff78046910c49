/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT in the replica: both ways, checksums, fragments, exhaustion, batch cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/delta.h"
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
};

struct result {
	bool forwarded;
	uint8_t cause;
	uint8_t frame[256];
	size_t length;
	uint64_t digest; /* of its batch */
};

static struct replica *open_nat(const char *port_low, const char *port_high, uint64_t hash_seed)
{
	static const char *inside[] = {"10.0.0.0/8"}, *pool[] = {"192.0.2.1"}, *timeout[] = {"60"};
	const char *low[] = {port_low}, *high[] = {port_high};
	struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"pool", pool, 1, 2},
		{"udp_timeout_s", timeout, 1, 3}, {"port_low", low, 1, 4},
		{"port_high", high, 1, 5}};
	char error[256] = "";
	struct vnf_setup setup = {.settings = settings,
		.settings_count = 5,
		.homes = 1,
		.error = error,
		.error_bytes = sizeof(error)};
	struct replica *replica = calloc(1, sizeof(*replica));

	assert_int_equal(replica_open(replica, 0, 1, hash_seed, true, 2), STATUS_OK);
	assert_int_equal(replica_add_vnf(replica, &understudy_vnf, &setup), STATUS_OK);
	assert_int_equal(replica_ready(replica), STATUS_OK);
	return replica;
}

static void close_nat(struct replica *replica)
{
	replica_close(replica);
	free(replica);
}

static uint16_t sum_of(const uint8_t *at, size_t bytes, uint32_t start)
{
	uint64_t sum = start;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += load_be16(at + i);
	if (bytes % 2 != 0)
		sum += (uint32_t)at[bytes - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t pseudo_sum(const uint8_t *ip)
{
	return sum_of(ip + 12, 8, 0) + ip[9] + (uint32_t)load_be16(ip + 2) - 20;
}

static uint32_t checksum_at(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? 16 : protocol == PROTOCOL_UDP ? 6 : 2;
}

/* 14 + 20 + 28 bytes of Ethernet, IPv4 and payload, checksums right. */
static uint32_t make_frame(const struct packet *packet, uint8_t *frame)
{
	uint8_t *ip = frame + 14, *l4 = ip + 20;
	uint16_t sum;

	memset(frame, 0, 62);
	store_be16(frame + 12, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	store_be16(ip + 2, 48);
	store_be16(ip + 4, 77);
	store_be16(ip + 6, packet->fragment);
	ip[8] = 64;
	ip[9] = packet->protocol;
	store_be32(ip + 12, packet->source);
	store_be32(ip + 16, packet->destination);
	store_be16(ip + 10, (uint16_t)~sum_of(ip, 20, 0));
	if (packet->protocol == PROTOCOL_ICMP) {
		l4[0] = (uint8_t)packet->destination_port;
		store_be16(l4 + 4, packet->source_port);
		store_be16(l4 + 2, (uint16_t)~sum_of(l4, 28, 0));
	} else {
		store_be16(l4, packet->source_port);
		store_be16(l4 + 2, packet->destination_port);
		sum = (uint16_t)~sum_of(l4, 28, pseudo_sum(ip));
		store_be16(l4 + checksum_at(packet->protocol), sum);
	}
	return 62;
}

static bool checksums_are_right(const struct result *result)
{
	const uint8_t *ip = result->frame + 14, *l4 = ip + 20;

	if (sum_of(ip, 20, 0) != 0xffff)
		return false;
	if ((load_be16(ip + 6) & 0x1fff) != 0)
		return true;
	return sum_of(l4, 28, ip[9] == PROTOCOL_ICMP ? 0 : pseudo_sum(ip)) == 0xffff;
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
		const uint8_t *delta;

		batch_begin(&writer, memory, 0, *first_id, 1);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *frame = batch_add(&writer, RECORD_PACKET, 62, &record);

			(void)make_frame(&packets[from + i], frame);
			record->clock_ns = packets[from + i].clock_s * SECOND_NS;
		}
		assert_int_equal(batch_open(&batch, memory, batch_end(&writer)), STATUS_OK);
		replica_begin(replica, &batch, NULL, out);
		replica_execute(replica, &batch, 0, n);
		bytes = replica_end(replica, &batch);
		assert_int_equal(outcome_open(&outcome, out, bytes), STATUS_OK);
		delta = outcome.deltas;
		for (uint32_t i = 0; i < n; i++) {
			struct result *result = &results[from + i];

			result->forwarded = outcome.records[i].verdict == VERDICT_FORWARD;
			result->cause = outcome.records[i].where & 31;
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

static struct result run_one(struct replica *replica, struct packet packet, uint64_t *id)
{
	struct result result;

	run(replica, &packet, &result, 1, 1, id);
	return result;
}

static void test_there_and_back(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		bool icmp = protocols[p] == PROTOCOL_ICMP;
		struct packet there = {INSIDE, SERVER, 4000, icmp ? 8 : 80, protocols[p], 0, 10};
		struct result out = run_one(replica, there, &id), again, back;
		uint16_t port = load_be16(out.frame + 34 + (icmp ? 4 : 0));
		struct packet reply = {SERVER, POOL, icmp ? port : 80, icmp ? 0 : port,
			protocols[p], 0, 10};

		assert_true(out.forwarded && checksums_are_right(&out));
		assert_int_equal(load_be32(out.frame + 26), POOL);
		assert_int_equal(port, 1024); /* the lowest free port, of each protocol */
		there.destination++;
		again = run_one(replica, there, &id);
		assert_int_equal(load_be16(again.frame + 34 + (icmp ? 4 : 0)),
			port); /* RFC 4787 REQ-1 */
		back = run_one(replica, reply, &id);
		assert_true(back.forwarded && checksums_are_right(&back));
		assert_int_equal(load_be32(back.frame + 30), INSIDE);
		assert_int_equal(load_be16(back.frame + (icmp ? 38 : 36)), 4000);
	}
	close_nat(replica);
}

static void test_drops_and_passes(void **state)
{
	struct replica *replica = open_nat("2000", "2001", 5);
	uint64_t id = 1;
	struct packet udp = {INSIDE, SERVER, 1, 53, PROTOCOL_UDP, 0, 100};

	(void)state;
	assert_int_equal(
		run_one(replica, (struct packet){SERVER, POOL, 53, 2000, 17, 0, 1}, &id).cause, 3);
	assert_true(run_one(replica, udp, &id).forwarded);
	udp.source_port = 2;
	assert_true(run_one(replica, udp, &id).forwarded);
	udp.source_port = 3;
	assert_false(run_one(replica, udp, &id).forwarded);
	assert_int_equal(run_one(replica, udp, &id).cause, 1); /* ports_exhausted */
	udp.clock_s = 200; /* the first two have expired by the packet clock */
	assert_true(run_one(replica, udp, &id).forwarded);
	assert_int_equal(replica->engine.tables[0].count, 1);
	/* A captured reply that already addresses the inside passes unchanged. */
	struct result reply =
		run_one(replica, (struct packet){SERVER, INSIDE, 53, 9, 17, 0, 200}, &id);

	assert_true(reply.forwarded);
	assert_int_equal(load_be32(reply.frame + 30), INSIDE);
	assert_int_equal(
		run_one(replica, (struct packet){INSIDE, SERVER, 0, 0, 47, 0, 200}, &id).cause, 5);
	close_nat(replica);
}

static void test_fragments(void **state)
{
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;
	struct packet later = {INSIDE, SERVER, 7, 53, PROTOCOL_UDP, 185, 10}, first = later;
	struct result result;

	(void)state;
	first.fragment = 0x2000;
	result = run_one(replica, later, &id);
	assert_false(result.forwarded);
	assert_int_equal(result.cause, 4); /* fragment_before_first */
	assert_true(run_one(replica, first, &id).forwarded);
	result = run_one(replica, later, &id);
	assert_true(result.forwarded && checksums_are_right(&result));
	assert_int_equal(load_be32(result.frame + 26), POOL);
	close_nat(replica);
}

/* The same packets in other batches, under another hash seed: the same frames, the same digests. */
static void test_cuts_and_seeds_never_show(void **state)
{
	enum { COUNT = 500 };
	static struct packet packets[COUNT];
	static struct result a[COUNT], b[COUNT];
	struct replica *one = open_nat("1024", "65535", 5), *other = open_nat("1024", "65535", 6);
	uint64_t digest_a = 0, digest_b = 0, id_a = 1, id_b = 1;

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		packets[i] = (struct packet){INSIDE + i % 37, SERVER, (uint16_t)(i * 7 % 91), 53,
			i % 2 ? PROTOCOL_UDP : PROTOCOL_TCP, 0, i * 3};
	run(one, packets, a, COUNT, 256, &id_a);
	run(other, packets, b, COUNT, 3, &id_b);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(a[i].forwarded, b[i].forwarded);
		assert_memory_equal(a[i].frame, b[i].frame, a[i].length);
		digest_a += a[i].digest;
		digest_b += b[i].digest;
	}
	assert_true(digest_a == digest_b && digest_a != 0);
	assert_true(one->engine.state_digest == other->engine.state_digest);
	close_nat(one);
	close_nat(other);
}

/* Headers that lie, cut at every offset, never reach outside the view (the sanitizer watches). */
static void test_any_header(void **state)
{
	uint8_t whole[128], *exact;
	struct packet tcp = {INSIDE, SERVER, 7, 53, PROTOCOL_TCP, 0, 10};
	uint64_t random = 88172645463325252ull;

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t length = make_frame(&tcp, whole), cut;
		struct packet_headers headers;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		whole[12 + random % 30] = (uint8_t)(random >> 40);
		whole[12 + (random >> 8) % 10] = (uint8_t)(random >> 48);
		cut = i < 63 ? i : (uint32_t)(random >> 16) % (length + 1);
		exact = malloc(cut + 1);
		memcpy(exact, whole, cut);
		headers = packet_parse(exact, cut, cut);
		assert_true(headers.l4 == 0 || headers.l4 + 8u <= cut);
		assert_true(headers.l3 == 0 || headers.l3 + 20u <= cut);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_drops_and_passes),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_cuts_and_seeds_never_show),
		cmocka_unit_test(test_any_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
