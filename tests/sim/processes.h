/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes of a chain, as shells of the same cores that the program has: supervisor, manager,
 * sequencer, loggers, replicas; and the messages between them.
 */
#ifndef UNDERSTUDY_TESTS_SIM_PROCESSES_H
#define UNDERSTUDY_TESTS_SIM_PROCESSES_H

#include "loggers/page.h"
#include "tests/sim/world.h"
#include "vnf/understudy_vnf.h"

extern struct page *page;
extern struct store *disks[LOGGERS_COUNT];
extern const struct vnf_ops ledger_vnf;

/* Starts the chain of world.plan. */
void processes_begin(void);

/* The manager ended the run in good order; or the run failed. */
bool processes_ended_well(void);

/* Of a replica's process. */
bool replica_leads(const struct process *process);
/* Changes a byte of what it is about to publish, if that is complete: its sums are made. */
void replica_corrupt(struct process *process);
void replica_flip(struct process *process);

/* The replica in work crashes on a packet, if it is of the stage that does. */
void replica_poisoned(void);

/* All end at once, what is not synced is gone; and a supervisor goes on from disk. */
void processes_lose_power(void);

/* The base journals are gone. */
void base_forgotten(void);

/* Sends the manager what `understudy inject` does. */
void operator_asks(const struct planned_fault *fault);

/* Whether the plan's faults may meet it: what nothing survives yet, only in fatal plans. */
bool process_may_fail(const struct process *process);

/* A journal's stage, from its name. */
uint32_t journal_stage(const char *name);

/*
 * Lines of the last gateway's base journal, which begins at *first_line, below this may be
 * overwritten.
 */
uint64_t base_overwritten(uint64_t *first_line);

/* What cannot be recomputed. */
uint64_t answer_of_the_world(void);

#endif
