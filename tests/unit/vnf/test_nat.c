/* SPDX-License-Identifier: BSD-3-Clause */
/* The NAT in the replica: both ways, checksums, fragments, errors, TCP states, batch cuts. */
#include "tests/unit/vnf/vnf_run.h"

static struct replica *open_nat(const char *port_low, const char *port_high, uint64_t hash_seed)
{
	static const char *inside[] = {"10.0.0.0/8"}, *pool[] = {"192.0.2.1"}, *timeout[] = {"60"};
	const char *low[] = {port_low}, *high[] = {port_high};
	struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"pool", pool, 1, 2},
		{"udp_timeout_s", timeout, 1, 3}, {"port_low", low, 1, 4},
		{"port_high", high, 1, 5}};

	return open_vnf(settings, 5, hash_seed);
}

static void test_there_and_back(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		bool icmp = protocols[p] == PROTOCOL_ICMP;
		struct packet there =
			make(INSIDE, SERVER, 4000, icmp ? 8 : 80, protocols[p], 0, 10);
		struct result out = run_one(replica, there, &id), again, back;
		uint16_t port = load_be16(out.frame + 34 + (icmp ? 4 : 0));
		struct packet reply =
			make(SERVER, POOL, icmp ? port : 80, icmp ? 0 : port, protocols[p], 0, 10);

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
	close_vnf(replica);
}

static void test_drops_and_passes(void **state)
{
	struct replica *replica = open_nat("2000", "2001", 5);
	uint64_t id = 1;
	struct packet udp = make(INSIDE, SERVER, 1, 53, PROTOCOL_UDP, 0, 100);

	(void)state;
	assert_int_equal(run_one(replica, make(SERVER, POOL, 53, 2000, 17, 0, 1), &id).cause, 3);
	assert_true(run_one(replica, udp, &id).forwarded);
	udp.source_port = 2;
	assert_true(run_one(replica, udp, &id).forwarded);
	udp.source_port = 3;
	assert_false(run_one(replica, udp, &id).forwarded);
	assert_int_equal(run_one(replica, udp, &id).cause, 1); /* ports_exhausted */
	udp.clock_s = 200; /* the first two have expired by the packet clock */
	assert_true(run_one(replica, udp, &id).forwarded);
	assert_int_equal(table_count(&replica->engine.tables[0]), 1);
	/* A captured reply that already addresses the inside passes unchanged. */
	struct result reply = run_one(replica, make(SERVER, INSIDE, 53, 9, 17, 0, 200), &id);

	assert_true(reply.forwarded);
	assert_int_equal(load_be32(reply.frame + 30), INSIDE);
	assert_int_equal(run_one(replica, make(INSIDE, SERVER, 0, 0, 47, 0, 200), &id).cause, 5);
	close_vnf(replica);
}

static void test_fragments(void **state)
{
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;
	struct packet later = make(INSIDE, SERVER, 7, 53, PROTOCOL_UDP, 185, 10), first = later;
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
	close_vnf(replica);
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
		packets[i] = make(INSIDE + i % 37, SERVER, (uint16_t)(i * 7 % 91), 53,
			i % 2 ? PROTOCOL_UDP : PROTOCOL_TCP, 0, i * 3);
	run(one, packets, a, COUNT, 256, &id_a);
	run(other, packets, b, COUNT, 3, &id_b);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(a[i].forwarded, b[i].forwarded);
		assert_memory_equal(a[i].frame, b[i].frame, a[i].length);
		digest_a += a[i].digest;
		digest_b += b[i].digest;
	}
	assert_true(digest_a == digest_b && digest_a != 0);
	assert_true(engine_state_digest(&one->engine) == engine_state_digest(&other->engine));
	close_vnf(one);
	close_vnf(other);
}

