/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators ask for, without loss: a new leader, a replica made anew, maintenance, an end of
 * the input.
 */
#include <stdio.h>
#include <string.h>

#include "loggers/idle.h"
#include "manager/manager_parts.h"

/* A stage by its name; stages_count: there is none. */
static uint32_t find_stage(const struct manager *self, const char *name)
{
	uint32_t s = 0;

	while (s < self->failover.stages_count && strcmp(manager_stage_name(self, s), name) != 0)
		s++;
	return s;
}

static bool other_is_ready(const struct failover_stage *stage, uint32_t replica)
{
	for (uint32_t r = 0; r < stage->replicas_count; r++)
		if (r != replica && stage->replicas[r].phase == PHASE_READY)
			return true;
	return false;
}

/* The replica goes, and comes back as a slave; whoever is ready goes on meanwhile. */
static const char *replace(struct manager *self, uint32_t stage, uint32_t replica)
{
	const struct failover_stage *planned = &self->failover.stages[stage];

	if (replica >= planned->replicas_count || planned->replicas[replica].phase < PHASE_RUNNING)
		return "there is no such replica at work now: see 'understudy status'";
	if (!other_is_ready(planned, replica))
		return "no other replica is ready to go on: wait until 'understudy status' shows "
		       "one, or add 'slaves'";
	manager_replica_lost(self, stage, replica, planned->replicas[replica].incarnation,
		FAILOVER_ASKED, mono_ns());
	return NULL;
}

/* While it is on, who goes stays away where others are at work, and who is stopped is let be. */
static void maintain(struct manager *self, bool on)
{
	struct failover_event event = {EVENT_MAINTAIN, 0, on, 0, 0};

	self->role.page->maintenance = on;
	fprintf(stderr, "understudy: MAINTENANCE is %s\n",
		on ? "on: replicas that go are not replaced, hangs are let be" : "over");
	manager_step(self, &event);
}

static const char *obey(struct manager *self, const char *text)
{
	char word[16] = "", name[NAME_BYTES] = "", more[2];
	unsigned int replica = 0;
	uint32_t stage;
	bool resync = sscanf(text, "%15s %63[^/ ]/%u %1s", word, name, &replica, more) == 3 &&
		      strcmp(word, "resync") == 0;

	if (strcmp(text, "maintenance on") == 0 || strcmp(text, "maintenance off") == 0) {
		maintain(self, strcmp(text, "maintenance on") == 0);
		return NULL;
	}
	if (strcmp(text, "drain") == 0) {
		atomic_write_release(&self->role.page->interrupted, 1u);
		return NULL;
	}
	if (!resync && (sscanf(text, "%15s %63[^/ ] %1s", word, name, more) != 2 ||
			       strcmp(word, "switchover") != 0))
		return "use switchover STAGE, resync STAGE/REPLICA (as in 'understudy status'), "
		       "maintenance on|off, or drain";
	stage = find_stage(self, name);
	if (stage == self->failover.stages_count)
		return "the chain has no such stage";
	if (resync)
		return replace(self, stage, replica);
	return self->failover.stages[stage].leader < 0
		       ? "nobody leads just now: it is being seen to"
		       : replace(self, stage, (uint32_t)self->failover.stages[stage].leader);
}

void manager_obey(struct manager *self, const struct message *message, struct message *answer)
{
	const char *why_not = self->role.config->protect
				      ? obey(self, message->text)
				      : "nothing protects it in an unprotected run";

	answer->type = why_not == NULL ? MESSAGE_DONE : MESSAGE_ERROR;
	if (why_not == NULL)
		manager_audit(self, "order", self->role.config->chain, 0, message->text);
	else
		snprintf(answer->text, sizeof(answer->text), "'%.100s': %s", message->text,
			why_not);
}
