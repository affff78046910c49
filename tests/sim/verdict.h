/* SPDX-License-Identifier: BSD-3-Clause */
/* How a schedule ended, in memory that it shares with the campaign. */
#ifndef UNDERSTUDY_TESTS_SIM_VERDICT_H
#define UNDERSTUDY_TESTS_SIM_VERDICT_H

#include <stdint.h>

#define SCHEDULE_VIOLATES 3

struct verdict {
	char invariant[16]; /* "" : all held */
	char text[400];
	uint64_t turn, now_ns;
};

extern struct verdict *verdict;

#endif
