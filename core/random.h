/* SPDX-License-Identifier: BSD-3-Clause */
/* Pseudo-random numbers from a state that is not 0 (Marsaglia's xorshift): traffic, schedules. */
#ifndef UNDERSTUDY_CORE_RANDOM_H
#define UNDERSTUDY_CORE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
