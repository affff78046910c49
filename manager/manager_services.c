/* SPDX-License-Identifier: BSD-3-Clause */
/* The sequencer and the loggers: processes of which a successor goes on where one has ended. */
#include <signal.h>
#include <stdio.h>

#include "core/fault_spec.h"
#include "core/mutants.h"
#include "loggers/idle.h"
#include "manager/manager_parts.h"
#include "manager/sight.h"

#define SERVICE_PAUSE_NS 200000000ull /* between two starts of a service */

static enum role_kind role_of(uint32_t service)
{
	return service == SERVICE_SEQUENCER ? ROLE_SEQUENCER : ROLE_LOGGER;
}

static uint32_t number_of(uint32_t service)
{
	return service == SERVICE_SEQUENCER ? 0 : service;
}

uint32_t manager_service_of(enum role_kind role, uint32_t number)
{
	if (role == ROLE_SEQUENCER)
		return SERVICE_SEQUENCER;
	return role == ROLE_LOGGER && number < LOGGERS_COUNT ? number : SERVICES_COUNT;
}

/* Loggers are there with protection only. */
static bool is_used(const struct manager *self, uint32_t service)
{
	return self->role.config->protect || service == SERVICE_SEQUENCER;
}

static struct message about(uint32_t service, enum message_type type)
{
	return (struct message){.type = (uint16_t)type,
		.role = role_of(service),
		.number = number_of(service)};
}

void manager_order_service(struct manager *self, uint32_t service, uint64_t now_ns)
{
	struct message message = about(service, MESSAGE_START);

	self->services[service].ordered_ns = now_ns;
	self->services[service].due_ns = 0;
	manager_send(self, self->supervisor, &message);
}

/* A signal to a service; the supervisor knows which process that is. */
void manager_signal_service(struct manager *self, uint32_t service, int number)
{
	struct message message = about(service, MESSAGE_KILL);

	message.value = (uint64_t)number;
	manager_send(self, self->supervisor, &message);
}

static struct failover_subject subject_of(const struct manager *self, uint32_t service)
{
	return (struct failover_subject){role_of(service), 0, number_of(service),
		self->role.page->services[service].starts};
}

/* The present incident of a service, made now if the fault left none. */
struct page_failover *manager_incident(struct manager *self, uint32_t service, uint64_t t0_ns)
{
	const struct failover_subject subject = subject_of(self, service);

	return manager_failover_record(self, &subject, t0_ns);
}

bool manager_service_runs(struct manager *self, uint32_t service)
{
	const struct failover_subject subject = subject_of(self, service);

	return self->role.page->services[service].pid != 0 &&
	       page_failover_of(self->role.page, &subject) == NULL;
}

/* It is started again: at once, or a while after the last time. */
void manager_service_lost(struct manager *self, uint32_t service, uint64_t now_ns)
{
	struct page_service *shown = &self->role.page->services[service];
	uint64_t due_ns = self->services[service].ordered_ns + SERVICE_PAUSE_NS;
	struct page_failover *record;
	const char *name = service_names[service];

	if (self->role.page->stop || atomic_read_acquire(&self->role.page->failed) != 0)
		return;
	fprintf(stderr, "understudy: %s ended and is started again\n", name);
	manager_audit(self, "service_lost", name, 0, "is started again");
	record = shown->starts == 0 ? NULL : manager_incident(self, service, now_ns);
	if (record != NULL && record->detected_ns == 0) {
		record->kind = self->services[service].hangs ? FAILOVER_HANG : FAILOVER_DEATH;
		record->detected_ns = now_ns;
	}
	shown->pid = 0;
	self->services[service].hangs = false;
	self->services[service].due_ns = due_ns > now_ns ? due_ns : now_ns;
}

/* It said hello: what was open of it is over. */
void manager_service_back(struct manager *self, uint32_t service, uint32_t pid, uint64_t now_ns)
{
	struct page *page = self->role.page;

	page->services[service].pid = pid;
	for (uint32_t i = 0; i < page->failovers_count && i < FAILOVERS_MAX; i++) {
		struct page_failover *record = &page->failovers[i];

		if (record->role != role_of(service) || record->replica != number_of(service) ||
			record->restored_ns != 0 ||
			record->incarnation >= page->services[service].starts)
			continue;
		if (record->detected_ns == 0) { /* it ended while no manager was there */
			record->kind = FAILOVER_DEATH;
			record->detected_ns = now_ns;
		}
		/* The sequencer's first release comes after this; its gap is told until then. */
		if (service == SERVICE_SEQUENCER && record->first_release_ns == 0 &&
			!page->egress.ended)
			self->services[service].returns = true;
		else
			manager_close_failover(self, record, now_ns);
	}
}

static void kill_hanging(struct manager *self, uint32_t service)
{
	self->services[service].hangs = true;
	manager_audit(self, "fault_seen", service_names[service], 0, "hang");
	manager_signal_service(self, service, SIGKILL);
}

/* One that is stopped, or never comes, is killed, and started again when it has ended. */
static void watch_service(struct manager *self, uint32_t service, uint64_t now_ns)
{
	const struct page_service *shown = &self->role.page->services[service];
	struct manager_service *seen = &self->services[service];
	uint64_t beat = atomic_read_relaxed(&shown->beat);

	if (shown->pid == 0 && seen->due_ns == 0 && now_ns > seen->ordered_ns + STARTING_NS) {
		kill_hanging(self, service);
		manager_order_service(self, service, now_ns); /* should there be none at all */
	}
	if (beat != seen->beat || shown->pid == 0 || seen->beat_ns == 0) {
		seen->beat = beat;
		seen->beat_ns = now_ns;
		return;
	}
	if (now_ns < seen->beat_ns + self->role.config->hang_ms * 1000000ull)
		return;
	seen->beat_ns = now_ns; /* it may only be slow: looked at again after as long */
	if (sight_is_stopped(shown->pid, shown->pid) && !MUTANT(IGNORE_HANG))
		kill_hanging(self, service);
}

void manager_watch_services(struct manager *self, uint64_t now_ns)
{
	for (uint32_t i = 0; i < SERVICES_COUNT; i++) {
		if (!is_used(self, i))
			continue;
		if (self->role.config->protect && !self->role.page->maintenance)
			watch_service(self, i, now_ns);
		if (self->services[i].due_ns != 0 && now_ns >= self->services[i].due_ns)
			manager_order_service(self, i, now_ns);
		if (self->services[i].returns) {
			self->services[i].returns = false;
			manager_service_back(self, i, self->role.page->services[i].pid, now_ns);
		}
	}
}

/* The base journals of former gateways that nobody can need any more. */
void manager_forget_bases(struct manager *self)
{
	struct page *page = self->role.page;
	uint64_t line = UINT64_MAX, batch = atomic_read_acquire(&page->egress.batches);
	uint64_t logged = atomic_read_acquire(&page->loggers[LOGGER_PACKETS].next_batch);

	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		if (atomic_read_acquire(&page->stages[s].base_line) < line)
			line = page->stages[s].base_line;
	if (self->role.config->protect)
		base_forget(page, &self->role.place, line, logged < batch ? logged : batch);
}
