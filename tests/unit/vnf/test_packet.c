/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers are found where they are, in any frame; what is put into them leaves checksums right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/bytes.h"
#include "tests/unit/random.h"
#include "tests/unit/vnf/checksum.h"
#include "vnf/packet.h"

#define FRAME_MAX 256
#define L3 14
#define ROUNDS 2000

/* An IPv4 packet of a header of ihl bytes and so many after it; returns its bytes. */
static uint32_t put_ipv4(uint8_t *ip, uint8_t protocol, uint32_t ihl, uint32_t bytes)
{
	memset(ip, 0, ihl + bytes);
	ip[0] = (uint8_t)(0x40 | ihl / 4);
	store_be16(ip + 2, (uint16_t)(ihl + bytes));
	store_be16(ip + 4, 0x1234);
	ip[9] = protocol;
	store_be32(ip + 12, 0x0a000001);
	store_be32(ip + 16, 0xc0000207);
	store_be16(ip + 10, (uint16_t)~sum_of(ip, ihl, 0));
	return ihl + bytes;
}

static uint32_t pseudo_sum(const uint8_t *ip)
{
	uint32_t bytes = load_be16(ip + 2) - (ip[0] & 15u) * 4;

	return ip[9] == PROTOCOL_ICMP ? 0 : sum_of(ip + 12, 8, 0) + ip[9] + bytes;
}

static void seal_l4(uint8_t *ip, uint32_t checksum_at)
{
	uint8_t *l4 = ip + (ip[0] & 15u) * 4;
	uint32_t bytes = load_be16(ip + 2) - (ip[0] & 15u) * 4;

	store_be16(l4 + checksum_at, 0);
	store_be16(l4 + checksum_at, (uint16_t)~sum_of(l4, bytes, pseudo_sum(ip)));
}

static void assert_ip_sound(const uint8_t *ip)
{
	assert_int_equal(sum_of(ip, (ip[0] & 15u) * 4, 0), 0xffff);
}

static void assert_l4_sound(const uint8_t *ip)
{
	uint32_t ihl = (ip[0] & 15u) * 4;

	assert_int_equal(sum_of(ip + ihl, load_be16(ip + 2) - ihl, pseudo_sum(ip)), 0xffff);
}

/* A frame of a protocol, with ports 4000 and 80, or of an ICMP type with identifier 4000. */
static uint32_t make_frame(uint8_t *frame, uint8_t protocol, uint8_t icmp_type, uint32_t l4_bytes)
{
	uint8_t *l4 = frame + L3 + 20;

	memset(frame, 0, FRAME_MAX);
	store_be16(frame + 12, ETHERTYPE_IPV4);
	(void)put_ipv4(frame + L3, protocol, 20, l4_bytes);
	if (protocol == PROTOCOL_ICMP) {
		l4[0] = icmp_type;
		store_be16(l4 + 4, 4000);
		seal_l4(frame + L3, 2);
	} else {
		store_be16(l4, 4000);
		store_be16(l4 + 2, 80);
		seal_l4(frame + L3, protocol == PROTOCOL_TCP ? 16 : 6);
	}
	return L3 + 20 + l4_bytes;
}

static void test_tags_are_passed(void **state)
{
	static const uint16_t types[] = {0x8100, 0x88a8, 0x9100, 0x8100, 0x8100};
	uint8_t plain[FRAME_MAX], frame[FRAME_MAX];
	uint32_t bytes = make_frame(plain, PROTOCOL_UDP, 0, 8);

	(void)state;
	for (uint32_t tags = 0; tags <= 5; tags++) {
		struct packet_headers headers;

		memset(frame, 0, sizeof(frame));
		for (uint32_t t = 0; t < tags; t++)
			store_be16(frame + 12 + 4 * t, types[t]);
		memcpy(frame + 12 + 4 * tags, plain + 12, bytes - 12);
		headers = packet_parse(frame, bytes + 4 * tags, bytes + 4 * tags);
		if (tags == 5) { /* more than there may be */
			assert_int_equal(headers.ethertype, 0x8100);
			assert_int_equal(headers.l3, 0);
			continue;
		}
		assert_int_equal(headers.ethertype, ETHERTYPE_IPV4);
		assert_int_equal(headers.l3, L3 + 4 * tags);
		assert_int_equal(headers.l4, L3 + 20 + 4 * tags);
		assert_false(headers.malformed);
		/* Cut within the last tag. */
		headers = packet_parse(frame, 13 + 4 * tags, 13 + 4 * tags);
		assert_int_equal(headers.ethertype, 0);
		assert_int_equal(headers.l3, 0);
		assert_false(headers.malformed);
	}
}

