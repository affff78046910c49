/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a packet thread waits when there is nothing to do: spin, then yield, then sleep on the
 * journals' wake words; and how a writer wakes who sleeps. The only system calls of a packet
 * thread.
 */
#ifndef UNDERSTUDY_LOGGERS_IDLE_H
#define UNDERSTUDY_LOGGERS_IDLE_H

#include "loggers/journal.h"

#define IDLE_JOURNALS_MAX 8

struct idle {
	uint32_t rounds; /* without work, since the last work */
	uint32_t armed;	 /* journals whose wake words were noted, to sleep on next round */
	struct journal *journals[IDLE_JOURNALS_MAX];
	uint32_t wakes[IDLE_JOURNALS_MAX];
};

void idle_disarm(struct idle *idle);

/* There was work. */
static inline void idle_reset(struct idle *idle)
{
	idle->rounds = 0;
	if (idle->armed > 0)
		idle_disarm(idle);
}

/*
 * One round without work. Once spinning has not helped it notes the wake words, lets the
 * caller look
 * once more, and sleeps in the round after that, for at most timeout_ns.
 */
void idle_round(struct idle *idle, struct journal *const *journals, uint32_t count,
	uint64_t timeout_ns);

/* Wakes the journal's sleepers; after a publish that said wake_needed, and after sealing. */
void idle_wake(struct journal *journal);

uint64_t mono_ns(void);

#endif
