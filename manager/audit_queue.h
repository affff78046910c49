/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Audit events on their way to the log: a synced write takes milliseconds and must never delay a
 * takeover, so a thread of its own writes them, in order.
 */
#ifndef UNDERSTUDY_MANAGER_AUDIT_QUEUE_H
#define UNDERSTUDY_MANAGER_AUDIT_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "loggers/audit.h"

#define AUDIT_EVENTS_MAX 256

struct audit_event {
	uint64_t wall_ns, mono_ns, term;
	char action[32];
	char object[NAME_BYTES];
	char detail[128];
};

struct audit_queue {
	struct audit audit;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct audit_event events[AUDIT_EVENTS_MAX];
	uint32_t first, count;
	bool closing, open;
	uint32_t failures; /* events that could not be written */
};

/* Errors: those of audit_open. Without an open queue, events are dropped: an unprotected run. */
MUST_CHECK enum status audit_queue_open(struct audit_queue *queue, const char *dir);

/* Waits only while the queue is full. Any thread. */
void audit_queue_add(struct audit_queue *queue, const char *action, const char *object,
	uint64_t term, const char *detail);

/* Writes out what is queued. */
void audit_queue_close(struct audit_queue *queue);

#endif
