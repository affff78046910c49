/* SPDX-License-Identifier: BSD-3-Clause */
/* How a schedule ended, in memory that it shares with the campaign. */
#ifndef UNDERSTUDY_TESTS_SIM_VERDICT_H
#define UNDERSTUDY_TESTS_SIM_VERDICT_H

#include <stdint.h>
#include <stdlib.h>

#define SCHEDULE_VIOLATES 3

struct verdict {
	char invariant[16]; /* "" : all held */
	char text[400];
	uint64_t turn, now_ns;
};

extern struct verdict *verdict;

#ifdef UNDERSTUDY_COVERAGE
void __gcov_dump(void);
#endif

/* Ends a schedule's process, and nothing that the campaign has opened. */
_Noreturn static inline void schedule_exit(int status)
{
#ifdef UNDERSTUDY_COVERAGE
	__gcov_dump();
#endif
	_Exit(status);
}

#endif
