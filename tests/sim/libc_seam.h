/* SPDX-License-Identifier: BSD-3-Clause */
/* Included before every source of production: what it asks of the kernel goes to platform.c. */
#ifndef UNDERSTUDY_TESTS_SIM_LIBC_SEAM_H
#define UNDERSTUDY_TESTS_SIM_LIBC_SEAM_H

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

int sim_clock_gettime(clockid_t clock, struct timespec *now);
int sim_clock_nanosleep(clockid_t clock, int flags, const struct timespec *until,
	struct timespec *left);
int sim_sched_yield(void);
long sim_syscall(long number, ...);
pthread_t sim_pthread_self(void);

#define clock_gettime sim_clock_gettime
#define clock_nanosleep sim_clock_nanosleep
#define sched_yield sim_sched_yield
#define syscall sim_syscall
#define pthread_self sim_pthread_self

#endif
