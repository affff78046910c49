/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a packet thread waits when there is nothing to do: spin, then yield, then sleep on the
 * journals' wake words; and how a writer wakes who sleeps. Where packet threads outnumber cores, a
 * thread does not spin, and gives its core away after each batch: else the next thread of the chain
 * would wait for a time slice of milliseconds. The only system calls of a packet thread.
 */
#ifndef UNDERSTUDY_LOGGERS_IDLE_H
#define UNDERSTUDY_LOGGERS_IDLE_H

#include <sched.h>

#include "loggers/journal.h"

#define IDLE_JOURNALS_MAX 8

struct idle {
	bool shares_core; /* packet threads outnumber cores: see role_take_core */
	uint32_t rounds;  /* without work, since the last work */
	uint32_t armed;	  /* journals whose wake words were noted, to sleep on next round */
	struct journal *journals[IDLE_JOURNALS_MAX];
	uint32_t wakes[IDLE_JOURNALS_MAX];
};

void idle_disarm(struct idle *idle);

/* Forgets what it was to sleep on. */
static inline void idle_reset(struct idle *idle)
{
	idle->rounds = 0;
	if (idle->armed > 0)
		idle_disarm(idle);
}

/* After a round with work. */
static inline void idle_worked(struct idle *idle)
{
	idle_reset(idle);
	if (idle->shares_core)
		sched_yield();
}

/*
 * One round without work. Once spinning has not helped it notes the wake words, lets the caller
 * look once more, and sleeps in the round after that, for at most timeout_ns.
 */
void idle_round(struct idle *idle, struct journal *const *journals, uint32_t count,
	uint64_t timeout_ns);

/*
 * One round of a writer that readers hold back. What the journal holds keeps them busy for longer
 * than timeout_ns: on a shared core it sleeps at once, and they run.
 */
void idle_blocked(struct idle *idle, uint64_t timeout_ns);

/* Wakes the journal's sleepers; after a publish that said wake_needed, and after sealing. */
void idle_wake(struct journal *journal);

uint64_t mono_ns(void);

#endif
