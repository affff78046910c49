/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The workers of a replica, as their cores see them: a team does one thing at a time, all of it
 * together. Work is done in small steps, so that threads may do it, or a test in any interleaving.
 */
#ifndef UNDERSTUDY_CORE_TEAM_H
#define UNDERSTUDY_CORE_TEAM_H

#include <stdbool.h>
#include <stdint.h>

/* A worker's next step; true once this worker has nothing left to do of the work. */
typedef bool (*team_work)(void *context, uint32_t worker);

struct team {
	uint32_t workers;
	/* Returns when all workers' parts are done; what they wrote is visible to all. */
	void (*run)(struct team *team, team_work work, void *context);
};

#endif
