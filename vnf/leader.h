/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A passive slave's view of its leader's outcome journal: how far it has published and, in a stage
 * that records determinants, what it published. One thread.
 */
#ifndef UNDERSTUDY_VNF_LEADER_H
#define UNDERSTUDY_VNF_LEADER_H

#include "core/outcome.h"
#include "loggers/journal_shm.h"

struct leader {
	struct journal journal;
	struct journal_reader reader; /* with determinants only */
	uint64_t incarnation;	      /* whose journal is mapped; 0: none */
};

/*
 * Maps the journal called name of a leader's incarnation, in place of a former one's; reads: its
 * outcomes will be asked for. Errors: those of journal_shm_open and journal_attach.
 */
MUST_CHECK enum status leader_follow(struct leader *leader, const struct shm_place *place,
	const char *name, uint64_t incarnation, bool reads);
void leader_drop(struct leader *leader);

/* False if what leader_outcome gave may be overwritten by now: discard what was made of it. */
bool leader_is_valid(const struct leader *leader);

/*
 * Whether it has published batch_no; *outcome, of a leader that is read, is good until the next
 * call. Errors: EMPTY (not yet), SEALED (it never did), LAPPED (it did, but that is overwritten),
 * DETACHED, CORRUPT.
 */
MUST_CHECK enum status leader_outcome(struct leader *leader, uint64_t batch_no,
	struct outcome_view *outcome);

#endif
