/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/packet_id.h"

#include <string.h>

#include "core/bytes.h"

#define MAC_BYTES 12
#define VID_MASK 0xfffu
#define VID_RESERVED_LOW 0u
#define VID_RESERVED_HIGH 4095u

int wire_sequence_compare(uint32_t a, uint32_t b)
{
	int32_t distance = (int32_t)((a - b) << (32 - WIRE_SEQUENCE_BITS));

	return distance < 0 ? -1 : distance > 0;
}

uint64_t wire_sequence_widen(uint32_t wire, uint64_t near)
{
	int32_t distance = (int32_t)((wire - (uint32_t)near) << (32 - WIRE_SEQUENCE_BITS)) >>
			   (32 - WIRE_SEQUENCE_BITS);

	return near + (uint64_t)(int64_t)distance;
}

static uint64_t wire_id_pack(struct wire_id id)
{
	return (uint64_t)(id.sequencer & 7) << 33 |
	       (uint64_t)(id.sequence & WIRE_SEQUENCE_MASK) << 5 | (id.version & 31);
}

static bool vid_is_reserved(uint32_t vid)
{
	return vid == VID_RESERVED_LOW || vid == VID_RESERVED_HIGH;
}

bool wire_id_expressible(struct wire_id id)
{
	uint64_t packed = wire_id_pack(id);

	return !vid_is_reserved(packed >> 24 & VID_MASK) &&
	       !vid_is_reserved(packed >> 12 & VID_MASK) && !vid_is_reserved(packed & VID_MASK);
}

enum status wire_id_tag(struct wire_id id, uint8_t *frame, size_t *frame_bytes,
	size_t capacity_bytes)
{
	uint64_t packed = wire_id_pack(id);

	if (*frame_bytes < MAC_BYTES + 2 || !wire_id_expressible(id))
		return STATUS_INVALID;
	if (*frame_bytes + WIRE_BYTES > capacity_bytes)
		return STATUS_TOO_BIG;
	if (load_be16(frame + MAC_BYTES) == WIRE_TPID)
		return STATUS_EXISTS;
	memmove(frame + MAC_BYTES + WIRE_BYTES, frame + MAC_BYTES, *frame_bytes - MAC_BYTES);
	for (int tag = 0; tag < WIRE_TAGS; tag++) {
		uint8_t *at = frame + MAC_BYTES + tag * WIRE_TAG_BYTES;

		store_be16(at, WIRE_TPID);
		store_be16(at + 2, (uint16_t)(packed >> (12 * (WIRE_TAGS - 1 - tag)) & VID_MASK));
	}
	*frame_bytes += WIRE_BYTES;
	return STATUS_OK;
}

enum status wire_id_untag(uint8_t *frame, size_t *frame_bytes, struct wire_id *id)
{
	uint64_t packed = 0;

	if (*frame_bytes < MAC_BYTES + WIRE_BYTES + 2)
		return STATUS_NOT_FOUND;
	for (int tag = 0; tag < WIRE_TAGS; tag++) {
		const uint8_t *at = frame + MAC_BYTES + tag * WIRE_TAG_BYTES;
		uint32_t vid = load_be16(at + 2) & VID_MASK;

		if (load_be16(at) != WIRE_TPID)
			return STATUS_NOT_FOUND;
		if (vid_is_reserved(vid))
			return STATUS_INVALID;
		packed = packed << 12 | vid;
	}
	/* We put them on nothing that has our tag type already. */
	if (load_be16(frame + MAC_BYTES + WIRE_BYTES) == WIRE_TPID)
		return STATUS_INVALID;
	id->sequencer = (uint8_t)(packed >> 33);
	id->sequence = (uint32_t)(packed >> 5) & WIRE_SEQUENCE_MASK;
	id->version = packed & 31;
	memmove(frame + MAC_BYTES, frame + MAC_BYTES + WIRE_BYTES,
		*frame_bytes - MAC_BYTES - WIRE_BYTES);
	*frame_bytes -= WIRE_BYTES;
	return STATUS_OK;
}
