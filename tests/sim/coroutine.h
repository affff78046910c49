/* SPDX-License-Identifier: BSD-3-Clause */
/* Coroutines: stacks of their own, resumed by one caller and left to it. */
#ifndef UNDERSTUDY_TESTS_SIM_COROUTINE_H
#define UNDERSTUDY_TESTS_SIM_COROUTINE_H

#include <setjmp.h>
#include <stdint.h>
#include <ucontext.h>

struct coroutine {
	void (*main)(void *argument);
	void *argument;
	uint8_t *stack; /* kept when another one begins here */
	sigjmp_buf context;
	ucontext_t whole; /* under AddressSanitizer, which must know of each change of stacks */
};

void coroutine_begin(struct coroutine *coroutine, void (*main)(void *), void *argument);

/* Comes back when it leaves; is_new: it has not run yet. */
void coroutine_resume(struct coroutine *coroutine, int is_new);

/* To who resumed it; comes back when it is resumed. */
void coroutine_leave(struct coroutine *coroutine);

/* The same for good; its main's return is one too. */
_Noreturn void coroutine_end(void);

#endif
