/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel does for the processes of production, done in the world. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "loggers/idle.h"
#include "loggers/journal_shm.h"
#include "manager/audit_queue.h"
#include "manager/sight.h"
#include "manager/watcher.h"
#include "tests/sim/libc_seam.h"
#include "tests/sim/platform.h"
#include "tests/sim/world.h"

#define DEAD 0x40000000u

/* Time and futexes. */

int sim_clock_gettime(clockid_t clock, struct timespec *now)
{
	(void)clock;
	*now = (struct timespec){.tv_sec = (time_t)(world.now_ns / SECOND_NS),
		.tv_nsec = (long)(world.now_ns % SECOND_NS)};
	return 0;
}

static uint64_t time_of(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * SECOND_NS + (uint64_t)time->tv_nsec;
}

int sim_clock_nanosleep(clockid_t clock, int flags, const struct timespec *until,
	struct timespec *left)
{
	(void)clock;
	(void)flags;
	(void)left;
	if (time_of(until) > world.now_ns)
		world_sleep(time_of(until) - world.now_ns);
	return 0;
}

int sim_sched_yield(void)
{
	if (world.current != NULL)
		world_yield();
	return 0;
}

static long futex_waitv(const struct futex_waitv *waits, uint32_t count,
	const struct timespec *until)
{
	const uint32_t *words[WAITS_MAX];

	for (uint32_t i = 0; i < count; i++) {
		words[i] = (const uint32_t *)(uintptr_t)waits[i].uaddr;
		if (*words[i] != (uint32_t)waits[i].val) {
			errno = EAGAIN;
			return -1;
		}
	}
	errno = ETIMEDOUT;
	return world_wait(words, count, time_of(until)) ? 0 : -1;
}

long sim_syscall(long number, ...)
{
	va_list arguments;
	const void *first;
	long result = 0;

	va_start(arguments, number);
	first = va_arg(arguments, const void *);
	if (number == SYS_futex_waitv) {
		uint32_t count = va_arg(arguments, uint32_t);

		(void)va_arg(arguments, int);
		result = futex_waitv(first, count, va_arg(arguments, const struct timespec *));
	} else if (number == SYS_futex) {
		world_wake(first);
	}
	va_end(arguments);
	return result;
}

pthread_t sim_pthread_self(void)
{
	return (pthread_t)world.current->id;
}

/* Owner words. */

void owner_init(struct owner *owner)
{
	owner->word = 0;
}

enum status owner_claim(struct owner *owner)
{
	struct thread *thread = world.current;

	if (owner->word != 0 && (owner->word & DEAD) == 0)
		return STATUS_EXISTS;
	for (uint32_t i = 0; i < OWNED_MAX; i++)
		if (thread->owned[i] == NULL) {
			thread->owned[i] = owner;
			owner->word = thread->id;
			return STATUS_OK;
		}
	world_violated("I12", "%s holds %u owner words", thread->process->name, OWNED_MAX);
}

void owner_release(struct owner *owner)
{
	struct thread *thread = world.current;

	for (uint32_t i = 0; i < OWNED_MAX; i++)
		if (thread->owned[i] == owner && owner->word == thread->id) {
			thread->owned[i] = NULL;
			owner->word = 0;
			return;
		}
	world_violated("I12", "%s releases an owner word that another thread holds",
		thread->process->name);
}

bool owner_is_dead(const struct owner *owner)
{
	return (owner->word & DEAD) != 0;
}

bool owner_is_claimed(const struct owner *owner)
{
	return owner->word != 0;
}

void owner_mark_dead(struct owner *owner)
{
	owner->word |= DEAD;
}

/* Shared memory by name. */

struct shared shared[SHARED_MAX];
uint32_t shared_count;

static struct shared *find_shared(const char *name)
{
	for (uint32_t i = 0; i < shared_count; i++)
		if (shared[i].linked && strcmp(shared[i].name, name) == 0)
			return &shared[i];
	return NULL;
}

