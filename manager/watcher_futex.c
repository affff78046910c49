/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/watcher.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loggers/idle.h"

/* Tells of a dead one, once. Returns false if the pipe is gone. */
static bool tell_if_dead(struct watcher *watcher, uint32_t index)
{
	struct watched *watched = &watcher->watched[index];
	struct death death = {.watched = index, .incarnation = watched->incarnation};
	uint32_t live = WATCHED_LIVE;

	if (!owner_is_dead(&watched->journal.control->owner) ||
		!atomic_swap_if(&watched->state, &live, (uint32_t)WATCHED_LOST))
		return true;
	death.detected_ns = mono_ns();
	return write(watcher->pipe[1], &death, sizeof(death)) == sizeof(death);
}

static void *watcher_main(void *argument)
{
	struct watcher *watcher = argument;
	struct futex_waitv waits[WATCHED_MAX + 1];

	for (;;) {
		uint32_t count = 1;

		waits[0] = (struct futex_waitv){
			.val = atomic_read_acquire(&watcher->generation),
			.uaddr = (uintptr_t)&watcher->generation,
			.flags = FUTEX_32,
		};
		for (uint32_t i = 0; i < WATCHED_MAX; i++) {
			struct watched *watched = &watcher->watched[i];

			if (atomic_read_acquire(&watched->state) != WATCHED_LIVE)
				continue;
			waits[count] = (struct futex_waitv){
				.val = atomic_read_acquire(&watched->journal.control->owner.word),
				.uaddr = (uintptr_t)&watched->journal.control->owner.word,
				.flags = FUTEX_32,
			};
			if (!tell_if_dead(watcher, i))
				return NULL;
			count += atomic_read_acquire(&watched->state) == WATCHED_LIVE;
		}
		syscall(SYS_futex_waitv, waits, count, 0, NULL, CLOCK_MONOTONIC);
	}
	return NULL;
}

enum status watcher_open(struct watcher *watcher)
{
	if (pipe2(watcher->pipe, O_CLOEXEC) != 0 ||
		fcntl(watcher->pipe[0], F_SETFL, O_NONBLOCK) != 0 ||
		pthread_create(&watcher->thread, NULL, watcher_main, watcher) != 0)
		return STATUS_IO;
	return STATUS_OK;
}

void watched_hold(struct watched *watched, uint32_t pid)
{
	watched->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

void watched_let_go(struct watched *watched)
{
	if (watched->pidfd >= 0)
		close(watched->pidfd);
}

void watcher_look_again(struct watcher *watcher)
{
	(void)atomic_add_seq_cst(&watcher->generation, 1u);
	syscall(SYS_futex, &watcher->generation, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void watched_signal(const struct watched *watched, int number)
{
	if (watched->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, watched->pidfd, number, NULL, 0);
}
