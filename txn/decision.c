/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/decision.h"

/* Measured by bench_txn, in ns; see docs/SPEED.md. What is wrong with them here, is learned. */
#define SERIAL_NS 45.0	 /* an operation in place, besides its function */
#define GRAPH_NS 110.0	 /* a node, its links and its version, by one worker */
#define INSTALL_NS 40.0	 /* an operation, by one worker for all */
#define HANDOVER_NS 60.0 /* from one worker to another */
#define MEETING_NS 600.0 /* of the team */
#define REDO_NS 150.0	 /* lazy: an operation that runs again */

#define TEAM_PACKETS_MIN 24
#define WEIGHT 0.1     /* of the newest batch in a moving average */
#define TRY_EVERY 64   /* batches */
#define TRY_WITHIN 3.0 /* times the best */

void decision_open(struct decision *decision, uint32_t workers)
{
	*decision = (struct decision){.workers = workers, .forced = STRATEGIES, .cost_ns = 20};
	for (uint32_t s = 0; s < STRATEGIES; s++)
		decision->correction[s] = 1;
}

static void average(double *of, double with)
{
	*of += WEIGHT * (with - *of);
}

static double model(const struct decision *decision, uint32_t number)
{
	struct strategy strategy = strategy_of(number);
	double n = decision->operations, cost = decision->cost_ns, workers = decision->workers;
	double spread, deep, ns;

	if (strategy.serial)
		return n * (SERIAL_NS + cost) + 1;
	spread = n * (GRAPH_NS + cost) / workers;
	deep = decision->longest *
	       (cost + (strategy.granularity == GRANULE_CHAIN ? HANDOVER_NS / 4 : HANDOVER_NS));
	ns = (spread > deep ? spread : deep) + n * INSTALL_NS + 3 * MEETING_NS;
	if (strategy.exploration == EXPLORE_BREADTH_FIRST)
		ns += decision->longest * MEETING_NS / 4;
	/* An abort is waited for, or made good. */
	if (strategy.aborts == ABORT_EAGER)
		ns += n * HANDOVER_NS / 4 / workers;
	else
		ns += decision->abort_rate * n * (REDO_NS + cost) * 2;
	return ns;
}

double decision_predict(const struct decision *decision, uint32_t strategy)
{
	return model(decision, strategy) * decision->correction[strategy];
}

uint32_t decision_strategy(struct decision *decision)
{
	uint32_t best = 0;

	if (decision->forced < STRATEGIES)
		return decision->forced;
	if (decision->workers == 1)
		return 0;
	for (uint32_t s = 1; s < STRATEGIES; s++)
		if (decision_predict(decision, s) < decision_predict(decision, best))
			best = s;
	if (++decision->batches % TRY_EVERY == 0) {
		uint32_t other = decision->batches / TRY_EVERY % STRATEGIES;

		if (decision_predict(decision, other) <
			TRY_WITHIN * decision_predict(decision, best))
			return other;
	}
	return best;
}

void decision_learn(struct decision *decision, uint32_t strategy, const struct features *features,
	uint64_t took_ns)
{
	decision->chosen[strategy]++;
	average(&decision->operations, features->operations);
	if (features->longest > 0)
		average(&decision->longest, features->longest);
	if (features->transactions > 0)
		average(&decision->abort_rate, (double)features->aborted / features->transactions);
	if (took_ns == 0 || features->operations == 0)
		return;
	/* In place, what is not the engine's is the functions'. */
	if (strategy == 0) {
		double cost = (double)took_ns / features->operations - SERIAL_NS;

		average(&decision->cost_ns, cost > 0 ? cost : 0);
		return;
	}
	average(&decision->correction[strategy], (double)took_ns / model(decision, strategy));
	decision->tried[strategy]++;
}

bool decision_team(struct decision *decision, uint32_t packets)
{
	bool team = decision->packet_ns[true] <= decision->packet_ns[false];

	if (decision->forced > 0 && decision->forced < STRATEGIES)
		return true;
	if (decision->workers == 1 || packets < TEAM_PACKETS_MIN)
		return false;
	if ((decision->alone + decision->team) % TRY_EVERY == TRY_EVERY - 1)
		return !team;
	return team;
}

void decision_learn_team(struct decision *decision, bool by_team, uint32_t packets,
	uint64_t took_ns)
{
	double *known = &decision->packet_ns[by_team];

	*(by_team ? &decision->team : &decision->alone) += 1;
	if (packets < TEAM_PACKETS_MIN || took_ns == 0)
		return;
	if (*known == 0)
		*known = (double)took_ns / packets;
	else
		average(known, (double)took_ns / packets);
}
