/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/watcher.h"

struct watched *watcher_find(struct watcher *watcher, uint64_t incarnation)
{
	for (uint32_t i = 0; i < WATCHED_MAX; i++)
		if (watcher->watched[i].state != WATCHED_FREE &&
			watcher->watched[i].incarnation == incarnation)
			return &watcher->watched[i];
	return NULL;
}

enum status watcher_add(struct watcher *watcher, const struct shm_place *place,
	const struct message *hello)
{
	struct watched *watched = watcher_find(watcher, hello->incarnation);
	enum status status;

	if (watched != NULL) {
		if (watched->pidfd < 0) /* it was adopted before it could say which it is */
			watched_hold(watched, hello->pid);
		return STATUS_OK;
	}
	for (uint32_t i = 0; i < WATCHED_MAX && watched == NULL; i++)
		if (watcher->watched[i].state == WATCHED_FREE)
			watched = &watcher->watched[i];
	if (watched == NULL)
		return STATUS_FULL;
	status = journal_shm_open(&watched->journal, place, hello->name);
	if (status != STATUS_OK)
		return status;
	watched->stage = hello->stage;
	watched->replica = hello->number;
	watched->incarnation = hello->incarnation;
	watched->hang = (struct watch){0};
	watched->looked_ns = 0;
	watched->stopped = false;
	watched_hold(watched, hello->pid);
	atomic_write_release(&watched->state, (uint32_t)WATCHED_LIVE);
	watcher_look_again(watcher);
	return STATUS_OK;
}

void watcher_forget(struct watched *watched, const struct shm_place *place)
{
	journal_shm_unlink(place, watched->journal.control->name);
	journal_shm_close(&watched->journal);
	watched_let_go(watched);
	atomic_write_release(&watched->state, (uint32_t)WATCHED_FREE);
}
