/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/plan.h"

#include <string.h>

#include "core/random.h"
#include "txn/schedule.h"

const char *const sometimes_texts[SOMETIMES] = {
#define X(name, text) text,
	SOMETIMES_LIST(X)
#undef X
};

const char *const point_texts[FAULT_POINTS] = {
#define X(name, text) text,
	FAULT_POINT_LIST(X)
#undef X
};

static const char *const kind_names[PROCESS_KINDS] = {"supervisor", "manager", "sequencer",
	"logger", "replica"};

struct dice {
	uint64_t state;
};

static uint64_t roll(struct dice *dice, uint64_t n)
{
	return (random_next(&dice->state) >> 16) % n;
}

static bool chance(struct dice *dice, uint32_t one_in)
{
	return roll(dice, one_in) == 0;
}

static void make_chain(struct plan *plan, struct dice *dice)
{
	plan->stages = chance(dice, 3) ? 2 : 1;
	plan->homes = 1 + (uint32_t)roll(dice, 5);
	plan->disk = chance(dice, 4);
	plan->keeps = chance(dice, 2);
	plan->fold_batches = 1ull << roll(dice, 6);
	plan->journal_bytes = chance(dice, 3) ? 1u << 18 : 1u << 17;
	plan->hang_ms = 5 + (uint32_t)roll(dice, chance(dice, 4) ? 2000 : 40);
	for (uint32_t s = 0; s < plan->stages; s++) {
		plan->passive[s] = chance(dice, 2);
		plan->recorded[s] = plan->passive[s] && chance(dice, 2);
		plan->slaves[s] = chance(dice, 4) ? 2 : 1;
		for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
			plan->workers[s][r] = chance(dice, 4) ? 1 + (uint32_t)roll(dice, 3) : 1;
			plan->strategies[s][r] = (uint32_t)roll(dice, STRATEGIES + 1);
		}
	}
}

static void make_input(struct plan *plan, struct dice *dice)
{
	plan->packets = 40 + (uint32_t)roll(dice, chance(dice, 4) ? 1200 : 300);
	plan->burst = 1 + (uint32_t)roll(dice, 12);
	plan->gap_ns = chance(dice, 4) ? 20000 : 100000 + roll(dice, 3000000);
	plan->clock_gap_ns = 1 + roll(dice, 4000000000ull);
	plan->frame_bytes = 64 + (uint32_t)roll(dice, 600);
	/* Some begin where the wire form of the ID wraps. */
	plan->first_sequence = chance(dice, 2) ? 0 : (1ull << 28) - roll(dice, 200);
}

static void make_fault(struct plan *plan, struct dice *dice)
{
	struct planned_fault *fault = &plan->faults[plan->faults_count];
	static const enum fault_kind kinds[] = {SIM_KILL, SIM_KILL, SIM_KILL, SIM_KILL, SIM_KILL,
		SIM_STOP, SIM_STOP, SIM_PAUSE, SIM_STALL, SIM_CORRUPT, SIM_DISK_SLOW, SIM_PARTITION,
		SIM_CLOCK, SIM_PORT};

	*fault = (struct planned_fault){.number = plan->faults_count,
		.kind = kinds[roll(dice, sizeof(kinds) / sizeof(kinds[0]))],
		.victim = chance(dice, 6) ? PROCESS_MANAGER : PROCESS_REPLICA,
		.leader = chance(dice, 2),
		.stage = (uint32_t)roll(dice, plan->stages),
		.for_ns = 1000000 * (1 + roll(dice, chance(dice, 2) ? 5 : 80)),
		.point = (enum fault_point)roll(dice, FAULT_POINTS)};
	if (chance(dice, 8))
		fault->victim = PROCESS_SEQUENCER;
	if (fault->kind == SIM_CORRUPT)
		fault->victim = PROCESS_REPLICA;
	/* The leader's record of what nobody can recompute has no second copy in memory yet. */
	if (fault->kind == SIM_CORRUPT && (plan->recorded[0] || plan->recorded[1]))
		fault->kind = SIM_KILL;
	/* A manager that stands still for good: nobody sees to that yet. */
	if (fault->kind == SIM_STOP && fault->victim == PROCESS_MANAGER)
		fault->kind = SIM_PAUSE;
	switch (roll(dice, 5)) {
	case 0:
	case 1:
		fault->when = WHEN_POINT;
		fault->self = !chance(dice, 3);
		fault->at = 1 + roll(dice, chance(dice, 2) ? 3 : 60);
		break;
	case 2:
		fault->when = WHEN_STORE;
		fault->at = 1 + roll(dice, fault->victim == PROCESS_MANAGER ? 60
					   : chance(dice, 2)		    ? 100
									    : 2000);
		break;
	default:
		fault->when = WHEN_TIME;
		fault->at =
			5000000 + roll(dice, 1000000 + plan->gap_ns * plan->packets / plan->burst);
		break;
	}
	plan->faults_count++;
}

