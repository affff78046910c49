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

/* The mask with gaps of up to 4 filled: as long as another operation's head, they cost nothing. */
static uint64_t bridged(uint64_t mask)
{
	uint64_t wide = mask | mask << 1;

	_Static_assert(DELTA_OPERATION_BYTES == 4, "gaps");
	wide |= wide << 2;
	wide |= mask << 4;
	return mask | (wide & wide >> 1 & wide >> 2 & wide >> 3 & wide >> 4);
}

/* Copies whole vectors: up to DELTA_SLACK_BYTES beyond either end are touched, to no effect. */
static uint8_t *put_edit(uint8_t *out, uint16_t offset, const uint8_t *bytes, uint16_t length)
{
	uint32_t head = (uint32_t)length << 16 | offset;

	_Static_assert(DELTA_EDIT == 0, "head");
	memcpy(out, &head, sizeof(head));
	out += sizeof(head);
	for (uint32_t at = 0; at < length; at += 16)
		_mm_storeu_si128((__m128i *)(out + at),
			_mm_loadu_si128((const __m128i *)(bytes + at)));
	return out + length;
}

size_t delta_diff(uint8_t *out, const uint8_t *before, const uint8_t *after, size_t bytes_count)
{
	uint8_t *start = out;

	for (size_t base = 0; base < bytes_count; base += 64) {
		size_t window = bytes_count - base < 64 ? bytes_count - base : 64;
		uint64_t mask = differing(before + base, after + base, window);

		for (mask = bridged(mask); mask != 0;) {
			unsigned int first = (unsigned int)__builtin_ctzll(mask);
			uint64_t after_run = ~(mask >> first);
			unsigned int run =
				after_run == 0 ? 64 : (unsigned int)__builtin_ctzll(after_run);

			out = put_edit(out, (uint16_t)(base + first), after + base + first,
				(uint16_t)run);
			mask = first + run == 64 ? 0 : mask >> (first + run) << (first + run);
		}
	}
	return (size_t)(out - start);
}

enum status delta_next(struct delta_step *step, const uint8_t **at, const uint8_t *end)
{
	uint16_t head[2];
	size_t body;

	if ((size_t)(end - *at) < sizeof(head))
		return STATUS_CORRUPT;
	memcpy(head, *at, sizeof(head));
	step->operation = head[1] >> 14;
	step->offset = head[0];
	step->length = head[1] & DELTA_LENGTH_MAX;
	step->bytes = *at + sizeof(head);
	body = step->operation == DELTA_EDIT || step->operation == DELTA_INSERT ? step->length : 0;
	if ((size_t)(end - step->bytes) < body)
		return STATUS_CORRUPT;
	*at = step->bytes + body;
	return STATUS_OK;
}

/* The frame's length after the operation. Errors: CORRUPT (it reaches outside the frame). */
static enum status step_length(const struct delta_step *step, size_t *frame_bytes)
{
	size_t reach = step->offset;

	if (step->operation == DELTA_RESIZE) {
		*frame_bytes = step->offset;
		return STATUS_OK;
	}
	if (step->operation != DELTA_INSERT)
		reach += step->length;
	if (reach > *frame_bytes)
		return STATUS_CORRUPT;
	if (step->operation == DELTA_INSERT)
		*frame_bytes += step->length;
	else if (step->operation == DELTA_REMOVE)
		*frame_bytes -= step->length;
	return STATUS_OK;
}

enum status delta_check(size_t frame_bytes, const uint8_t *delta, size_t delta_bytes)
{
	const uint8_t *end = delta + delta_bytes;
	struct delta_step step;
	enum status status = STATUS_OK;

	while (status == STATUS_OK && delta < end) {
		status = delta_next(&step, &delta, end);
		if (status == STATUS_OK)
			status = step_length(&step, &frame_bytes);
	}
	return status;
}

static void apply_one(uint8_t *frame, const struct delta_step *step, size_t before, size_t after)
{
	uint8_t *at = frame + step->offset;

	switch (step->operation) {
	case DELTA_EDIT:
		memcpy(at, step->bytes, step->length);
		break;
	case DELTA_INSERT:
		memmove(at + step->length, at, before - step->offset);
		memcpy(at, step->bytes, step->length);
		break;
	case DELTA_REMOVE:
		memmove(at, at + step->length, after - step->offset);
		break;
	case DELTA_RESIZE:
		if (after > before)
			memset(frame + before, 0, after - before);
		break;
	}
}

enum status delta_apply(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes,
	const uint8_t *delta, size_t delta_bytes)
{
	const uint8_t *end = delta + delta_bytes;

	while (delta < end) {
		struct delta_step step;
		size_t after = *frame_bytes;

		if (delta_next(&step, &delta, end) != STATUS_OK ||
			step_length(&step, &after) != STATUS_OK)
			return STATUS_CORRUPT;
		if (after > capacity_bytes)
			return STATUS_TOO_BIG;
		apply_one(frame, &step, *frame_bytes, after);
		*frame_bytes = after;
	}
	return STATUS_OK;
}