static void test_what_is_not_ipv4_is_left_alone(void **state)
{
	uint8_t frame[FRAME_MAX];
	uint32_t bytes = make_frame(frame, PROTOCOL_UDP, 0, 8);
	struct packet_headers headers;

	(void)state;
	store_be16(frame + 12, ETHERTYPE_IPV6);
	headers = packet_parse(frame, bytes, bytes);
	assert_int_equal(headers.ethertype, ETHERTYPE_IPV6);
	assert_int_equal(headers.l3, 0);
	assert_false(headers.malformed);
}

static void assert_malformed(const uint8_t *frame, uint32_t in_view, uint32_t length)
{
	struct packet_headers headers = packet_parse(frame, in_view, length);

	assert_true(headers.malformed);
	assert_int_equal(headers.ethertype, ETHERTYPE_IPV4);
	assert_int_equal(headers.l3, 0);
	assert_int_equal(headers.l4, 0);
}

static void test_a_malformed_header_is_not_taken(void **state)
{
	uint8_t frame[FRAME_MAX];
	uint32_t bytes = make_frame(frame, PROTOCOL_UDP, 0, 8);

	(void)state;
	assert_malformed(frame, L3 + 19, L3 + 19);
	frame[L3] = 0x65; /* version 6 */
	assert_malformed(frame, bytes, bytes);
	frame[L3] = 0x44; /* a header of 16 bytes */
	assert_malformed(frame, bytes, bytes);
	frame[L3] = 0x45;
	store_be16(frame + L3 + 2, 19); /* a whole shorter than its header */
	assert_malformed(frame, bytes, bytes);
	store_be16(frame + L3 + 2, 60);
	frame[L3] = 0x4f; /* a header longer than the frame */
	assert_malformed(frame, bytes, bytes);
	assert_int_equal(packet_parse(frame, bytes, L3 + 60).l3, L3);
	frame[L3] = 0x45;
	assert_int_equal(packet_parse(frame, bytes, bytes).l3, L3);
}

static const struct l4_case {
	uint8_t protocol;
	uint32_t total, in_view, length; /* of l4: by the header, in view, in the frame */
	bool there, later;
} l4_cases[] = {
	{PROTOCOL_TCP, 20, 18, 20, true, false}, {PROTOCOL_TCP, 18, 18, 18, true, false},
	{PROTOCOL_TCP, 17, 20, 20, false, false}, /* Ethernet's padding is none of it */
	{PROTOCOL_TCP, 20, 17, 20, false, true},
	{PROTOCOL_TCP, 20, 17, 17, false, false}, /* the capture was cut */
	{PROTOCOL_UDP, 8, 8, 8, true, false}, {PROTOCOL_UDP, 7, 8, 8, false, false},
	{PROTOCOL_UDP, 8, 7, 8, false, true}, {PROTOCOL_ICMP, 8, 8, 8, true, false},
	{PROTOCOL_ICMP, 7, 8, 8, false, false},
	{47, 40, 40, 40, false, false}, /* GRE: nothing that is known */
};

static void test_a_transport_header_is_whole_or_none(void **state)
{
	uint8_t frame[FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(l4_cases) / sizeof(l4_cases[0]); i++) {
		const struct l4_case *c = &l4_cases[i];
		struct packet_headers headers;

		print_message("row %zu\n", i);
		memset(frame, 0, sizeof(frame));
		store_be16(frame + 12, ETHERTYPE_IPV4);
		(void)put_ipv4(frame + L3, c->protocol, 24, c->total); /* with an option */
		headers = packet_parse(frame, L3 + 24 + c->in_view, L3 + 24 + c->length);
		assert_int_equal(headers.l3, L3);
		assert_int_equal(headers.protocol, c->protocol);
		assert_int_equal(headers.l4, c->there ? L3 + 24 : 0);
		assert_int_equal(headers.later_than_view, c->later);
		assert_false(headers.malformed);
	}
}

