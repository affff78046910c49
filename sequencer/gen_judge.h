/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a sink makes of the generator's sequence numbers: missing, duplicated, reordered, within a
 * window of the last GEN_WINDOW numbers.
 */
#ifndef UNDERSTUDY_SEQUENCER_GEN_JUDGE_H
#define UNDERSTUDY_SEQUENCER_GEN_JUDGE_H

#include <stdint.h>

#define GEN_WINDOW 65536u

struct gen_judge {
	uint64_t next; /* one past the highest seen */
	uint64_t seen, missing, duplicated, reordered;
	uint64_t marked;		  /* window bits below this number are of this round */
	uint64_t window[GEN_WINDOW / 64]; /* seen among the last GEN_WINDOW */
};

/* Marks a number as seen; bits of numbers skipped on the way are cleared. */
static inline void judge_mark(struct gen_judge *judge, uint64_t sequence)
{
	for (; judge->marked <= sequence; judge->marked++) {
		if (judge->marked + GEN_WINDOW < sequence)
			judge->marked = sequence - GEN_WINDOW;
		judge->window[judge->marked % GEN_WINDOW / 64] &= ~(1ull << judge->marked % 64);
	}
	judge->window[sequence % GEN_WINDOW / 64] |= 1ull << sequence % 64;
}

#endif
