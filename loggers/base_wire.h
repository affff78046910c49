/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a logger serves on its socket, to a replica that restores or a reader that lags: one
 * request,
 * then a stream of chunks, each with its length; a chunk of length 0 ends it.
 */
#ifndef UNDERSTUDY_LOGGERS_BASE_WIRE_H
#define UNDERSTUDY_LOGGERS_BASE_WIRE_H

#include <stdint.h>

#define SERVE_MAGIC 0x0001565245534e55ull /* "UNSERV", version 1 */

enum serve_kind {
	SERVE_BASE = 1,	    /* chunks are struct base_head, then fold images */
	SERVE_BATCHES = 2,  /* chunks are base batches, from first_batch on */
	SERVE_OUTCOMES = 3, /* chunks are outcomes, from first_batch on */
};

struct serve_request {
	uint64_t magic;
	uint32_t kind;
	uint32_t count; /* of batches, at most; 0: all there are */
	uint64_t first_batch;
	uint32_t stage; /* of base values and outcomes */
	uint32_t zero;
};

/* What the base values are as of. */
struct base_head {
	uint64_t batch; /* they hold all batches below this */
	uint64_t next_id;
	uint64_t state_digest;
	uint64_t base_line;
	uint64_t images;
};

_Static_assert(sizeof(struct serve_request) == 32, "layout");
_Static_assert(sizeof(struct base_head) == 40, "layout");

#endif
