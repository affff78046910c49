/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a sink makes of the generator's sequence numbers: missing, duplicated, reordered, within a
 * window of the last GEN_WINDOW numbers. In shared memory: a process that dies leaves the judgement
 * as of its last whole frame.
 */
#ifndef UNDERSTUDY_CORE_GEN_JUDGE_H
#define UNDERSTUDY_CORE_GEN_JUDGE_H

#include <stdint.h>

#define GEN_WINDOW 65536u

struct gen_counts {
	uint64_t next; /* one past the highest seen */
	uint64_t seen, missing, duplicated, reordered;
	uint64_t marked; /* window bits below this number are of this round */
	/* That is judged, from 1; its number, and whether it was marked before: it may be now. */
	uint64_t frame, sequence, was_marked;
};

struct gen_judge {
	uint64_t frames;	     /* taken, the generator's or not */
	struct gen_counts counts[2]; /* by frames modulo 2, each filled before frames moves on */
	uint64_t window[GEN_WINDOW / 64]; /* seen among the last GEN_WINDOW */
};

static inline const struct gen_counts *gen_judge_counts(const struct gen_judge *judge)
{
	return &judge->counts[judge->frames % 2];
}

#endif
