/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/logger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/fault_points.h"
#include "core/mutants.h"

#define GROUP_BATCHES 64
#define NOTE_BATCHES 1024
#define RELEASE_NOTE "released"

static const char *const reader_names[LOGGERS_COUNT] = {"packet logger", "determinant logger",
	"progress logger"};

static bool keep_head(void *context, const void *bytes, uint32_t count)
{
	memcpy(context, bytes, count);
	return false; /* no more than that */
}

/* Lets the base journal go up to where the base values of every stage end. */
static void release_base(struct logger *logger)
{
	const struct page *page = logger->role->page;
	uint64_t lowest = UINT64_MAX;

	for (uint32_t s = 0; s < logger->role->config->stages_count; s++)
		if (page->stages[s].base_line < lowest || MUTANT(TRIM_PAST_BASE))
			lowest = page->stages[s].base_line;
	/* Where it cannot go on now it tries again with the next base values. */
	(void)!base_move_to(&logger->base, &logger->input, lowest);
}

/* Base values that a former logger committed, and may not have told. */
static void tell_base(struct logger *logger, uint32_t number, bool same_lines)
{
	struct page_stage *stage = &logger->role->page->stages[number];
	struct base_head head = {0};

	/* Cut short after the head, or there is none. */
	(void)!store_read_base(logger->store, number, keep_head, &head);
	if (head.batch <= stage->base_batch)
		return;
	stage->base_next_id = head.next_id;
	/* Lines are of the journals that there were before a power loss. */
	atomic_write_release(&stage->base_line, same_lines ? head.base_line : 0);
	atomic_write_release(&stage->base_batch, head.batch);
}

static enum status tell_released(struct logger *logger)
{
	return store_read_note(logger->store, RELEASE_NOTE,
		&logger->role->page->restart.notes[logger->kind], sizeof(struct page_note));
}

enum status logger_tell(struct logger *logger)
{
	struct page *page = logger->role->page;
	enum status status = STATUS_OK;

	if (!page->restart.wanted || (page->restart.told & 1u << logger->kind) != 0)
		return STATUS_OK;
	if (logger->kind == LOGGER_PACKETS)
		status = store_next(logger->store, 0, &page->restart.durable_batch);
	if (status == STATUS_OK && logger->kind != LOGGER_PROGRESS)
		status = tell_released(logger);
	for (uint32_t s = 0;
		logger->kind == LOGGER_DETERMINANTS && s < logger->role->config->stages_count; s++)
		tell_base(logger, s, false);
	if (status == STATUS_OK)
		(void)atomic_or_seq_cst(&page->restart.told, 1u << logger->kind);
	return status;
}

/*
 * Notes how far outputs have been released, in the store: a restart from disk goes on from the
 * latest such note. False: not now, it is just changing.
 */
static bool note_released(struct logger *logger, enum status *status)
{
	const struct page_egress *egress = &logger->role->page->egress;
	struct page_note note = {.batch = atomic_read_acquire(&egress->batches)};

	if (note.batch == logger->noted_release)
		return true;
	note.mark = egress->marks[(note.batch - 1) % 2];
	atomic_fence_acquire();
	if (atomic_read_acquire(&egress->batches) != note.batch)
		return false;
	*status = store_note(logger->store, RELEASE_NOTE, &note, sizeof(note));
	if (*status == STATUS_OK)
		logger->noted_release = note.batch;
	return *status == STATUS_OK;
}

/* Goes on where a former logger's store ends. Errors: IO. */
static enum status recover(struct logger *logger)
{
	for (uint32_t s = 0; s < logger->role->config->stages_count; s++) {
		uint64_t *next = &logger->stage_batches[s];

		if (store_next(logger->store, s, next) != STATUS_OK)
			return STATUS_IO;
		if (logger->counts->next_batch > *next)
			*next = logger->counts->next_batch;
		if (logger->kind == LOGGER_DETERMINANTS)
			tell_base(logger, s, true);
	}
	logger->next_batch = logger->stage_batches[0];
	if (logger->kind == LOGGER_DETERMINANTS)
		release_base(logger);
	logger->unsynced = true;
	return STATUS_OK;
}

static enum status attach(struct logger *logger)
{
	static const enum journal_gate folds = GATE_REQUIRED;
	enum journal_gate gate = logger->kind == LOGGER_DETERMINANTS ? folds
				 : logger->disk			     ? GATE_REQUIRED
								     : GATE_OPTIONAL;
	enum status status;