static void test_a_later_fragment_has_no_ports(void **state)
{
	uint8_t frame[FRAME_MAX];
	uint32_t bytes = make_frame(frame, PROTOCOL_UDP, 0, 8);
	struct packet_headers headers;
	struct packet_fragment fragment;
	struct packet_endpoint to = {0xcb007107, 99};

	(void)state;
	store_be16(frame + L3 + 6, 0x2000);
	headers = packet_parse(frame, bytes, bytes);
	assert_true(headers.fragment && !headers.later_fragment);
	assert_int_equal(headers.l4, L3 + 20);
	store_be16(frame + L3 + 6, 3);
	store_be16(frame + L3 + 10, 0);
	store_be16(frame + L3 + 10, (uint16_t)~sum_of(frame + L3, 20, 0));
	headers = packet_parse(frame, bytes, bytes);
	assert_true(headers.fragment && headers.later_fragment);
	assert_int_equal(headers.l4, 0);
	assert_int_equal(packet_endpoint(frame, &headers, PACKET_SOURCE).port, 0);
	fragment = packet_fragment(frame, &headers);
	assert_int_equal(fragment.source, 0x0a000001);
	assert_int_equal(fragment.destination, 0xc0000207);
	assert_int_equal(fragment.id, 0x1234);
	assert_int_equal(fragment.protocol, PROTOCOL_UDP);
	/* Only the address is put there; the payload stays. */
	packet_translate(frame, &headers, PACKET_DESTINATION, to);
	assert_int_equal(packet_endpoint(frame, &headers, PACKET_DESTINATION).address, to.address);
	assert_int_equal(load_be16(frame + L3 + 20), 4000);
	assert_int_equal(load_be16(frame + L3 + 22), 80);
	assert_ip_sound(frame + L3);
}

static void test_what_a_packet_is(void **state)
{
	static const uint8_t types[] = {0, 3, 8, 11, 12, 5};
	uint8_t frame[FRAME_MAX];
	uint32_t bytes = make_frame(frame, PROTOCOL_TCP, 0, 20);
	struct packet_headers headers;

	(void)state;
	frame[L3 + 20 + 13] = TCP_SYN | TCP_ACK;
	headers = packet_parse(frame, bytes, bytes);
	assert_int_equal(packet_tcp_flags(frame, &headers), TCP_SYN | TCP_ACK);
	assert_false(packet_is_query(frame, &headers) || packet_is_error(frame, &headers));
	headers.l4 = 0;
	assert_int_equal(packet_tcp_flags(frame, &headers), 0);
	for (size_t i = 0; i < sizeof(types); i++) {
		bool query = types[i] == 0 || types[i] == 8;

		bytes = make_frame(frame, PROTOCOL_ICMP, types[i], 20);
		frame[L3 + 20 + 13] = TCP_SYN;
		headers = packet_parse(frame, bytes, bytes);
		assert_int_equal(packet_is_query(frame, &headers), query);
		assert_int_equal(packet_is_error(frame, &headers), !query && types[i] != 5);
		assert_int_equal(packet_tcp_flags(frame, &headers), 0);
		headers.l4 = 0;
		assert_false(packet_is_query(frame, &headers) || packet_is_error(frame, &headers));
	}
}

static void test_an_endpoint_put_there_leaves_checksums_right(void **state)
{
	static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP};

	(void)state;
	seed_random();
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t protocol = protocols[round % 3], frame[FRAME_MAX], was[FRAME_MAX];
		uint32_t bytes = make_frame(frame, protocol, 8, 20 + next_random() % 30);
		struct packet_headers headers = packet_parse(frame, bytes, bytes);
		enum packet_side side = (enum packet_side)(next_random() % 2);
		struct packet_endpoint to = {next_random(), (uint16_t)next_random()}, put, other;

		memcpy(was, frame, bytes);
		packet_translate(frame, &headers, side, to);
		put = packet_endpoint(frame, &headers, side);
		other = packet_endpoint(frame, &headers, (enum packet_side) !side);
		assert_int_equal(put.address, to.address);
		assert_int_equal(put.port, to.port);
		assert_int_equal(other.address,
			packet_endpoint(was, &headers, (enum packet_side) !side).address);
		assert_int_equal(other.port,
			protocol == PROTOCOL_ICMP ? to.port : (side == PACKET_SOURCE ? 80 : 4000));
		assert_ip_sound(frame + L3);
		assert_l4_sound(frame + L3);
	}
}

