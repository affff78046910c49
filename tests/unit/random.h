/* SPDX-License-Identifier: BSD-3-Clause */
/* A test's random numbers: from SEED in the environment, else from the time; it is printed. */
#ifndef UNDERSTUDY_TESTS_RANDOM_H
#define UNDERSTUDY_TESTS_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/random.h"

static uint64_t random_state;

static inline uint32_t next_random(void)
{
	return (uint32_t)(random_next(&random_state) >> 16);
}

static inline void seed_random(void)
{
	const char *given = getenv("SEED");

	random_state = given != NULL ? strtoull(given, NULL, 10)
				     : (uint64_t)time(NULL) * 2654435761u;
	printf("SEED=%llu\n", (unsigned long long)random_state);
}

#endif
