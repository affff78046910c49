/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decision model (TransNFV section 3.3; MorphStream section 5): picks for each batch whether it
 * is worth the whole team, and by which strategy its operations run. A cost model in nanoseconds of
 * what recent batches were like, each strategy corrected by what it was measured to take; now and
 * then another one is tried. The choice may change speed, never results, so it may look at clocks.
 */
#ifndef UNDERSTUDY_TXN_DECISION_H
#define UNDERSTUDY_TXN_DECISION_H

#include "txn/schedule.h"

/* What a batch was like. */
struct features {
	uint32_t operations;
	uint32_t longest; /* chain: key skew, and how deep dependencies go */
	uint32_t transactions;
	uint32_t aborted;
};

enum phase { PHASE_SHARED, PHASE_FLOW, PHASE_INSTALL, PHASES };

struct decision {
	uint32_t workers;
	uint32_t forced; /* a strategy's number; STRATEGIES: none */
	/* Of recent batches, moving averages. */
	double operations, longest, abort_rate, cost_ns;
	double correction[STRATEGIES]; /* of the predicted cost */
	uint32_t tried[STRATEGIES];
	double packet_ns[2]; /* by one worker, by the team; 0: not known */
	uint32_t batches;
	/* For people. */
	uint64_t chosen[STRATEGIES]; /* batches with operations */
	uint64_t alone, team;	     /* batches by one worker, by all */
	uint64_t taken_back;	     /* batches, or parts, that were done again one by one */
	uint64_t not_by_graph;	     /* whole tables, or nearly full ones */
};

void decision_open(struct decision *decision, uint32_t workers);

/* The strategy for the next batch's operations. */
uint32_t decision_strategy(struct decision *decision);
void decision_learn(struct decision *decision, uint32_t strategy, const struct features *features,
	uint64_t took_ns);

/* Whether the whole team is worth it for a batch of that many packets. */
bool decision_team(struct decision *decision, uint32_t packets);
void decision_learn_team(struct decision *decision, bool by_team, uint32_t packets,
	uint64_t took_ns);

/* What the model thinks that a strategy takes, in ns, of a batch like the recent ones. */
double decision_predict(const struct decision *decision, uint32_t strategy);

#endif
