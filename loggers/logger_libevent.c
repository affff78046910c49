/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loggers/audit.h"
#include "loggers/control.h"
#include "loggers/idle.h"
#include "loggers/logger.h"
#include "loggers/logger_role.h"

#define IDLE_NS 2000000
#define IDLE_US 2000
#define SEGMENT_BYTES_MIN (1u << 20)
#define TRANSFER_S 10 /* that a reader of base values may stand still */

struct logger_process {
	struct role role;
	struct logger logger;
	struct control control;
	struct event_base *events;
	pthread_t server;
};

/* Base values on their way to a new replica: in a thread of their own, as fast as it loads them. */
struct base_transfer {
	struct store *store;
	uint32_t stage;
	int fd;
};

static bool send_chunk(void *context, const void *bytes, uint32_t count)
{
	int fd = *(int *)context;

	return bytes_send(fd, &count, sizeof(count)) == STATUS_OK &&
	       (count == 0 || bytes_send(fd, bytes, count) == STATUS_OK);
}

static void *transfer_main(void *argument)
{
	struct base_transfer *transfer = argument;
	const struct timeval patience = {.tv_sec = TRANSFER_S};

	/* One that is stopped must not keep what it was to read for ever. */
	(void)setsockopt(transfer->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	(void)fcntl(transfer->fd, F_SETFL, 0); /* blocking */
	if (store_read_base(transfer->store, transfer->stage, send_chunk, &transfer->fd) ==
		STATUS_OK)
		(void)send_chunk(&transfer->fd, NULL, 0);
	close(transfer->fd); /* cut off: the reader sees that the end is missing */
	free(transfer);
	return NULL;
}

static void start_transfer(struct store *store, uint32_t stage, int fd)
{
	struct base_transfer *transfer = malloc(sizeof(*transfer));
	pthread_t thread;

	if (transfer != NULL)
		*transfer = (struct base_transfer){store, stage, fd};
	if (transfer == NULL || pthread_create(&thread, NULL, transfer_main, transfer) != 0) {
		free(transfer);
		close(fd);
		return;
	}
	pthread_detach(thread);
}

static bool append_chunk(void *context, const void *bytes, uint32_t count)
{
	struct evbuffer *out = context;

	return evbuffer_add(out, &count, sizeof(count)) == 0 &&
	       evbuffer_add(out, bytes, count) == 0;
}

static void on_sent(struct bufferevent *events, void *argument)
{
	(void)argument;
	bufferevent_free(events); /* all is written: the stream ends */
}

static void on_closed(struct bufferevent *events, short what, void *argument)
{
	(void)argument;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(events);
}

static void on_request(struct bufferevent *events, void *argument)
{
	struct logger_process *self = argument;
	struct evbuffer *out = bufferevent_get_output(events);
	struct serve_request request;
	enum status status = STATUS_INVALID;
	uint32_t end = 0;

	if (evbuffer_get_length(bufferevent_get_input(events)) < sizeof(request))
		return;
	bufferevent_read(events, &request, sizeof(request));
	if (request.magic == SERVE_MAGIC && request.kind == SERVE_BASE) {
		start_transfer(self->logger.store, request.stage, dup(bufferevent_getfd(events)));
		bufferevent_free(events);
		return;
	}
	if (request.magic == SERVE_MAGIC &&
		request.kind ==
			(self->logger.kind == LOGGER_PACKETS ? SERVE_BATCHES : SERVE_OUTCOMES))
		status = store_read_batches(self->logger.store, request.first_batch, request.stage,
			request.count, append_chunk, out);
	if (status != STATUS_OK) {
		bufferevent_free(events); /* cut off: the reader sees that the end is missing */
		return;
	}
	evbuffer_add(out, &end, sizeof(end));
	bufferevent_setcb(events, NULL, on_sent, on_closed, self);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int length, void *argument)
{
	struct logger_process *self = argument;
	struct bufferevent *events =
		bufferevent_socket_new(self->events, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener;
	(void)address;
	(void)length;
	if (events == NULL)
		return;
	bufferevent_setcb(events, on_request, NULL, on_closed, self);
	bufferevent_enable(events, EV_READ | EV_WRITE);
}

static void *server_main(void *argument)
{
	struct logger_process *self = argument;

	event_base_dispatch(self->events);
	return NULL;
}

static enum status start_server(struct logger_process *self, char *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct evconnlistener *listener = NULL;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/logger-%s.sock",
		self->role.options.run_dir, logger_names[self->logger.kind]);
	unlink(address.sun_path);
	self->events = event_base_new();
	if (self->events != NULL)
		listener = evconnlistener_new_bind(self->events, on_connection, self,
			LEV_OPT_CLOSE_ON_FREE, 8, (struct sockaddr *)&address, sizeof(address));
	if (listener == NULL || pthread_create(&self->server, NULL, server_main, self) != 0) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot listen: %s", address.sun_path,
			strerror(errno));
		return STATUS_IO;
	}
	return STATUS_OK;
}