static void test_a_wrong_checksum_stays_as_wrong(void **state)
{
	uint8_t frame[FRAME_MAX], wrong[FRAME_MAX];
	uint32_t bytes = make_frame(frame, PROTOCOL_TCP, 0, 20);
	struct packet_headers headers = packet_parse(frame, bytes, bytes);
	struct packet_endpoint to = {0xcb007107, 99};

	(void)state;
	memcpy(wrong, frame, sizeof(wrong));
	store_be16(wrong + L3 + 36, (uint16_t)(load_be16(wrong + L3 + 36) ^ 0x0100));
	packet_translate(frame, &headers, PACKET_SOURCE, to);
	packet_translate(wrong, &headers, PACKET_SOURCE, to);
	assert_int_not_equal(load_be16(wrong + L3 + 36), load_be16(frame + L3 + 36));
	assert_int_not_equal(sum_of(wrong + L3 + 20, 20, pseudo_sum(wrong + L3)), 0xffff);
	assert_l4_sound(frame + L3);
}

/* RFC 768: zero says that there is none; one that comes out as zero is all ones. */
static void test_a_udp_checksum_of_zero(void **state)
{
	uint8_t frame[FRAME_MAX], *l4 = frame + L3 + 20;
	uint32_t bytes = make_frame(frame, PROTOCOL_UDP, 0, 8);
	struct packet_headers headers = packet_parse(frame, bytes, bytes);
	struct packet_endpoint to = {0xc0000207, 0};
	uint32_t ones = 0;

	(void)state;
	store_be16(l4 + 6, 0);
	packet_translate(frame, &headers, PACKET_DESTINATION, (struct packet_endpoint){7, 8});
	assert_int_equal(load_be16(l4 + 6), 0);
	assert_int_equal(load_be16(l4 + 2), 8);
	assert_ip_sound(frame + L3);
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		(void)make_frame(frame, PROTOCOL_UDP, 0, 8);
		to.port = (uint16_t)port;
		packet_translate(frame, &headers, PACKET_DESTINATION, to);
		assert_int_not_equal(load_be16(l4 + 6), 0);
		ones += load_be16(l4 + 6) == 0xffff;
	}
	assert_true(ones > 0);
}

/* An ICMP error about a packet of a protocol, quoted with so many bytes of its transport header. */
static uint32_t make_error(uint8_t *frame, uint8_t protocol, uint8_t icmp_type, uint32_t l4_bytes)
{
	uint8_t quoted[FRAME_MAX];

	(void)make_frame(quoted, protocol, icmp_type, protocol == PROTOCOL_TCP ? 20 : 8);
	(void)make_frame(frame, PROTOCOL_ICMP, 3, 8 + 20 + l4_bytes);
	memcpy(frame + L3 + 28, quoted + L3, 20 + l4_bytes);
	seal_l4(frame + L3, 2);
	return L3 + 20 + 8 + 20 + l4_bytes;
}

static const struct quoted_case {
	uint8_t protocol, icmp_type;
	uint32_t l4_bytes;
	bool good, checksummed; /* its own checksum is quoted too */
} quoted_cases[] = {
	{PROTOCOL_TCP, 0, 20, true, true},
	{PROTOCOL_TCP, 0, 18, true, true},
	{PROTOCOL_TCP, 0, 8, true, false},
	{PROTOCOL_UDP, 0, 8, true, true},
	{PROTOCOL_ICMP, 8, 8, true, true},
	{PROTOCOL_ICMP, 0, 8, true, true},
	{PROTOCOL_ICMP, 3, 8, false, false}, /* an error about an error */
	{47, 0, 8, false, false},
	{PROTOCOL_UDP, 0, 7, false, false},
	{PROTOCOL_UDP, 0, 0, false, false},
};