	if (logger->kind == LOGGER_PROGRESS || (logger->kind == LOGGER_PACKETS && !logger->keeps)) {
		if (logger->kind == LOGGER_PACKETS)
			logger->counts->next_batch =
				NO_BATCH; /* it is not asked to keep anything */
		return STATUS_OK;
	}
	logger->base = (struct base){.page = logger->role->page,
		.place = &logger->role->place,
		.idle = logger->idle};
	status = base_succeed(&logger->base, &logger->input, gate, reader_names[logger->kind]);
	logger->attached = status == STATUS_OK;
	logger->input.holds = logger->kind == LOGGER_PACKETS;
	return status == STATUS_OK ? recover(logger) : status;
}

enum status logger_attach(struct logger *logger)
{
	enum status status = attach(logger);

	if (status == STATUS_OK)
		counter_add(&logger->service->starts, 1);
	return status;
}

/* Whether outcomes are kept or searched, rather than only counted. */
static bool takes_whole(const struct logger *logger)
{
	return logger->kind == LOGGER_DETERMINANTS && logger->keeps;
}

enum status logger_add_source(struct logger *logger, const char *name, uint32_t stage,
	uint32_t replica, uint64_t incarnation)
{
	struct logger_source *source = NULL;
	enum status status;

	for (uint32_t i = 0; i < LOGGER_SOURCES_MAX; i++) {
		struct logger_source *other = &logger->sources[i];

		if (atomic_read_acquire(&other->state) == SOURCE_DONE) {
			journal_give_back(&other->reader);
			journal_shm_close(&other->journal);
			other->state = SOURCE_FREE;
		}
		if (other->state != SOURCE_FREE && other->incarnation == incarnation)
			return STATUS_OK;
		if (source == NULL && other->state == SOURCE_FREE)
			source = other;
	}
	if (source == NULL)
		return STATUS_FULL;
	memset(source, 0, sizeof(*source));
	status = journal_shm_open(&source->journal, &logger->role->place, name);
	if (status != STATUS_OK)
		return status;
	status = journal_succeed(&source->reader, &source->journal, GATE_OPTIONAL,
		reader_names[logger->kind]);
	if (status != STATUS_OK) {
		journal_shm_close(&source->journal);
		return status;
	}
	source->reader.lazy = !takes_whole(logger);
	source->reader.holds = takes_whole(logger);
	source->stage = stage;
	source->replica = replica;
	source->incarnation = incarnation;
	source->next_batch = source->noted_batch = source->journal.control->first_batch;
	atomic_write_release(&source->state, (uint32_t)SOURCE_HANDED);
	return STATUS_OK;
}

static void fold_discard(struct logger_fold *fold)
{
	fold->bytes = fold->parts = 0;
	fold->complete = false;
}

static void source_drop(struct logger_source *source)
{
	journal_detach(&source->reader);
	free(source->fold.images);
	memset(&source->fold, 0, sizeof(source->fold));
	atomic_write_release(&source->state, (uint32_t)SOURCE_DONE);
}

/* One more block of a fold; blocks out of order discard it: the replica will fold again. */
static void fold_take(struct logger_fold *fold, const struct fold_header *header)
{
	uint32_t bytes = header->bytes - (uint32_t)sizeof(*header);

	if (header->part == 0)
		fold_discard(fold);
	if (header->part != fold->parts || fold->complete)
		return;
	if (fold->bytes + bytes > fold->capacity) {
		size_t capacity = (fold->bytes + bytes) * 2;
		uint8_t *grown = realloc(fold->images, capacity);

		if (grown == NULL)
			return;
		fold->images = grown;
		fold->capacity = capacity;
	}
	if (bytes > 0)
		memcpy(fold->images + fold->bytes, header + 1, bytes);
	fold->bytes += bytes;
	fold->parts++;
	fold->header = *header;
	fold->complete = header->last != 0 || MUTANT(HALF_FOLD);
}

/* The watermark is at most min(durable, released), and only where the replicas' digests agree. */
/* Two replicas differed, and nobody knows yet whether this one was right: a new one does it. */
static bool is_refuted(const struct logger *logger, const struct logger_source *source)
{
	const struct page_stage *stage = &logger->role->page->stages[source->stage];

	return source->incarnation < atomic_read_acquire(&stage->refuted_below);
}

