/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/audit_queue.h"

#include <string.h>
#include <time.h>

#include "loggers/idle.h"

static void write_one(struct audit_queue *queue, const struct audit_event *event)
{
	if (audit_append(&queue->audit, event->wall_ns, event->mono_ns, "manager", event->action,
		    event->object, event->term, event->detail) != STATUS_OK)
		queue->failures++;
}

static void *writer_main(void *argument)
{
	struct audit_queue *queue = argument;

	pthread_mutex_lock(&queue->lock);
	while (queue->count > 0 || !queue->closing) {
		struct audit_event event;

		if (queue->count == 0) {
			pthread_cond_wait(&queue->changed, &queue->lock);
			continue;
		}
		event = queue->events[queue->first];
		queue->first = (queue->first + 1) % AUDIT_EVENTS_MAX;
		queue->count--;
		pthread_cond_broadcast(&queue->changed);
		pthread_mutex_unlock(&queue->lock);
		write_one(queue, &event);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

enum status audit_queue_open(struct audit_queue *queue, const char *dir)
{
	enum status status = audit_open(&queue->audit, dir);

	if (status != STATUS_OK)
		return status;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->open = pthread_create(&queue->thread, NULL, writer_main, queue) == 0;
	return queue->open ? STATUS_OK : STATUS_IO;
}

void audit_queue_add(struct audit_queue *queue, const char *action, const char *object,
	uint64_t term, const char *detail)
{
	struct audit_event event = {.mono_ns = mono_ns(), .term = term};
	struct timespec wall;

	if (!queue->open)
		return;
	clock_gettime(CLOCK_REALTIME, &wall);
	event.wall_ns = (uint64_t)wall.tv_sec * 1000000000ull + (uint64_t)wall.tv_nsec;
	strncpy(event.action, action, sizeof(event.action) - 1);
	strncpy(event.object, object, sizeof(event.object) - 1);
	strncpy(event.detail, detail, sizeof(event.detail) - 1);
	pthread_mutex_lock(&queue->lock);
	while (queue->count == AUDIT_EVENTS_MAX)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->events[(queue->first + queue->count++) % AUDIT_EVENTS_MAX] = event;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

void audit_queue_close(struct audit_queue *queue)
{
	if (!queue->open)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->closing = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	audit_close(&queue->audit);
	queue->open = false;
}
