/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/idle.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/atomics.h"

uint64_t mono_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void arm(struct idle *idle, struct journal *const *journals, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < IDLE_JOURNALS_MAX; i++) {
		idle->journals[i] = journals[i];
		(void)atomic_add_seq_cst(&journals[i]->control->sleepers, 1u);
		idle->wakes[i] = atomic_read_seq_cst(&journals[i]->control->wake);
	}
	idle->armed = count;
}

/* A reader that dies here leaves its count behind: writers then wake in vain, no more. */
void idle_disarm(struct idle *idle)
{
	for (uint32_t i = 0; i < idle->armed; i++)
		(void)atomic_add_seq_cst(&idle->journals[i]->control->sleepers, (uint32_t)-1);
	idle->armed = 0;
}

static void sleep_armed(struct idle *idle, uint64_t timeout_ns)
{
	struct futex_waitv waits[IDLE_JOURNALS_MAX];
	uint64_t until_ns = mono_ns() + timeout_ns;
	struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000ull),
		.tv_nsec = (long)(until_ns % 1000000000ull),
	};

	for (uint32_t i = 0; i < idle->armed; i++)
		waits[i] = (struct futex_waitv){
			.val = idle->wakes[i],
			.uaddr = (uintptr_t)&idle->journals[i]->control->wake,
			.flags = FUTEX_32,
		};
	if (idle->armed == 0 ||
		(syscall(SYS_futex_waitv, waits, idle->armed, 0, &until, CLOCK_MONOTONIC) < 0 &&
			errno == ENOSYS))
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	idle_disarm(idle);
}

void idle_round(struct idle *idle, struct journal *const *journals, uint32_t count,
	uint64_t timeout_ns)
{
	if (++idle->rounds < IDLE_SPINS && !idle->shares_core) {
		cpu_relax();
		return;
	}
	if (idle->rounds < IDLE_SPINS + IDLE_YIELDS) {
		sched_yield();
		return;
	}
	if (idle->armed == 0 && count > 0)
		arm(idle, journals, count);
	else
		sleep_armed(idle, timeout_ns);
}

void idle_blocked(struct idle *idle, uint64_t timeout_ns)
{
	if (idle->shares_core)
		idle->rounds = IDLE_SPINS + IDLE_YIELDS;
	idle_round(idle, NULL, 0, timeout_ns);
}

void idle_wake(struct journal *journal)
{
	(void)atomic_add_seq_cst(&journal->control->wake, 1u);
	syscall(SYS_futex, &journal->control->wake, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
