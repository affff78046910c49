/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/packet.h"

#include <string.h>

#include "core/bytes.h"

#define ETHERNET_BYTES 14
#define VLAN_BYTES 4
#define VLAN_TAGS_MAX 4
#define IPV4_BYTES_MIN 20
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

static bool is_vlan(uint16_t ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/*
 * Bytes of a transport header that must be there to translate it: ports or ICMP id, and
 * checksum.
 */
static uint32_t l4_bytes_needed(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return 18;
	case PROTOCOL_UDP:
	case PROTOCOL_ICMP:
		return 8;
	default:
		return 0;
	}
}

static void parse_ipv4(struct packet_headers *headers, const uint8_t *header, uint32_t header_bytes,
	uint32_t length, uint32_t at)
{
	const uint8_t *ip = header + at;
	uint32_t ihl, total, fragment;

	headers->malformed = true;
	if (header_bytes < at + IPV4_BYTES_MIN)
		return;
	ihl = (ip[0] & 15u) * 4;
	total = load_be16(ip + 2);
	if (ip[0] >> 4 != 4 || ihl < IPV4_BYTES_MIN || total < ihl || length < at + ihl)
		return;
	headers->malformed = false;
	headers->l3 = (uint16_t)at;
	headers->protocol = ip[9];
	fragment = load_be16(ip + 6);
	headers->later_fragment = (fragment & IPV4_FRAGMENT_OFFSET) != 0;
	headers->fragment = headers->later_fragment || (fragment & IPV4_MORE_FRAGMENTS) != 0;
	if (headers->later_fragment || l4_bytes_needed(headers->protocol) == 0)
		return;
	if (total < ihl + l4_bytes_needed(headers->protocol))
		return;
	if (header_bytes >= at + ihl + l4_bytes_needed(headers->protocol))
		headers->l4 = (uint16_t)(at + ihl);
	else
		headers->later_than_view = length >= at + ihl + l4_bytes_needed(headers->protocol);
}

struct packet_headers packet_parse(const uint8_t *header, uint32_t header_bytes, uint32_t length)
{
	struct packet_headers headers = {0};
	uint32_t at = ETHERNET_BYTES;

	if (header_bytes < ETHERNET_BYTES)
		return headers;
	headers.ethertype = load_be16(header + at - 2);
	for (int tag = 0; tag < VLAN_TAGS_MAX && is_vlan(headers.ethertype); tag++) {
		at += VLAN_BYTES;
		headers.ethertype = header_bytes < at ? 0 : load_be16(header + at - 2);
	}
	if (headers.ethertype == ETHERTYPE_IPV4)
		parse_ipv4(&headers, header, header_bytes, length, at);
	return headers;
}

void checksum_mend(uint8_t *checksum, uint32_t difference)
{
	uint32_t sum = (uint16_t)~load_be16(checksum) + difference;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	store_be16(checksum, (uint16_t)~sum);
}

static uint32_t address_at(const struct packet_headers *headers, enum packet_side side)
{
	return headers->l3 + (side == PACKET_SOURCE ? 12u : 16u);
}

static uint32_t port_at(const struct packet_headers *headers, enum packet_side side)
{
	if (headers->protocol == PROTOCOL_ICMP)
		return headers->l4 + 4u;
	return headers->l4 + (side == PACKET_SOURCE ? 0u : 2u);
}

/* Of the transport header; 0: there is none to mend. */
static uint32_t checksum_at(const uint8_t *frame, const struct packet_headers *headers)
{
	switch (headers->protocol) {
	case PROTOCOL_TCP:
		return headers->l4 + 16u;
	case PROTOCOL_UDP:
		return load_be16(frame + headers->l4 + 6) != 0 ? headers->l4 + 6u : 0;
	default:
		return headers->l4 + 2u;
	}
}

struct packet_fragment packet_fragment(const uint8_t *frame, const struct packet_headers *headers)
{
	return (struct packet_fragment){.source = load_be32(frame + headers->l3 + 12),
		.destination = load_be32(frame + headers->l3 + 16),
		.id = load_be16(frame + headers->l3 + 4),
		.protocol = headers->protocol};
}