static bool fold_may_commit(const struct logger *logger, const struct logger_source *source)
{
	const struct page *page = logger->role->page;
	const struct page_stage *stage = &page->stages[source->stage];
	uint64_t batch = source->fold.header.batch_no;

	if (MUTANT(FOLD_UNRELEASED))
		return source->fold.complete;

	/*
	 * Never ahead of the stage after it: that one's new replicas need this one's outcomes from
	 * their own base on, and a new replica of this one has them only from its base on.
	 */
	if (source->stage + 1 < logger->role->config->stages_count &&
		page->stages[source->stage + 1].base_batch <= batch)
		return false;
	if (!source->fold.complete || atomic_read_acquire(&page->egress.batches) <= batch)
		return false;
	if (logger->disk &&
		atomic_read_acquire(&page->loggers[LOGGER_PACKETS].durable_batch) <= batch)
		return false;
	for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
		uint32_t state = atomic_read_acquire(&stage->replicas[r].state);

		if ((state == REPLICA_RESTORING || state == REPLICA_READY) &&
			atomic_read_acquire(&stage->replicas[r].compared_batch) <= batch)
			return false;
	}
	/* A difference is told before what was compared. */
	return !page_doubt_is_open(&page->doubt) && !is_refuted(logger, source);
}

static enum status fold_commit(struct logger *logger, struct logger_source *source)
{
	struct logger_fold *fold = &source->fold;
	struct page *page = logger->role->page;
	struct page_stage *stage = &page->stages[source->stage];
	struct base_head head = {
		.batch = fold->header.batch_no + 1,
		.next_id = fold->header.next_id,
		.state_digest = fold->header.state_digest,
		.base_line = fold->header.base_line,
	};
	const uint8_t *at = fold->images;
	enum status status = STATUS_OK;

	/* Before they hold what was released, it is noted that it was. */
	if (logger->disk && !note_released(logger, &status))
		return status;
	while (at < fold->images + fold->bytes) {
		const struct fold_image *image = (const struct fold_image *)at;
		const uint8_t *key = at + sizeof(*image);

		store_fold_image(logger->store, source->stage, image, key);
		at += fold_image_bytes(image->key_bytes, image->value_bytes);
		head.images++;
	}
	if (store_fold_commit(logger->store, source->stage, &head, logger->disk) != STATUS_OK)
		return STATUS_IO;
	FAULT_POINT(FOLD_COMMITTED);
	fold_discard(fold);
	stage->base_next_id = head.next_id;
	atomic_write_release(&stage->base_line, head.base_line);
	atomic_write_release(&stage->base_batch, head.batch);
	counter_add(&page->folds, 1);
	release_base(logger);
	return STATUS_OK;
}

static void count_determinants(struct logger *logger, const struct outcome_view *outcome)
{
	const struct outcome_extra *extra;
	uint32_t offset = 0;

	while ((extra = outcome_extra_next(outcome, &offset)) != NULL)
		if (extra->type == EXTRA_DETERMINANT)
			counter_add(&logger->counts->determinant_bytes, extra->bytes);
}

static void take_outcome(struct logger *logger, struct logger_source *source, const void *payload,
	uint32_t bytes)
{
	const struct outcome_header *header = payload;
	struct outcome_view outcome;

	if (bytes < sizeof(*header) || header->magic != OUTCOME_MAGIC)
		return; /* the egress tells on that replica */
	source->next_batch = header->batch_no + 1;
	source->digest = header->digest;
	if (logger->kind != LOGGER_DETERMINANTS ||
		header->batch_no != logger->stage_batches[source->stage])
		return;
	if (takes_whole(logger) && outcome_open(&outcome, payload, bytes) == STATUS_OK) {
		uint32_t outcome_bytes = header->bytes;

		store_add(logger->store, header->batch_no, source->stage, payload, outcome_bytes);
		if (!journal_reader_valid(&source->reader)) {
			store_take_back(logger->store);
			return; /* another replica's, or a gap */
		}
		counter_add(&logger->counts->bytes, outcome_bytes);
		count_determinants(logger, &outcome);
	}
	logger->stage_batches[source->stage]++;
}

/* What it publishes is corrupt, unless it has lapped us meanwhile: the manager is told. */
static void blame(struct logger *logger, const struct logger_source *source)
{
	struct page_stage *stage = &logger->role->page->stages[source->stage];

	if (journal_reader_valid(&source->reader) && !MUTANT(FOUND_CORRUPT_FOLD))
		atomic_write_release(&stage->replicas[source->replica].bad_incarnation,
			source->incarnation);
}

