/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/outcomes.h"

#include "core/mutants.h"

#define ATTACH_TRIES 100
#define BATCH_UNKNOWN UINT64_MAX /* of a source attached in mid-journal: its next outcome tells */

/* Corrupt outcomes are that replica's failure, nobody else's: the manager is told. */
static void mark_bad(struct outcomes *outcomes, struct outcome_source *source)
{
	source->bad = true;
	atomic_write_release(&outcomes->stage->replicas[source->replica].bad_incarnation,
		source->incarnation);
}

/* Lets go of a journal from which nothing more comes. */
static void source_leave(struct outcomes *outcomes, struct outcome_source *source)
{
	uint64_t *drained = &outcomes->stage->replicas[source->replica].drained_incarnation;

	/* A later one may have been left before. */
	if (outcomes->accounts && source->incarnation > *drained)
		atomic_write_release(drained, source->incarnation);
	journal_detach(&source->reader);
	source->state = OUTCOME_SOURCE_LEFT;
}

/* An earlier life's journal is read to its end, too, and may be read last. */
static void account(struct outcomes *outcomes, const struct outcome_source *source)
{
	struct page_replica *replica = &outcomes->stage->replicas[source->replica];

	if (outcomes->accounts && source->next_batch != BATCH_UNKNOWN &&
		source->incarnation == atomic_read_relaxed(&replica->incarnation))
		atomic_write_release(&replica->compared_batch, source->next_batch);
}

/* The source's next outcome, folds skipped; a lazy reader's is not checked yet. */
static enum status peek(struct outcome_source *source, struct outcome_view *view)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	while ((status = journal_peek(&source->reader, &payload, &bytes)) == STATUS_OK) {
		if (block_is_fold(payload, bytes)) {
			journal_advance(&source->reader);
			continue;
		}
		view->header = payload;
		if (bytes < sizeof(*view->header) || view->header->magic != OUTCOME_MAGIC)
			return STATUS_CORRUPT;
		if (source->next_batch == BATCH_UNKNOWN)
			source->next_batch = view->header->batch_no;
		if (view->header->batch_no != source->next_batch)
			return STATUS_CORRUPT;
		return source->reader.lazy ? STATUS_OK : outcome_open(view, payload, bytes);
	}
	return status;
}

/*
 * Lets go of folds, which are not for us, also where the outcome behind them is not wanted yet; and
 * of the journal, at its sealed end, also where no batch follows that would be looked for in it.
 */
static void skip_folds(struct outcomes *outcomes, struct outcome_source *source)
{
	bool lazy = source->reader.lazy;
	const void *payload;
	uint32_t bytes;
	enum status status = STATUS_EMPTY;

	source->reader.lazy = true;
	while (!source->bad &&
		(status = journal_peek(&source->reader, &payload, &bytes)) == STATUS_OK &&
		block_is_fold(payload, bytes))
		journal_advance(&source->reader);
	source->reader.lazy = lazy;
	if (status == STATUS_SEALED && !MUTANT(FOUND_SEALED_END))
		source_leave(outcomes, source);
}

/* What is wrong is the writer's fault, unless it has lapped us meanwhile. */
static void blame(struct outcomes *outcomes, struct outcome_source *source)
{
	if (journal_reader_valid(&source->reader))
		mark_bad(outcomes, source);
	else
		source_leave(outcomes, source);
}

/* False if there is no next outcome, now or ever. */
static bool has_next(struct outcomes *outcomes, struct outcome_source *source,
	struct outcome_view *view)
{
	enum status status = source->bad ? STATUS_EMPTY : peek(source, view);

	switch (status) {
	case STATUS_OK:
		return true;
	case STATUS_EMPTY:
		if (source->bad && journal_is_sealed(&source->journal))
			source_leave(outcomes, source);
		break;
	case STATUS_SEALED:
	case STATUS_DETACHED: /* too slow for this one: another replica's may do */
	case STATUS_LAPPED:
		source_leave(outcomes, source);
		break;
	default:
		blame(outcomes, source);
		break;
	}
	return false;
}

void outcome_source_advance(struct outcomes *outcomes, struct outcome_source *source)
{
	source->next_batch++;
	journal_advance(&source->reader);
	account(outcomes, source);
}

