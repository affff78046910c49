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
 * Replaces bytes_count (even) bytes at `at` by `with`, and mends the Internet checksum at
 * `checksum`
 * (NULL: none) for it, as RFC 1624 equation 3. A wrong checksum stays as wrong as it was.
 */
void packet_rewrite(uint8_t *at, const uint8_t *with, uint32_t bytes_count, uint8_t *checksum);

#endif
