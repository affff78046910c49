/* SPDX-License-Identifier: BSD-3-Clause */
/* A logger's core, in the world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loggers/control.h"
#include "loggers/idle.h"
#include "loggers/logger.h"
#include "tests/sim/disk.h"
#include "tests/sim/processes.h"
#include "tests/sim/roles.h"

struct logger_process {
	struct logger logger;
	struct role role;
	struct control control;
	struct process *process;
};

static bool on_logger_message(void *context, const struct message *message, struct message *answer)
{
	struct logger_process *self = context;
	enum status status;

	if (message->type != MESSAGE_ATTACH)
		return false;
	status = logger_add_source(&self->logger, message->name, message->stage, message->number,
		message->incarnation);
	FAULT_POINT(CONSUMER_ATTACHED);
	message_answer_attach(answer, message, self->process->name, status);
	return true;
}

static void logger_main(void *argument)
{
	struct logger_process *self = argument;
	struct logger *logger = &self->logger;
	struct idle idle = {.shares_core = true};
	struct journal *const waits[] = {&logger->base.journal};
	struct message hello = hello_of(self->process, ROLE_LOGGER);
	enum status status;

	role_begin(&self->role, 0, self->process->number, 0);
	logger->kind = (enum logger_role)self->process->number;
	logger->role = &self->role;
	logger->idle = &idle;
	logger->counts = &page->loggers[logger->kind];
	logger->service = &page->services[logger->kind];
	logger->disk = config->durability == DURABILITY_DISK;
	logger->keeps = config->retention_bytes > 0 || logger->disk;
	logger->store = disks[logger->kind];
	disk_reopen(logger->store);
	BUG_ON(logger_tell(logger) != STATUS_OK);
	while ((status = logger_attach(logger)) == STATUS_NOT_FOUND || status == STATUS_EMPTY)
		world_sleep(1000000);
	BUG_ON(status != STATUS_OK);
	(void)!control_start(&self->control, "", &hello, on_logger_message, self);
	while (!page->stop) {
		if (logger_work(logger, &status) > 0) {
			idle_reset(&idle);
			continue;
		}
		if (status != STATUS_OK) {
			world_trace("cannot write its store: %s", status_text(status));
			process_end(self->process, "ends");
		}
		if (logger->disk && logger->attached)
			idle_round(&idle, waits, 1, 2000000);
		else
			world_sleep(2000000);
	}
	process_end(self->process, "ends");
}

struct process *logger_start(const char *name)
{
	struct logger_process *self = calloc(1, sizeof(*self));

	self->process = process_start(PROCESS_LOGGER, name, logger_main, self);
	return self->process;
}