static void source_catch_up(struct outcomes *outcomes, struct outcome_source *source,
	uint64_t batch_no)
{
	struct outcome_view view;

	if (source->incarnation < atomic_read_acquire(&outcomes->stage->refuted_below) &&
		!MUTANT(KEEP_REFUTED)) {
		source_leave(outcomes, source);
		return;
	}
	while ((source->next_batch < batch_no || source->next_batch == BATCH_UNKNOWN) &&
		source->state == OUTCOME_SOURCE_READ && has_next(outcomes, source, &view) &&
		source->next_batch < batch_no) {
		if (outcomes->seen != NULL)
			outcomes->seen(outcomes->context, source, view.header);
		outcome_source_advance(outcomes, source);
	}
	if (source->state == OUTCOME_SOURCE_READ)
		skip_folds(outcomes, source);
}

void outcomes_catch_up(struct outcomes *outcomes, uint64_t batch_no)
{
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++)
		if (outcomes->sources[i].state == OUTCOME_SOURCE_READ)
			source_catch_up(outcomes, &outcomes->sources[i], batch_no);
}

/* What a lazy reader left unchecked. */
static bool is_sound(const struct outcome_source *source, struct outcome_view *view)
{
	return !source->reader.lazy ||
	       (journal_payload_sound(&source->reader) &&
		       outcome_open(view, view->header, view->header->bytes) == STATUS_OK);
}

/* Whether the batch's outcome is the next one that the source may have. */
static bool is_at(struct outcomes *outcomes, struct outcome_source *source, uint64_t batch_no)
{
	if (source->state == OUTCOME_SOURCE_READ)
		source_catch_up(outcomes, source, batch_no);
	return source->next_batch == batch_no && source->state == OUTCOME_SOURCE_READ;
}

struct outcome_source *outcomes_find(struct outcomes *outcomes, const struct batch_view *batch,
	uint32_t ports_count, struct outcome_view *view)
{
	uint64_t batch_no = batch->header->batch_no;

	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++) {
		struct outcome_source *source = &outcomes->sources[i];

		if (!is_at(outcomes, source, batch_no) ||
			(outcomes->may_lead != NULL &&
				!outcomes->may_lead(outcomes->context, source)) ||
			!has_next(outcomes, source, view))
			continue;
		if (is_sound(source, view) && outcome_fits(view, batch, ports_count))
			return source;
		blame(outcomes, source);
	}
	return NULL;
}

uint32_t outcomes_count(struct outcomes *outcomes, uint64_t batch_no, bool *differ)
{
	struct outcome_view view;
	uint64_t digest = 0;
	uint32_t count = 0;

	*differ = false;
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++) {
		struct outcome_source *source = &outcomes->sources[i];

		if (!is_at(outcomes, source, batch_no) || !has_next(outcomes, source, &view))
			continue;
		*differ |= count > 0 && view.header->digest != digest;
		digest = view.header->digest;
		count++;
	}
	return count;
}

void outcomes_poll(struct outcomes *outcomes, struct idle *idle)
{
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++) {
		struct outcome_source *source = &outcomes->sources[i];
		uint32_t state = atomic_read_acquire(&source->state);

		if (state == OUTCOME_SOURCE_HANDED) {
			atomic_write_release(&source->state, (uint32_t)OUTCOME_SOURCE_READ);
			account(outcomes, source);
		} else if (state == OUTCOME_SOURCE_LEFT) {
			idle_reset(idle); /* it may be armed on this journal */
			if (pthread_equal(source->thread, pthread_self()))
				journal_give_back(&source->reader);
			atomic_write_release(&source->state, (uint32_t)OUTCOME_SOURCE_DONE);
		}
	}
}

uint32_t outcomes_waits(struct outcomes *outcomes, struct journal **waits, uint32_t count,
	uint32_t count_max)
{
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX && count < count_max; i++)
		if (outcomes->sources[i].state == OUTCOME_SOURCE_READ && !outcomes->sources[i].bad)
			waits[count++] = &outcomes->sources[i].journal;
	return count;
}

/* A free source; NULL with *status OK if the incarnation is read already, else FULL. */
static struct outcome_source *claim(struct outcomes *outcomes, uint64_t incarnation,
	enum status *status)
{
	struct outcome_source *found = NULL;

	*status = STATUS_OK;
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++) {
		struct outcome_source *source = &outcomes->sources[i];

		if (atomic_read_acquire(&source->state) == OUTCOME_SOURCE_DONE) {
			if (source->reader.journal != NULL)
				journal_give_back(&source->reader);
			journal_shm_close(&source->journal);
			source->state = OUTCOME_SOURCE_FREE;
		}
		if (source->state != OUTCOME_SOURCE_FREE && source->incarnation == incarnation)
			return NULL; /* a restarted manager asks again */
		if (found == NULL && source->state == OUTCOME_SOURCE_FREE)
			found = source;
	}
	if (found == NULL)
		*status = STATUS_FULL;
	return found;
}

