/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults that were asked for: those by packet are raised by whom they meet, the others here. */
#include <signal.h>
#include <stdio.h>

#include "loggers/faults.h"
#include "loggers/idle.h"
#include "manager/manager_parts.h"

/* Arms a fault; the answer says why not. */
void manager_inject(struct manager *self, const struct message *message, struct message *answer)
{
	char error[CONFIG_ERROR_BYTES];

	answer->type = MESSAGE_DONE;
	if (fault_arm(self->role.page, self->role.config, message->text, error) == STATUS_OK) {
		manager_audit(self, "inject", self->role.config->chain, 0, message->text);
		return;
	}
	answer->type = MESSAGE_ERROR;
	snprintf(answer->text, sizeof(answer->text), "%s", error);
}

/* service SERVICES_COUNT: the manager itself. */
static void raise_on_service(struct manager *self, uint32_t service, enum fault_action action)
{
	int number = action == FAULT_KILL ? SIGKILL : SIGSTOP;
	struct message message = {.type = MESSAGE_KILL,
		.role = ROLE_MANAGER,
		.incarnation = self->role.options.incarnation,
		.value = (uint64_t)number};
	const struct failover_subject own = {ROLE_MANAGER, 0, 0, self->role.options.incarnation};
	struct page_failover *record;

	if (service == SERVICES_COUNT) {
		record = manager_failover_record(self, &own, mono_ns());
		if (record != NULL)
			record->action = action;
		manager_send(self, self->supervisor, &message);
		return;
	}
	record = manager_incident(self, service, mono_ns());
	if (record != NULL)
		record->action = action;
	manager_signal_service(self, service, number);
}

/* Faults by time: the manager sends the signal itself. */
void manager_raise_timed(struct manager *self, uint64_t now_ns)
{
	struct page *page = self->role.page;
	uint64_t started_ns = atomic_read_relaxed(&page->ingress.started_ns);

	for (uint32_t i = 0; i < page->faults_count; i++) {
		struct page_fault *fault = &page->faults[i];
		const struct page_term *leader;

		if (fault->state != FAULT_ARMED || fault->at_packet != 0 || started_ns == 0 ||
			now_ns < started_ns + fault->at_time_ns)
			continue;
		if (fault->target == TARGET_SERVICE) {
			if (fault->stage != SERVICES_COUNT &&
				!manager_service_runs(self, fault->stage))
				continue; /* it meets the next one */
			fault->state = FAULT_RAISED;
			raise_on_service(self, fault->stage, (enum fault_action)fault->action);
			continue;
		}
		leader = page_leader(&page->stages[fault->stage]);
		for (uint32_t w = 0; w < WATCHED_MAX; w++) {
			struct watched *watched = &self->watcher.watched[w];
			bool leads = watched->incarnation == leader->incarnation;

			if (watched->state != WATCHED_LIVE || watched->stage != fault->stage ||
				leads != (fault->target == TARGET_MASTER))
				continue;
			fault->state = FAULT_RAISED;
			struct failover_subject subject = {ROLE_REPLICA, watched->stage,
				watched->replica, watched->incarnation};
			struct page_failover *record =
				manager_failover_record(self, &subject, mono_ns());

			if (record != NULL)
				record->action = fault->action;
			watched_signal(watched, fault->action == FAULT_KILL ? SIGKILL : SIGSTOP);
			break;
		}
	}
}
