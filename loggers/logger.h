/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The three loggers (FTvNF section 3), one agent each: the packet logger keeps base batches; the
 * determinant and progress logger keeps outcomes with their determinants, and commits the
 * base values (DESIGN section 7); the slaves' progress logger keeps how far each slave is, and its
 * digests. One that died is started again, and goes on from what its store holds.
 */
#ifndef UNDERSTUDY_LOGGERS_LOGGER_H
#define UNDERSTUDY_LOGGERS_LOGGER_H

#include "loggers/base.h"
#include "loggers/role.h"
#include "loggers/store_rocksdb.h"

#define LOGGER_SOURCES_MAX (REPLICAS_MAX * STAGES_MAX)

/* A fold that is being received from one replica, and waits until it may be committed. */
struct logger_fold {
	uint8_t *images;
	size_t bytes, capacity;
	uint32_t parts;
	bool complete;
	struct fold_header header; /* of its last block */
};

/* FREE -> HANDED by the control thread -> READ -> DONE by the agent -> FREE, control thread */
enum source_state { SOURCE_FREE, SOURCE_HANDED, SOURCE_READ, SOURCE_DONE };

/* An outcome journal that is read. */
struct logger_source {
	struct journal journal;
	struct journal_reader reader;
	uint32_t stage, replica;
	uint64_t incarnation;
	uint32_t state; /* enum source_state */
	bool ended;	/* read to its sealed end: goes when all of it is written */
	uint64_t next_batch, digest;
	uint64_t noted_batch;
	struct logger_fold fold;
};

struct logger {
	enum logger_role kind;
	struct role *role;
	struct store *store;
	struct page_logger *counts;
	struct page_service *service;
	struct base base;
	struct idle *idle; /* the shell's, which may sleep on the base journal */
	struct journal_reader
		input; /* packets: what is logged; determinants: holds the fold watermark */
	bool attached;
	bool disk;
	bool keeps;	     /* batches go to the store: retention, or disk */
	void *cut;	     /* room for a batch without payloads; NULL: they are kept */
	uint64_t next_batch; /* all below are taken, of every stage */
	uint64_t stage_batches[STAGES_MAX]; /* of each stage's outcomes: the next to keep */
	uint64_t noted_release;		    /* up to there it is noted what was released */
	bool unsynced;			    /* something was written since the last sync */
	struct logger_source sources[LOGGER_SOURCES_MAX];
};

/*
 * At a restart from disk, with the store open and before the base journal exists: tells the page
 * what the store holds. Errors: IO; CORRUPT: it does not add up.
 */
MUST_CHECK enum status logger_tell(struct logger *logger);

/*
 * After the base journal exists, with the store open: goes on where the store, and a former
 * logger's place in the journal, end. Errors: those of journal_attach; IO.
 */
MUST_CHECK enum status logger_attach(struct logger *logger);

/* Control thread: reads a replica's outcomes from now on. Errors: FULL, those of the journal. */
MUST_CHECK enum status logger_add_source(struct logger *logger, const char *name, uint32_t stage,
	uint32_t replica, uint64_t incarnation);

/*
 * Some work; returns how much. Errors, in *status: IO, FULL (nothing may be acknowledged any
 * more).
 */
uint32_t logger_work(struct logger *logger, enum status *status);

#endif
