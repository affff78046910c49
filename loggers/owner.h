/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An owner word in shared memory: a robust futex that its owner holds for life. When the owner's
 * thread dies the kernel sets FUTEX_OWNER_DIED in it before the dead process's memory is torn down
 * (LESSONS, "Seeing a crash"), so observers learn of a death in microseconds whatever the state's
 * size. Observers only read the word; see DESIGN section 8.
 */
#ifndef UNDERSTUDY_LOGGERS_OWNER_H
#define UNDERSTUDY_LOGGERS_OWNER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

/* In shared memory. Writer: the owner's thread, and the kernel at its death. Readers: all. */
struct owner {
	union {
		pthread_mutex_t mutex; /* its first word is the futex */
		uint32_t word;
		uint8_t line[64];
	};
};

/* Before anybody else sees the memory. */
void owner_init(struct owner *owner);

/*
 * Makes the calling thread the owner until it ends or calls owner_release. A dead owner's word is
 * taken over. Errors: EXISTS (a living thread owns it).
 */
MUST_CHECK enum status owner_claim(struct owner *owner);

/* By the thread that claimed it, and before the memory is unmapped: the kernel follows links. */
void owner_release(struct owner *owner);

bool owner_is_dead(const struct owner *owner);

/* True once it was claimed, dead or alive. */
bool owner_is_claimed(const struct owner *owner);

/* Marks the word as the kernel would; async-signal-safe, for fatal-signal handlers. */
void owner_mark_dead(struct owner *owner);

#endif
