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
