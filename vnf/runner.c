/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/runner.h"

#include "core/fault_points.h"
#include "core/mutants.h"

#define IDLE_NS 1000000
#define BLOCKED_NS 50000
#define FOLD_LOST_NS 10000000000ull
#define SHOW_BATCHES 1024
#define ATTACH_TRIES 100
/* So many fit any block. */
#define FOLD_IMAGES                                                                                \
	((FOLD_BYTES_MAX - (uint32_t)sizeof(struct fold_header)) /                                 \
		fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX))
#define PASS_BLOCKS_MAX 8 /* between two batches */

bool runner_leads(const struct runner *self)
{
	return page_leader(self->stage)->incarnation == self->role.options.incarnation;
}

struct failover_subject runner_as_subject(const struct runner *self)
{
	return (struct failover_subject){ROLE_REPLICA, self->role.options.stage,
		self->role.options.number, self->role.options.incarnation};
}

bool runner_is_first(const struct runner *self)
{
	return self->role.options.stage == 0;
}

/* Reads a journal of the stage before, from where this replica stands. */
static enum status read_before(struct runner *self, const char *name, uint32_t replica,
	uint64_t incarnation, uint64_t from_batch)
{
	struct outcomes_reading reading = {GATE_REPLICA, "replica", from_batch, false};

	return outcomes_attach(&self->before, &self->role.place, name, replica, incarnation,
		&reading);
}

enum status runner_attach(struct runner *self, const struct message *message)
{
	return read_before(self, message->name, message->number, message->incarnation,
		atomic_read_acquire(&self->self->next_batch));
}

/*
 * Before the base values are asked for, so that the outcomes from there on stay in the journals
 * that are there. Those that come later, or fail here, the manager has read.
 */
static void read_all_before(struct runner *self, uint64_t from_batch)
{
	uint32_t before = self->role.options.stage - 1;
	const struct page_stage *stage = &self->role.page->stages[before];
	char name[NAME_BYTES];

	for (uint32_t r = 0; r < config_replicas(self->role.config, before); r++) {
		uint32_t state = atomic_read_acquire(&stage->replicas[r].state);
		uint64_t incarnation = stage->replicas[r].incarnation;

		if (state != REPLICA_RESTORING && state != REPLICA_READY)
			continue;
		page_journal_name(name, self->role.config->stages[before].name, r, incarnation);
		(void)read_before(self, name, r, incarnation, from_batch);
	}
}

/* Maps a leader's journal, unless it is mapped. Errors: leader_follow's; EMPTY: there is none. */
static enum status follow(struct runner *self, const struct page_term *leader)
{
	char name[NAME_BYTES];

	if (leader->incarnation == 0)
		return STATUS_EMPTY;
	if (self->leader.incarnation == leader->incarnation)
		return STATUS_OK;
	idle_reset(&self->idle); /* it may be armed on the journal that goes */
	page_journal_name(name, self->role.config->stages[self->role.options.stage].name,
		leader->replica, leader->incarnation);
	return leader_follow(&self->leader, &self->role.place, name, leader->incarnation,
		replica_records(&self->replica));
}

/*
 * Where the base values end: what is before that in the ring is not held, so that the writer, who
 * has gone round it, need not wait for what this replica does until it runs.
 */
static enum status attach_input(struct runner *self, uint64_t *base_line)
{
	enum status status = STATUS_LAPPED;

	for (int tries = 0; tries < ATTACH_TRIES && status == STATUS_LAPPED; tries++) {
		journal_shm_close(&self->base.journal);
		*base_line = atomic_read_acquire(&self->stage->base_line);
		status = base_open(&self->base, *base_line);
		if (status == STATUS_OK)
			status = journal_attach(&self->input, &self->base.journal, GATE_REPLICA,
				self->role.options.stage, "replica", *base_line);
	}
	return status;
}

enum status runner_load_images(struct runner *self, const struct fold_header *fold)
{
	const struct fold_image *image;
	const uint8_t *key, *value;
	uint32_t offset = 0;
	enum status status = STATUS_OK;

	counter_add(&self->self->progress, 1);
	while (status == STATUS_OK &&
		(image = fold_image_next(fold, &offset, &key, &value)) != NULL)
		status = engine_load(&self->replica.engine, image, key, value);
	return status;
}

/*
 * Attaches to the input where the base values end, and loads them. The leader's journal, which this
 * replica would hold back meanwhile, is mapped afterwards: it goes back much further than the last
 * base values.
 */
