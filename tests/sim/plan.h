/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a schedule is: a chain, an input, how its world behaves, and the faults to come; all of it
 * from one seed. A plan may be made smaller: fewer faults, fewer packets.
 */
#ifndef UNDERSTUDY_TESTS_SIM_PLAN_H
#define UNDERSTUDY_TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/fault_points.h"
#include "core/limits.h"

#define PLAN_FAULTS_MAX 16

enum process_kind {
	PROCESS_SUPERVISOR,
	PROCESS_MANAGER,
	PROCESS_SEQUENCER,
	PROCESS_LOGGER,
	PROCESS_REPLICA,
	PROCESS_KINDS
};

#define FAULT_KIND_LIST(X)                                                                         \
	X(KILL, "process killed")                                                                  \
	X(STOP, "process stopped for good")                                                        \
	X(PAUSE, "process stopped, and woken later")                                               \
	X(STALL, "machine stalls: nothing of a process runs, no clock of it either")               \
	X(CORRUPT, "published outcome changed in memory")                                          \
	X(FLIP, "a bit of a replica's state changes")                                              \
	X(DISK_SLOW, "disk slow")                                                                  \
	X(DISK_ERROR, "disk error")                                                                \
	X(DISK_FULL, "disk full")                                                                  \
	X(PARTITION, "messages held back, one way")                                                \
	X(CLOCK, "clock of the day jumps")                                                         \
	X(PORT, "port takes nothing")                                                              \
	X(ASK, "operator asks for a fault")                                                        \
	X(POWER, "power is lost, and comes back")

enum fault_kind {
#define X(name, text) SIM_##name,
	FAULT_KIND_LIST(X)
#undef X
		FAULT_KINDS
};

extern const char *const fault_kind_texts[FAULT_KINDS];
extern const char *const point_texts[FAULT_POINTS];

/* What a campaign must have seen, else it has not looked. */
#define SOMETIMES_LIST(X)                                                                          \
	X(TAKEOVER, "a slave is promoted")                                                         \
	X(SECOND_FAILOVER, "a replica dies before redundancy is restored")                         \
	X(ALL_DEAD, "all replicas of a stage are dead at once")                                    \
	X(MANAGER_RESTART, "a manager carries on where a former one died")                         \
	X(DIED_TOGETHER, "the manager and a replica are dead at once")                             \
	X(RESTORED_FROM_BASE, "a replica restores from base values")                               \
	X(RING_WRAPPED, "a journal goes round its ring")                                           \
	X(WRITER_BLOCKED, "readers hold a writer back")                                            \
	X(READER_DETACHED, "a writer detaches a reader")                                           \
	X(SEALED_LIVE, "a living writer is sealed")                                                \
	X(HANG_SEEN, "a hang is seen")                                                             \
	X(CORRUPT_SEEN, "a corrupt outcome is seen")                                               \
	X(OLD_JOURNAL_DRAINED, "a new leader goes on behind its predecessor's sealed end")         \
	X(EXPIRY, "state expires")                                                                 \
	X(CAPACITY, "a table is full")                                                             \
	X(ABORT, "a transaction aborts")                                                           \
	X(SEQUENCE_WRAP, "the wire form of the packet ID wraps")                                   \
	X(DUPLICATE_MESSAGE, "a message comes twice")                                              \
	X(GATEWAY_TAKEOVER, "a gateway goes on where a former one died")                           \
	X(RESTART_FROM_DISK, "a chain goes on from disk")                                          \
	X(MAINTENANCE, "an operator asks for maintenance")                                         \
	X(DOUBT, "replicas disagree, and begin anew")                                              \
	X(JUDGED, "a third tells who was wrong")                                                   \
	X(SET_ASIDE, "a packet that replicas crash on is set aside")                               \
	X(RUN_FAILED, "a fault that nothing survives ends the run")

enum sometimes {
#define X(name, text) SOMETIMES_##name,
	SOMETIMES_LIST(X)
#undef X
		SOMETIMES
};

extern const char *const sometimes_texts[SOMETIMES];

enum fault_when { WHEN_TIME, WHEN_POINT, WHEN_STORE };

struct planned_fault {
	enum fault_kind kind;
	enum fault_when when;
	uint64_t at; /* ns, or the how-manieth time from 1 */
	enum fault_point point;
	enum process_kind victim;
	bool leader;	/* of replicas: the leader, else another one */
	bool self;	/* with a point: whoever is there */
	uint32_t stage; /* of the victim, or which logger it is */
	uint64_t for_ns;
	uint64_t at_packet; /* asked for; 0: now */
	uint32_t number;    /* in the plan as it was made */
};

struct plan {
	uint64_t seed;
	/* The chain. */
	uint32_t stages;
	bool passive[STAGES_MAX];
	bool recorded[STAGES_MAX]; /* determinants */
	uint32_t slaves[STAGES_MAX];
	uint32_t workers[STAGES_MAX][REPLICAS_MAX];
	uint32_t strategies[STAGES_MAX][REPLICAS_MAX];
	uint32_t homes;
	bool disk;
	bool keeps; /* retention */
	bool protect;
	bool agreed; /* released is what two replicas of every stage have done alike */
	uint64_t fold_batches;
	uint32_t journal_bytes;
	uint32_t hang_ms;
	/* The input. */
	uint32_t packets;
	uint32_t burst;	       /* at most, a batch */
	uint64_t gap_ns;       /* between bursts, at most */
	uint64_t clock_gap_ns; /* of packet clocks, at most */
	uint64_t first_sequence;
	uint32_t frame_bytes; /* at most */
	uint64_t poison;      /* the packet, from 1, that a stage crashes on; 0: none */
	uint32_t poison_stage;
	/* The world. */
	uint32_t preempt; /* one in so many ordered stores; 0: never */
	uint64_t message_ns;
	uint32_t duplicate; /* one in so many messages; 0: none */
	uint32_t port_take; /* a port takes so many at a time */
	bool port_tells;    /* and can tell a successor what it has */
	bool uneven;	    /* some processes are much slower than others */
	struct planned_fault faults[PLAN_FAULTS_MAX];
	uint32_t faults_count;
	bool flips; /* one of them is of a bit: replicas may publish what is wrong */
};

void plan_make(struct plan *plan, uint64_t seed);

/* Leaves out the faults whose bit is set in `without`, and all but the first packets; 0: none. */
void plan_shrink(struct plan *plan, uint32_t without, uint32_t packets);

void plan_print(const struct plan *plan, FILE *to);
bool plan_is_fatal(const struct plan *plan);

#endif
