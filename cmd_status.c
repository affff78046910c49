/* SPDX-License-Identifier: BSD-3-Clause */
/* status and inject: to a chain that runs. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "commands.h"
#include "loggers/control.h"
#include "report.h"

/* A run holds the lock of its directory as long as it lives. */
static bool is_running(const char *run_dir)
{
	char path[PATH_BYTES + 16];
	bool running;
	int fd;

	snprintf(path, sizeof(path), "%.240s/lock", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	running = flock(fd, LOCK_SH | LOCK_NB) != 0;
	close(fd);
	return running;
}

/* Where a running chain's configuration is: run leaves its path in the run directory. */
static int open_running(const struct options *options, struct role *role)
{
	struct role_options found = options->role;
	static char config_path[PATH_BYTES];
	char path[PATH_BYTES + 16], error[CONFIG_ERROR_BYTES];
	FILE *file;

	snprintf(path, sizeof(path), "%.240s/config", options->role.run_dir);
	file = is_running(options->role.run_dir) ? fopen(path, "re") : NULL;
	if (file == NULL || fgets(config_path, sizeof(config_path), file) == NULL) {
		fprintf(stderr,
			"understudy: %s: no chain runs here: start one with "
			"'understudy run', or give its --run-dir\n",
			options->role.run_dir);
		if (file != NULL)
			fclose(file);
		return 1;
	}
	fclose(file);
	config_path[strcspn(config_path, "\n")] = 0;
	found.config_path = config_path;
	if (role_open(role, ROLE_CLI, &found, error) != STATUS_OK) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	return 0;
}

int command_status(const struct options *options)
{
	struct role role;
	int result = open_running(options, &role);

	if (result != 0)
		return result;
	report_status(role.config, role.page, options->json, stdout);
	role_close(&role);
	return 0;
}

int command_inject(const struct options *options)
{
	struct message message = {.type = MESSAGE_INJECT, .role = ROLE_CLI};
	char path[PATH_BYTES + 16];
	enum status status;
	int fd;

	for (uint32_t i = 0; i < options->words_count; i++)
		snprintf(message.text + strlen(message.text),
			sizeof(message.text) - strlen(message.text), "%s%s", i ? " " : "",
			options->words[i]);
	snprintf(path, sizeof(path), "%.240s/manager.sock", options->role.run_dir);
	fd = control_connect(path);
	if (fd < 0) {
		fprintf(stderr,
			"understudy: %s: no chain runs here: start one with "
			"'understudy run', or give its --run-dir\n",
			options->role.run_dir);
		return 1;
	}
	status = message_send(fd, &message);
	if (status == STATUS_OK)
		status = message_receive(fd, &message);
	close(fd);
	if (status != STATUS_OK || message.type != MESSAGE_DONE) {
		fprintf(stderr, "understudy: %s\n",
			status == STATUS_OK ? message.text
					    : "the manager did not answer: try again");
		return 1;
	}
	printf("injected\n");
	return 0;
}
