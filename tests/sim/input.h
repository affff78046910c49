/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets that come in: each a function of the plan and its number, from 1. */
#ifndef UNDERSTUDY_TESTS_SIM_INPUT_H
#define UNDERSTUDY_TESTS_SIM_INPUT_H

#include "tests/sim/plan.h"

/* Fills frame (FRAME_BYTES_MAX); returns its length. */
uint32_t input_frame(const struct plan *plan, uint64_t ordinal, uint8_t *frame);

/* By how much the packet clock moves on before it. */
uint64_t input_clock_gap_ns(const struct plan *plan, uint64_t ordinal);

#endif
