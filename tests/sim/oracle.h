/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges a run by the invariants of DESIGN section 10, from what the world saw: what was published
 * in journals, sent at the port, kept on disk. It reads bytes with code of its own and compares
 * with the model's run of the chain; of production it uses only the layout of records.
 */
#ifndef UNDERSTUDY_TESTS_SIM_ORACLE_H
#define UNDERSTUDY_TESTS_SIM_ORACLE_H

#include "tests/sim/world.h"

void oracle_begin(void);

/* After each turn. */
void oracle_observe(void);

void oracle_sent(const uint8_t *frame, uint32_t length);
void oracle_alarm(const char *text, uint32_t bytes);

/* What the world has of the outputs; a sequencer goes on behind `handed` of them. */
uint64_t oracle_sent_count(void);
uint64_t oracle_alarms_count(void);
void oracle_resumed(uint64_t handed);

/* All but what is durable is gone: batches from this one on never were. */
void oracle_power_lost(uint64_t batch);

/* The run is over: all must be there. */
void oracle_end(void);

#endif
