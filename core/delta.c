/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/delta.h"

#include <string.h>

size_t delta_put(uint8_t *out, size_t capacity_bytes, enum delta_operation operation, uint16_t offset,
	const uint8_t *bytes, uint16_t length)
{
	uint16_t head[2] = {offset, (uint16_t)(operation << 14 | length)};
	size_t body = operation == DELTA_EDIT || operation == DELTA_INSERT ? length : 0;

	if (capacity_bytes < sizeof(head) + body || length > DELTA_LENGTH_MAX)
		return 0;
	memcpy(out, head, sizeof(head));
	if (body > 0)
		memcpy(out + sizeof(head), bytes, body);
	return sizeof(head) + body;
}

/* Writes EDITs for the differing runs in [from, to); gaps of up to 4 equal bytes are bridged. */
static uint8_t *diff_bytes(uint8_t *out, const uint8_t *before, const uint8_t *after, size_t from,
	size_t to)
{
	size_t at = from;

	while (at < to) {
		size_t last;

		while (at < to && before[at] == after[at])
			at++;
		if (at == to)
			break;
		last = at;
		for (size_t i = at + 1; i < to && i <= last + DELTA_OPERATION_BYTES + 1; i++)
			if (before[i] != after[i])
				last = i;
		out += delta_put(out, DELTA_OPERATION_BYTES + DELTA_LENGTH_MAX, DELTA_EDIT, (uint16_t)at,
			after + at, (uint16_t)(last - at + 1));
		at = last + 1;
	}
	return out;
}

size_t delta_diff(uint8_t *out, const uint8_t *before, const uint8_t *after, size_t bytes_count)
{
	uint8_t *start = out;
	size_t from = bytes_count, to = 0;

	for (size_t at = 0; at + 8 <= bytes_count; at += 8) {
		uint64_t a, b;

		memcpy(&a, before + at, 8);
		memcpy(&b, after + at, 8);
		if (a != b) {
			if (from == bytes_count)
				from = at;
			to = at + 8;
		}
	}
	for (size_t at = bytes_count & ~(size_t)7; at < bytes_count; at++) {
		if (before[at] != after[at]) {
			if (from == bytes_count)
				from = at;
			to = at + 1;
		}
	}
	if (from < to)
		out = diff_bytes(out, before, after, from, to);
	return (size_t)(out - start);
}

static enum status apply_insert(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes,
	uint16_t offset, const uint8_t *bytes, uint16_t length)
{
	if (offset > *frame_bytes)
		return STATUS_CORRUPT;
	if (*frame_bytes + length > capacity_bytes)
		return STATUS_TOO_BIG;
	memmove(frame + offset + length, frame + offset, *frame_bytes - offset);
	memcpy(frame + offset, bytes, length);
	*frame_bytes += length;
	return STATUS_OK;
}

static enum status apply_one(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes,
	enum delta_operation operation, uint16_t offset, const uint8_t *bytes, uint16_t length)
{
	switch (operation) {
	case DELTA_EDIT:
		if ((size_t)offset + length > *frame_bytes)
			return STATUS_CORRUPT;
		memcpy(frame + offset, bytes, length);
		return STATUS_OK;
	case DELTA_INSERT:
		return apply_insert(frame, frame_bytes, capacity_bytes, offset, bytes, length);
	case DELTA_REMOVE:
		if ((size_t)offset + length > *frame_bytes)
			return STATUS_CORRUPT;
		memmove(frame + offset, frame + offset + length, *frame_bytes - offset - length);
		*frame_bytes -= length;
		return STATUS_OK;
	case DELTA_RESIZE:
		if (offset > capacity_bytes)
			return STATUS_TOO_BIG;
		if (offset > *frame_bytes)
			memset(frame + *frame_bytes, 0, offset - *frame_bytes);
		*frame_bytes = offset;
		return STATUS_OK;
	}
	return STATUS_CORRUPT;
}

enum status delta_apply(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes, const uint8_t *delta,
	size_t delta_bytes)
{
	const uint8_t *end = delta + delta_bytes;

	while (delta < end) {
		uint16_t head[2];
		enum delta_operation operation;
		enum status status;
		size_t body;

		if ((size_t)(end - delta) < sizeof(head))
			return STATUS_CORRUPT;
		memcpy(head, delta, sizeof(head));
		delta += sizeof(head);
		operation = head[1] >> 14;
		head[1] &= DELTA_LENGTH_MAX;
		body = operation == DELTA_EDIT || operation == DELTA_INSERT ? head[1] : 0;
		if ((size_t)(end - delta) < body)
			return STATUS_CORRUPT;
		status = apply_one(frame, frame_bytes, capacity_bytes, operation, head[0], delta, head[1]);
		if (status != STATUS_OK)
			return status;
		delta += body;
	}
	return STATUS_OK;
}
