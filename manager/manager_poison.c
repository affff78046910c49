/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that replicas crash on, all alike (DESIGN section 8). After one crash its batch is
 * executed packet by packet, which tells on which packet the next replica crashes; that one is set
 * aside: every replica of the stage drops it unseen. An outcome already published for it stands.
 */
#include <stdio.h>
#include <string.h>

#include "core/outcome.h"
#include "core/packet_id.h"
#include "loggers/idle.h"
#include "manager/manager_parts.h"
#include "manager/sight.h"

#define WINDOW_NS 10000000000ull
#define WINDOW_ASIDES 4 /* more in a window: the state is at fault, not the packets */

static bool is_suspect(const struct page_stage *stage, uint64_t batch)
{
	for (uint32_t i = 0; i < SUSPECTS_MAX; i++)
		if (stage->suspects[i] == batch)
			return true;
	return false;
}

/* Whether a crash, or a loop, ended it; a signal from outside, or a stop, does not count. */
static bool speaks_against_packet(const struct page_replica *replica, enum failover_kind kind)
{
	if (kind == FAILOVER_HANG)
		return !sight_is_stopped(replica->pid, replica->tid);
	return atomic_read_acquire(&replica->crashed) == replica->incarnation;
}

/* Whether a journal, sealed now, has the batch's outcome. */
static bool has_published(struct journal *journal, uint64_t batch_no)
{
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;
	bool found = false;

	(void)journal_seal(journal);
	if (journal_attach(&reader, journal, GATE_NONE, 0, "manager", JOURNAL_FROM_TAIL) !=
		STATUS_OK)
		return journal->control->published_batch > batch_no;
	reader.lazy = true;
	while (!found && journal_peek(&reader, &payload, &bytes) == STATUS_OK) {
		const struct outcome_header *header = payload;

		found = bytes >= sizeof(*header) && header->magic == OUTCOME_MAGIC &&
			header->batch_no == batch_no;
		journal_advance(&reader);
	}
	journal_detach(&reader);
	journal_give_back(&reader);
	return found;
}

/* Seals all that the stage's replicas write: whether none of them has the batch's outcome. */
static bool seal_stage(struct manager *self, uint32_t stage, uint64_t batch_no)
{
	bool unpublished = true;

	for (uint32_t i = 0; i < WATCHED_MAX; i++) {
		struct watched *watched = &self->watcher.watched[i];

		if (atomic_read_acquire(&watched->state) != WATCHED_FREE &&
			watched->stage == stage && has_published(&watched->journal, batch_no))
			unpublished = false;
	}
	return unpublished;
}

/* Those of the last while, this one included; oldest forgotten. */
static uint32_t count_recent(struct manager *self, uint64_t now_ns)
{
	uint32_t recent = 0;

	self->asides_ns[self->asides_count++ % ASIDES_MAX] = now_ns;
	for (uint32_t i = 0; i < self->asides_count && i < ASIDES_MAX; i++)
		recent += now_ns < self->asides_ns[i] + WINDOW_NS;
	return recent;
}

static void set_aside(struct manager *self, uint32_t number, uint64_t batch_no, uint64_t id)
{
	struct page_stage *stage = &self->role.page->stages[number];
	const char *name = manager_stage_name(self, number);
	char detail[64];

	snprintf(detail, sizeof(detail), "packet %llx of batch %llu", (unsigned long long)id,
		(unsigned long long)batch_no);
	if (count_recent(self, mono_ns()) > WINDOW_ASIDES || stage->asides_count == ASIDES_MAX) {
		page_fail(self->role.page,
			"stage %s crashes on one packet after another, last on %s: its state is at "
			"fault, not the packets; nothing more is set aside",
			name, detail);
		return;
	}
	if (!seal_stage(self, number, batch_no)) {
		manager_audit(self, "aside_refused", name, stage->term, detail);
		return; /* a replica got over it: what it published stands */
	}
	fprintf(stderr, "understudy: %s: replicas crash on %s: it is SET ASIDE\n", name, detail);
	manager_audit(self, "set_aside", name, stage->term, detail);
	stage->asides[stage->asides_count] = packet_id_sequence(id);
	atomic_write_release(&stage->asides_count, stage->asides_count + 1);
}

bool manager_suspect(struct manager *self, uint32_t stage, uint32_t replica,
	enum failover_kind kind)
{
	struct page_stage *shown = &self->role.page->stages[stage];
	const struct page_replica *lost = &shown->replicas[replica];
	uint64_t batch = atomic_read_acquire(&lost->at_batch);
	uint64_t id = atomic_read_acquire(&lost->at_packet);

	if (batch == 0 || !self->role.config->protect || !speaks_against_packet(lost, kind))
		return false;
	if (!is_suspect(shown, batch)) {
		memmove(&shown->suspects[1], &shown->suspects[0],
			sizeof(shown->suspects) - sizeof(shown->suspects[0]));
		shown->suspects[0] = batch;
		return false;
	}
	for (uint64_t i = 0; i < shown->asides_count; i++)
		if (shown->asides[i] == packet_id_sequence(id))
			return false;
	if (id != 0)
		set_aside(self, stage, batch - 1, id);
	return id != 0;
}