/* Headers that lie, cut at every offset, never reach outside the view (the sanitizer watches). */
static void test_any_header(void **state)
{
	uint8_t whole[256], *exact;
	struct packet tcp = make(INSIDE, SERVER, 7, 53, PROTOCOL_TCP, 0, 10);
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

/* Two hosts inside talk through their outside endpoints: both are translated, back where they came
 * from (RFC 4787 REQ-9). */
static void test_hairpinning(void **state)
{
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;
	struct result result;
	uint16_t port;

	(void)state;
	result = run_one(replica, make(INSIDE + 1, SERVER, 500, 53, PROTOCOL_UDP, 0, 10), &id);
	port = load_be16(result.frame + 34);
	result = run_one(replica, make(INSIDE, POOL, 600, port, PROTOCOL_UDP, 0, 10), &id);
	assert_true(result.forwarded && checksums_are_right(&result));
	assert_int_equal(result.port, 0);
	assert_int_equal(load_be32(result.frame + 26), POOL); /* the external source */
	assert_int_equal(load_be32(result.frame + 30), INSIDE + 1);
	assert_int_equal(load_be16(result.frame + 36), 500);
	port = load_be16(result.frame + 34);
	result = run_one(replica, make(INSIDE + 1, POOL, 500, port, PROTOCOL_UDP, 0, 10), &id);
	assert_true(result.forwarded && checksums_are_right(&result));
	assert_int_equal(load_be32(result.frame + 30), INSIDE);
	assert_int_equal(load_be16(result.frame + 36), 600);
	result = run_one(replica, make(INSIDE, POOL, 600, 9, PROTOCOL_UDP, 0, 10), &id);
	assert_int_equal(result.cause, 3); /* no_binding */
	close_vnf(replica);
}

/* Errors about packets of either direction, from a router, for each protocol. */
static void test_icmp_errors(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;

	(void)state;
	for (size_t p = 0; p < 3; p++) {
		bool icmp = protocols[p] == PROTOCOL_ICMP;
		uint32_t at = icmp ? 4 : 0;
		struct packet there =
			make(INSIDE, SERVER, 4000, icmp ? 8 : 80, protocols[p], 0, 10);
		struct result result = run_one(replica, there, &id);
		uint16_t port = load_be16(result.frame + 34 + at);
		struct packet seen = make(POOL, SERVER, port, icmp ? 8 : 80, protocols[p], 0, 10);
		struct packet back = make(SERVER, INSIDE, icmp ? 4000 : 80, icmp ? 0 : 4000,
			protocols[p], 0, 10);
		struct packet error = make(SERVER + 9, POOL, 0, 11, PROTOCOL_ICMP, 0, 10);

		error.quoted = &seen;
		result = run_one(replica, error, &id);
		assert_true(result.forwarded && checksums_are_right(&result));
		assert_int_equal(load_be32(result.frame + 30), INSIDE);
		assert_int_equal(load_be32(result.frame + 42 + 12), INSIDE);
		assert_int_equal(load_be16(result.frame + 62 + at), 4000);
		assert_int_equal(sum_of(result.frame + 42, 20, 0), 0xffff);
		error = make(INSIDE + 77, SERVER, 0, 3, PROTOCOL_ICMP, 0, 10);
		error.quoted = &back;
		result = run_one(replica, error, &id);
		assert_true(result.forwarded && checksums_are_right(&result));
		assert_int_equal(load_be32(result.frame + 26), POOL);
		assert_int_equal(load_be32(result.frame + 42 + 16), POOL);
		assert_int_equal(load_be16(result.frame + 62 + (icmp ? 4 : 2)), port);
		assert_int_equal(sum_of(result.frame + 42, 20, 0), 0xffff);
	}
	struct packet unknown = make(POOL, SERVER, 9, 80, PROTOCOL_UDP, 0, 10);
	struct packet error = make(SERVER, POOL, 0, 3, PROTOCOL_ICMP, 0, 10);

	error.quoted = &unknown;
	assert_int_equal(run_one(replica, error, &id).cause, 3);
	close_vnf(replica);
}

static bool is_bound(struct replica *replica, uint16_t port, uint64_t clock_s, uint64_t *id)
{
	return run_one(replica, make(SERVER, POOL, 80, port, PROTOCOL_TCP, 0, clock_s), id)
		.forwarded;
}

static void segment(struct replica *replica, bool out, uint8_t flags, uint64_t clock_s,
	uint64_t *id)
{
	struct packet packet = out ? make(INSIDE, SERVER, 4000, 80, PROTOCOL_TCP, 0, clock_s)
				   : make(SERVER, POOL, 80, 1024, PROTOCOL_TCP, 0, clock_s);

	packet.flags = flags;
	assert_true(run_one(replica, packet, id).forwarded);
}

/* RFC 5382 REQ-5: 2 h 4 min once established, 4 min while opening and after it is closed. */
static void test_tcp_timeouts(void **state)
{
	struct replica *replica = open_nat("1024", "65535", 5);
	uint64_t id = 1;

	(void)state;
	segment(replica, true, TCP_SYN, 0, &id);
	assert_true(table_count(&replica->engine.tables[0]) == 1);
	(void)run_one(replica, make(SERVER, INSIDE, 1, 1, PROTOCOL_UDP, 0, 257), &id);
	assert_true(table_count(&replica->engine.tables[0]) == 0); /* nobody answered */
	segment(replica, true, TCP_SYN, 300, &id);
	segment(replica, false, TCP_SYN | TCP_ACK, 301, &id);
	assert_true(is_bound(replica, 1024, 7700, &id)); /* inbound packets refresh nothing */
	assert_false(is_bound(replica, 1024, 8208, &id));
	segment(replica, true, TCP_SYN, 10000, &id);
	segment(replica, false, TCP_SYN | TCP_ACK, 10000, &id);
	segment(replica, true, TCP_FIN | TCP_ACK, 10001, &id);
	assert_true(is_bound(replica, 1024, 10500, &id)); /* closed on one side only */
	segment(replica, false, TCP_FIN | TCP_ACK, 10501, &id);
	assert_true(is_bound(replica, 1024, 10740, &id));
	assert_false(is_bound(replica, 1024, 10759, &id));
	/* A second connection of the same inside port keeps the mapping when the first is reset. */
	segment(replica, true, TCP_SYN, 20000, &id);
	(void)run_one(replica, make(INSIDE, SERVER + 1, 4000, 80, PROTOCOL_TCP, 0, 20000), &id);
	segment(replica, false, TCP_RST, 20001, &id);
	assert_true(is_bound(replica, 1024, 27000, &id));
	close_vnf(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_drops_and_passes),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_cuts_and_seeds_never_show),
		cmocka_unit_test(test_any_header),
		cmocka_unit_test(test_hairpinning),
		cmocka_unit_test(test_icmp_errors),
		cmocka_unit_test(test_tcp_timeouts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
