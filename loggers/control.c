/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/atomics.h"

#define RETRY_NS 20000000

int control_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

enum status bytes_send(int fd, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	while (count > 0) {
		ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return STATUS_IO;
		at += sent;
		count -= (size_t)sent;
	}
	return STATUS_OK;
}

enum status bytes_receive(int fd, void *bytes, size_t count)
{
	uint8_t *at = bytes;

	while (count > 0) {
		ssize_t received = recv(fd, at, count, 0);

		if (received < 0 && errno == EINTR)
			continue;
		if (received <= 0)
			return STATUS_IO;
		at += received;
		count -= (size_t)received;
	}
	return STATUS_OK;
}

enum status message_send(int fd, struct message *message)
{
	message->bytes = sizeof(*message);
	message->version = MESSAGE_VERSION;
	return bytes_send(fd, message, sizeof(*message));
}

enum status message_receive(int fd, struct message *message)
{
	enum status status = bytes_receive(fd, message, sizeof(*message));

	return status == STATUS_OK ? message_check(message) : status;
}

static void converse(struct control *control, int fd)
{
	struct message message, answer;

	if (message_send(fd, &control->hello) != STATUS_OK)
		return;
	atomic_write_release(&control->fd, fd);
	while (message_receive(fd, &message) == STATUS_OK) {
		memset(&answer, 0, sizeof(answer));
		if (control->handler(control->context, &message, &answer) &&
			message_send(fd, &answer) != STATUS_OK)
			break;
	}
	atomic_write_release(&control->fd, -1);
}

static void *control_thread(void *argument)
{
	struct control *control = argument;

	while (!atomic_read_acquire(&control->stop)) {
		int fd = control_connect(control->path);

		if (fd >= 0) {
			converse(control, fd);
			close(fd);
		}
		nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
	}
	return NULL;
}

enum status control_start(struct control *control, const char *run_dir, const struct message *hello,
	control_handler handler, void *context)
{
	snprintf(control->path, sizeof(control->path), "%.200s/manager.sock", run_dir);
	control->hello = *hello;
	control->handler = handler;
	control->context = context;
	control->stop = 0;
	control->fd = -1;
	return pthread_create(&control->thread, NULL, control_thread, control) == 0 ? STATUS_OK
										    : STATUS_IO;
}

enum status control_send(struct control *control, struct message *message)
{
	int fd = atomic_read_acquire(&control->fd);

	return fd < 0 ? STATUS_IO : message_send(fd, message);
}

void control_stop(struct control *control)
{
	int fd;

	atomic_write_release(&control->stop, 1u);
	fd = atomic_read_acquire(&control->fd);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	pthread_join(control->thread, NULL);
}
