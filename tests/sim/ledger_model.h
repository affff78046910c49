/* SPDX-License-Identifier: BSD-3-Clause */
/* What a stage of ledgers makes of each packet in turn, in plain arrays. Shares no code with it. */
#ifndef UNDERSTUDY_TESTS_SIM_LEDGER_MODEL_H
#define UNDERSTUDY_TESTS_SIM_LEDGER_MODEL_H

#include "core/limits.h"
#include "tests/sim/ledger.h"

struct model_flow {
	bool there;
	uint64_t count, number, deadline_ns;
};

struct model_total {
	bool there;
	uint64_t sum, deadline_ns;
};

struct ledger_model {
	struct model_flow flows[LEDGER_FLOWS];
	bool numbers[LEDGER_NUMBERS];
	uint64_t owners[LEDGER_NUMBERS];
	struct model_total totals[LEDGER_TOTALS + LEDGER_SUMS];
};

/* A packet on its way through the stages. */
struct model_packet {
	uint8_t frame[FRAME_BYTES_MAX + 8];
	uint32_t length;
	bool dropped;
	uint8_t emitted[4][LEDGER_EMIT_BYTES];
	uint32_t emitted_count;
	char alarms[4][64];
	uint32_t alarms_count;
};

/* Every record, ticks too, moves the clock. */
void model_advance(struct ledger_model *model, uint64_t now_ns);

/* answer: what the world said, if the stage asks; NULL: it does not. */
void model_packet(struct ledger_model *model, struct model_packet *packet, uint64_t now_ns,
	const uint64_t *answer);

#endif
