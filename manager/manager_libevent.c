/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "loggers/idle.h"
#include "manager/manager.h"
#include "manager/manager_role.h"

#define TICK_US 1000

struct process {
	struct manager manager;
	struct event_base *events;
	struct evconnlistener *listener;
	struct event *tick, *deaths;
};

/* A peer's socket. */
struct connection {
	struct process *process;
	struct bufferevent *events;
	struct peer *peer;
};

static void on_deaths(evutil_socket_t fd, short what, void *argument)
{
	struct process *self = argument;
	struct death death;

	(void)what;
	while (read(fd, &death, sizeof(death)) == sizeof(death))
		manager_death(&self->manager, &death);
}

static void send_to(void *connection, const struct message *message)
{
	bufferevent_write(((struct connection *)connection)->events, message, sizeof(*message));
}

static void on_readable(struct bufferevent *events, void *argument)
{
	struct connection *connection = argument;
	struct message message;

	while (evbuffer_get_length(bufferevent_get_input(events)) >= sizeof(message)) {
		bufferevent_read(events, &message, sizeof(message));
		if (message_check(&message) == STATUS_OK)
			manager_receive(&connection->process->manager, connection->peer, &message);
	}
}

static void on_closed(struct bufferevent *events, short what, void *argument)
{
	struct connection *connection = argument;
	struct process *self = connection->process;

	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
		return;
	if (connection->peer == self->manager.supervisor)
		event_base_loopbreak(self->events);
	manager_disconnect(&self->manager, connection->peer);
	bufferevent_free(events);
	free(connection);
}

static void add_connection(struct process *self, evutil_socket_t fd, bool is_supervisor)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (connection != NULL)
		connection->peer = manager_connect(&self->manager, connection, is_supervisor);
	if (connection == NULL || connection->peer == NULL) {
		free(connection);
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	connection->process = self;
	connection->events = bufferevent_socket_new(self->events, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(connection->events, on_readable, NULL, on_closed, connection);
	bufferevent_enable(connection->events, EV_READ | EV_WRITE);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int length, void *argument)
{
	(void)listener;
	(void)address;
	(void)length;
	add_connection(argument, fd, false);
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
	struct process *self = argument;

	(void)fd;
	(void)what;
	manager_tick(&self->manager, mono_ns());
}

static bool listen_on(struct process *self)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/manager.sock",
		self->manager.role.options.run_dir);
	unlink(address.sun_path);
	self->listener = evconnlistener_new_bind(self->events, on_connection, self,
		LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&address, sizeof(address));
	return self->listener != NULL;
}

static bool start(struct process *self, char *error)
{
	struct manager *manager = &self->manager;
	const struct config *config = manager->role.config;
	struct timeval tick = {.tv_usec = TICK_US};

	manager_open(manager);
	manager->send = send_to;
	if (config->protect && audit_queue_open(&manager->audit, config->logger_dir) != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%.150s/%s: cannot be carried on: see 'understudy audit "
			"verify'",
			config->logger_dir, AUDIT_FILE);
		return false;
	}
	self->events = event_base_new();
	if (self->events == NULL || watcher_open(&manager->watcher) != STATUS_OK ||
		!listen_on(self)) {
		snprintf(error, CONFIG_ERROR_BYTES, "%.150s/manager.sock: %s",
			manager->role.options.run_dir, strerror(errno));
		return false;
	}
	if (manager->role.options.supervisor_fd >= 0)
		add_connection(self, manager->role.options.supervisor_fd, true);
	self->deaths = event_new(self->events, manager->watcher.pipe[0], EV_READ | EV_PERSIST,
		on_deaths, self);
	self->tick = event_new(self->events, -1, EV_PERSIST, on_tick, self);
	event_add(self->deaths, NULL);
	event_add(self->tick, &tick);
	return true;
}

int manager_main(const struct role_options *options)
{
	static struct process self;
	struct role *role = &self.manager.role;
	char error[CONFIG_ERROR_BYTES] = "the manager cannot start";

	signal(SIGPIPE, SIG_IGN);
	if (role_open(role, ROLE_MANAGER, options, error) != STATUS_OK || !start(&self, error)) {
		if (role->page != NULL)
			page_fail(role->page, "%.250s", error);
		else
			fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	manager_begin(&self.manager);
	event_base_dispatch(self.events);
	audit_queue_close(&self.manager.audit);
	_exit(0);
}