/* Who stands in for the victim goes with it. */
static void make_twin(struct plan *plan, struct dice *dice)
{
	const struct planned_fault *first = &plan->faults[plan->faults_count - 1];
	struct planned_fault *twin = &plan->faults[plan->faults_count];

	if (first->kind > SIM_PAUSE || first->when == WHEN_STORE)
		return;
	*twin = *first;
	twin->number = plan->faults_count++;
	twin->self = false;
	twin->victim = first->victim == PROCESS_REPLICA && chance(dice, 2) ? PROCESS_MANAGER
									   : PROCESS_REPLICA;
	twin->leader = !first->leader;
	if (twin->kind == SIM_STOP && twin->victim == PROCESS_MANAGER)
		twin->kind = SIM_PAUSE;
}

/* Of a logger, or of what it writes to. */
static void make_log_fault(struct plan *plan, struct dice *dice)
{
	struct planned_fault *fault = &plan->faults[plan->faults_count];

	*fault = (struct planned_fault){.number = plan->faults_count++,
		.kind = chance(dice, 2)	  ? SIM_KILL
			: chance(dice, 2) ? SIM_DISK_ERROR
					  : SIM_DISK_FULL,
		.when = chance(dice, 2) ? WHEN_TIME : WHEN_STORE,
		.victim = PROCESS_LOGGER,
		.stage = (uint32_t)roll(dice, 3),
		.for_ns = 1000000 * (1 + roll(dice, chance(dice, 2) ? 5 : 300))};
	fault->at =
		fault->when == WHEN_TIME
			? 5000000 + roll(dice, 1000000 + plan->gap_ns * plan->packets / plan->burst)
			: 1 + roll(dice, 300);
}

/* As `understudy inject` does, among others for a packet that is still to come. */
static void make_ask(struct plan *plan, struct dice *dice)
{
	plan->faults[plan->faults_count] = (struct planned_fault){.number = plan->faults_count,
		.kind = SIM_ASK,
		.when = WHEN_TIME,
		.at = 3000000 + roll(dice, 30000000),
		.leader = chance(dice, 2),
		.self = chance(dice, 3), /* a stop, not a kill */
		.stage = (uint32_t)roll(dice, plan->stages),
		.at_packet = chance(dice, 3) ? 0 : 1 + roll(dice, plan->packets),
		.for_ns = roll(dice, 20000000)};
	plan->faults_count++;
}

/* Of everything at once. */
static void make_power_fault(struct plan *plan, struct dice *dice)
{
	plan->faults[plan->faults_count] = (struct planned_fault){.number = plan->faults_count,
		.kind = SIM_POWER,
		.when = WHEN_TIME,
		.at = 5000000 + roll(dice, 1000000 + plan->gap_ns * plan->packets / plan->burst)};
	plan->faults_count++;
}