static void test_what_an_error_quotes_is_translated(void **state)
{
	struct packet_endpoint to = {0xcb007107, 9999}, put;
	uint8_t frame[FRAME_MAX], *ip = frame + L3 + 28;

	(void)state;
	for (size_t i = 0; i < sizeof(quoted_cases) / sizeof(quoted_cases[0]); i++) {
		const struct quoted_case *c = &quoted_cases[i];
		uint32_t bytes = make_error(frame, c->protocol, c->icmp_type, c->l4_bytes);
		struct packet_headers error = packet_parse(frame, bytes, bytes), quoted;

		print_message("row %zu\n", i);
		assert_true(packet_is_error(frame, &error));
		assert_int_equal(packet_quoted(frame, bytes, &error, &quoted), c->good);
		if (!c->good)
			continue;
		assert_int_equal(quoted.l3, L3 + 28);
		assert_int_equal(quoted.l4, L3 + 48);
		packet_translate_quoted(frame, bytes, &error, &quoted, PACKET_SOURCE, to);
		put = packet_endpoint(frame, &quoted, PACKET_SOURCE);
		assert_int_equal(put.address, to.address);
		assert_int_equal(put.port, to.port);
		assert_int_equal(load_be32(ip + 16), 0xc0000207);
		assert_ip_sound(frame + L3);
		assert_l4_sound(frame + L3); /* the error's own */
		assert_ip_sound(ip);
		if (c->checksummed && c->l4_bytes != 18)
			assert_l4_sound(ip);
	}
}

static void test_a_quoted_udp_packet_without_checksum_stays_without(void **state)
{
	uint8_t frame[FRAME_MAX], *l4 = frame + L3 + 48;
	uint32_t bytes = make_error(frame, PROTOCOL_UDP, 0, 8);
	struct packet_headers error = packet_parse(frame, bytes, bytes), quoted;

	(void)state;
	store_be16(l4 + 6, 0);
	seal_l4(frame + L3, 2);
	assert_true(packet_quoted(frame, bytes, &error, &quoted));
	packet_translate_quoted(frame, bytes, &error, &quoted, PACKET_DESTINATION,
		(struct packet_endpoint){0xcb007107, 9999});
	assert_int_equal(load_be16(l4 + 6), 0);
	assert_int_equal(load_be16(l4 + 2), 9999);
	assert_l4_sound(frame + L3);
}

static void test_a_malformed_quote_is_refused(void **state)
{
	uint8_t frame[FRAME_MAX], *ip = frame + L3 + 28;
	uint32_t bytes = make_error(frame, PROTOCOL_UDP, 0, 8);
	struct packet_headers error = packet_parse(frame, bytes, bytes), quoted;

	(void)state;
	assert_true(packet_quoted(frame, bytes, &error, &quoted));
	assert_false(packet_quoted(frame, bytes - 1, &error, &quoted)); /* not in view */
	assert_false(packet_quoted(frame, L3 + 47, &error, &quoted));
	ip[0] = 0x65;
	assert_false(packet_quoted(frame, bytes, &error, &quoted));
	ip[0] = 0x44;
	assert_false(packet_quoted(frame, bytes, &error, &quoted));
	ip[0] = 0x46; /* its 8 bytes are then beyond the end */
	assert_false(packet_quoted(frame, bytes, &error, &quoted));
	ip[0] = 0x45;
	store_be16(ip + 6, 1);
	assert_false(packet_quoted(frame, bytes, &error, &quoted));
	store_be16(ip + 6, 0x2000); /* a first fragment has its ports */
	assert_true(packet_quoted(frame, bytes, &error, &quoted));
	/* Bytes in view that are Ethernet's padding are not quoted. */
	store_be16(frame + L3 + 2, (uint16_t)(load_be16(frame + L3 + 2) - 1));
	assert_false(packet_quoted(frame, bytes, &error, &quoted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags_are_passed),
		cmocka_unit_test(test_what_is_not_ipv4_is_left_alone),
		cmocka_unit_test(test_a_malformed_header_is_not_taken),
		cmocka_unit_test(test_a_transport_header_is_whole_or_none),
		cmocka_unit_test(test_a_later_fragment_has_no_ports),
		cmocka_unit_test(test_what_a_packet_is),
		cmocka_unit_test(test_an_endpoint_put_there_leaves_checksums_right),
		cmocka_unit_test(test_a_wrong_checksum_stays_as_wrong),
		cmocka_unit_test(test_a_udp_checksum_of_zero),
		cmocka_unit_test(test_what_an_error_quotes_is_translated),
		cmocka_unit_test(test_a_quoted_udp_packet_without_checksum_stays_without),
		cmocka_unit_test(test_a_malformed_quote_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