static enum status restore(struct runner *self)
{
	struct base_head head = {0};
	uint64_t base_batch, base_line;
	enum status status;

	status = attach_input(self, &base_line);
	base_batch = atomic_read_acquire(&self->stage->base_batch);
	if (status == STATUS_OK && !runner_is_first(self))
		read_all_before(self, base_batch);
	/* The line is told before the batch: either says that there are base values. */
	if (status != STATUS_OK || !self->role.config->protect || (base_batch | base_line) == 0)
		return status;
	FAULT_POINT(RESTORE_ATTACHED);
	status = self->shell->read_base(self, &head);
	if (status != STATUS_OK)
		return status;
	FAULT_POINT(RESTORE_LOADED);
	if (head.state_digest != engine_state_digest(&self->replica.engine))
		return STATUS_CORRUPT;
	replica_load_counters(&self->replica);
	self->next_batch = self->fold_batch = head.batch + MUTANT(REPLAY_TOO_FEW);
	self->next_id = head.next_id;
	self->fold_position = self->input.position;
	self->base_seen = head.batch;
	return STATUS_OK;
}

void runner_open(struct runner *self, const struct runner_shell *shell)
{
	const struct role_options *options = &self->role.options;
	const struct config *config = self->role.config;

	self->shell = shell;
	self->stage = &self->role.page->stages[options->stage];
	self->self = &self->stage->replicas[options->number];
	self->passive = config->stages[options->stage].variant == VARIANT_PASSIVE &&
			config->protect;
	if (!runner_is_first(self))
		self->before.stage = &self->role.page->stages[options->stage - 1];
}

enum status runner_start(struct runner *self)
{
	const struct role_options *options = &self->role.options;
	const struct config *config = self->role.config;
	char name[NAME_BYTES];
	enum status status;

	self->base = (struct base){.page = self->role.page,
		.place = &self->role.place,
		.idle = &self->idle};
	self->replica.engine.progress = &self->self->progress;
	status = restore(self);
	page_journal_name(name, config->stages[options->stage].name, options->number,
		options->incarnation);
	if (status == STATUS_OK)
		status = journal_shm_create(&self->outcomes, &self->role.place, name,
			config->journal_bytes, self->next_batch, options->incarnation,
			config->protect);
	if (status == STATUS_OK)
		status = journal_writer_open(&self->output, &self->outcomes, 0);
	if (status != STATUS_OK)
		return status;
	self->self->first_batch = self->next_batch;
	atomic_write_release(&self->self->next_batch, self->next_batch);
	return STATUS_OK;
}

/* The input's next block; at the end of a gateway's, in its successor's. Errors: EMPTY, ... */
static enum status peek_input(struct runner *self, const void **payload, uint32_t *bytes)
{
	enum status status;

	while ((status = journal_peek(&self->input, payload, bytes)) == STATUS_SEALED) {
		status = base_follow(&self->base, &self->input);
		if (status != STATUS_OK)
			break;
	}
	return status;
}

/* Opens the input's next batch, once; those that the base values hold are skipped. */
static enum status open_batch(struct runner *self)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	if (self->batch_is_open)
		return STATUS_OK;
	while ((status = peek_input(self, &payload, &bytes)) == STATUS_OK) {
		status = batch_open(&self->batch, payload, bytes);
		self->batch_is_open = status == STATUS_OK &&
				      self->batch.header->batch_no >= self->next_batch;
		if (status != STATUS_OK || self->batch_is_open)
			return status;
		journal_advance(&self->input);
	}
	return status;
}

/* The fault that this replica must raise at a packet of this batch: its record, or count. */
static uint32_t fault_record(struct runner *self, const struct batch_view *batch,
	struct page_fault **due)
{
	struct page *page = self->role.page;
	uint32_t faults = atomic_read_relaxed(&page->faults_count);
	uint64_t first = batch->header->first_packet_no, packets = batch->header->packets;

	for (uint32_t i = 0; i < faults; i++) {
		struct page_fault *fault = &page->faults[i];
		uint64_t packet_no = first;

		if (atomic_read_acquire(&fault->state) != FAULT_ARMED || fault->at_packet < first ||
			fault->at_packet >= first + packets ||
			fault->stage != self->role.options.stage ||
			(fault->target == TARGET_MASTER) != runner_leads(self))
			continue;
		for (uint32_t r = 0; r < batch->header->count; r++)
			if (batch->records[r]->kind == RECORD_PACKET &&
				packet_no++ == fault->at_packet) {
				*due = fault;
				return r;
			}
	}
	return batch->header->count;
}

