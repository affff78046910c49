/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/failover.h"

#include <string.h>

#include "core/mutants.h"
#include "core/status.h"

void failover_open(struct failover *failover, bool protect, uint32_t stages_count,
	const uint32_t *replicas_counts, uint32_t loggers_count, uint32_t consumers)
{
	memset(failover, 0, sizeof(*failover));
	failover->protect = protect;
	failover->stages_count = stages_count;
	failover->loggers_count = loggers_count;
	failover->consumers = consumers;
	for (uint32_t s = 0; s < stages_count; s++) {
		failover->stages[s].replicas_count = replicas_counts[s];
		failover->stages[s].leader = -1;
	}
}

static void emit(struct failover_effects *effects, enum failover_effect_type type, uint32_t stage,
	uint32_t replica, uint64_t incarnation, uint64_t term)
{
	BUG_ON(effects->count == EFFECTS_MAX);
	effects->list[effects->count++] =
		(struct failover_effect){type, stage, replica, incarnation, term, 0};
}

/* ABSENT -> STARTING: a process is ordered, under a number never used before. */
static void order_replica(struct failover *failover, uint32_t s, uint32_t r,
	struct failover_effects *effects)
{
	struct failover_replica *replica = &failover->stages[s].replicas[r];

	replica->phase = PHASE_STARTING;
	replica->incarnation = ++failover->incarnations;
	emit(effects, EFFECT_START_REPLICA, s, r, replica->incarnation, 0);
}

/* A slave folds where one has caught up, so that the leader never pauses; else the leader. */
static void choose_folder(const struct failover *failover, uint32_t s,
	struct failover_effects *effects)
{
	const struct failover_stage *stage = &failover->stages[s];
	int folder = stage->leader;

	for (uint32_t r = 0; r < stage->replicas_count; r++)
		if ((int)r != stage->leader && stage->replicas[r].phase == PHASE_READY)
			folder = (int)r;
	if (folder >= 0 && failover->protect)
		emit(effects, EFFECT_FOLDER, s, (uint32_t)folder,
			stage->replicas[folder].incarnation, 0);
}

static void promote(struct failover *failover, uint32_t s, uint32_t r,
	struct failover_effects *effects)
{
	struct failover_stage *stage = &failover->stages[s];

	stage->leader = (int)r;
	stage->term++;
	emit(effects, EFFECT_PROMOTE, s, r, stage->replicas[r].incarnation, stage->term);
}

static void all_seen(struct failover *failover, struct failover_effects *effects)
{
	if (failover->replicas_ordered || !failover->sequencer_seen ||
		failover->loggers_seen != (1u << failover->loggers_count) - 1)
		return;
	failover->replicas_ordered = true;
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			order_replica(failover, s, r, effects);
}

/* The sequencer goes once every replica may publish, so that none misses the beginning. */
static void start_if_complete(struct failover *failover, struct failover_effects *effects)
{
	if (failover->started)
		return;
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			if (failover->stages[s].replicas[r].phase < PHASE_RUNNING)
				return;
	failover->started = true;
	emit(effects, EFFECT_GO_SEQUENCER, 0, 0, 0, 0);
}

/* Whether all that must read this journal do, and this replica reads all that it must. */
static bool may_run(const struct failover *failover, uint32_t s, uint32_t r)
{
	const struct failover_stage *stage = &failover->stages[s];
	uint32_t wanted = (1u << failover->consumers) - 1;

	for (uint32_t i = 0; s + 1 < failover->stages_count && i < stage[1].replicas_count; i++)
		if (stage[1].replicas[i].phase >= PHASE_ATTACHING)
			wanted |= 1u << failover_consumer(failover, i);
	for (uint32_t i = 0; s > 0 && i < stage[-1].replicas_count; i++)
		if (stage[-1].replicas[i].phase >= PHASE_ATTACHING &&
			!(stage[-1].replicas[i].attached & 1u << failover_consumer(failover, r)))
			return false;
	return (stage->replicas[r].attached & wanted) == wanted;
}

