/* SPDX-License-Identifier: BSD-3-Clause */
/* status, inject, and what operators order: to a chain that runs. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "loggers/control.h"
#include "report.h"

/*
 * A run holds the lock of its directory as long as it lives. We only look: had we taken the lock to
 * see whether it is free, a run that starts just then would find it taken.
 */
static bool is_running(const char *run_dir)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char path[PATH_BYTES + 16];
	bool running;
	int fd;

	snprintf(path, sizeof(path), "%.240s/lock", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	running = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
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

/* Sends the manager a line and takes its answer. */
static bool ask(const char *run_dir, enum message_type type, const char *text, char *error)
{
	struct message message = {.type = (uint16_t)type, .role = ROLE_CLI};
	char path[PATH_BYTES + 16];
	enum status status;
	int fd;

	snprintf(message.text, sizeof(message.text), "%s", text);
	snprintf(path, sizeof(path), "%.240s/manager.sock", run_dir);
	fd = control_connect(path);
	if (fd < 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%.200s: no chain runs here: start one with "
			"'understudy run', or give its --run-dir",
			run_dir);
		return false;
	}
	status = message_send(fd, &message);
	if (status == STATUS_OK)
		status = message_receive(fd, &message);
	close(fd);
	snprintf(error, CONFIG_ERROR_BYTES, "%s",
		status == STATUS_OK ? message.text : "the manager did not answer: try again");
	return status == STATUS_OK && message.type == MESSAGE_DONE;
}

bool inject_fault(const char *run_dir, const char *text, char *error)
{
	return ask(run_dir, MESSAGE_INJECT, text, error);
}

int command_order(const char *word, const struct options *options)
{
	char text[MESSAGE_TEXT_BYTES], error[CONFIG_ERROR_BYTES];

	snprintf(text, sizeof(text), "%s%s%s", word, options->words_count > 0 ? " " : "",
		options->words_count > 0 ? options->words[0] : "");
	if (!ask(options->role.run_dir, MESSAGE_ORDER, text, error)) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	printf("%s: begun\n", text);
	return 0;
}

int command_inject(const struct options *options)
{
	char text[MESSAGE_TEXT_BYTES] = "", error[CONFIG_ERROR_BYTES];

	for (uint32_t i = 0; i < options->words_count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			options->words[i]);
	if (!inject_fault(options->role.run_dir, text, error)) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	printf("injected\n");
	return 0;
}
