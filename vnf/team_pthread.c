/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/team_pthread.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/atomics.h"
#include "txn/baseline.h"

#define SPINS 4000	/* some 50 us: a batch or two */
#define SHARED_SPINS 50 /* where cores are shared */

/* Waits for a round after this one. */
static void await_round(struct pthread_team *team, uint32_t round)
{
	uint32_t spins = team->shares_core ? SHARED_SPINS : SPINS;

	(void)PROBE(PROBE_SYNC);
	for (uint32_t i = 0; i < spins; i++) {
		if (atomic_read_acquire(&team->round) != round)
			return;
		cpu_relax();
	}
	(void)atomic_add_seq_cst(&team->sleepers, 1u);
	while (atomic_read_seq_cst(&team->round) == round)
		syscall(SYS_futex, &team->round, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
	(void)atomic_add_seq_cst(&team->sleepers, UINT32_MAX);
}

/* A worker's part; one that waits for another lets it have the core. */
static void do_part(struct pthread_team *team, uint32_t worker)
{
	uint32_t spins = 0;

	(void)PROBE(PROBE_OTHERS);
	while (!team->work(team->context, worker)) {
		cpu_relax();
		if (team->shares_core && ++spins % SHARED_SPINS == 0)
			sched_yield();
	}
}

static void *member_main(void *argument)
{
	struct pthread_member *member = argument;
	struct pthread_team *team = member->team;
	uint32_t round = 0;

	if (team->on_start != NULL)
		team->on_start(team->start_context, member->number);
	for (;;) {
		await_round(team, round++);
		if (team->work == NULL)
			return NULL;
		do_part(team, member->number);
		(void)atomic_sub_acq_rel(&team->left, 1);
	}
}

static void begin_round(struct pthread_team *team, team_work work, void *context)
{
	team->work = work;
	team->context = context;
	atomic_write_relaxed(&team->left, team->team.workers - 1);
	(void)atomic_add_seq_cst(&team->round, 1u);
	if (atomic_read_seq_cst(&team->sleepers) > 0)
		syscall(SYS_futex, &team->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void run(struct team *self, team_work work, void *context)
{
	struct pthread_team *team = (struct pthread_team *)self;
	uint32_t spins = 0;

	begin_round(team, work, context);
	do_part(team, 0);
	(void)PROBE(PROBE_SYNC);
	while (atomic_read_acquire(&team->left) > 0) {
		cpu_relax();
		if (team->shares_core && ++spins % SHARED_SPINS == 0)
			sched_yield();
	}
	(void)PROBE(PROBE_OTHERS);
}

enum status team_pthread_start(struct pthread_team *team, uint32_t workers, bool shares_core,
	void (*on_start)(void *context, uint32_t worker), void *context)
{
	*team = (struct pthread_team){.team = {workers, run},
		.shares_core = shares_core,
		.on_start = on_start,
		.start_context = context};
	for (uint32_t w = 1; w < workers; w++) {
		team->members[w] = (struct pthread_member){.team = team, .number = w};
		if (pthread_create(&team->members[w].thread, NULL, member_main,
			    &team->members[w]) != 0)
			return STATUS_NO_MEMORY;
	}
	return STATUS_OK;
}

void team_pthread_stop(struct pthread_team *team)
{
	begin_round(team, NULL, NULL);
	for (uint32_t w = 1; w < team->team.workers; w++)
		pthread_join(team->members[w].thread, NULL);
}
