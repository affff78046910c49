/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A delta: the bytes that a stage changed in a packet. A sequence of operations, each
 *
 *   | offset 2 | operation 2 bits, length 14 bits | bytes (EDIT and INSERT only) |
 *
 * applied in order to the packet as the operations before left it.
 */
#ifndef UNDERSTUDY_CORE_DELTA_H
#define UNDERSTUDY_CORE_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum delta_operation {
	DELTA_EDIT = 0,	  /* length bytes at offset are replaced */
	DELTA_INSERT = 1, /* length bytes are put in before offset */
	DELTA_REMOVE = 2, /* length bytes at offset are taken out */
	DELTA_RESIZE = 3, /* the packet's length becomes offset; new bytes are zero */
};

#define DELTA_LENGTH_MAX 0x3fff
#define DELTA_OPERATION_BYTES 4

/* Appends one operation at out; returns bytes written, or 0 where capacity_bytes is too small. */
size_t delta_put(uint8_t *out, size_t capacity_bytes, enum delta_operation operation,
	uint16_t offset, const uint8_t *bytes, uint16_t length);

#define DELTA_SLACK_BYTES 15

/*
 * Appends the EDITs that turn before into after, both bytes_count long (at most HEADER_VIEW_BYTES).
 * Returns bytes written; at most bytes_count + 4 per 8 bytes. The caller has room for these at out,
 * and at out and after for DELTA_SLACK_BYTES more.
 */
size_t delta_diff(uint8_t *out, const uint8_t *before, const uint8_t *after, size_t bytes_count);

/* One operation of a delta; bytes point into it. */
struct delta_step {
	enum delta_operation operation;
	uint16_t offset, length;
	const uint8_t *bytes;
};

/* The operation at *at, which moves on. Errors: CORRUPT (it reaches outside the delta). */
MUST_CHECK enum status delta_next(struct delta_step *step, const uint8_t **at, const uint8_t *end);

/* Whether a delta applies to a frame of frame_bytes, with room enough. Errors: CORRUPT. */
MUST_CHECK enum status delta_check(size_t frame_bytes, const uint8_t *delta, size_t delta_bytes);

/*
 * Applies a delta to a frame in place. Survives any delta. Errors: CORRUPT (an operation reaches
 * outside frame or delta; the frame's content is then undefined), TOO_BIG (over capacity_bytes).
 */
MUST_CHECK enum status delta_apply(uint8_t *frame, size_t *frame_bytes, size_t capacity_bytes,
	const uint8_t *delta, size_t delta_bytes);

#endif