static void hand_over(struct outcome_source *source, uint32_t replica, uint64_t incarnation,
	uint64_t next_batch)
{
	source->reader.journal = &source->journal;
	source->replica = replica;
	source->incarnation = incarnation;
	source->next_batch = next_batch;
	source->bad = false;
	source->thread = pthread_self();
	atomic_write_release(&source->state, (uint32_t)OUTCOME_SOURCE_HANDED);
}

enum status outcomes_add(struct outcomes *outcomes, const struct journal *journal,
	const struct journal_reader *reader, uint32_t replica, uint64_t incarnation,
	uint64_t next_batch)
{
	enum status status;
	struct outcome_source *source = claim(outcomes, incarnation, &status);

	if (source == NULL)
		return status;
	source->journal = *journal;
	source->reader = *reader;
	hand_over(source, replica, incarnation, next_batch);
	return STATUS_OK;
}

/*
 * Where the outcome of from_batch, or the first after it that is there, begins; or the end. Looks
 * without holding the writer back. Errors: LAPPED (the writer was faster), those of the journal.
 */
static enum status find_batch(struct journal *journal, const struct outcomes_reading *reading,
	uint64_t *position)
{
	struct journal_reader reader;
	bool first = true, gone = false; /* no outcome is passed over yet */
	uint64_t batch_no;
	const void *payload;
	uint32_t bytes;
	enum status status =
		journal_attach(&reader, journal, GATE_NONE, 0, reading->reader, JOURNAL_FROM_TAIL);

	if (status != STATUS_OK)
		return status;
	reader.lazy = true;
	while ((status = journal_peek(&reader, &payload, &bytes)) == STATUS_OK) {
		batch_no = ((const struct outcome_header *)payload)->batch_no;
		if (!block_is_fold(payload, bytes) && batch_no >= reading->from_batch) {
			/* It was here, and is overwritten: what comes now is too late. */
			gone = batch_no > reading->from_batch && first &&
			       journal->control->first_batch <= reading->from_batch;
			break;
		}
		first &= block_is_fold(payload, bytes);
		journal_advance(&reader);
	}
	*position = reader.position;
	if (status == STATUS_EMPTY || status == STATUS_SEALED)
		status = STATUS_OK;
	if (status == STATUS_OK && (gone || !journal_reader_valid(&reader)))
		status = STATUS_LAPPED;
	journal_detach(&reader);
	journal_give_back(&reader);
	return status;
}

static enum status attach_from(struct outcome_source *source,
	const struct outcomes_reading *reading, uint64_t *next_batch)
{
	uint64_t position;
	enum status status = STATUS_LAPPED;

	*next_batch = source->journal.control->first_batch;
	if (reading->succeeds) {
		status = journal_succeed(&source->reader, &source->journal, reading->gate,
			reading->reader);
		if (status == STATUS_OK && source->reader.position > 0)
			*next_batch = BATCH_UNKNOWN;
		return status;
	}
	if (reading->from_batch == 0)
		return journal_attach(&source->reader, &source->journal, reading->gate, 0,
			reading->reader, 0);
	*next_batch = BATCH_UNKNOWN;
	for (int tries = 0; tries < ATTACH_TRIES && status == STATUS_LAPPED; tries++) {
		status = find_batch(&source->journal, reading, &position);
		if (status == STATUS_OK)
			status = journal_attach(&source->reader, &source->journal, reading->gate, 0,
				reading->reader, position);
	}
	return status;
}

enum status outcomes_attach(struct outcomes *outcomes, const struct shm_place *place,
	const char *name, uint32_t replica, uint64_t incarnation,
	const struct outcomes_reading *reading)
{
	uint64_t next_batch;
	enum status status;
	struct outcome_source *source = claim(outcomes, incarnation, &status);

	if (source == NULL)
		return status;
	status = journal_shm_open(&source->journal, place, name);
	if (status != STATUS_OK)
		return status;
	status = attach_from(source, reading, &next_batch);
	if (status != STATUS_OK) {
		journal_shm_close(&source->journal);
		return status;
	}
	source->reader.lazy = !outcomes->accounts;
	hand_over(source, replica, incarnation, next_batch);
	return STATUS_OK;
}