/* More than the rings hold, while a replica stands still in the middle of a batch, and no hang. */
static void make_flood(struct plan *plan, struct dice *dice)
{
	plan->packets = 900 + (uint32_t)roll(dice, 900);
	plan->burst = 4 + (uint32_t)roll(dice, 8);
	plan->gap_ns = 20000;
	plan->hang_ms = 5 + (uint32_t)roll(dice, 10);
	plan->faults[plan->faults_count++] = (struct planned_fault){.kind = SIM_STALL,
		.when = WHEN_POINT,
		.at = 1 + roll(dice, 400),
		.point = POINT_MID_TRANSACTION,
		.victim = PROCESS_REPLICA,
		.self = chance(dice, 2),
		.stage = (uint32_t)roll(dice, plan->stages),
		.for_ns = 1000000 * (30 + roll(dice, 120))};
}

/* Gateways that die one after the other, most before they have published anything. */
static void make_young_deaths(struct plan *plan, struct dice *dice)
{
	uint64_t count = 2 + roll(dice, 3);

	for (uint64_t i = 0; i < count && plan->faults_count < PLAN_FAULTS_MAX; i++) {
		struct planned_fault *fault = &plan->faults[plan->faults_count];

		*fault = (struct planned_fault){.number = plan->faults_count++,
			.kind = SIM_KILL,
			.when = i == 0 ? WHEN_TIME : WHEN_POINT,
			.at = 1 + i,
			.point = chance(dice, 2) ? POINT_GATEWAY_ANNOUNCED : POINT_GATEWAY_ATTACHED,
			.victim = PROCESS_SEQUENCER,
			.self = true};
		if (i == 0)
			fault->at = 5000000 + roll(dice, 1000000 + plan->gap_ns * plan->packets /
									   plan->burst);
	}
}

/* Where it may not leave. */
static void make_flip(struct plan *plan, struct dice *dice)
{
	plan->flips = plan->faults_count < PLAN_FAULTS_MAX;
	if (!plan->flips)
		return;
	plan->faults[plan->faults_count] = (struct planned_fault){.number = plan->faults_count,
		.kind = SIM_FLIP,
		.when = WHEN_TIME,
		.at = 5000000 + roll(dice, 1000000 + plan->gap_ns * plan->packets / plan->burst),
		.victim = PROCESS_REPLICA,
		.leader = chance(dice, 2),
		.stage = (uint32_t)roll(dice, plan->stages)};
	plan->faults_count++;
}

void plan_make(struct plan *plan, uint64_t seed)
{
	struct dice dice = {(seed * 2 + 1) * 0xd1342543de82ef95ull | 1};
	uint32_t faults;

	for (uint32_t i = 0; i < 8; i++)
		(void)random_next(&dice.state);
	memset(plan, 0, sizeof(*plan));
	plan->seed = seed;
	make_chain(plan, &dice);
	make_input(plan, &dice);
	plan->preempt = chance(&dice, 4) ? 0 : 1u << (1 + roll(&dice, 7));
	plan->message_ns = 1 + roll(&dice, chance(&dice, 3) ? 10000000 : 200000);
	plan->duplicate = chance(&dice, 3) ? 2 + (uint32_t)roll(&dice, 8) : 0;
	plan->port_take = 1 + (uint32_t)roll(&dice, 64);
	plan->uneven = chance(&dice, 3);
	if (chance(&dice, 8))
		make_flood(plan, &dice);
	plan->port_tells = chance(&dice, 2);
	faults = (uint32_t)roll(&dice, 5);
	for (uint32_t i = 0; i < faults; i++) {
		make_fault(plan, &dice);
		if (chance(&dice, 8))
			make_twin(plan, &dice);
	}
	if (chance(&dice, 6))
		make_ask(plan, &dice);
	plan->protect = !chance(&dice, 40);
	if (chance(&dice, 4))
		make_log_fault(plan, &dice);
	if (chance(&dice, 12) && plan->protect) {
		plan->poison = 1 + roll(&dice, plan->packets);
		plan->poison_stage = (uint32_t)roll(&dice, plan->stages);
		/* All die behind a stage that records: see docs/TESTING.md, known and open. */
		if (plan->recorded[0])
			plan->poison_stage = 0;
	}
	if (chance(&dice, 16) && plan->protect)
		make_young_deaths(plan, &dice);
	plan->disk &= plan->protect;
	if (plan->disk && !plan->recorded[0] && !plan->recorded[1])
		for (uint64_t left = roll(&dice, 3); left > 0; left--)
			make_power_fault(plan, &dice);
	if (!plan->protect && chance(&dice, 2))
		plan->faults_count = 0;
	/* Nothing is checked then. */
	for (uint32_t i = 0; !plan->protect && i < plan->faults_count; i++)
		if (plan->faults[i].kind == SIM_CORRUPT)
			plan->faults[i].kind = SIM_KILL;
	plan->agreed = chance(&dice, 5) && !plan->recorded[0] && !plan->recorded[1];
	if (plan->agreed && plan->protect && chance(&dice, 2))
		make_flip(plan, &dice);
}

