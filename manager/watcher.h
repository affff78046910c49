/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journals of the replicas, mapped to be watched and sealed, and a thread that sleeps on all
 * their owner words at once and tells of deaths through a pipe.
 */
#ifndef UNDERSTUDY_MANAGER_WATCHER_H
#define UNDERSTUDY_MANAGER_WATCHER_H

#include <pthread.h>

#include "core/message.h"
#include "loggers/page.h"
#include "manager/watch.h"

#define WATCHED_MAX LOST_MAX

enum watched_state { WATCHED_FREE = 0, WATCHED_LIVE = 1, WATCHED_LOST = 2 };

/* One incarnation of a replica. */
struct watched {
	struct journal journal;
	uint32_t stage, replica;
	uint64_t incarnation;
	uint32_t state; /* writers: the main thread; to LOST also the watcher's */
	int pidfd;
	uint64_t looked_ns; /* when it was last looked at whether it is stopped */
	bool stopped;	    /* it was then */
	struct watch hang;
};

/* What comes out of the pipe. */
struct death {
	uint32_t watched; /* index */
	uint64_t incarnation;
	uint64_t detected_ns;
};

struct watcher {
	struct watched watched[WATCHED_MAX];
	pthread_t thread;
	uint32_t generation; /* futex: the set changed */
	int pipe[2];	     /* read end: not blocking */
};

/* Errors: IO. */
MUST_CHECK enum status watcher_open(struct watcher *watcher);

/* Watches the replica that said hello; again is no error. Errors: FULL, those of the journal. */
MUST_CHECK enum status watcher_add(struct watcher *watcher, const struct shm_place *place,
	const struct message *hello);

/* NULL if it is not watched. */
struct watched *watcher_find(struct watcher *watcher, uint64_t incarnation);

/* Forgets a lost replica and takes its journal's files away. */
void watcher_forget(struct watched *watched, const struct shm_place *place);

/* The kernel's part (watcher_futex.c, or the simulator). The process may be gone already. */
void watched_hold(struct watched *watched, uint32_t pid);
void watched_let_go(struct watched *watched);
/* The thread sees what was added. */
void watcher_look_again(struct watcher *watcher);

/* Sends a signal to exactly this process, never to a later one of the same pid. */
void watched_signal(const struct watched *watched, int number);

#endif