static uint32_t read_source(struct logger *logger, struct logger_source *source)
{
	const struct fold_header *fold;
	const void *payload;
	uint32_t bytes, work = 0;
	enum status status = STATUS_OK;

	while (work < GROUP_BATCHES &&
		(status = journal_peek(&source->reader, &payload, &bytes)) == STATUS_OK) {
		if (!block_is_fold(payload, bytes))
			take_outcome(logger, source, payload, bytes);
		else if (logger->kind == LOGGER_DETERMINANTS) {
			if (journal_payload_sound(&source->reader) &&
				fold_open(&fold, payload, bytes) == STATUS_OK)
				fold_take(&source->fold, fold);
			else
				blame(logger, source);
		}
		journal_advance(&source->reader);
		work++;
	}
	source->ended = status == STATUS_SEALED && !source->fold.complete;
	if (status == STATUS_DETACHED) {
		/* Fell behind: carries on at the oldest block, with a gap. */
		fold_discard(&source->fold);
		counter_add(&logger->counts->gaps, 1);
		journal_detach(&source->reader);
		if (journal_reattach(&source->reader, JOURNAL_FROM_TAIL) != STATUS_OK)
			source_drop(source);
	} else if (status == STATUS_CORRUPT) {
		blame(logger, source);
		source_drop(source);
	}
	return work;
}

/* A gap in a stage's outcomes that nobody has any more: goes on after it. */
static void skip_gap(struct logger *logger, uint32_t stage)
{
	uint64_t lowest = NO_BATCH;

	for (uint32_t i = 0; i < LOGGER_SOURCES_MAX; i++)
		if (logger->sources[i].state == SOURCE_READ && logger->sources[i].stage == stage &&
			logger->sources[i].next_batch < lowest)
			lowest = logger->sources[i].next_batch;
	if (lowest != NO_BATCH && lowest > logger->stage_batches[stage])
		logger->stage_batches[stage] = lowest;
}

/* What is taken of every stage. */
static void account_stages(struct logger *logger)
{
	uint64_t lowest = NO_BATCH;

	for (uint32_t s = 0; s < logger->role->config->stages_count; s++) {
		skip_gap(logger, s);
		if (logger->stage_batches[s] < lowest)
			lowest = logger->stage_batches[s];
	}
	logger->next_batch = lowest;
}

static uint32_t work_sources(struct logger *logger, enum status *status)
{
	uint64_t lowest = NO_BATCH;
	uint32_t work = 0;

	for (uint32_t i = 0; i < LOGGER_SOURCES_MAX && *status == STATUS_OK; i++) {
		struct logger_source *source = &logger->sources[i];

		if (atomic_read_acquire(&source->state) == SOURCE_HANDED)
			atomic_write_release(&source->state, (uint32_t)SOURCE_READ);
		if (source->state != SOURCE_READ)
			continue;
		if (is_refuted(logger, source)) {
			source_drop(source);
			continue;
		}
		work += read_source(logger, source);
		if (source->state != SOURCE_READ)
			continue;
		/* A dead replica's fold may come after its successor's: out of date. */
		if (source->fold.complete &&
			source->fold.header.batch_no <
				logger->role->page->stages[source->stage].base_batch)
			fold_discard(&source->fold);
		if (source->fold.complete && fold_may_commit(logger, source)) {
			*status = fold_commit(logger, source);
			work++;
		}
		if (source->next_batch < lowest)
			lowest = source->next_batch;
		if (logger->kind == LOGGER_PROGRESS &&
			source->next_batch >= source->noted_batch + NOTE_BATCHES) {
			uint64_t note[2] = {source->next_batch, source->digest};

			*status = store_note(logger->store, source->journal.control->name, note,
				sizeof(note));
			source->noted_batch = source->next_batch;
			counter_add(&logger->counts->bytes, sizeof(note));
		}
	}
	if (logger->kind == LOGGER_PROGRESS && lowest != NO_BATCH)
		logger->next_batch = lowest;
	if (logger->kind == LOGGER_DETERMINANTS)
		account_stages(logger);
	return work;
}

