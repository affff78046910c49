/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The base journals of a chain, one for each gateway epoch: a new gateway's begins where its
 * predecessor's was sealed, so that lines and batches go on (DESIGN section 4). The control page
 * says where each begins; the manager takes one away when nobody can need it any more.
 */
#ifndef UNDERSTUDY_LOGGERS_BASE_H
#define UNDERSTUDY_LOGGERS_BASE_H

#include "loggers/idle.h"
#include "loggers/page.h"

/* One of them, as a process has it mapped. */
struct base {
	struct page *page;
	const struct shm_place *place;
	struct idle *idle; /* of the thread that reads it, which may sleep on it; or NULL */
	struct journal journal;
	uint64_t epoch;
};

/*
 * The gateway: seals the former epoch's, if there was one, whose writer must be gone; makes the
 * next epoch's, with places for the readers of that one; and says from where the input goes on:
 * where nothing was published yet all 0 but for the next batch, which is first_batch. Its writer is
 * opened next, then it is announced. Errors: those of journal_shm_create; CORRUPT: the page does
 * not know the end of the former one.
 */
MUST_CHECK enum status base_create(struct base *base, uint64_t ring_bytes, uint64_t first_batch,
	struct page_admitted *from);

/* At a restart from disk: the first batch that has to be there again, for replicas to replay. */
uint64_t base_restart_batch(const struct page *page, uint32_t stages_count);
void base_announce(struct base *base);

/* Maps the one that holds a line. Errors: NOT_FOUND (none yet), those of journal_shm_open. */
MUST_CHECK enum status base_open(struct base *base, uint64_t line);

/*
 * Maps the one where a dead reader of that name was, and attaches there; or, where there was none,
 * the newest, at its oldest block. Errors: NOT_FOUND, FULL, those of journal_shm_open.
 */
MUST_CHECK enum status base_succeed(struct base *base, struct journal_reader *reader,
	enum journal_gate gate, const char *name);

/*
 * A reader at the sealed end goes on in the next one that is not forgotten, which is mapped in
 * place of this one. Errors: EMPTY (there is none yet), LAPPED (what follows is gone), those of the
 * journal.
 */
MUST_CHECK enum status base_follow(struct base *base, struct journal_reader *reader);

/*
 * A reader that only holds a place lets go of all before the block boundary at line, and goes on to
 * the journal that holds it; those in between may be gone. Errors: those of base_open and of
 * journal_follow.
 */
MUST_CHECK enum status base_move_to(struct base *base, struct journal_reader *reader,
	uint64_t line);

/* Where the mapped one ends, if another one follows; else UINT64_MAX. */
uint64_t base_end(const struct base *base);

/* The manager: takes away those before line and batch. */
void base_forget(struct page *page, const struct shm_place *place, uint64_t line, uint64_t batch);

#define BASE_NAME_PREFIX "base."
void base_name(char name[NAME_BYTES], uint64_t epoch);

#endif