/* Raises the fault here and now; comes back only from a stop that was continued. */
static void raise_fault(struct runner *self, struct page_fault *fault)
{
	const struct failover_subject subject = runner_as_subject(self);
	uint32_t armed = FAULT_ARMED;

	if (!atomic_swap_if(&fault->state, &armed, (uint32_t)FAULT_RAISED))
		return;
	if (fault->action == FAULT_FLIP) {
		engine_flip(&self->replica.engine);
		return;
	}
	(void)page_open_failover(self->role.page, &subject, fault, mono_ns());
	self->shell->raise(self, (enum fault_action)fault->action);
}

/* Whether a replica crashed in this batch: then packet by packet, so that it is known on which. */
static bool is_suspect(const struct page_stage *stage, uint64_t batch_no)
{
	for (uint32_t i = 0; i < SUSPECTS_MAX; i++)
		if (atomic_read_relaxed(&stage->suspects[i]) == batch_no + 1)
			return true;
	return false;
}

void runner_crashes(struct runner *self)
{
	if (self->self != NULL)
		atomic_write_release(&self->self->crashed, self->role.options.incarnation);
}

static uint32_t execute(struct runner *self, const struct batch_view *batch,
	const struct outcome_view *before, void *out)
{
	uint32_t count = batch->header->count, at = count, bytes;
	struct page_fault *fault = NULL;

	if (atomic_read_relaxed(&self->role.page->faults_count) != 0)
		at = fault_record(self, batch, &fault);
	self->replica.asides = self->stage->asides;
	self->replica.asides_count = atomic_read_acquire(&self->stage->asides_count);
	self->replica.careful =
		is_suspect(self->stage, batch->header->batch_no) ? &self->self->at_packet : NULL;
	atomic_write_relaxed(&self->self->at_batch, batch->header->batch_no + 1);
	replica_begin(&self->replica, batch, before, out);
	replica_execute(&self->replica, batch, 0, at);
	if (at < count) {
		raise_fault(self, fault);
		replica_execute(&self->replica, batch, at, count);
	}
	bytes = replica_end(&self->replica, batch);
	atomic_write_relaxed(&self->self->at_batch, 0ull);
	return bytes;
}

static void wait_round(struct runner *self, enum replica_wait why, struct journal *const *journals,
	uint32_t count)
{
	atomic_write_relaxed(&self->self->waiting, (uint32_t)why);
	if (why == WAIT_OUTPUT)
		idle_blocked(&self->idle, BLOCKED_NS);
	else
		idle_round(&self->idle, journals, count, IDLE_NS);
}

/* Room for an outcome. Errors: BLOCKED, SEALED. */
static enum status reserve(struct runner *self, uint32_t bytes, void **out)
{
	enum status status = journal_reserve(&self->output, bytes, out);
	uint64_t now_ns;

	if (status != STATUS_BLOCKED) {
		self->blocked_since_ns = 0;
		return status;
	}
	now_ns = mono_ns();
	if (self->blocked_since_ns == 0)
		self->blocked_since_ns = now_ns;
	(void)journal_detach_blockers(&self->output,
		now_ns - self->blocked_since_ns > self->role.config->hang_ms * 1000000ull);
	return status;
}

static enum status publish(struct runner *self, uint32_t bytes)
{
	enum status status = journal_publish(&self->output, bytes, self->next_batch);

	if (self->output.wake_needed)
		idle_wake(&self->outcomes);
	return status;
}

/* One block of a fold. Errors: BLOCKED, SEALED; CORRUPT: the memory under the state is bad. */
static enum status fold_block(struct runner *self, bool may_be_last)
{
	struct engine *engine = &self->replica.engine;
	struct fold_header *header;
	void *out;
	uint32_t images, bytes;
	bool sound;
	enum status status = reserve(self, FOLD_BYTES_MAX, &out);

