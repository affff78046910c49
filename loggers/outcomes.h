/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outcomes of one stage as a consumer reads them, from the journals of all its replicas: the
 * egress those of every stage, a replica those of the stage before. For each batch any replica's
 * valid outcome will do, for they are the same. Journals are attached in the control thread, handed
 * over, and read in the packet thread; all but outcomes_attach is the packet thread's.
 */
#ifndef UNDERSTUDY_LOGGERS_OUTCOMES_H
#define UNDERSTUDY_LOGGERS_OUTCOMES_H

#include "core/outcome.h"
#include "loggers/idle.h"
#include "loggers/page.h"

#define OUTCOME_SOURCES_MAX (REPLICAS_MAX * 4)

/* FREE -> HANDED by the control thread -> READ -> LEFT -> DONE by the packet thread -> FREE */
enum outcome_source_state {
	OUTCOME_SOURCE_FREE,
	OUTCOME_SOURCE_HANDED,
	OUTCOME_SOURCE_READ,
	OUTCOME_SOURCE_LEFT,
	OUTCOME_SOURCE_DONE
};

/* One incarnation of a replica whose outcomes are read. */
struct outcome_source {
	struct journal journal;
	struct journal_reader reader;
	uint32_t replica;
	uint64_t incarnation;
	uint32_t state;	  /* enum outcome_source_state */
	pthread_t thread; /* that attached it, and alone may give it back */
	bool bad;	  /* published something corrupt; not read any more */
	uint64_t next_batch;
};

struct outcomes {
	struct outcome_source sources[OUTCOME_SOURCES_MAX];
	struct page_stage *stage;
	bool accounts; /* says on the page what is compared and read to its end: the egress alone */
	/* Both may be NULL: whether a source's word counts; each outcome read, once. */
	bool (*may_lead)(void *context, const struct outcome_source *source);
	void (*seen)(void *context, const struct outcome_source *source,
		const struct outcome_header *header);
	void *context;
};

/* How a consumer reads. */
struct outcomes_reading {
	enum journal_gate gate;
	const char *reader;
	uint64_t from_batch; /* the first that is wanted; 0: all there ever were */
	bool succeeds;	     /* or from where a dead reader of that name was */
};

/*
 * Control thread, or before the packet thread reads: attaches to the journal called name; again is
 * no error. Errors: FULL, LAPPED (what is wanted was there and is gone), those of journal_shm_open
 * and journal_attach.
 */
MUST_CHECK enum status outcomes_attach(struct outcomes *outcomes, const struct shm_place *place,
	const char *name, uint32_t replica, uint64_t incarnation,
	const struct outcomes_reading *reading);

/* A journal that is attached already, in place of outcomes_attach. Errors: FULL. */
MUST_CHECK enum status outcomes_add(struct outcomes *outcomes, const struct journal *journal,
	const struct journal_reader *reader, uint32_t replica, uint64_t incarnation,
	uint64_t next_batch);

/* Begins with what was handed over, ends with what was read to its end. */
void outcomes_poll(struct outcomes *outcomes, struct idle *idle);

/*
 * The first outcome of this batch that is valid, fits and may count; NULL: none yet. *view is good
 * until outcome_source_advance. Sources that are behind are read up to the batch.
 */
struct outcome_source *outcomes_find(struct outcomes *outcomes, const struct batch_view *batch,
	uint32_t ports_count, struct outcome_view *view);

/* Reads all sources that are behind up to batch_no. */
void outcomes_catch_up(struct outcomes *outcomes, uint64_t batch_no);

/* How many replicas' outcomes of this batch are there; *differ: their digests do. */
uint32_t outcomes_count(struct outcomes *outcomes, uint64_t batch_no, bool *differ);

/* Done with what outcomes_find gave. */
void outcome_source_advance(struct outcomes *outcomes, struct outcome_source *source);

/* Adds the journals that are read to those to wait on; returns their new count. */
uint32_t outcomes_waits(struct outcomes *outcomes, struct journal **waits, uint32_t count,
	uint32_t count_max);

#endif