static void *zeroed(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

enum status journal_shm_create(struct journal *journal, const struct shm_place *place,
	const char *name, uint64_t ring_bytes, uint64_t first_batch, uint64_t incarnation,
	bool checked)
{
	struct shared *made = &shared[shared_count];

	(void)place;
	if (find_shared(name) != NULL)
		return STATUS_EXISTS;
	BUG_ON(shared_count == SHARED_MAX);
	*made = (struct shared){.control = zeroed(sizeof(*made->control)),
		.ring = zeroed(ring_bytes),
		.linked = true,
		.maker = world.current == NULL ? NULL : world.current->process};
	strncpy(made->name, name, sizeof(made->name) - 1);
	shared_count++;
	world_yield(); /* it takes a while, and is seen half made */
	journal_format(made->control, name, ring_bytes, first_batch, incarnation, checked);
	*journal = (struct journal){made->control, made->ring, ring_bytes / LINE_BYTES};
	return STATUS_OK;
}

enum status journal_shm_open(struct journal *journal, const struct shm_place *place,
	const char *name)
{
	const struct shared *found = find_shared(name);
	enum status status;

	(void)place;
	memset(journal, 0, sizeof(*journal));
	if (found == NULL)
		return STATUS_NOT_FOUND;
	status = journal_check(found->control, sizeof(*found->control),
		found->control->ring_bytes == 0 ? LINE_BYTES : found->control->ring_bytes);
	if (status != STATUS_OK)
		return status;
	*journal = (struct journal){found->control, found->ring,
		found->control->ring_bytes / LINE_BYTES};
	return STATUS_OK;
}

void journal_shm_close(struct journal *journal)
{
	memset(journal, 0, sizeof(*journal));
}

void journal_shm_unlink(const struct shm_place *place, const char *name)
{
	struct shared *found = find_shared(name);

	(void)place;
	if (found != NULL)
		found->linked = false;
}

/* What the manager sees of processes. */

enum status watcher_open(struct watcher *watcher)
{
	(void)watcher;
	return STATUS_OK;
}

void watched_hold(struct watched *watched, uint32_t pid)
{
	watched->pidfd = pid == 0 ? -1 : (int)pid;
}

void watched_let_go(struct watched *watched)
{
	watched->pidfd = -1;
}

void watcher_look_again(struct watcher *watcher)
{
	(void)watcher;
}

bool platform_next_death(struct watcher *watcher, struct death *death)
{
	for (uint32_t i = 0; i < WATCHED_MAX; i++) {
		struct watched *watched = &watcher->watched[i];

		if (watched->state != WATCHED_LIVE ||
			!owner_is_dead(&watched->journal.control->owner))
			continue;
		watched->state = WATCHED_LOST;
		*death = (struct death){i, watched->incarnation, world.now_ns};
		return true;
	}
	return false;
}

static struct process *process_of(uint32_t pid)
{
	return pid == 0 || pid > world.processes_count ? NULL : &world.processes[pid - 1];
}

void watched_signal(const struct watched *watched, int number)
{
	struct process *process = process_of((uint32_t)watched->pidfd);

	(void)number;
	if (process != NULL)
		process_kill(process);
}

char sight_thread(uint32_t pid, uint32_t tid, uint64_t *cpu_ns)
{
	const struct process *process = process_of(pid);

	*cpu_ns = 0;
	if (process == NULL || !process->alive)
		return 'X';
	*cpu_ns = process->cpu_ns;
	if (process->stopped)
		return 'T';
	for (uint32_t i = 0; i < THREADS_MAX; i++)
		if (world.threads[i].id == tid && world.threads[i].process == process)
			return world.threads[i].state == THREAD_ASLEEP ? 'S' : 'R';
	return 'X';
}

/* The audit log is a shell's. */

enum status audit_queue_open(struct audit_queue *queue, const char *dir)
{
	(void)queue;
	(void)dir;
	return STATUS_OK;
}

void audit_queue_add(struct audit_queue *queue, const char *action, const char *object,
	uint64_t term, const char *detail)
{
	(void)queue;
	world_trace("audit: %s %s, term %llu %s", action, object, (unsigned long long)term, detail);
}

void audit_queue_close(struct audit_queue *queue)
{
	(void)queue;
}
