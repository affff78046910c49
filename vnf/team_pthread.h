/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A team of threads (core/team.h): the caller is worker 0, the others wait for it between two
 * pieces of work: spinning, then asleep. Where cores are shared they give them away at once.
 */
#ifndef UNDERSTUDY_VNF_TEAM_PTHREAD_H
#define UNDERSTUDY_VNF_TEAM_PTHREAD_H

#include <pthread.h>

#include "core/limits.h"
#include "core/status.h"
#include "core/team.h"

struct pthread_team;

struct pthread_member {
	struct pthread_team *team;
	uint32_t number;
	pthread_t thread;
};

struct pthread_team {
	struct team team; /* first: it is one */
	bool shares_core;
	team_work work; /* in hand; written by worker 0 before round */
	void *context;
	void (*on_start)(void *context, uint32_t worker); /* in each new thread; may be NULL */
	void *start_context;
	uint32_t round __attribute__((aligned(64)));	/* atomic, futex: grows with each piece */
	uint32_t sleepers __attribute__((aligned(64))); /* atomic: who waits on round */
	uint32_t left __attribute__((aligned(64)));	/* atomic: workers that are not done */
	struct pthread_member members[WORKERS_MAX];
};

/*
 * Starts workers - 1 threads; they live as long as the process, or until team_pthread_stop.
 * Errors: NO_MEMORY.
 */
MUST_CHECK enum status team_pthread_start(struct pthread_team *team, uint32_t workers,
	bool shares_core, void (*on_start)(void *context, uint32_t worker), void *context);
void team_pthread_stop(struct pthread_team *team);

#endif
