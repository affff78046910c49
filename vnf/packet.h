/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the headers of a frame lie: Ethernet, up to four VLAN tags, IPv4, TCP/UDP/ICMP. */
#ifndef UNDERSTUDY_VNF_PACKET_H
#define UNDERSTUDY_VNF_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct packet_headers {
	uint16_t ethertype; /* after VLAN tags; 0: not Ethernet II, or cut before it */
	uint16_t l3;	    /* offset of the IPv4 header; 0: none that is whole and sound */
	uint16_t l4;	    /* offset of the transport header; 0: not in this packet, or cut */
	uint8_t protocol;
	bool fragment;	      /* one of several */
	bool later_fragment;  /* and not the first */
	bool malformed;	      /* says IPv4, but is not one */
	bool later_than_view; /* headers longer than what is in view */
};

/* Survives any bytes. header_bytes are in view, of a frame of length. */
struct packet_headers packet_parse(const uint8_t *header, uint32_t header_bytes, uint32_t length);

/*
 * Internet checksums are mended, not recomputed (RFC 1624 equation 3): a wrong one stays as wrong
 * as it was. A difference is a sum of ones' complements of old words and of new words; they add.
 */
static inline uint32_t checksum_difference16(uint16_t old, uint16_t new)
{
	return (uint16_t)~old + (uint32_t) new;
}

static inline uint32_t checksum_difference32(uint32_t old, uint32_t new)
{
	return (~old >> 16) + (~old & 0xffff) + (new >> 16) + (new & 0xffff);
}

void checksum_mend(uint8_t *checksum, uint32_t difference);

#endif
