/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a graph is run (TransNFV section 3.3; MorphStream section 4): what workers take next.
 *
 *   exploration  depth-first: each worker follows what its own last operation made ready.
 *                breadth-first: all that is ready, by all workers, then what that made ready.
 *                unstructured: whoever is free takes what became ready first.
 *   granularity  one operation; or a chain: all of an entry's that are ready, one after the other.
 *   aborts       see graph.h.
 *
 * The choice changes speed, never results.
 */
#ifndef UNDERSTUDY_TXN_SCHEDULE_H
#define UNDERSTUDY_TXN_SCHEDULE_H

#include "txn/graph.h"

enum exploration { EXPLORE_DEPTH_FIRST, EXPLORE_BREADTH_FIRST, EXPLORE_UNSTRUCTURED };
enum granularity { GRANULE_OPERATION, GRANULE_CHAIN };

struct strategy {
	bool serial; /* no graph: one after the other, in place, by one worker */
	enum exploration exploration;
	enum granularity granularity;
	enum abort_handling aborts;
};

#define STRATEGIES 13 /* all of them: serial, and 3 x 2 x 2 */

/* Numbers from 0: serial. */
struct strategy strategy_of(uint32_t number);
uint32_t strategy_number(const struct strategy *strategy);
/* "serial", "depth-operation-eager", ... */
const char *strategy_name(uint32_t number);
/* STRATEGIES if there is none of that name. */
uint32_t strategy_find(const char *name);

struct schedule_worker {
	void **stack; /* depth-first */
	uint32_t depth;
	uint32_t executed; /* operations; atomic, this worker's */
} __attribute__((aligned(64)));

struct schedule {
	struct graph *graph;
	struct strategy strategy;
	uint32_t operations;
	/* All that became ready, in that order; what is taken is below head. */
	void **queue;
	uint32_t head, tail;
	uint32_t window, window_done; /* breadth-first: where the round ends; how far it is */
	struct schedule_worker worker[WORKERS_MAX];
};

MUST_CHECK enum status schedule_open(struct schedule *schedule, struct graph *graph);
void schedule_close(struct schedule *schedule);

/* Serial, before the graph is linked. */
void schedule_begin(struct schedule *schedule, struct strategy strategy);
/* Serial, after. */
void schedule_start(struct schedule *schedule);

/* A few operations, by one worker; false: there is nothing to do for now. */
bool schedule_step(struct schedule *schedule, uint32_t worker);
bool schedule_is_done(const struct schedule *schedule);

#endif
