/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/delta.h"

#include <emmintrin.h>
#include <string.h>

size_t delta_put(uint8_t *out, size_t capacity_bytes, enum delta_operation operation,
	uint16_t offset, const uint8_t *bytes, uint16_t length)
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

/* A bit for each of up to 64 bytes that differ. */
static uint64_t differing(const uint8_t *before, const uint8_t *after, size_t bytes_count)
{
	uint64_t mask = 0;
	size_t at = 0;

	for (; at + 16 <= bytes_count; at += 16) {
		__m128i a = _mm_loadu_si128((const __m128i *)(before + at));
		__m128i b = _mm_loadu_si128((const __m128i *)(after + at));

		mask |= (uint64_t)(~_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) & 0xffff) << at;
	}
	for (; at < bytes_count; at++)
		mask |= (uint64_t)(before[at] != after[at]) << at;
	return mask;
}

size_t delta_diff(uint8_t *out, const uint8_t *before, const uint8_t *after, size_t bytes_count)
{
	uint8_t *start = out;

	for (size_t base = 0; base < bytes_count; base += 64) {
		size_t window = bytes_count - base < 64 ? bytes_count - base : 64;
		uint64_t mask = differing(before + base, after + base, window);

		while (mask != 0) {
			unsigned int first = (unsigned int)__builtin_ctzll(mask), last = first;

			/* A gap as long as another operation's head costs nothing to bridge. */
			while (last < 63 && (mask >> (last + 1)) != 0) {
				unsigned int gap =
					(unsigned int)__builtin_ctzll(mask >> (last + 1));

				if (gap > DELTA_OPERATION_BYTES)
					break;
				last += gap + 1;
			}
			out += delta_put(out, DELTA_OPERATION_BYTES + 64, DELTA_EDIT,
				(uint16_t)(base + first), after + base + first,
				(uint16_t)(last - first + 1));
			mask = last == 63 ? 0 : mask & (~0ull << (last + 1));
		}
	}
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

enum status delta_apply(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes,
	const uint8_t *delta, size_t delta_bytes)
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
		status = apply_one(frame, frame_bytes, capacity_bytes, operation, head[0], delta,
			head[1]);
		if (status != STATUS_OK)
			return status;
		delta += body;
	}
	return STATUS_OK;
}