/* ATTACHING -> RUNNING: every consumer reads its journal, so nothing it publishes is missed. */
static void let_run(struct failover *failover, struct failover_effects *effects)
{
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++) {
			struct failover_stage *stage = &failover->stages[s];

			if (stage->replicas[r].phase != PHASE_ATTACHING || !may_run(failover, s, r))
				continue;
			stage->replicas[r].phase = PHASE_RUNNING;
			if (stage->leader < 0 && (failover->started || r == 0))
				promote(failover, s, r, effects);
			emit(effects, EFFECT_GO, s, r, stage->replicas[r].incarnation, 0);
			choose_folder(failover, s, effects);
		}
	start_if_complete(failover, effects);
}

/* STARTING -> ATTACHING: its journal is there; all that exist before it are to be read by it. */
static void arrived(struct failover *failover, uint32_t s, uint32_t r,
	struct failover_effects *effects)
{
	struct failover_replica *replica = &failover->stages[s].replicas[r];

	replica->phase = PHASE_ATTACHING;
	replica->attached = 0;
	emit(effects, EFFECT_ATTACH, s, r, replica->incarnation, 0);
	for (uint32_t i = 0; s > 0 && i < failover->stages[s - 1].replicas_count; i++)
		if (failover->stages[s - 1].replicas[i].phase >= PHASE_ATTACHING)
			emit(effects, EFFECT_ATTACH, s - 1, i,
				failover->stages[s - 1].replicas[i].incarnation, 0);
}

static uint32_t running(const struct failover_stage *stage)
{
	uint32_t count = 0;

	for (uint32_t r = 0; r < stage->replicas_count; r++)
		count += stage->replicas[r].phase >= PHASE_RUNNING;
	return count;
}

/* The best heir: ready before running. -1: none is left. */
static int choose_heir(const struct failover_stage *stage)
{
	int heir = -1;

	for (uint32_t r = 0; r < stage->replicas_count; r++)
		if (stage->replicas[r].phase >= PHASE_RUNNING &&
			(heir < 0 || stage->replicas[r].phase > stage->replicas[heir].phase))
			heir = (int)r;
	return heir;
}

/* Any phase -> ABSENT -> STARTING. Sealing comes first: every decision is from the sealed end. */
static void lost(struct failover *failover, uint32_t s, uint32_t r,
	struct failover_effects *effects)
{
	struct failover_stage *stage = &failover->stages[s];
	uint64_t incarnation = stage->replicas[r].incarnation;
	int heir;

	emit(effects, EFFECT_SEAL, s, r, incarnation, 0);
	stage->replicas[r].phase = PHASE_ABSENT;
	for (uint32_t i = 0; s > 0 && i < failover->stages[s - 1].replicas_count; i++)
		failover->stages[s - 1].replicas[i].attached &=
			~(1u << failover_consumer(failover, r));
	heir = choose_heir(stage);
	if (stage->leader == (int)r) {
		stage->leader = -1;
		if (heir >= 0)
			promote(failover, s, (uint32_t)heir, effects);
	}
	emit(effects, EFFECT_KILL, s, r, incarnation, 0);
	if (!failover->protect) {
		emit(effects, EFFECT_FAIL, s, r, incarnation, 0);
		return;
	}
	if (running(stage) < 2)
		emit(effects, EFFECT_ALONE, s, r, incarnation, 0);
	choose_folder(failover, s, effects);
	if (!failover->maintenance || running(stage) == 0)
		order_replica(failover, s, r, effects);
}

