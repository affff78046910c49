/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/coroutine.h"

#include <stdlib.h>
#include <sys/mman.h>

#define STACK_BYTES (512u * 1024)

static sigjmp_buf home;
static struct coroutine *present;

void coroutine_begin(struct coroutine *coroutine, void (*main)(void *), void *argument)
{
	if (coroutine->stack == NULL)
		coroutine->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	coroutine->main = main;
	coroutine->argument = argument;
}

#ifdef __SANITIZE_ADDRESS__

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static ucontext_t home_whole;
static const void *home_stack;
static size_t home_bytes;

static void entry(void)
{
	__sanitizer_finish_switch_fiber(NULL, &home_stack, &home_bytes);
	present->main(present->argument);
	coroutine_end();
}

void coroutine_resume(struct coroutine *coroutine, int is_new)
{
	void *fake;

	(void)home;
	present = coroutine;
	if (is_new) {
		__asan_unpoison_memory_region(coroutine->stack, STACK_BYTES);
		getcontext(&coroutine->whole);
		coroutine->whole.uc_stack.ss_sp = coroutine->stack;
		coroutine->whole.uc_stack.ss_size = STACK_BYTES;
		coroutine->whole.uc_link = NULL;
		makecontext(&coroutine->whole, entry, 0);
	}
	__sanitizer_start_switch_fiber(&fake, coroutine->stack, STACK_BYTES);
	swapcontext(&home_whole, &coroutine->whole);
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

void coroutine_leave(struct coroutine *coroutine)
{
	void *fake;

	__sanitizer_start_switch_fiber(&fake, home_stack, home_bytes);
	swapcontext(&coroutine->whole, &home_whole);
	__sanitizer_finish_switch_fiber(fake, &home_stack, &home_bytes);
}

_Noreturn void coroutine_end(void)
{
	__sanitizer_start_switch_fiber(NULL, home_stack, home_bytes);
	setcontext(&home_whole);
	abort();
}

#else

static void entry(void)
{
	present->main(present->argument);
	coroutine_end();
}

/* Contexts begin coroutines; jumps, which need no system call, go on with them. */
void coroutine_resume(struct coroutine *coroutine, int is_new)
{
	ucontext_t context;

	if (sigsetjmp(home, 0) != 0)
		return;
	present = coroutine;
	if (!is_new)
		siglongjmp(coroutine->context, 1);
	getcontext(&context);
	context.uc_stack.ss_sp = coroutine->stack;
	context.uc_stack.ss_size = STACK_BYTES;
	context.uc_link = NULL;
	makecontext(&context, entry, 0);
	setcontext(&context);
}

void coroutine_leave(struct coroutine *coroutine)
{
	if (sigsetjmp(coroutine->context, 0) == 0)
		siglongjmp(home, 1);
}

_Noreturn void coroutine_end(void)
{
	siglongjmp(home, 1);
}

#endif
