/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "core/mutants.h"
#include "manager/manager_parts.h"
#include "manager/sight.h"

#define LOGGER_PAUSE_NS 200000000ull /* between two starts of a logger */

void manager_order_logger(struct manager *self, uint32_t number, uint64_t now_ns)
{
	const struct failover_effect order = {.type = EFFECT_START_LOGGER, .replica = number};

	self->logger_ordered_ns[number] = now_ns;
	self->logger_due_ns[number] = 0;
	manager_order(self, ROLE_LOGGER, &order);
}

/* It is started again: at once, or a while after the last time. */
void manager_logger_lost(struct manager *self, uint32_t number, uint64_t now_ns)
{
	uint64_t due_ns = self->logger_ordered_ns[number] + LOGGER_PAUSE_NS;

	if (self->role.page->stop || number >= LOGGERS_COUNT)
		return;
	fprintf(stderr, "understudy: the %s logger ended and is started again\n",
		logger_names[number]);
	manager_audit(self, "logger_lost", logger_names[number], 0, "is started again");
	counter_add(&self->role.page->loggers[number].restarts, 1);
	self->role.page->loggers[number].pid = 0;
	self->logger_due_ns[number] = due_ns > now_ns ? due_ns : now_ns;
}

static void kill_logger(struct manager *self, uint32_t number)
{
	struct message message = {.type = MESSAGE_KILL, .role = ROLE_LOGGER, .number = number};

	manager_audit(self, "fault_seen", logger_names[number], 0, "hang");
	manager_send(self, self->supervisor, &message);
}

/* One that is stopped, or never comes, is killed, and started again when it has ended. */
void manager_watch_loggers(struct manager *self, uint64_t now_ns)
{
	for (uint32_t i = 0; self->role.config->protect && i < LOGGERS_COUNT; i++) {
		const struct page_logger *logger = &self->role.page->loggers[i];
		uint64_t beat = atomic_read_relaxed(&logger->beat);

		if (logger->pid == 0 && self->logger_due_ns[i] == 0 &&
			now_ns > self->logger_ordered_ns[i] + STARTING_NS) {
			kill_logger(self, i);
			manager_order_logger(self, i, now_ns); /* should there be none at all */
		}
		if (beat != self->beats[i] || logger->pid == 0 || self->beats_ns[i] == 0) {
			self->beats[i] = beat;
			self->beats_ns[i] = now_ns;
			continue;
		}
		if (now_ns < self->beats_ns[i] + self->role.config->hang_ms * 1000000ull)
			continue;
		self->beats_ns[i] = now_ns; /* it may only be slow: looked at again after as long */
		if (sight_is_stopped(logger->pid, logger->pid) && !MUTANT(IGNORE_HANG))
			kill_logger(self, i);
	}
}

void manager_start_loggers(struct manager *self, uint64_t now_ns)
{
	for (uint32_t i = 0; i < LOGGERS_COUNT; i++)
		if (self->logger_due_ns[i] != 0 && now_ns >= self->logger_due_ns[i])
			manager_order_logger(self, i, now_ns);
}