	if (status != STATUS_OK)
		return status;
	counter_add(&self->self->progress, 1);
	header = out;
	bytes = engine_pass_copy(engine, (uint8_t *)(header + 1),
		FOLD_BYTES_MAX - (uint32_t)sizeof(*header), &images, &sound);
	if (!sound && !MUTANT(FOLD_UNSOUND))
		return STATUS_CORRUPT;
	*header = (struct fold_header){
		.magic = FOLD_MAGIC,
		.batch_no = self->next_batch - 1 + MUTANT(STALE_FOLD),
		.base_line = self->input.position,
		.state_digest = engine_state_digest(engine),
		.bytes = bytes + (uint32_t)sizeof(*header),
		.images = images,
		.part = self->fold_part++,
		.last = may_be_last && engine_pass_left(engine) == 0,
		.next_id = self->next_id,
	};
	status = publish(self, header->bytes);
	FAULT_POINT(FOLD_BLOCK);
	return status;
}

/*
 * Every so many batches, and eighths of the base journal: at the same batches in every stage,
 * unless one was still busy with its last. And after the stage before, whose base values wait
 * for this one's: so what is due becomes base values in the end, also when the input stands still.
 */
static bool fold_is_due(const struct runner *self)
{
	const struct config *config = self->role.config;
	uint64_t eighth = config->journal_bytes / LINE_BYTES / 8;
	uint64_t before_batch =
		runner_is_first(self) ? 0 : atomic_read_acquire(&self->before.stage->folded_batch);

	return self->next_batch / config->fold_batches != self->fold_batch / config->fold_batches ||
	       self->input.position / eighth != self->fold_position / eighth ||
	       (before_batch > self->fold_batch && self->next_batch >= before_batch) ||
	       (self->ended && self->next_batch > self->fold_batch);
}

static uint64_t logger_starts(const struct runner *self)
{
	return atomic_read_relaxed(&self->role.page->services[LOGGER_DETERMINANTS].starts);
}

/*
 * One at a time; one that has not become base values in half a journal, or long, is lost, and so is
 * what a logger held that has died.
 */
static bool fold_is_pending(const struct runner *self, uint64_t base_batch)
{
	return base_batch < self->published_batch && self->published_for == logger_starts(self) &&
	       self->input.position - self->published_position <
		       self->role.config->journal_bytes / LINE_BYTES / 2 &&
	       mono_ns() < self->published_ns + FOLD_LOST_NS;
}

/* What is left goes at once: the state is that of now. */
static enum status end_pass(struct runner *self)
{
	struct engine *engine = &self->replica.engine;
	enum status status = STATUS_OK;

	if (self->publishing) {
		replica_keep_counters(&self->replica, self->next_id);
		do
			status = fold_block(self, true);
		while (status == STATUS_OK && engine_pass_left(engine) > 0);
	} else {
		engine_pass_over(engine, UINT64_MAX);
	}
	if (status != STATUS_OK)
		return status;
	engine_pass_end(engine, self->next_id);
	self->passing = false;
	self->fold_batch = self->next_batch;
	self->fold_position = self->input.position;
	if (!self->publishing)
		return STATUS_OK;
	self->published_batch = self->fold_batch;
	self->published_position = self->fold_position;
	self->published_ns = mono_ns();
	atomic_write_release(&self->stage->folded_batch, self->fold_batch);
	FAULT_POINT(FOLD_PUBLISHED);
	return STATUS_OK;
}

/* Goes on with the pass until less is left than the last time, whatever has changed since. */
static enum status go_on_passing(struct runner *self)
{
	struct engine *engine = &self->replica.engine;
	uint64_t left = engine_pass_left(engine);
	enum status status = STATUS_OK;

	for (uint32_t blocks = 0; left > FOLD_IMAGES && left + FOLD_IMAGES > self->pass_left &&
				  blocks < PASS_BLOCKS_MAX && status == STATUS_OK;
		blocks++) {
		if (self->publishing)
			status = fold_block(self, false);
		else
			engine_pass_over(engine, FOLD_IMAGES);
		left = engine_pass_left(engine);
	}
	self->pass_left = left;
	return status == STATUS_OK && left <= FOLD_IMAGES ? end_pass(self) : status;
}

/* What was lost, or passed over before this replica folded, is due at once. */
static bool pass_is_due(const struct runner *self, uint64_t base_batch, bool folds)
{
	if (!folds)
		return fold_is_due(self);
	return !fold_is_pending(self, base_batch) &&
	       (fold_is_due(self) || base_batch < self->fold_batch);
}

/*
 * Between batches: forgets what base values have; and passes over what changed since, if that is
 * due. Errors: fold_block's.
 */
