/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control thread that every role process has: it keeps a connection to the manager's socket,
 * over restarts of the manager, and hands messages to the role. Packet threads never see it.
 */
#ifndef UNDERSTUDY_LOGGERS_CONTROL_H
#define UNDERSTUDY_LOGGERS_CONTROL_H

#include <pthread.h>
#include <stdbool.h>

#include "core/message.h"

/* Runs in the control thread. Fill *answer and return true to answer. */
typedef bool (
	*control_handler)(void *context, const struct message *message, struct message *answer);

struct control {
	char path[PATH_BYTES];
	struct message hello;
	control_handler handler;
	void *context;
	pthread_t thread;
	int fd;
	uint32_t stop;
};

/* Starts the thread. hello is sent at each (re)connection. Errors: IO. */
MUST_CHECK enum status control_start(struct control *control, const char *run_dir,
	const struct message *hello, control_handler handler, void *context);

/* Sends a message of the role's own. Errors: IO (no manager now). */
enum status control_send(struct control *control, struct message *message);

void control_stop(struct control *control);

/* Plain blocking use of a manager or peer socket. */
MUST_CHECK int control_connect(const char *path);
MUST_CHECK enum status message_send(int fd, struct message *message);
MUST_CHECK enum status message_receive(int fd, struct message *message);
MUST_CHECK enum status bytes_send(int fd, const void *bytes, size_t count);
MUST_CHECK enum status bytes_receive(int fd, void *bytes, size_t count);

#endif
