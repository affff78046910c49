/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/decision.h"

/* In ns; where they are wrong for a machine, the corrections learn it. See docs/SPEED.md. */
#define SERIAL_NS 45.0	 /* an operation in place, besides its function */
#define GRAPH_NS 110.0	 /* a node, its links and its version, by one worker */
#define INSTALL_NS 40.0	 /* an operation, by one worker for all */
#define HANDOVER_NS 60.0 /* from one worker to another */
#define MEETING_NS 600.0 /* of the team */
#define REDO_NS 150.0	 /* lazy: an operation that runs again */

#define TEAM_PACKETS_MIN 24
#define WEIGHT 0.1 /* of the newest batch in a moving average */
#define WEIGHT_RARE 0.5
#define RARE 32	       /* batches */
#define OUTLIER 3.0    /* times the average: so much at most */
#define TRIES_FIRST 28 /* batches until each has had its turn */
#define TRY_EVERY 64   /* batches; at first oftener */
#define TRY_EVERY_FIRST 16
#define FIRST 1024     /* batches */
#define TRY_WITHIN 1.5 /* times the best */

void decision_open(struct decision *decision, uint32_t workers)
{
	*decision = (struct decision){.workers = workers, .forced = STRATEGIES};
}

/*
 * What disturbs a measurement only makes it longer: a much shorter one is believed at once, and one
 * that is rarely measured counts for more.
 */
static void average(const struct decision *decision, struct moving *of, double with)
{
	double weight = decision->batches - of->at > RARE ? WEIGHT_RARE : WEIGHT;

	of->at = decision->batches;
	if (of->value == 0 || with < of->value / 2)
		of->value = with;
	else if (with > of->value * OUTLIER)
		of->value *= 1 + weight * (OUTLIER - 1);
	else
		of->value += weight * (with - of->value);
}

static double model(const struct decision *decision, uint32_t number)
{
	struct strategy strategy = strategy_of(number);
	double n = decision->operations.value, cost = decision->cost_ns.value,
	       workers = decision->workers;
	double spread, deep, ns;

	if (strategy.serial)
		return n * (SERIAL_NS + cost) + 1;
	spread = n * (GRAPH_NS + cost) / workers;
	deep = decision->longest.value *
	       (cost + (strategy.granularity == GRANULE_CHAIN ? HANDOVER_NS / 4 : HANDOVER_NS));
	ns = (spread > deep ? spread : deep) + n * INSTALL_NS + 3 * MEETING_NS;
	if (strategy.exploration == EXPLORE_BREADTH_FIRST)
		ns += decision->longest.value * MEETING_NS / 4;
	/* An abort is waited for, or made good. */
	if (strategy.aborts == ABORT_EAGER)
		ns += n * HANDOVER_NS / 4 / workers;
	else
		ns += decision->abort_rate * n * (REDO_NS + cost) * 2;
	return ns;
}

/* A packet, in ns. */
static double predict(const struct decision *decision, uint32_t pick)
{
	uint32_t strategy = pick - 1;
	double correction = 1;

	if (pick == PICK_ALONE)
		return decision->alone_ns.value;
	if (decision->correction[strategy].value != 0)
		correction = decision->correction[strategy].value;
	return decision->rest_ns.value +
	       (decision->packets.value == 0
			       ? 0
			       : model(decision, strategy) * correction / decision->packets.value);
}

/* Without operations there is nothing to choose between. */
static uint32_t picks(const struct decision *decision)
{
	return decision->operations.value == 0 ? 2 : PICKS;
}

static uint32_t pick(struct decision *decision, uint32_t packets)
{
	uint32_t best_team = PICK_TEAM(0), best, count = picks(decision), other;
	uint32_t every = decision->batches < FIRST ? TRY_EVERY_FIRST : TRY_EVERY;

	if (decision->forced > 0 && decision->forced < STRATEGIES)
		return PICK_TEAM(decision->forced);
	if (decision->workers == 1 || packets < TEAM_PACKETS_MIN)
		return PICK_ALONE;
	if (decision->forced == 0)
		count = 2;
	decision->batches++;
	if (decision->batches <= TRIES_FIRST)
		/* Every other one without a graph: what all others are compared with. */
		return decision->batches % 2 == 0 ? decision->batches / 2 % count
						  : PICK_TEAM(0) * (decision->batches % 4 == 1);
	for (uint32_t p = PICK_TEAM(1); p < count; p++)
		if (predict(decision, p) < predict(decision, best_team))
			best_team = p;
	best = predict(decision, best_team) < decision->alone_ns.value ? best_team : PICK_ALONE;
	if (decision->batches % every != 0)
		return best;
	/* By turns one that is not much worse, and the other of team and one worker in any case. */
	other = decision->batches / every;
	if (other % 4 == 0)
		return best == PICK_ALONE ? best_team : PICK_ALONE;
	other = PICK_TEAM(other % (count - 1));
	return predict(decision, other) < TRY_WITHIN * predict(decision, best) ? other : best;
}

uint32_t decision_pick(struct decision *decision, uint32_t packets)
{
	decision->picked = pick(decision, packets);
	decision->shared_ns = 0;
	return decision->picked;
}

void decision_learn_shared(struct decision *decision, uint32_t strategy,
	const struct features *features, uint64_t took_ns)
{
	if (features->operations == 0)
		return;
	decision->chosen[strategy]++;
	average(decision, &decision->operations, features->operations);
	if (features->longest > 0)
		average(decision, &decision->longest, features->longest);
	decision->abort_rate += WEIGHT * ((double)features->aborted / features->transactions -
						 decision->abort_rate);
	if (took_ns == 0)
		return;
	decision->shared_ns += took_ns;
	/* In place, what is not the engine's is the functions'. */
	if (strategy == 0) {
		double cost = (double)took_ns / features->operations - SERIAL_NS;

		average(decision, &decision->cost_ns, cost > 1 ? cost : 1);
	}
	average(decision, &decision->correction[strategy],
		(double)took_ns / model(decision, strategy));
}

void decision_learn(struct decision *decision, uint32_t packets, uint64_t took_ns)
{
	bool alone = decision->picked == PICK_ALONE;

	*(alone ? &decision->alone : &decision->team) += 1;
	if (packets < TEAM_PACKETS_MIN || took_ns == 0)
		return;
	average(decision, &decision->packets, packets);
	if (alone)
		average(decision, &decision->alone_ns, (double)took_ns / packets);
	else if (took_ns > decision->shared_ns)
		average(decision, &decision->rest_ns,
			(double)(took_ns - decision->shared_ns) / packets);
}
