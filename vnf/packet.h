/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the headers of a frame lie (Ethernet, up to four VLAN tags, IPv4, TCP/UDP/ICMP), who talks
 * to whom, and putting another address and port there.
 */
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

/* An address and a port, host order; of ICMP queries the identifier stands for both ports. */
struct packet_endpoint {
	uint32_t address;
	uint16_t port;
};

/* What the fragments of one packet have in common: a table's key. */
struct packet_fragment {
	uint32_t source, destination;
	uint16_t id;
	uint8_t protocol;
	uint8_t zero[5];
};

_Static_assert(sizeof(struct packet_fragment) == 16, "a key");

struct packet_fragment packet_fragment(const uint8_t *frame, const struct packet_headers *headers);

enum packet_side { PACKET_SOURCE, PACKET_DESTINATION };

/* The endpoint of one side; port 0 where headers->l4 is 0. */
struct packet_endpoint packet_endpoint(const uint8_t *frame, const struct packet_headers *headers,
	enum packet_side side);

/* TCP's flags; 0 for other packets. */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
static inline uint8_t packet_tcp_flags(const uint8_t *frame, const struct packet_headers *headers)
{
	return headers->protocol == PROTOCOL_TCP && headers->l4 != 0 ? frame[headers->l4 + 13] : 0;
}

/* ICMP echo and its reply: what has an identifier. */
static inline bool packet_is_query(const uint8_t *frame, const struct packet_headers *headers)
{
	return headers->protocol == PROTOCOL_ICMP && headers->l4 != 0 &&
	       (frame[headers->l4] == 0 || frame[headers->l4] == 8);
}

/* ICMP's errors, which quote the packet that they are about: unreachable, time, parameter. */
static inline bool packet_is_error(const uint8_t *frame, const struct packet_headers *headers)
{
	return headers->protocol == PROTOCOL_ICMP && headers->l4 != 0 &&
	       (frame[headers->l4] == 3 || frame[headers->l4] == 11 || frame[headers->l4] == 12);
}

/*
 * The packet that an ICMP error quotes. False if it is malformed, a later fragment, not TCP, UDP or
 * ICMP query, or not in view.
 */
bool packet_quoted(const uint8_t *frame, uint32_t header_bytes, const struct packet_headers *error,
	struct packet_headers *quoted);

/* Puts an endpoint in place of one side's, checksums mended; a later fragment has no port. */
void packet_translate(uint8_t *frame, const struct packet_headers *headers, enum packet_side side,
	struct packet_endpoint to);

/* The same in the packet that an error quotes, the error's own checksum mended too. */
void packet_translate_quoted(uint8_t *frame, uint32_t header_bytes,
	const struct packet_headers *error, const struct packet_headers *quoted,
	enum packet_side side, struct packet_endpoint to);

#endif
