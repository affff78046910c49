/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/status.h"
#include "tests/sim/faults.h"
#include "tests/sim/processes.h"
#include "tests/sim/verdict.h"

#define TURNS_MAX 40000000ull

struct world world;
struct tally *tally;

void world_begin(const struct plan *plan)
{
	world = (struct world){
		.plan = plan,
		.now_ns = SECOND_NS,
		.random = (plan->seed * 2 + 1) * 0x9e3779b97f4a7c15ull | 1,
		.wall_offset_ns = 1700000000ull * SECOND_NS,
		.traced = world.traced,
		.observe = world.observe,
		.died = world.died,
	};
}

uint32_t world_random(uint32_t n)
{
	return (uint32_t)(random_next(&world.random) >> 24) % n;
}

void world_trace(const char *format, ...)
{
	const struct thread *thread = world.current;
	va_list arguments;

	if (!world.traced)
		return;
	printf("%10.6f ms  %-22s ", (double)(world.now_ns - SECOND_NS) / 1e6,
		thread == NULL ? "" : thread->process->name);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

_Noreturn void world_violated(const char *invariant, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(verdict->text, sizeof(verdict->text), format, arguments);
	va_end(arguments);
	snprintf(verdict->invariant, sizeof(verdict->invariant), "%s", invariant);
	verdict->turn = world.switches;
	verdict->now_ns = world.now_ns - SECOND_NS;
	world_trace("VIOLATES %s: %s", invariant, verdict->text);
	world_show();
	fflush(stdout);
	schedule_exit(SCHEDULE_VIOLATES);
}

struct process *process_start(enum process_kind kind, const char *name, void (*main)(void *),
	void *argument)
{
	struct process *process = &world.processes[world.processes_count];

	if (world.processes_count == PROCESSES_MAX)
		world_violated("L1", "%u processes were started: it never ends", PROCESSES_MAX);
	*process = (struct process){.kind = kind,
		.pid = ++world.processes_count,
		.alive = true,
		.slowness = 1};
	snprintf(process->name, sizeof(process->name), "%s", name);
	if (world.plan->uneven)
		process->slowness = 1u << world_random(5);
	world_trace("starts %s", name);
	(void)thread_start(process, name, main, argument);
	return process;
}

static void thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->main(thread->argument);
	thread->state = THREAD_GONE;
}

struct thread *thread_start(struct process *process, const char *name, void (*main)(void *),
	void *argument)
{
	static uint32_t ids;

	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		struct thread *thread = &world.threads[i];
		struct coroutine coroutine = thread->coroutine;

		if (thread->state != THREAD_FREE && thread->state != THREAD_GONE)
			continue;
		*thread = (struct thread){.process = process,
			.name = name,
			.main = main,
			.argument = argument,
			.coroutine = coroutine,
			.state = THREAD_NEW,
			.id = ++ids};
		coroutine_begin(&thread->coroutine, thread_main, thread);
		return thread;
	}
	BUG_ON(true);
}

static void resume(struct thread *thread)
{
	bool is_new = thread->state == THREAD_NEW;

	thread->state = THREAD_READY;
	world.current = thread;
	coroutine_resume(&thread->coroutine, is_new);
	world.current = NULL;
}

static bool is_held(const struct process *process)
{
	return !process->alive || process->stopped || process->still_until_ns > world.now_ns;
}

static bool can_run(const struct thread *thread)
{
	return (thread->state == THREAD_NEW || thread->state == THREAD_READY ||
		       (thread->state == THREAD_ASLEEP && thread->wake_ns <= world.now_ns)) &&
	       !is_held(thread->process);
}

static struct thread *choose(void)
{
	struct thread *ready[THREADS_MAX];
	uint32_t count = 0, pick;

	for (uint32_t i = 0; i < THREADS_MAX; i++)
		if (can_run(&world.threads[i]))
			ready[count++] = &world.threads[i];
	if (count == 0)
		return NULL;
	pick = world_random(count);
	for (uint32_t tries = 0; tries < 8; tries++) {
		if (world_random(ready[pick]->process->slowness) == 0)
			break;
		pick = world_random(count);
	}
	return ready[pick];
}

