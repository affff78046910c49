/* SPDX-License-Identifier: BSD-3-Clause */
/* What the manager sees of a replica: the control page, and its thread in /proc. */
#ifndef UNDERSTUDY_MANAGER_SIGHT_H
#define UNDERSTUDY_MANAGER_SIGHT_H

#include "loggers/page.h"
#include "manager/failover.h"
#include "manager/watch.h"

/* Where things stood when a former manager ended; false if it had not begun. */
bool sight_adopt(struct failover *failover, const struct page *page);

void sight_take(struct watch_sight *sight, const struct page *page, uint32_t stage,
	uint32_t number);

/* Whether a signal, or a debugger, has stopped a thread. */
bool sight_is_stopped(uint32_t pid, uint32_t tid);

/* The kernel's state letter and the CPU time of a thread, from /proc; 'X' where it is gone. */
char sight_thread(uint32_t pid, uint32_t tid, uint64_t *cpu_ns);

#endif
