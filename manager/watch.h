/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a replica hangs (DESIGN section 8): input outstanding and no progress for hang_ms,
 * although its thread's CPU time advanced that much, or it is stopped or blocked. A core.
 */
#ifndef UNDERSTUDY_MANAGER_WATCH_H
#define UNDERSTUDY_MANAGER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/* What was seen of a replica at one moment. */
struct watch_sight {
	uint64_t progress;    /* any change is one */
	bool outstanding;     /* input is there for it */
	bool waits_on_others; /* for room, or for its leader: not its own fault */
	bool stopped;	      /* by a signal */
	bool blocked;	      /* sleeps, in the kernel or on purpose */
	uint64_t cpu_ns;      /* of its thread, so far */
};

struct watch {
	uint64_t progress;
	uint64_t since_ns; /* no progress since; 0: no reason to watch */
	uint64_t cpu_ns;   /* then */
};

/* True if it hangs. */
bool watch_step(struct watch *watch, const struct watch_sight *sight, uint64_t now_ns,
	uint64_t hang_ns);

#endif
