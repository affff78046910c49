/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/input.h"

#include <string.h>

#include "core/random.h"
#include "tests/sim/ledger.h"

static uint64_t random_of(const struct plan *plan, uint64_t ordinal)
{
	uint64_t state = (plan->seed ^ ordinal * 0x9e3779b97f4a7c15ull) | 1;

	(void)random_next(&state);
	(void)random_next(&state);
	return random_next(&state);
}

uint32_t input_frame(const struct plan *plan, uint64_t ordinal, uint8_t *frame)
{
	uint64_t random = random_of(plan, ordinal);
	uint32_t length = LEDGER_BYTES_MIN +
			  (uint32_t)(random >> 40) % (plan->frame_bytes - LEDGER_BYTES_MIN + 1);

	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(random >> i % 57);
	memcpy(frame + LEDGER_ORDINAL, &ordinal, 8);
	/* Some flows come often. */
	frame[LEDGER_FLOW] =
		(uint8_t)(random % 3 == 0 ? (random >> 8) % 3 : (random >> 8) % LEDGER_FLOWS);
	frame[LEDGER_KIND] = (uint8_t)(random >> 20);
	return length;
}

uint64_t input_clock_gap_ns(const struct plan *plan, uint64_t ordinal)
{
	uint64_t random = random_of(plan, ordinal ^ 1ull << 60);

	return random % 16 == 0 ? (random >> 8) % plan->clock_gap_ns : 1000;
}
