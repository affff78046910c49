/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory as the oracle sees it, and what the manager's shell needs. */
#ifndef UNDERSTUDY_TESTS_SIM_PLATFORM_H
#define UNDERSTUDY_TESTS_SIM_PLATFORM_H

#include "loggers/journal.h"
#include "manager/watcher.h"

#define SHARED_MAX 160

struct process;

/* A journal that was made; its memory stays after it is unlinked. */
struct shared {
	char name[NAME_BYTES];
	struct journal_control *control;
	uint8_t *ring;
	bool linked;
	struct process *maker;
	/* The oracle's. */
	uint64_t seen;	    /* position: all before it was looked at */
	uint64_t sealed_at; /* where it was sealed */
	bool sealed;
	uint64_t next_batch;
	bool corrupt; /* no more of it is believed */
};

extern struct shared shared[SHARED_MAX];
extern uint32_t shared_count;

/* What comes out of the watcher's pipe; false: nothing now. */
bool platform_next_death(struct watcher *watcher, struct death *death);

#endif