static enum status fold_if_due(struct runner *self)
{
	uint64_t base_batch = atomic_read_acquire(&self->stage->base_batch);
	bool folds = atomic_read_relaxed(&self->stage->folder) == self->role.options.incarnation;
	bool goes_on = self->passing && self->publishing == folds;

	if (!self->role.config->protect)
		return STATUS_OK;
	if (base_batch > self->base_seen) {
		self->base_seen = base_batch;
		if (engine_base_advanced(&self->replica.engine, self->stage->base_next_id))
			goes_on &= !folds || MUTANT(FOUND_PASS_ON);
	}
	if (goes_on && (!folds || self->published_for == logger_starts(self)))
		return go_on_passing(self);
	if (!self->passing && !pass_is_due(self, base_batch, folds))
		return STATUS_OK;
	self->passing = true;
	self->publishing = folds;
	if (folds)
		self->published_for = logger_starts(self);
	self->fold_part = 0;
	self->pass_left = UINT64_MAX;
	engine_pass_begin(&self->replica.engine, folds);
	return go_on_passing(self);
}

/*
 * What a former leader published of the batch, the newest first: all of it stands. A journal that
 * is gone holds nothing that this replica has not executed (see the manager's may_forget). Errors:
 * SEALED: none of them published it; what leaves no way to learn its determinants.
 */
static enum status find_former(struct runner *self, uint64_t batch_no)
{
	uint64_t own_term = page_leader(self->stage)->term;
	enum status status = STATUS_SEALED;

	if (self->leader.incarnation != 0)
		status = leader_outcome(&self->leader, batch_no, &self->replica.leader);
	for (uint64_t term = own_term - 1; status == STATUS_SEALED && term > 0; term--) {
		const struct page_term *former = &self->stage->terms[term % TERMS_MAX];

		if (former->term != term)
			break;
		status = follow(self, former);
		if (status == STATUS_OK)
			status = leader_outcome(&self->leader, batch_no, &self->replica.leader);
		else if (status == STATUS_NOT_FOUND)
			status = STATUS_SEALED;
	}
	return status;
}

/*
 * A passive slave executes behind the leader's published outcome. Once promoted it goes on so to
 * the sealed ends of the former leaders' journals, which stand; only then does it lead.
 * Errors: EMPTY (not yet), and what leaves no way to learn the leader's determinants.
 */
static enum status may_execute(struct runner *self, uint64_t batch_no)
{
	enum status status;

	if (!self->passive || self->determines) {
		self->replica.determinants = DETERMINANT_RECORD;
		return STATUS_OK;
	}
	self->replica.determinants = DETERMINANT_REPLAY;
	if (!runner_leads(self)) {
		if (follow(self, page_leader(self->stage)) != STATUS_OK)
			return STATUS_EMPTY;
		/* It began behind that: base values as recent as its own are what is left. */
		if (replica_records(&self->replica) &&
			batch_no < self->leader.journal.control->first_batch)
			return STATUS_LAPPED;
		status = leader_outcome(&self->leader, batch_no, &self->replica.leader);
		/* Until somebody is promoted. */
		return status == STATUS_SEALED ? STATUS_EMPTY : status;
	}
	status = MUTANT(LEAD_EARLY) ? STATUS_SEALED : find_former(self, batch_no);
	if (status != STATUS_SEALED)
		return status;
	idle_reset(&self->idle);
	leader_drop(&self->leader);
	self->determines = true;
	atomic_write_release(&self->self->determines, self->role.options.incarnation);
	self->replica.determinants = DETERMINANT_RECORD;
	return STATUS_OK;
}

/* What the stage before made of the batch; *source is NULL in the first stage. Errors: EMPTY. */
static enum status find_before(struct runner *self, struct outcome_source **source,
	struct outcome_view *before)
{
	*source = NULL;
	if (runner_is_first(self))
		return STATUS_OK;
	outcomes_poll(&self->before, &self->idle);
	*source =
		outcomes_find(&self->before, &self->batch, self->role.config->ports_count, before);
	return *source == NULL ? STATUS_EMPTY : STATUS_OK;
}

/* One batch at most. Errors: EMPTY, BLOCKED, SEALED, DETACHED, ... */
static enum status work(struct runner *self)
{
	const struct batch_view *batch = &self->batch;
	struct outcome_view before;
	struct outcome_source *source;
	uint64_t batch_no;
	void *out;
	uint32_t bytes;
	enum status status;

