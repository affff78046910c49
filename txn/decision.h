/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decision model (TransNFV section 3.3; MorphStream section 5): picks for each batch whether it
 * is worth the whole team, and by which strategy its operations run. A cost model in nanoseconds,
 * from what recent batches were like; each strategy is corrected by what it was measured to take,
 * and now and then another one is tried. The choice may change speed, never results, so it may look
 * at clocks, which are the caller's.
 */
#ifndef UNDERSTUDY_TXN_DECISION_H
#define UNDERSTUDY_TXN_DECISION_H

#include "txn/schedule.h"

/* What a batch's operations were like. */
struct features {
	uint32_t operations;
	uint32_t longest; /* chain: key skew, and how deep dependencies go; 0: not known */
	uint32_t transactions;
	uint32_t aborted;
};

/* What can be picked: one worker for all, or the team with one of the strategies. */
#define PICK_ALONE 0
#define PICK_TEAM(strategy) ((strategy) + 1)
#define PICKS (STRATEGIES + 1)

/* A moving average of what was measured; 0: not known yet. */
struct moving {
	double value;
	uint32_t at; /* batches, when last measured */
};

struct decision {
	uint32_t workers;
	uint32_t forced; /* a strategy's number; STRATEGIES: none */
	uint32_t picked;
	uint64_t shared_ns; /* of the batch in work, already learned of */
	/* Of recent batches. */
	struct moving packets, operations, longest, cost_ns;
	double abort_rate;
	struct moving correction[STRATEGIES]; /* of the predicted cost */
	struct moving alone_ns;		      /* a packet, by one worker */
	struct moving rest_ns;		      /* a packet, by the team, without its shared part */
	uint32_t batches;
	/* For people. */
	uint64_t chosen[STRATEGIES]; /* batches with operations */
	uint64_t alone, team;	     /* batches by one worker, by all */
	uint64_t taken_back;	     /* batches, or parts, that were done again one by one */
	uint64_t not_by_graph;	     /* whole tables, or nearly full ones */
};

void decision_open(struct decision *decision, uint32_t workers);

/* For a batch of that many packets; PICK_ALONE, or PICK_TEAM of a strategy. */
uint32_t decision_pick(struct decision *decision, uint32_t packets);

/*
 * What the shared part of the picked batch, or of a range of it, took by that strategy; 0 ns: not
 * measured.
 */
void decision_learn_shared(struct decision *decision, uint32_t strategy,
	const struct features *features, uint64_t took_ns);

/* What all of it took. */
void decision_learn(struct decision *decision, uint32_t packets, uint64_t took_ns);

#endif