bool plan_is_fatal(const struct plan *plan)
{
	return !plan->protect && plan->faults_count > 0;
}

void plan_shrink(struct plan *plan, uint32_t without, uint32_t packets)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < plan->faults_count; i++)
		if ((without >> i & 1) == 0)
			plan->faults[kept++] = plan->faults[i];
	plan->faults_count = kept;
	if (packets != 0 && packets < plan->packets)
		plan->packets = packets;
}

static void print_fault(const struct planned_fault *fault, FILE *to)
{
	fprintf(to, "  fault %u: %s", fault->number, fault_kind_texts[fault->kind]);
	if (fault->kind == SIM_ASK)
		fprintf(to, ": %s %s of stage %u at packet %llu", fault->self ? "stop" : "kill",
			fault->leader ? "the leader" : "a slave", fault->stage,
			(unsigned long long)fault->at_packet);
	if (fault->kind <= SIM_FLIP)
		fprintf(to, ", %s%s of stage %u",
			fault->when == WHEN_POINT && fault->self ? "who is there, or " : "",
			fault->victim == PROCESS_REPLICA ? fault->leader ? "the leader" : "a slave"
							 : kind_names[fault->victim],
			fault->stage);
	if (fault->when == WHEN_TIME)
		fprintf(to, ", at %.3f ms", (double)fault->at / 1e6);
	else if (fault->when == WHEN_STORE)
		fprintf(to, ", at its ordered store %llu", (unsigned long long)fault->at);
	else
		fprintf(to, ", time %llu at: %s", (unsigned long long)fault->at,
			point_texts[fault->point]);
	fprintf(to, ", for %.3f ms\n", (double)fault->for_ns / 1e6);
}

void plan_print(const struct plan *plan, FILE *to)
{
	fprintf(to,
		"  seed %llu: %u packets, bursts of %u, %s%s%s, "
		"folds every %llu, rings of %u KiB\n",
		(unsigned long long)plan->seed, plan->packets, plan->burst,
		plan->protect ? "" : "unprotected, ", plan->agreed ? "agreed, " : "",
		plan->disk ? "disk" : "process", (unsigned long long)plan->fold_batches,
		plan->journal_bytes >> 10);
	if (plan->poison > 0)
		fprintf(to, "  stage %u crashes on packet %llu\n", plan->poison_stage,
			(unsigned long long)plan->poison);
	for (uint32_t s = 0; s < plan->stages; s++)
		fprintf(to, "  stage %u: %s%s, %u slaves, workers %u %u %u\n", s,
			plan->passive[s] ? "passive" : "active",
			plan->recorded[s] ? ", records determinants" : "", plan->slaves[s],
			plan->workers[s][0], plan->workers[s][1], plan->workers[s][2]);
	for (uint32_t i = 0; i < plan->faults_count; i++)
		print_fault(&plan->faults[i], to);
}
