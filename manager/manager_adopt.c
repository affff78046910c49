/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "core/mutants.h"
#include "loggers/idle.h"
#include "manager/manager_parts.h"
#include "manager/sight.h"

/*
 * What a former manager left of a replica: watches it, or carries on with what was being done. The
 * page is written before an order is given, and after a journal is sealed.
 */
static void adopt_replica(struct manager *self, uint32_t stage, uint32_t number)
{
	const struct page_replica *page = &self->role.page->stages[stage].replicas[number];
	struct failover_effect order = {.type = EFFECT_START_REPLICA,
		.stage = stage,
		.replica = number,
		.incarnation = page->incarnation};
	struct failover_event missing = {EVENT_MISSING, stage, number, 0, 0};
	struct message hello = {.stage = stage,
		.number = number,
		.pid = page->pid,
		.incarnation = page->incarnation};
	enum status status;

	self->ordered_ns[stage][number] = mono_ns();
	if (page->incarnation == 0) {
		manager_step(self, &missing);
		return;
	}
	page_journal_name(hello.name, manager_stage_name(self, stage), number, hello.incarnation);
	status = watcher_add(&self->watcher, &self->role.place, &hello);
	/* Maybe the order was not heard; one that has a journal is there, or is seen to be dead. */
	if (page->state == REPLICA_STARTING || page->state == REPLICA_ABSENT) {
		if (status != STATUS_OK)
			manager_order(self, &order);
	} else if (page->state == REPLICA_FAILED || status != STATUS_OK)
		manager_replica_lost(self, stage, number, page->incarnation, FAILOVER_DEATH,
			mono_ns());
}

/* The journals of those whose loss a former manager has dealt with. */
static void adopt_lost(struct manager *self)
{
	struct page *page = self->role.page;
	struct page_lost lost[LOST_MAX];

	memcpy(lost, page->lost, sizeof(lost));
	memset(page->lost, 0, sizeof(page->lost));
	for (uint32_t i = 0; i < LOST_MAX; i++) {
		struct message hello = {.stage = lost[i].stage,
			.number = lost[i].replica,
			.incarnation = lost[i].incarnation};
		struct watched *watched;

		if (lost[i].incarnation == 0)
			continue;
		page_journal_name(hello.name, manager_stage_name(self, hello.stage), hello.number,
			hello.incarnation);
		if (watcher_add(&self->watcher, &self->role.place, &hello) != STATUS_OK)
			continue;
		watched = watcher_find(&self->watcher, hello.incarnation);
		atomic_write_release(&watched->state, (uint32_t)WATCHED_LOST);
		page->lost[watched - self->watcher.watched] = lost[i];
	}
}

/* A restarted manager: what the page says is where things stand, and who died since is found. */
bool manager_adopt(struct manager *self)
{
	if (!sight_adopt(&self->failover, self->role.page))
		return false;
	if (!MUTANT(FOUND_UNADOPTED))
		adopt_lost(self);
	/* Those that are there are not started twice. */
	for (uint32_t i = 0; self->role.config->protect && i < SERVICES_COUNT; i++) {
		self->role.page->services[i].pid = 0; /* until it says so */
		manager_order_service(self, i, mono_ns());
	}
	self->failover.maintenance = self->role.page->maintenance != 0;
	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		for (uint32_t r = 0; r < self->failover.stages[s].replicas_count; r++)
			adopt_replica(self, s, r);
	return true;
}
