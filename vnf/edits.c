/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/edits.h"

#include <string.h>

#include "core/delta.h"
#include "core/status.h"

static bool add(struct edits *edits, uint32_t record, uint32_t *room,
	enum delta_operation operation, uint16_t offset, const void *bytes, uint16_t bytes_count)
{
	uint16_t *last = &edits->last[record];
	uint32_t put = DELTA_OPERATION_BYTES + bytes_count;

	if (edits->counts[record] == PACKET_EDITS_MAX || *room < put)
		return false;
	put = (uint32_t)delta_put(edits->bytes + edits->used, EXTRAS_BYTES_MAX - edits->used,
		operation, offset, bytes, bytes_count);
	if (put == 0 || put > *room)
		return false;
	*room -= put;
	edits->counts[record]++;
	edits->list[edits->count++] = (struct edit){.bytes = (uint16_t)put, .at = edits->used};
	edits->used += put;
	if (*last == 0)
		edits->first[record] = (uint16_t)edits->count;
	else
		edits->list[*last - 1].next = (uint16_t)edits->count;
	*last = (uint16_t)edits->count;
	return true;
}

/* The view holds the packet's first bytes as long as no resize has cut them. */
bool edits_resize(struct edits *edits, struct vnf_packet *packet, uint32_t *room, uint16_t length)
{
	if (!add(edits, packet->record, room, DELTA_RESIZE, length, NULL, 0))
		return false;
	packet->length = length;
	if (packet->header_bytes > length)
		packet->header_bytes = length;
	return true;
}

bool edits_edit(struct edits *edits, struct vnf_packet *packet, uint32_t *room, uint16_t offset,
	const uint8_t *bytes, uint16_t bytes_count)
{
	uint16_t in_view = 0;

	if (offset < packet->header_bytes) {
		in_view = packet->header_bytes - offset;
		if (in_view > bytes_count)
			in_view = bytes_count;
	}
	if (in_view < bytes_count && !add(edits, packet->record, room, DELTA_EDIT, offset + in_view,
					     bytes + in_view, bytes_count - in_view))
		return false;
	if (in_view > 0)
		memcpy(packet->current + offset, bytes, in_view);
	return true;
}

bool edits_load(struct edits *edits, struct vnf_packet *packet, uint32_t *room,
	const uint8_t *delta, uint32_t delta_bytes)
{
	const uint8_t *end = delta + delta_bytes;
	bool fits = true;

	while (delta < end && fits) {
		struct delta_step step;

		fits = delta_next(&step, &delta, end) == STATUS_OK;
		if (fits && step.operation == DELTA_EDIT)
			fits = edits_edit(edits, packet, room, step.offset, step.bytes,
				step.length);
		else if (fits) /* no call of a VNF inserts or removes */
			fits = step.operation == DELTA_RESIZE &&
			       edits_resize(edits, packet, room, step.offset);
	}
	return fits;
}

uint32_t edits_delta(const struct edits *edits, const struct vnf_packet *packet, uint8_t *out)
{
	uint32_t bytes =
		(uint32_t)delta_diff(out, packet->arrival, packet->current, packet->header_bytes);

	for (uint32_t e = edits->first[packet->record]; e != 0; e = edits->list[e - 1].next) {
		const struct edit *edit = &edits->list[e - 1];

		memcpy(out + bytes, edits->bytes + edit->at, edit->bytes);
		bytes += edit->bytes;
	}
	return bytes;
}

/* Part of a range of bytes, where it overlaps [from, to): copied from bytes there, or zeroed. */
static void overlay(uint8_t *out, uint32_t offset, uint32_t count, uint32_t from, uint32_t to,
	const uint8_t *bytes)
{
	uint32_t begin = from > offset ? from : offset;
	uint32_t end = to < offset + count ? to : offset + count;

	if (begin >= end)
		return;
	if (bytes != NULL)
		memcpy(out + (begin - offset), bytes + (begin - from), end - begin);
	else
		memset(out + (begin - offset), 0, end - begin);
}

void edits_read(const struct edits *edits, const struct vnf_packet *packet, uint32_t offset,
	void *bytes, uint32_t bytes_count)
{
	const struct batch_record *record = (const struct batch_record *)packet->arrival - 1;
	uint32_t length = record->length;

	overlay(bytes, offset, bytes_count, 0, length, packet->arrival);
	for (uint32_t e = edits->first[packet->record]; e != 0; e = edits->list[e - 1].next) {
		const uint8_t *at = edits->bytes + edits->list[e - 1].at;
		struct delta_step step;

		BUG_ON(delta_next(&step, &at, at + edits->list[e - 1].bytes) != STATUS_OK);
		if (step.operation == DELTA_EDIT)
			overlay(bytes, offset, bytes_count, step.offset,
				(uint32_t)step.offset + step.length, step.bytes);
		else
			overlay(bytes, offset, bytes_count, length, step.offset, NULL);
		if (step.operation == DELTA_RESIZE)
			length = step.offset;
	}
	overlay(bytes, offset, bytes_count, 0, packet->header_bytes, packet->current);
}