/* Nobody can run now: on to when somebody can. */
static void skip_time(uint64_t until_ns)
{
	uint64_t next_ns = until_ns;

	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		const struct thread *thread = &world.threads[i];
		uint64_t at_ns = thread->wake_ns;

		if (thread->state == THREAD_FREE || thread->state == THREAD_GONE ||
			!thread->process->alive || thread->process->stopped)
			continue;
		if (thread->state != THREAD_ASLEEP)
			at_ns = thread->process->still_until_ns;
		else if (at_ns < thread->process->still_until_ns)
			at_ns = thread->process->still_until_ns;
		if (at_ns < next_ns)
			next_ns = at_ns;
	}
	for (uint32_t i = 0; i < world.processes_count; i++)
		if (world.processes[i].alive && world.processes[i].dies_at_ns != 0 &&
			world.processes[i].dies_at_ns < next_ns)
			next_ns = world.processes[i].dies_at_ns;
	if (faults_next_ns() < next_ns)
		next_ns = faults_next_ns();
	if (next_ns > world.now_ns)
		world.now_ns = next_ns;
}

void process_kill(struct process *process)
{
	if (!process->alive || process->dies_at_ns != 0)
		return;
	process->dies_at_ns = world.now_ns + 1 + world_random(2) * world_random(3000000);
	/* Somebody wakes it just then: a zombie runs on for a moment. */
	if (process->stopped && world_random(2) == 0)
		process->stopped = false;
}

static void deliver_kills(void)
{
	for (uint32_t i = 0; i < world.processes_count; i++)
		if (world.processes[i].alive && world.processes[i].dies_at_ns != 0 &&
			world.processes[i].dies_at_ns <= world.now_ns)
			process_end(&world.processes[i], "is killed by the manager");
}

bool world_run(uint64_t until_ns)
{
	while (!world.over && world.now_ns < until_ns && world.switches < TURNS_MAX) {
		struct thread *thread;
		uint64_t took_ns;

		faults_by_time();
		deliver_kills();
		thread = choose();
		if (thread == NULL) {
			skip_time(until_ns);
			continue;
		}
		took_ns = 50 + world_random(200);
		world.now_ns += took_ns;
		thread->process->cpu_ns += took_ns;
		world.switches++;
		resume(thread);
		world.observe();
	}
	return world.over;
}

void process_end(struct process *process, const char *why)
{
	if (!process->alive)
		return;
	world_trace("%s: %s", process->name, why);
	process->alive = false;
	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		struct thread *thread = &world.threads[i];

		if (thread->process != process || thread->state == THREAD_FREE ||
			thread->state == THREAD_GONE)
			continue;
		thread->state = THREAD_GONE;
		for (uint32_t o = 0; o < OWNED_MAX; o++)
			if (thread->owned[o] != NULL)
				owner_mark_dead(thread->owned[o]);
	}
	world.died(process);
	if (world.current != NULL && world.current->process == process)
		coroutine_end();
}

void world_sleep(uint64_t ns)
{
	world.current->wake_ns = world.now_ns + ns;
	world.current->state = THREAD_ASLEEP;
	coroutine_leave(&world.current->coroutine);
}

void world_yield(void)
{
	coroutine_leave(&world.current->coroutine);
}

bool world_wait(const uint32_t *const *words, uint32_t count, uint64_t until_ns)
{
	struct thread *thread = world.current;

	BUG_ON(count > WAITS_MAX);
	for (uint32_t i = 0; i < count; i++)
		thread->waits[i] = words[i];
	thread->waits_count = count;
	thread->woken = false;
	thread->wake_ns = until_ns;
	thread->state = THREAD_ASLEEP;
	coroutine_leave(&world.current->coroutine);
	thread->waits_count = 0;
	return thread->woken;
}

void world_wake(const uint32_t *word)
{
	for (uint32_t i = 0; i < THREADS_MAX; i++) {
		struct thread *thread = &world.threads[i];

		for (uint32_t w = 0; thread->state == THREAD_ASLEEP && w < thread->waits_count; w++)
			if (thread->waits[w] == word) {
				thread->state = THREAD_READY;
				thread->woken = true;
			}
	}
}

void atomics_step(const char *file, int line)
{
	(void)file;
	(void)line;
	if (world.current == NULL)
		return;
	if (world.current->process->corrupts)
		replica_corrupt(world.current->process);
	if (world.current->process->flips)
		replica_flip(world.current->process);
	faults_at_store(world.current->process);
	if (is_held(world.current->process) ||
		(world.plan->preempt != 0 && world_random(world.plan->preempt) == 0))
		world_yield();
}

void fault_point(enum fault_point point)
{
	if (world.current == NULL)
		return;
	tally->points[point]++;
	faults_at_point(world.current->process, point);
	if (is_held(world.current->process) || world_random(4) == 0)
		world_yield();
}