static bool on_message(void *context, const struct message *message, struct message *answer)
{
	struct logger_process *self = context;
	char reader[NAME_BYTES];
	enum status status;

	if (message->type != MESSAGE_ATTACH)
		return false;
	status = logger_add_source(&self->logger, message->name, message->stage, message->number,
		message->incarnation);
	snprintf(reader, sizeof(reader), "the %s logger", logger_names[self->logger.kind]);
	message_answer_attach(answer, message, reader, status);
	return true;
}

/* Files of others in the directory: it was given by mistake. */
static bool dir_is_ours(const struct config *config, char *error)
{
	DIR *opened = opendir(config->logger_dir);
	struct dirent *entry;
	bool ours = true;

	while (ours && opened != NULL && (entry = readdir(opened)) != NULL) {
		ours = entry->d_name[0] == '.' || strcmp(entry->d_name, AUDIT_FILE) == 0 ||
		       strcmp(entry->d_name, RUN_FILE) == 0;
		for (int i = 0; i < LOGGERS_COUNT; i++)
			ours |= strcmp(entry->d_name, logger_names[i]) == 0;
		if (!ours)
			snprintf(error, CONFIG_ERROR_BYTES,
				"%s: 'loggers: dir' %.150s has '%.100s', which is no log "
				"of ours: give an empty one",
				config->path, config->logger_dir, entry->d_name);
	}
	if (opened != NULL)
		closedir(opened);
	return ours;
}

enum status logger_dir_prepare(const struct config *config, char *error)
{
	if ((mkdir(config->logger_dir, 0700) != 0 && errno != EEXIST) ||
		access(config->logger_dir, W_OK | X_OK) != 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: 'loggers: dir' %.150s cannot be written: %s", config->path,
			config->logger_dir, strerror(errno));
		return STATUS_IO;
	}
	return dir_is_ours(config, error) ? STATUS_OK : STATUS_INVALID;
}

/* It could start once: what it cannot do now may be possible later. */
static bool is_successor(const struct logger_process *self)
{
	return self->role.page->services[self->role.options.number].starts > 0;
}

static enum status start(struct logger_process *self, char *error)
{
	const struct config *config = self->role.config;
	struct logger *logger = &self->logger;
	struct message hello = role_hello(&self->role, ROLE_LOGGER);
	char dir[PATH_BYTES + 32];
	uint64_t segment_bytes = config->retention_bytes / 8;
	enum status status;

	logger->kind = (enum logger_role)self->role.options.number;
	logger->role = &self->role;
	logger->counts = &self->role.page->loggers[logger->kind];
	logger->service = &self->role.page->services[logger->kind];
	logger->disk = config->durability == DURABILITY_DISK;
	logger->keeps = config->retention_bytes > 0 || logger->disk;
	if (config->log_headers && (logger->cut = aligned_alloc(64, BATCH_BYTES_MAX)) == NULL)
		return STATUS_NO_MEMORY;
	snprintf(dir, sizeof(dir), "%s/%s", config->logger_dir, logger_names[logger->kind]);
	status = store_open(&logger->store, dir, config->chain, self->role.page->run,
		segment_bytes < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : segment_bytes, error);
	if (status == STATUS_OK)
		status = start_server(self, error);
	if (status == STATUS_OK) {
		status = logger_tell(logger);
		if (status != STATUS_OK)
			snprintf(error, CONFIG_ERROR_BYTES,
				"%.150s: what a former run left cannot be gone on with: remove "
				"%.150s/" RUN_FILE " to begin anew",
				dir, config->logger_dir);
	}
	if (status != STATUS_OK)
		return status;
	/* The sequencer makes the base journal; both are started together. */
	while ((status = logger_attach(logger)) == STATUS_NOT_FOUND || status == STATUS_EMPTY) {
		if (self->role.page->stop || self->role.page->failed)
			return STATUS_END;
		usleep(1000);
	}
	if (status != STATUS_OK)
		return status;
	return control_start(&self->control, self->role.options.run_dir, &hello, on_message, self);
}

int logger_role_main(const struct role_options *options)
{
	static struct logger_process self;
	char error[CONFIG_ERROR_BYTES] = "a logger cannot start";
	struct journal *const waits[] = {&self.logger.base.journal};
	struct idle idle = {0};
	enum status status;

	if (role_open(&self.role, ROLE_LOGGER, options, error) != STATUS_OK) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	self.logger.idle = &idle;
	status = start(&self, error);
	if (status != STATUS_OK) {
		if (status != STATUS_END && (status != STATUS_IO || !is_successor(&self)))
			page_fail(self.role.page, "%.250s", error);
		else if (status != STATUS_END)
			fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	while (!atomic_read_relaxed(&self.role.page->stop)) {
		if (logger_work(&self.logger, &status) > 0) {
			idle_reset(&idle);
			continue;
		}
		if (status != STATUS_OK) {
			if (status == STATUS_FULL)
				page_fail(self.role.page,
					"the %s logger: more is kept than fits its segments, make "
					"'journal' smaller",
					logger_names[self.logger.kind]);
			_exit(1); /* a successor opens the store anew, until it can be written */
		}
		if (self.logger.disk && self.logger.attached)
			idle_round(&idle, waits, 1, IDLE_NS);
		else
			usleep(IDLE_US); /* no spinning beside packet threads */
	}
	_exit(0); /* writes are in the database's own log: its recovery finds them */
}