static void maintain(struct failover *failover, bool on, struct failover_effects *effects)
{
	failover->maintenance = on;
	for (uint32_t s = 0; s < failover->stages_count && failover->replicas_ordered; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			if (!on && failover->stages[s].replicas[r].phase == PHASE_ABSENT)
				order_replica(failover, s, r, effects);
}

static bool has_attached(const struct failover *failover, const struct failover_replica *writer,
	uint32_t reader)
{
	return (writer->attached & 1u << failover_consumer(failover, reader)) != 0;
}

bool failover_owes(const struct failover *failover, uint32_t s, uint32_t r)
{
	const struct failover_stage *stage = &failover->stages[s];

	if (s == 0 || stage->replicas[r].phase < PHASE_ATTACHING)
		return false;
	for (uint32_t i = 0; i < stage[-1].replicas_count; i++)
		if (stage[-1].replicas[i].phase == PHASE_ATTACHING &&
			!has_attached(failover, &stage[-1].replicas[i], r))
			return true;
	return false;
}

bool failover_is_redundant(const struct failover *failover)
{
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			if (failover->stages[s].replicas[r].phase != PHASE_READY)
				return false;
	return true;
}

/* The replica an event is about, if the event is of its present incarnation. */
static struct failover_replica *replica_of(struct failover *failover,
	const struct failover_event *event)
{
	struct failover_replica *replica;

	if (event->stage >= failover->stages_count ||
		event->replica >= failover->stages[event->stage].replicas_count)
		return NULL;
	replica = &failover->stages[event->stage].replicas[event->replica];
	return replica->phase != PHASE_ABSENT && replica->incarnation == event->incarnation
		       ? replica
		       : NULL;
}

/* Asks for what is being attached once more: a request may have gone to nobody. */
static void attach_again(const struct failover *failover, struct failover_effects *effects)
{
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			if (failover->stages[s].replicas[r].phase == PHASE_ATTACHING)
				emit(effects, EFFECT_ATTACH, s, r,
					failover->stages[s].replicas[r].incarnation, 0);
}

/* A service that may be a new one is to read all that run. */
static void attach_service(const struct failover *failover, uint32_t service,
	struct failover_effects *effects)
{
	for (uint32_t s = 0; s < failover->stages_count; s++)
		for (uint32_t r = 0; r < failover->stages[s].replicas_count; r++)
			if (failover->stages[s].replicas[r].phase > PHASE_ATTACHING) {
				emit(effects, EFFECT_ATTACH_SERVICE, s, r,
					failover->stages[s].replicas[r].incarnation, 0);
				effects->list[effects->count - 1].service = service;
			}
}

static void replica_event(struct failover *failover, const struct failover_event *event,
	struct failover_effects *effects)
{
	struct failover_replica *replica = replica_of(failover, event);

	if (replica == NULL)
		return; /* of a former life: already dealt with */
	switch (event->type) {
	case EVENT_REPLICA:
		/* Later hellos are of roles that found a new manager. */
		if (replica->phase == PHASE_STARTING)
			arrived(failover, event->stage, event->replica, effects);
		else if (replica->phase >= PHASE_RUNNING && !MUTANT(FOUND_NOT_SAID))
			emit(effects, EFFECT_GO_AGAIN, event->stage, event->replica,
				event->incarnation, 0);
		attach_again(failover, effects);
		break;
	case EVENT_ATTACHED:
		replica->attached |= 1u << event->consumer;
		let_run(failover, effects);
		break;
	case EVENT_CAUGHT_UP:
		/* RUNNING -> READY */
		if (replica->phase == PHASE_RUNNING) {
			replica->phase = PHASE_READY;
			choose_folder(failover, event->stage, effects);
			if (failover_is_redundant(failover))
				emit(effects, EFFECT_REDUNDANT, event->stage, event->replica,
					event->incarnation, 0);
		}
		break;
	case EVENT_LOST:
		lost(failover, event->stage, event->replica, effects);
		let_run(failover, effects); /* others may have waited for it */
		break;
	default:
		break;
	}
}

void failover_step(struct failover *failover, const struct failover_event *event,
	struct failover_effects *effects)
{
	effects->count = 0;
	switch (event->type) {
	case EVENT_BEGIN:
		for (uint32_t i = 0; i < failover->loggers_count; i++)
			emit(effects, EFFECT_START_LOGGER, 0, i, 0, 0);
		emit(effects, EFFECT_START_SEQUENCER, 0, 0, 0, 0);
		break;
	case EVENT_SEQUENCER:
		failover->sequencer_seen = true;
		all_seen(failover, effects);
		attach_again(failover, effects);
		attach_service(failover, SERVICE_SEQUENCER, effects);
		if (failover->started)
			emit(effects, EFFECT_GO_SEQUENCER, 0, 0, 0, 0);
		else if (failover->replicas_ordered)
			start_if_complete(failover, effects);
		break;
	case EVENT_LOGGER:
		failover->loggers_seen |= 1u << event->replica;
		all_seen(failover, effects);
		attach_again(failover, effects);
		attach_service(failover, event->replica, effects);
		break;
	case EVENT_MAINTAIN:
		maintain(failover, event->replica == 1, effects);
		break;
	case EVENT_MISSING:
		if (failover->stages[event->stage].replicas[event->replica].phase == PHASE_ABSENT)
			order_replica(failover, event->stage, event->replica, effects);
		break;
	default:
		replica_event(failover, event, effects);
		break;
	}
}