struct packet_endpoint packet_endpoint(const uint8_t *frame, const struct packet_headers *headers,
	enum packet_side side)
{
	return (struct packet_endpoint){
		.address = load_be32(frame + address_at(headers, side)),
		.port = headers->l4 == 0 ? 0 : load_be16(frame + port_at(headers, side)),
	};
}

/* Where what is in view of a packet ends; Ethernet may have padded it. */
static uint32_t end_in_view(const uint8_t *frame, uint32_t header_bytes,
	const struct packet_headers *headers)
{
	uint32_t end = headers->l3 + load_be16(frame + headers->l3 + 2);

	return end < header_bytes ? end : header_bytes;
}

bool packet_quoted(const uint8_t *frame, uint32_t header_bytes, const struct packet_headers *error,
	struct packet_headers *quoted)
{
	uint32_t at = error->l4 + 8u, end = end_in_view(frame, header_bytes, error), ihl;
	const uint8_t *ip = frame + at;

	*quoted = (struct packet_headers){.ethertype = ETHERTYPE_IPV4, .l3 = (uint16_t)at};
	if (end < at + IPV4_BYTES_MIN || ip[0] >> 4 != 4)
		return false;
	ihl = (ip[0] & 15u) * 4;
	/* RFC 792: the header and 8 bytes are quoted at least. */
	if (ihl < IPV4_BYTES_MIN || end < at + ihl + 8 ||
		(load_be16(ip + 6) & IPV4_FRAGMENT_OFFSET) != 0)
		return false;
	quoted->l4 = (uint16_t)(at + ihl);
	quoted->protocol = ip[9];
	return quoted->protocol == PROTOCOL_TCP || quoted->protocol == PROTOCOL_UDP ||
	       packet_is_query(frame, quoted);
}

void packet_translate(uint8_t *frame, const struct packet_headers *headers, enum packet_side side,
	struct packet_endpoint to)
{
	uint8_t *address = frame + address_at(headers, side), *port;
	uint32_t by_address = checksum_difference32(load_be32(address), to.address), by_port, at;

	store_be32(address, to.address);
	checksum_mend(frame + headers->l3 + 10, by_address);
	if (headers->l4 == 0)
		return;
	port = frame + port_at(headers, side);
	by_port = checksum_difference16(load_be16(port), to.port);
	store_be16(port, to.port);
	at = checksum_at(frame, headers);
	if (at == 0)
		return;
	checksum_mend(frame + at, by_port + (headers->protocol == PROTOCOL_ICMP ? 0 : by_address));
	/* RFC 768: a UDP checksum that comes out as zero is sent as all ones. */
	if (headers->protocol == PROTOCOL_UDP && load_be16(frame + at) == 0)
		store_be16(frame + at, 0xffff);
}

/* What a mended checksum adds to a sum over it. */
static uint32_t mend_within(uint8_t *checksum, uint32_t difference)
{
	uint16_t old = load_be16(checksum);

	checksum_mend(checksum, difference);
	return checksum_difference16(old, load_be16(checksum));
}

void packet_translate_quoted(uint8_t *frame, uint32_t header_bytes,
	const struct packet_headers *error, const struct packet_headers *quoted,
	enum packet_side side, struct packet_endpoint to)
{
	uint8_t *address = frame + address_at(quoted, side), *port = frame + port_at(quoted, side);
	uint32_t by_address = checksum_difference32(load_be32(address), to.address);
	uint32_t by_port = checksum_difference16(load_be16(port), to.port);
	uint32_t at = checksum_at(frame, quoted), difference = by_address + by_port;

	store_be32(address, to.address);
	store_be16(port, to.port);
	difference += mend_within(frame + quoted->l3 + 10, by_address);
	/* TCP's is quoted only by those who quote more than they must. */
	if (at != 0 && at + 2 <= end_in_view(frame, header_bytes, error))
		difference += mend_within(frame + at,
			by_port + (quoted->protocol == PROTOCOL_ICMP ? 0 : by_address));
	checksum_mend(frame + error->l4 + 2, difference);
}
