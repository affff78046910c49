/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replicas that have done a batch differently (DESIGN section 6): bad memory, or a function that is
 * not deterministic. Both are suspects, and so is who consumed what they made of it: all replicas
 * are refuted and begin anew from base values, which were agreed on. What a third makes of the
 * batch tells who was wrong.
 */
#include <stdio.h>

#include "manager/manager_parts.h"

#define DOUBTS_MAX 16 /* in a run: a function that is not deterministic differs again and again */

/* Why it cannot be settled, or NULL. */
static const char *unsettled(const struct manager *self, const struct page_doubt *doubt)
{
	if (self->role.page->records)
		return "a stage records determinants, which its leader alone has";
	if (doubt->settled > 0 && self->doubt_batch == doubt->batch &&
		self->doubt_stage == doubt->stage)
		return "and so do those made anew: a function is not deterministic";
	if (doubt->raised > DOUBTS_MAX)
		return "again and again: a function is not deterministic";
	return NULL;
}

static void refute_all(struct manager *self, uint64_t now_ns)
{
	struct page *page = self->role.page;

	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		atomic_write_release(&page->stages[s].refuted_below, page->incarnations + 1);
	for (uint32_t s = 0; s < self->failover.stages_count; s++)
		for (uint32_t r = 0; r < self->failover.stages[s].replicas_count; r++)
			if (self->failover.stages[s].replicas[r].incarnation <
				page->stages[s].refuted_below)
				manager_replica_lost(self, s, r,
					self->failover.stages[s].replicas[r].incarnation,
					FAILOVER_DOUBT, now_ns);
}

static void tell_verdict(struct manager *self, const struct page_doubt *doubt)
{
	const char *name = manager_stage_name(self, doubt->stage);
	char detail[NAME_BYTES + 64];

	self->doubts_told = doubt->raised;
	if (doubt->verdict == DOUBT_BOTH)
		snprintf(detail, sizeof(detail), "both were wrong at batch %llu",
			(unsigned long long)doubt->batch);
	else
		snprintf(detail, sizeof(detail), "%s/%u was wrong at batch %llu", name,
			doubt->replicas[doubt->verdict == DOUBT_SECOND],
			(unsigned long long)doubt->batch);
	fprintf(stderr, "understudy: %s, as a third replica has it\n", detail);
	manager_audit(self, "doubt_judged", name, 0, detail);
}

void manager_settle_doubt(struct manager *self, uint64_t now_ns)
{
	struct page_doubt *doubt = &self->role.page->doubt;
	const char *name, *why;
	char detail[2 * NAME_BYTES + 64];

	if (!page_doubt_is_open(doubt)) {
		if (atomic_read_acquire(&doubt->verdict) != DOUBT_OPEN &&
			self->doubts_told < doubt->raised)
			tell_verdict(self, doubt);
		return;
	}
	if (atomic_read_acquire(&self->role.page->failed) != 0)
		return;
	name = manager_stage_name(self, doubt->stage);
	why = unsettled(self, doubt);
	snprintf(detail, sizeof(detail), "%s/%u and %s/%u at batch %llu", name, doubt->replicas[0],
		name, doubt->replicas[1], (unsigned long long)doubt->batch);
	manager_audit(self, "digest_difference", name, 0, detail);
	if (why != NULL) {
		page_fail(self->role.page, "REPLICAS DISAGREE: %s; %s; release is stopped", detail,
			why);
		return;
	}
	fprintf(stderr, "understudy: REPLICAS DISAGREE: %s: all begin anew from base values\n",
		detail);
	self->doubt_batch = doubt->batch;
	self->doubt_stage = doubt->stage;
	refute_all(self, now_ns);
	atomic_write_release(&doubt->settled, doubt->raised);
}
