/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packet IDs. The 64-bit form is never reused: gateway epoch and dense sequence. The 36-bit wire
 * form (FTvNF section 3: 3 bits sequencer, 28 sequence, 5 version) travels as three stacked VLAN
 * tags, 12 bits in each VLAN ID, where 0 and 4095 are reserved (IEEE 802.1Q table 9-2).
 *
 *   64-bit:  | epoch 16 | sequence 48 |
 *   36-bit:  | sequencer 3 | sequence 28 | version 5 |  = | VID 12 | VID 12 | VID 12 |
 */
#ifndef UNDERSTUDY_CORE_PACKET_ID_H
#define UNDERSTUDY_CORE_PACKET_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#define PACKET_ID_SEQUENCE_BITS 48
#define WIRE_SEQUENCE_BITS 28
#define WIRE_SEQUENCE_MASK ((1u << WIRE_SEQUENCE_BITS) - 1)
#define WIRE_TAGS 3
#define WIRE_TAG_BYTES 4
#define WIRE_BYTES (WIRE_TAGS * WIRE_TAG_BYTES)
#define WIRE_TPID 0x9a5e /* our own outer tag type; foreign 802.1Q and 802.1ad tags lie inside */

struct wire_id {
	uint32_t sequence; /* 28 bits, wraps */
	uint8_t sequencer; /* 3 bits */
	uint8_t version;   /* 5 bits: the stages passed */
};

static inline uint64_t packet_id(uint16_t epoch, uint64_t sequence)
{
	return (uint64_t)epoch << PACKET_ID_SEQUENCE_BITS | sequence;
}

static inline uint16_t packet_id_epoch(uint64_t id)
{
	return (uint16_t)(id >> PACKET_ID_SEQUENCE_BITS);
}

static inline uint64_t packet_id_sequence(uint64_t id)
{
	return id & ((1ull << PACKET_ID_SEQUENCE_BITS) - 1);
}

/*
 * Serial-number comparison (RFC 1982) of 28-bit sequences: <0, 0, >0 as a is before, at,
 * after b.
 */
int wire_sequence_compare(uint32_t a, uint32_t b);

/* The 64-bit sequence nearest to `near` whose low 28 bits are wire's. */
uint64_t wire_sequence_widen(uint32_t wire, uint64_t near);

/* True if all three VLAN IDs of this ID avoid 0 and 4095. */
bool wire_id_expressible(struct wire_id id);

/*
 * Puts the ID's tags between the MAC addresses and the rest of a frame in place.
 * frame has frame_bytes of capacity_bytes in use. Errors: INVALID (not expressible, or no Ethernet
 * header), TOO_BIG (no room for 12 bytes more), EXISTS (the frame carries our tag type already).
 */
MUST_CHECK enum status wire_id_tag(struct wire_id id, uint8_t *frame, size_t *frame_bytes,
	size_t capacity_bytes);

/*
 * Takes exactly our three tags off. Errors: NOT_FOUND (not our tag type), INVALID (bad VLAN ID, or
 * there are more than three).
 */
MUST_CHECK enum status wire_id_untag(uint8_t *frame, size_t *frame_bytes, struct wire_id *id);

#endif
