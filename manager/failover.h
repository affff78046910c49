/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The failover planner: which replicas there are, who leads, and what to do when one is lost. A
 * pure state machine (DESIGN section 11): failover_step(event) returns effects for the shell to
 * carry out, in order. It knows no clock, socket or process.
 */
#ifndef UNDERSTUDY_MANAGER_FAILOVER_H
#define UNDERSTUDY_MANAGER_FAILOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

/* A replica's life; each transition is commented in failover.c. */
enum replica_phase { PHASE_ABSENT, PHASE_STARTING, PHASE_ATTACHING, PHASE_RUNNING, PHASE_READY };

enum failover_event_type {
	EVENT_BEGIN,	 /* the manager is up, nothing runs yet */
	EVENT_SEQUENCER, /* the sequencer said hello: the base journal is there */
	EVENT_LOGGER,	 /* a logger said hello */
	EVENT_REPLICA,	 /* a replica said hello: its outcome journal is there */
	EVENT_ATTACHED,	 /* a consumer reads that journal; again is no other */
	EVENT_CAUGHT_UP, /* the replica is at the head */
	EVENT_LOST,	 /* the replica is dead, hung or wrong */
	EVENT_MISSING,	 /* a former manager did not get to order it */
	EVENT_MAINTAIN,	 /* on, with replica 1, or off: see failover.maintenance */
};

struct failover_event {
	enum failover_event_type type;
	uint32_t stage;
	uint32_t replica; /* or the logger's number */
	uint64_t incarnation;
	uint32_t consumer; /* with ATTACHED: below failover.consumers, or a replica of the next
			      stage as failover_consumer says */
};

enum failover_effect_type {
	EFFECT_START_SEQUENCER,
	EFFECT_START_LOGGER,
	EFFECT_START_REPLICA,
	EFFECT_ATTACH, /* tell consumers, and the next stage's replicas, to read its journal */
	EFFECT_ATTACH_SERVICE, /* tell one service, which may be a new one */
	EFFECT_GO,	       /* the replica may publish */
	EFFECT_GO_AGAIN,       /* it may already: maybe a former manager did not get to say so */
	EFFECT_GO_SEQUENCER,
	EFFECT_SEAL,	  /* the replica's journal: before all that follows */
	EFFECT_KILL,	  /* make sure that it is gone */
	EFFECT_PROMOTE,	  /* a new term, this leader */
	EFFECT_FOLDER,	  /* who publishes folds */
	EFFECT_REDUNDANT, /* all replicas are in their place again */
	EFFECT_ALONE,	  /* running without a slave: say it loudly */
	EFFECT_FAIL,	  /* the run cannot go on */
};

struct failover_effect {
	enum failover_effect_type type;
	uint32_t stage;
	uint32_t replica;
	uint64_t incarnation;
	uint64_t term;
	uint32_t service; /* of ATTACH_SERVICE: a logger, or SERVICE_SEQUENCER */
};

#define EFFECTS_MAX 128

struct failover_effects {
	struct failover_effect list[EFFECTS_MAX];
	uint32_t count;
};

struct failover_replica {
	enum replica_phase phase;
	uint64_t incarnation;
	uint32_t attached; /* a bit for each consumer that reads its journal */
};

struct failover_stage {
	uint32_t replicas_count;
	struct failover_replica replicas[REPLICAS_MAX];
	int leader; /* -1: none */
	uint64_t term;
};

struct failover {
	bool protect;
	uint32_t stages_count;
	struct failover_stage stages[STAGES_MAX];
	uint32_t consumers; /* of each outcome journal, the next stage's replicas not counted */
	uint32_t loggers_count;
	uint32_t loggers_seen; /* a bit each */
	bool sequencer_seen;
	bool replicas_ordered;
	bool started; /* the sequencer was told to go */
	/* Of a stage that has others at work no replica is started again until this is over. */
	bool maintenance;
	uint64_t incarnations;
};

/*
 * consumers: processes that must attach to every journal before its replica may publish. The next
 * stage's replicas must too, as far as they are there; and one of these that comes later may not
 * publish before it reads all journals of the stage before.
 */
void failover_open(struct failover *failover, bool protect, uint32_t stages_count,
	const uint32_t *replicas_counts, uint32_t loggers_count, uint32_t consumers);

/* The consumer number of the next stage's replica. */
static inline uint32_t failover_consumer(const struct failover *failover, uint32_t replica)
{
	return failover->consumers + replica;
}

void failover_step(struct failover *failover, const struct failover_event *event,
	struct failover_effects *effects);

/* A replica that was asked to read a journal of the stage before, and does not yet. */
bool failover_owes(const struct failover *failover, uint32_t stage, uint32_t replica);

/* True once every replica of every stage is ready. */
bool failover_is_redundant(const struct failover *failover);

#endif
