/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/leader.h"

enum status leader_follow(struct leader *leader, const struct shm_place *place, const char *name,
	uint64_t incarnation, bool reads)
{
	enum status status;

	leader_drop(leader);
	status = journal_shm_open(&leader->journal, place, name);
	if (status == STATUS_OK && reads)
		status = journal_attach(&leader->reader, &leader->journal, GATE_OPTIONAL, 0,
			"slave", JOURNAL_FROM_TAIL);
	if (status != STATUS_OK) {
		leader->reader.journal = NULL;
		journal_shm_close(&leader->journal);
		return status;
	}
	leader->incarnation = incarnation;
	return STATUS_OK;
}

void leader_drop(struct leader *leader)
{
	if (leader->reader.journal != NULL) {
		journal_detach(&leader->reader);
		journal_give_back(&leader->reader);
	}
	journal_shm_close(&leader->journal);
	leader->incarnation = 0;
}

bool leader_is_valid(const struct leader *leader)
{
	return leader->reader.journal == NULL || journal_reader_valid(&leader->reader);
}

static enum status read_outcome(struct leader *leader, uint64_t batch_no,
	struct outcome_view *outcome)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	while ((status = journal_peek(&leader->reader, &payload, &bytes)) == STATUS_OK) {
		if (!block_is_fold(payload, bytes)) {
			status = outcome_open(outcome, payload, bytes);
			if (status != STATUS_OK)
				return STATUS_CORRUPT;
			if (outcome->header->batch_no == batch_no)
				return STATUS_OK;
			if (outcome->header->batch_no > batch_no)
				return STATUS_LAPPED;
		}
		journal_advance(&leader->reader);
	}
	return status;
}

enum status leader_outcome(struct leader *leader, uint64_t batch_no, struct outcome_view *outcome)
{
	if (leader->reader.journal != NULL)
		return read_outcome(leader, batch_no, outcome);
	if (atomic_read_acquire(&leader->journal.control->published_batch) > batch_no)
		return STATUS_OK;
	return journal_is_sealed(&leader->journal) ? STATUS_SEALED : STATUS_EMPTY;
}
