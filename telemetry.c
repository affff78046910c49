/* SPDX-License-Identifier: BSD-3-Clause */
#include "telemetry.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "report.h"

#define OUTPUT_BYTES_MAX 65536
#define COMMAND_BYTES 256
#define CLIENTS_MAX 10 /* as DPDK's */
#define SEND_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT)

static const char *const commands[][2] = {
	{"/", "The commands. No parameters"},
	{"/help", "What a command is for. Parameters: the command"},
	{"/info", "Version, process, the longest answer. No parameters"},
	{"/understudy/engine", "What each replica's decision model sees and picks. No parameters"},
	{"/understudy/status", "The chain: packets, replicas, failovers. No parameters"},
	{"/understudy/vnfs", "What the VNFs count and show, by stage. No parameters"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static json_t *info(void)
{
	return json_pack("{s:s, s:i, s:i}", "version", "Understudy", "pid", (int)getpid(),
		"max_output_len", OUTPUT_BYTES_MAX);
}

static json_t *list(void)
{
	json_t *names = json_array();

	for (size_t i = 0; i < COMMANDS; i++)
		json_array_append_new(names, json_string(commands[i][0]));
	return names;
}

static json_t *help(const char *of)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i][0], of) == 0)
			return json_pack("{s:s}", of, commands[i][1]);
	return json_null();
}

static json_t *answer_of(const struct telemetry *telemetry, const char *command,
	const char *parameters)
{
	json_t *status, *part;

	if (strcmp(command, "/") == 0)
		return list();
	if (strcmp(command, "/info") == 0)
		return info();
	if (strcmp(command, "/help") == 0)
		return help(parameters);
	if (strncmp(command, "/understudy/", 12) != 0)
		return json_null();
	status = report_status_json(telemetry->config, telemetry->page);
	if (strcmp(command + 12, "status") == 0)
		return status;
	part = json_incref(json_object_get(status, command + 12));
	json_decref(status);
	return part == NULL ? json_null() : part;
}

/*
 * {"/command": what it says}, cut nowhere: what is too long is said so. False: the client does not
 * read what it asked for.
 */
static bool answer(const struct telemetry *telemetry, int client, char *command)
{
	static char text[OUTPUT_BYTES_MAX];
	char *comma = strchr(command, ',');
	json_t *root = json_object();
	size_t bytes;

	if (comma != NULL)
		*comma = 0;
	json_object_set_new(root, command,
		answer_of(telemetry, command, comma == NULL ? "" : comma + 1));
	bytes = json_dumpb(root, text, sizeof(text), JSON_COMPACT);
	json_decref(root);
	if (bytes > sizeof(text))
		bytes = (size_t)snprintf(text, sizeof(text), "{\"%s\": \"too long\"}", command);
	return send(client, text, bytes, SEND_FLAGS) >= 0;
}

static void greet(int client)
{
	json_t *root = info();
	char text[COMMAND_BYTES];

	(void)send(client, text, json_dumpb(root, text, sizeof(text), JSON_COMPACT), SEND_FLAGS);
	json_decref(root);
}

/* False: it is gone. */
static bool serve(const struct telemetry *telemetry, int client)
{
	char command[COMMAND_BYTES];
	ssize_t bytes = recv(client, command, sizeof(command) - 1, MSG_DONTWAIT);

	if (bytes <= 0)
		return bytes < 0 && (errno == EAGAIN || errno == EINTR);
	command[bytes] = 0;
	return answer(telemetry, client, command);
}

enum { FD_WAKE, FD_LISTENER, FD_CLIENTS };

static void *telemetry_main(void *argument)
{
	const struct telemetry *telemetry = argument;
	struct pollfd fds[FD_CLIENTS + CLIENTS_MAX] = {[FD_WAKE] = {.fd = telemetry->wake,
							       .events = POLLIN},
		[FD_LISTENER] = {.fd = telemetry->listener, .events = POLLIN}};
	nfds_t count = FD_CLIENTS;

	while (poll(fds, count, -1) >= 0 || errno == EINTR) {
		if (fds[FD_WAKE].revents != 0)
			break;
		for (nfds_t i = count; i-- > FD_CLIENTS;) {
			if (fds[i].revents == 0 || serve(telemetry, fds[i].fd))
				continue;
			close(fds[i].fd);
			fds[i] = fds[--count];
		}
		if (fds[FD_LISTENER].revents != 0) {
			int client = accept4(telemetry->listener, NULL, NULL, SOCK_CLOEXEC);

			if (client >= 0 && count == FD_CLIENTS + CLIENTS_MAX) {
				close(client);
			} else if (client >= 0) {
				greet(client);
				fds[count++] = (struct pollfd){.fd = client, .events = POLLIN};
			}
		}
	}
	while (count > FD_CLIENTS)
		close(fds[--count].fd);
	return NULL;
}

/* RUN_DIR/dpdk/understudy is where dpdk-telemetry.py looks. */
static bool place(const char *run_dir, struct sockaddr_un *address, bool make)
{
	char folder[PATH_BYTES];

	snprintf(folder, sizeof(folder), "%.200s/dpdk", run_dir);
	if (make)
		(void)mkdir(folder, 0700);
	snprintf(folder, sizeof(folder), "%.200s/dpdk/understudy", run_dir);
	if (make)
		(void)mkdir(folder, 0700);
	address->sun_family = AF_UNIX;
	return (size_t)snprintf(address->sun_path, sizeof(address->sun_path),
		       "%s/dpdk_telemetry.v2", folder) < sizeof(address->sun_path);
}

static void remove_place(const char *run_dir)
{
	struct sockaddr_un address;
	char folder[PATH_BYTES];

	if (place(run_dir, &address, false))
		unlink(address.sun_path);
	snprintf(folder, sizeof(folder), "%.200s/dpdk/understudy", run_dir);
	rmdir(folder);
	snprintf(folder, sizeof(folder), "%.200s/dpdk", run_dir);
	rmdir(folder);
}

bool telemetry_start(struct telemetry *telemetry, const struct config *config,
	const struct page *page, const char *run_dir, char *error)
{
	struct sockaddr_un address = {0};

	*telemetry = (struct telemetry){.config = config,
		.page = page,
		.run_dir = run_dir,
		.listener = -1,
		.wake = -1};
	errno = ENAMETOOLONG;
	if (place(run_dir, &address, true)) {
		unlink(address.sun_path);
		telemetry->wake = eventfd(0, EFD_CLOEXEC);
		telemetry->listener =
			socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		telemetry->runs =
			telemetry->listener >= 0 && telemetry->wake >= 0 &&
			bind(telemetry->listener, (struct sockaddr *)&address, sizeof(address)) ==
				0 &&
			listen(telemetry->listener, 4) == 0 &&
			pthread_create(&telemetry->thread, NULL, telemetry_main, telemetry) == 0;
	}
	if (telemetry->runs)
		return true;
	snprintf(error, CONFIG_ERROR_BYTES, "%.200s/dpdk/understudy: no telemetry: %s", run_dir,
		strerror(errno));
	telemetry_stop(telemetry);
	return false;
}

void telemetry_stop(struct telemetry *telemetry)
{
	if (telemetry->run_dir == NULL)
		return;
	if (telemetry->runs) {
		(void)eventfd_write(telemetry->wake, 1);
		pthread_join(telemetry->thread, NULL);
	}
	telemetry->runs = false;
	if (telemetry->listener >= 0)
		close(telemetry->listener);
	if (telemetry->wake >= 0)
		close(telemetry->wake);
	telemetry->listener = telemetry->wake = -1;
	remove_place(telemetry->run_dir);
}