	self->waits_for = WAIT_INPUT;
	status = open_batch(self);
	/* A new leader need not wait for input to be done with its predecessors. */
	if (status == STATUS_EMPTY && self->passive && !self->determines && runner_leads(self) &&
		!MUTANT(FOUND_IDLE_LEADER))
		(void)may_execute(self, self->next_batch);
	if (status != STATUS_OK)
		return status;
	batch_no = batch->header->batch_no;
	status = may_execute(self, batch_no);
	if (status == STATUS_EMPTY)
		self->waits_for = WAIT_LEADER;
	if (status == STATUS_OK)
		status = find_before(self, &source, &before);
	if (status != STATUS_OK)
		return status;
	self->waits_for = WAIT_OUTPUT;
	status = reserve(self, OUTCOME_BYTES_MAX, &out);
	if (status != STATUS_OK)
		return status;
	atomic_write_relaxed(&self->self->waiting, (uint32_t)WAIT_NOTHING);
	bytes = execute(self, batch, source == NULL ? NULL : &before, out);
	if (!journal_reader_valid(&self->input) ||
		(source != NULL && !journal_reader_valid(&source->reader)) ||
		!leader_is_valid(&self->leader))
		return STATUS_DETACHED; /* it may have read what was overwritten meanwhile */
	if (self->replica.diverged)
		return STATUS_CORRUPT;
	self->next_batch = batch_no + 1;
	self->next_id = batch->header->first_id + batch->header->count;
	self->ended = batch->header->count > 0 &&
		      batch->records[batch->header->count - 1]->kind == RECORD_END;
	if (self->ended || self->next_batch % SHOW_BATCHES == 0)
		replica_show(&self->replica, &self->self->figures);
	FAULT_POINT(OUTCOME_READY);
	status = publish(self, bytes);
	if (status != STATUS_OK)
		return status;
	FAULT_POINT(OUTCOME_PUBLISHED);
	if (atomic_read_relaxed(&self->self->state) == REPLICA_RESTORING)
		FAULT_POINT(CATCHING_UP);
	self->batch_is_open = false;
	journal_advance(&self->input);
	if (source != NULL) {
		outcome_source_advance(&self->before, source);
		outcomes_catch_up(&self->before, self->next_batch); /* the others too */
	}
	atomic_write_release(&self->self->next_batch, self->next_batch);
	status = fold_if_due(self);
	return status == STATUS_BLOCKED ? STATUS_OK
					: status; /* the next batch waits for room too */
}

/* The journals that bring the next thing to do. */
static uint32_t waits_of(struct runner *self, struct journal **waits)
{
	uint32_t count = 0;

	waits[count++] = &self->base.journal;
	if (self->passive && self->leader.incarnation != 0)
		waits[count++] = &self->leader.journal;
	return runner_is_first(self)
		       ? count
		       : outcomes_waits(&self->before, waits, count, IDLE_JOURNALS_MAX);
}

enum status runner_serve(struct runner *self)
{
	struct journal *waits[IDLE_JOURNALS_MAX];

	for (;;) {
		enum status status = work(self);

		if (status == STATUS_OK) {
			idle_worked(&self->idle);
			continue;
		}
		if (atomic_read_relaxed(&self->role.page->stop))
			return STATUS_OK;
		/* A replica before us that is behind is not to wait for our next batch. */
		if (!runner_is_first(self)) {
			outcomes_poll(&self->before, &self->idle);
			outcomes_catch_up(&self->before, self->next_batch);
		}
		if (status == STATUS_EMPTY)
			status = fold_if_due(self);
		if (status == STATUS_OK && self->passing) {
			idle_worked(&self->idle);
			continue;
		}
		if (status == STATUS_OK || status == STATUS_EMPTY || status == STATUS_BLOCKED) {
			if (self->idle.rounds == 1)
				replica_show(&self->replica, &self->self->figures);
			wait_round(self, self->waits_for, waits, waits_of(self, waits));
		} else {
			return status;
		}
	}
}

bool runner_is_needed(const struct runner *self)
{
	/* Base values to restore from may be there the next time. */
	return page_leader(self->stage)->incarnation == 0 && !self->role.page->restart.wanted &&
	       atomic_read_acquire(&self->self->incarnation) == self->role.options.incarnation;
}

void runner_let_go(struct runner *self)
{
	if (self->input.journal != NULL)
		journal_detach(&self->input);
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++)
		if (self->before.sources[i].state != OUTCOME_SOURCE_FREE)
			journal_detach(&self->before.sources[i].reader);
}
