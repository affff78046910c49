/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network function of simulated chains: small, and it uses all that there is: flow and shared
 * tables, operations with sources, a prepare step that looks ahead, widening, expiry, full tables,
 * aborts, drops, emitted packets, alarms, edits, determinants. ledger.c is the function as a VNF;
 * ledger_model.c says once more, in plain arrays and without the engine, what it does.
 */
#ifndef UNDERSTUDY_TESTS_SIM_LEDGER_H
#define UNDERSTUDY_TESTS_SIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_FLOWS 24
#define LEDGER_FLOWS_MAX 10 /* at a time */
#define LEDGER_NUMBERS 8
#define LEDGER_TOTALS 7
#define LEDGER_SUMS 3
#define LEDGER_TOTALS_MAX 8 /* of totals and sums */
#define LEDGER_SUM_KEY 100
#define LEDGER_FLOW_NS 3000000000ull
#define LEDGER_TOTAL_NS 2000000000ull

/* Where in a frame. */
#define LEDGER_ORDINAL 14 /* 8 bytes */
#define LEDGER_FLOW 22
#define LEDGER_KIND 23
#define LEDGER_COUNT 24 /* 8 bytes, and so on: what a stage writes */
#define LEDGER_SUM 32
#define LEDGER_NUMBER 40
#define LEDGER_ABORTED 41
#define LEDGER_ANSWER 42 /* 8 bytes, with determinants */
#define LEDGER_BYTES_MIN 64
#define LEDGER_EMIT_BYTES 40
#define LEDGER_CUT 4

enum { LEDGER_TABLE_FLOWS, LEDGER_TABLE_NUMBERS, LEDGER_TABLE_TOTALS, LEDGER_TABLES };

struct ledger_flow {
	uint64_t count;
	uint64_t number; /* + 1; 0: none */
};

struct ledger_total {
	uint64_t sum;
};

/* What a frame makes of each of these. */
static inline bool ledger_wants_number(uint8_t kind)
{
	return kind % 2 == 0;
}

static inline bool ledger_refuses(uint64_t ordinal)
{
	return ordinal % 13 == 0;
}

static inline bool ledger_is_shared(uint64_t ordinal)
{
	return ordinal % 41 == 0;
}

static inline bool ledger_ends_flow(uint64_t ordinal)
{
	return ordinal % 29 == 0;
}

static inline bool ledger_asks(uint64_t ordinal)
{
	return ordinal % 3 == 0;
}

#endif