/* Takes one batch into the store. False if it was overwritten meanwhile. */
static bool take_batch(struct logger *logger, const struct batch_header *batch, uint32_t bytes)
{
	uint64_t number = batch->batch_no;
	struct batch_view view;

	if (number < logger->next_batch)
		return true; /* a former logger has written it */
	if (logger->cut != NULL) {
		if (batch_open(&view, batch, bytes) != STATUS_OK)
			return false;
		bytes = batch_cut(&view, logger->cut, HEADER_VIEW_BYTES);
		batch = logger->cut;
	}
	store_add(logger->store, number, 0, batch, bytes);
	if (!journal_reader_valid(&logger->input)) {
		store_take_back(logger->store);
		return false;
	}
	counter_add(&logger->counts->gaps, number - logger->next_batch);
	counter_add(&logger->counts->bytes, bytes);
	logger->next_batch = number + 1;
	return true;
}

/* At the end of a gateway's journal, once all of it is written: on to its successor's. */
static void follow_input(struct logger *logger)
{
	const struct journal_reader *input = &logger->input;

	if (atomic_read_relaxed(&input->journal->control->slots[input->slot].cursor) ==
		input->position)
		(void)!base_follow(&logger->base, &logger->input);
}

static uint32_t work_packets(struct logger *logger)
{
	const void *payload;
	uint32_t bytes, work = 0;
	enum status read = STATUS_OK;

	if (!logger->attached)
		return 0;
	while (work < GROUP_BATCHES &&
		(read = journal_peek(&logger->input, &payload, &bytes)) == STATUS_OK) {
		const struct batch_header *batch = payload;
		uint32_t batch_bytes = bytes < sizeof(*batch) ? 0 : batch->bytes;

		if (batch_bytes < sizeof(*batch) || batch->magic != BATCH_MAGIC ||
			batch_bytes > bytes || !take_batch(logger, batch, batch_bytes))
			break;
		journal_advance(&logger->input);
		work++;
	}
	if (read == STATUS_DETACHED) {
		journal_detach(&logger->input);
		logger->attached = journal_reattach(&logger->input, JOURNAL_FROM_TAIL) == STATUS_OK;
	} else if (read == STATUS_SEALED) {
		follow_input(logger);
	}
	return work;
}

/* What is written need not be read again by a successor. */
static void let_go(struct logger *logger)
{
	if (logger->attached && logger->input.holds)
		journal_let_go(&logger->input);
	for (uint32_t i = 0; i < LOGGER_SOURCES_MAX; i++) {
		struct logger_source *source = &logger->sources[i];

		if (source->state == SOURCE_READ && source->ended)
			source_drop(source);
		else if (source->state == SOURCE_READ && source->reader.holds)
			journal_let_go(&source->reader);
	}
}

uint32_t logger_work(struct logger *logger, enum status *status)
{
	const struct page *page = logger->role->page;
	uint64_t below, trimmed;
	uint32_t work;

	*status = STATUS_OK;
	counter_add(&logger->service->beat, 1);
	work = logger->kind == LOGGER_PACKETS ? work_packets(logger) : work_sources(logger, status);
	logger->unsynced |= work > 0;
	/* Trimmed first: a full table of segments would refuse the write. */
	below = page_base_batch(page, logger->role->config->stages_count);
	trimmed = store_trim(logger->store, logger->role->config->retention_bytes, below);
	if (trimmed > 0) {
		atomic_write_release(&logger->counts->trimmed_batch, trimmed);
		FAULT_POINT(TRIMMED);
	}
	if (*status == STATUS_OK && logger->disk && logger->kind == LOGGER_PACKETS)
		(void)note_released(logger, status); /* or the next time */
	if (*status == STATUS_OK)
		*status = store_write(logger->store);
	if (*status == STATUS_OK && logger->disk && logger->unsynced) {
		FAULT_POINT(LOG_APPENDED);
		if (MUTANT(ACK_BEFORE_SYNC))
			atomic_write_release(&logger->counts->durable_batch, logger->next_batch);
		*status = store_sync(logger->store);
		FAULT_POINT(LOG_SYNCED);
	}
	if (*status != STATUS_OK && !MUTANT(ACK_AFTER_FAILURE))
		return 0; /* nothing is acknowledged after a failed write */
	logger->unsynced = false;
	let_go(logger);
	if (logger->kind == LOGGER_PACKETS && !logger->keeps)
		return 0;
	if (logger->disk) {
		atomic_write_release(&logger->counts->durable_batch, logger->next_batch);
		if (work > 0)
			FAULT_POINT(LOG_ACKNOWLEDGED);
	}
	atomic_write_release(&logger->counts->next_batch, logger->next_batch);
	return work;
}
