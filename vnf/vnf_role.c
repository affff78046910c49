/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/vnf_role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loggers/base_wire.h"
#include "loggers/control.h"
#include "loggers/outcomes.h"
#include "vnf/leader.h"
#include "vnf/stage.h"
#include "vnf/team_pthread.h"

#define FOLD_BLOCK_BYTES (64u * 1024)
#define IDLE_NS 1000000
#define BLOCKED_NS 50000
#define FOLD_LOST_NS 10000000000ull
#define SHOW_BATCHES 1024
#define ATTACH_TRIES 100
#define SIGNAL_STACK_BYTES 16384

struct vnf_role {
	struct role role;
	struct replica replica;
	struct pthread_team team;
	struct journal base, outcomes;
	struct journal_reader input;
	struct outcomes before; /* what the stage before publishes; unused in the first stage */
	struct leader leader;	/* a passive slave's */
	struct journal_writer output;
	struct control control;
	struct page_stage *stage;
	struct page_replica *self;
	struct idle idle;
	struct batch_view batch; /* the input's next one, once it is open */
	bool batch_is_open;
	uint64_t next_batch;
	uint64_t fold_batch;	/* the last fold published: all below it */
	uint64_t fold_position; /* of the base, there */
	uint64_t folded_ns;
	uint64_t next_id;   /* of the first packet not yet executed */
	bool ended;	    /* the end of the input is executed */
	uint64_t base_seen; /* of the page, already forgotten */
	uint64_t blocked_since_ns;
	uint64_t restored_digest;
	enum replica_wait waits_for; /* where the last work ended in vain */
	uint32_t go;
	bool passive;
};

/* For the fatal-signal handler, which has no argument of ours. */
static struct vnf_role *handler_role;

static bool leads(const struct vnf_role *self)
{
	return page_leader(self->stage)->incarnation == self->role.options.incarnation;
}

/* A crash: stamps the time and marks the owner word, before the kernel gets to it. */
static void on_fatal_signal(int number)
{
	struct vnf_role *self = handler_role;
	struct page_failover *failover;

	if (self != NULL && self->outcomes.control != NULL) {
		failover = page_open_failover(self->role.page);
		if (failover != NULL) {
			failover->stage = self->role.options.stage;
			failover->replica = self->role.options.number;
			failover->incarnation = self->role.options.incarnation;
			failover->was_master = leads(self);
			failover->open = 1;
			atomic_write_release(&failover->t0_ns, mono_ns());
		}
		owner_mark_dead(&self->outcomes.control->owner);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void handle_fatal_signals(struct vnf_role *self)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
	stack_t stack = {.ss_sp = malloc(SIGNAL_STACK_BYTES), .ss_size = SIGNAL_STACK_BYTES};
	struct sigaction action = {.sa_handler = on_fatal_signal,
		.sa_flags = SA_ONSTACK | SA_RESETHAND};

	handler_role = self;
	if (stack.ss_sp != NULL)
		sigaltstack(&stack, NULL);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	prctl(PR_SET_DUMPABLE, 0);
}

static bool is_first(const struct vnf_role *self)
{
	return self->role.options.stage == 0;
}

/* Reads a journal of the stage before, from where this replica stands. */
static enum status read_before(struct vnf_role *self, const char *name, uint32_t replica,
	uint64_t incarnation, uint64_t from_batch)
{
	struct outcomes_reading reading = {GATE_REPLICA, "replica", from_batch};

	return outcomes_attach(&self->before, &self->role.place, name, replica, incarnation,
		&reading);
}

static bool on_message(void *context, const struct message *message, struct message *answer)
{
	struct vnf_role *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		atomic_write_release(&self->go, 1u);
	if (message->type != MESSAGE_ATTACH || is_first(self))
		return false;
	status = read_before(self, message->name, message->number, message->incarnation,
		atomic_read_acquire(&self->self->next_batch));
	*answer = *message;
	answer->type = status == STATUS_OK ? MESSAGE_ATTACHED : MESSAGE_ERROR;
	snprintf(answer->text, sizeof(answer->text), "%s cannot read %s: %s",
		self->outcomes.control->name, message->name, status_text(status));
	return true;
}

/*
 * Before the base values are asked for, so that the outcomes from there on stay in the journals
 * that are there. Those that come later, or fail here, the manager has read.
 */
static void read_all_before(struct vnf_role *self, uint64_t from_batch)
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

/* Receives the base values; *head says what they are as of. */
static enum status fetch_base(struct vnf_role *self, struct base_head *head)
{
	static uint64_t chunk[(1 << 20) / 8];
	struct serve_request request = {.magic = SERVE_MAGIC,
		.kind = SERVE_BASE,
		.stage = self->role.options.stage};
	char path[PATH_BYTES];
	enum status status;
	uint32_t bytes;
	int fd;

	snprintf(path, sizeof(path), "%.200s/logger-determinants.sock", self->role.options.run_dir);
	fd = control_connect(path);
	if (fd < 0)
		return STATUS_IO;
	status = bytes_send(fd, &request, sizeof(request));
	if (status == STATUS_OK)
		status = bytes_receive(fd, &bytes, sizeof(bytes));
	if (status == STATUS_OK)
		status = bytes == sizeof(*head) ? bytes_receive(fd, head, sizeof(*head))
						: STATUS_CORRUPT;
	while (status == STATUS_OK &&
		(status = bytes_receive(fd, &bytes, sizeof(bytes))) == STATUS_OK && bytes > 0) {
		struct fold_header *fold = (struct fold_header *)chunk;
		const struct fold_image *image;
		const uint8_t *key, *value;
		uint32_t offset = 0;

		if (bytes > sizeof(chunk) - sizeof(*fold)) {
			status = STATUS_CORRUPT;
			break;
		}
		fold->bytes = bytes + (uint32_t)sizeof(*fold);
		status = bytes_receive(fd, fold + 1, bytes);
		while (status == STATUS_OK &&
			(image = fold_image_next(fold, &offset, &key, &value)) != NULL)
			status = engine_load(&self->replica.engine, image, key, value);
	}
	close(fd);
	return status;
}

/* Maps the present leader's journal, unless it is mapped, or our own. */
static enum status follow_leader(struct vnf_role *self)
{
	const struct page_term *leader = page_leader(self->stage);
	char name[NAME_BYTES];

	if (self->leader.incarnation == leader->incarnation || leads(self))
		return STATUS_OK;
	idle_reset(&self->idle); /* it may be armed on the journal that goes */
	page_journal_name(name, self->role.config->stages[self->role.options.stage].name,
		leader->replica, leader->incarnation);
	return leader_follow(&self->leader, &self->role.place, name, leader->incarnation,
		stage_uses_determinants(&self->replica));
}

/*
 * Where the base values end: what is before that in the ring is not held, so that the writer, who
 * has gone round it, need not wait for what this replica does until it runs.
 */
static enum status attach_input(struct vnf_role *self, uint64_t *base_line)
{
	enum status status = STATUS_LAPPED;

	for (int tries = 0; tries < ATTACH_TRIES && status == STATUS_LAPPED; tries++) {
		*base_line = atomic_read_acquire(&self->stage->base_line);
		status = journal_attach(&self->input, &self->base, GATE_REPLICA,
			self->role.options.stage, "replica", *base_line);
	}
	return status;
}

/*
 * Attaches to the input where the base values end, and loads them. The leader's journal is mapped
 * before: the base values asked for afterwards are newer than the oldest outcome that it holds.
 */
static enum status restore(struct vnf_role *self)
{
	struct base_head head = {0};
	uint64_t base_batch, base_line;
	enum status status;

	status = attach_input(self, &base_line);
	base_batch = atomic_read_acquire(&self->stage->base_batch);
	if (status == STATUS_OK && !is_first(self))
		read_all_before(self, base_batch);
	/* The line is told before the batch: either says that there are base values. */
	if (status != STATUS_OK || !self->role.config->protect || (base_batch | base_line) == 0)
		return status;
	if (self->passive)
		(void)follow_leader(self); /* or as soon as there is one */
	status = fetch_base(self, &head);
	if (status != STATUS_OK)
		return status;
	if (head.state_digest != engine_state_digest(&self->replica.engine))
		return STATUS_CORRUPT;
	replica_load_counters(&self->replica);
	self->next_batch = self->fold_batch = head.batch;
	self->next_id = head.next_id;
	self->fold_position = self->input.position;
	self->base_seen = head.batch;
	return STATUS_OK;
}

/* Opens the input's next batch, once; those that the base values hold are skipped. */
static enum status open_batch(struct vnf_role *self)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	if (self->batch_is_open)
		return STATUS_OK;
	while ((status = journal_peek(&self->input, &payload, &bytes)) == STATUS_OK) {
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
static uint32_t fault_record(struct vnf_role *self, const struct batch_view *batch,
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
			(fault->target == TARGET_MASTER) != leads(self))
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
static void raise_fault(struct vnf_role *self, struct page_fault *fault)
{
	struct page_failover *failover;
	uint32_t armed = FAULT_ARMED;

	if (!atomic_swap_if(&fault->state, &armed, (uint32_t)FAULT_RAISED))
		return;
	failover = page_open_failover(self->role.page);
	if (failover != NULL) {
		failover->stage = self->role.options.stage;
		failover->replica = self->role.options.number;
		failover->incarnation = self->role.options.incarnation;
		failover->action = fault->action;
		failover->at_packet = fault->at_packet;
		failover->was_master = leads(self);
		failover->open = 1;
		atomic_write_release(&failover->t0_ns, mono_ns());
	}
	raise(fault->action == FAULT_KILL ? SIGKILL : SIGSTOP);
}

static uint32_t execute(struct vnf_role *self, const struct batch_view *batch,
	const struct outcome_view *before, void *out)
{
	uint32_t count = batch->header->count, at = count;
	struct page_fault *fault = NULL;

	if (atomic_read_relaxed(&self->role.page->faults_count) != 0)
		at = fault_record(self, batch, &fault);
	replica_begin(&self->replica, batch, before, out);
	replica_execute(&self->replica, batch, 0, at);
	if (at < count) {
		raise_fault(self, fault);
		replica_execute(&self->replica, batch, at, count);
	}
	return replica_end(&self->replica, batch);
}

static void wait_round(struct vnf_role *self, enum replica_wait why,
	struct journal *const *journals, uint32_t count)
{
	atomic_write_relaxed(&self->self->waiting, (uint32_t)why);
	if (why == WAIT_OUTPUT)
		idle_blocked(&self->idle, BLOCKED_NS);
	else
		idle_round(&self->idle, journals, count, IDLE_NS);
}

/* Room for an outcome. Errors: BLOCKED, SEALED. */
static enum status reserve(struct vnf_role *self, uint32_t bytes, void **out)
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

static enum status publish(struct vnf_role *self, uint32_t bytes)
{
	enum status status = journal_publish(&self->output, bytes, self->next_batch);

	if (self->output.wake_needed)
		idle_wake(&self->outcomes);
	return status;
}

/* One block of a fold. */
static enum status fold_block(struct vnf_role *self, uint32_t part, uint32_t *at)
{
	struct fold_header *header;
	void *out;
	uint32_t images, bytes;
	enum status status;

	counter_add(&self->self->progress, 1);
	while ((status = reserve(self, FOLD_BLOCK_BYTES, &out)) == STATUS_BLOCKED)
		wait_round(self, WAIT_OUTPUT, NULL, 0);
	if (status != STATUS_OK)
		return status;
	header = out;
	bytes = engine_copy_changes(&self->replica.engine, at, (uint8_t *)(header + 1),
		FOLD_BLOCK_BYTES - (uint32_t)sizeof(*header), &images);
	*header = (struct fold_header){
		.magic = FOLD_MAGIC,
		.batch_no = self->next_batch - 1,
		.base_line = self->fold_position,
		.state_digest = engine_state_digest(&self->replica.engine),
		.bytes = bytes + (uint32_t)sizeof(*header),
		.images = images,
		.part = part,
		.last = engine_changes_left(&self->replica.engine, *at) == 0,
		.next_id = self->next_id,
	};
	return publish(self, header->bytes);
}

/*
 * Every so many batches, and eighths of the base journal: at the same batches in every stage,
 * unless one was still busy with its last. And after the stage before, whose base values wait
 * for this one's: so what is due becomes base values in the end, also when the input stands still.
 */
static bool fold_is_due(const struct vnf_role *self)
{
	const struct config *config = self->role.config;
	uint64_t eighth = config->journal_bytes / LINE_BYTES / 8;
	uint64_t before_batch =
		is_first(self) ? 0 : atomic_read_acquire(&self->before.stage->folded_batch);

	return self->next_batch / config->fold_batches != self->fold_batch / config->fold_batches ||
	       self->input.position / eighth != self->fold_position / eighth ||
	       (before_batch > self->fold_batch && self->next_batch >= before_batch) ||
	       (self->ended && self->next_batch > self->fold_batch);
}

/* One at a time; one that has not become base values in half a journal, or long, is lost. */
static bool fold_is_pending(const struct vnf_role *self, uint64_t base_batch)
{
	return base_batch < self->fold_batch &&
	       self->input.position - self->fold_position <
		       self->role.config->journal_bytes / LINE_BYTES / 2 &&
	       mono_ns() < self->folded_ns + FOLD_LOST_NS;
}

/* Publishes what changed since the base values, if this replica folds and a fold is due. */
static enum status fold_if_due(struct vnf_role *self)
{
	uint64_t base_batch = atomic_read_acquire(&self->stage->base_batch);
	uint32_t at = 0, part = 0;
	enum status status;

	if (!self->role.config->protect)
		return STATUS_OK;
	if (base_batch > self->base_seen) {
		engine_base_advanced(&self->replica.engine, self->stage->base_next_id);
		self->base_seen = base_batch;
	}
	if (atomic_read_relaxed(&self->stage->folder) != self->role.options.incarnation ||
		!fold_is_due(self) || fold_is_pending(self, base_batch))
		return STATUS_OK;
	self->fold_batch = self->next_batch;
	self->fold_position = self->input.position;
	self->folded_ns = mono_ns();
	replica_keep_counters(&self->replica, self->next_id);
	do {
		status = fold_block(self, part++, &at);
	} while (status == STATUS_OK && engine_changes_left(&self->replica.engine, at) > 0);
	atomic_write_release(&self->stage->folded_batch, self->fold_batch);
	return status;
}

/*
 * A passive slave executes behind the leader's published outcome. Once promoted it goes on so to
 * the sealed end of the old leader's journal, which stands; only then does it lead.
 * Errors: EMPTY (not yet), and what leaves no way to learn the leader's determinants.
 */
static enum status may_execute(struct vnf_role *self, uint64_t batch_no)
{
	enum status status;

	self->replica.determinants = DETERMINANT_REPLAY;
	if (!self->passive || (leads(self) && self->leader.incarnation == 0)) {
		self->replica.determinants = DETERMINANT_RECORD;
		return STATUS_OK;
	}
	if (follow_leader(self) != STATUS_OK)
		return STATUS_EMPTY;
	status = leader_outcome(&self->leader, batch_no, &self->replica.leader);
	if (status != STATUS_SEALED)
		return status;
	if (!leads(self))
		return STATUS_EMPTY; /* until somebody is promoted */
	idle_reset(&self->idle);
	leader_drop(&self->leader);
	self->replica.determinants = DETERMINANT_RECORD;
	return STATUS_OK;
}

/* What the stage before made of the batch; *source is NULL in the first stage. Errors: EMPTY. */
static enum status find_before(struct vnf_role *self, struct outcome_source **source,
	struct outcome_view *before)
{
	*source = NULL;
	if (is_first(self))
		return STATUS_OK;
	outcomes_poll(&self->before, &self->idle);
	*source =
		outcomes_find(&self->before, &self->batch, self->role.config->ports_count, before);
	return *source == NULL ? STATUS_EMPTY : STATUS_OK;
}

/* One batch at most. Errors: EMPTY, BLOCKED, SEALED, DETACHED, ... */
static enum status work(struct vnf_role *self)
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
		(source != NULL && !journal_reader_valid(&source->reader)))
		return STATUS_DETACHED;
	if (self->replica.diverged)
		return STATUS_CORRUPT;
	self->next_batch = batch_no + 1;
	self->next_id = batch->header->first_id + batch->header->count;
	self->ended = batch->header->count > 0 &&
		      batch->records[batch->header->count - 1]->kind == RECORD_END;
	if (self->ended || self->next_batch % SHOW_BATCHES == 0)
		replica_show(&self->replica, &self->self->figures);
	status = publish(self, bytes);
	if (status != STATUS_OK)
		return status;
	self->batch_is_open = false;
	journal_advance(&self->input);
	if (source != NULL) {
		outcome_source_advance(&self->before, source);
		outcomes_catch_up(&self->before, self->next_batch); /* the others too */
	}
	atomic_write_release(&self->self->next_batch, self->next_batch);
	return fold_if_due(self);
}

/* The journals that bring the next thing to do. */
static uint32_t waits_of(struct vnf_role *self, struct journal **waits)
{
	uint32_t count = 0;

	waits[count++] = &self->base;
	if (self->passive && self->leader.incarnation != 0)
		waits[count++] = &self->leader.journal;
	return is_first(self) ? count
			      : outcomes_waits(&self->before, waits, count, IDLE_JOURNALS_MAX);
}

static int serve(struct vnf_role *self)
{
	struct journal *waits[IDLE_JOURNALS_MAX];

	for (;;) {
		enum status status = work(self);

		if (status == STATUS_OK) {
			idle_worked(&self->idle);
			continue;
		}
		if (atomic_read_relaxed(&self->role.page->stop))
			return 0;
		/* A replica before us that is behind is not to wait for our next batch. */
		if (!is_first(self)) {
			outcomes_poll(&self->before, &self->idle);
			outcomes_catch_up(&self->before, self->next_batch);
		}
		if (status == STATUS_EMPTY)
			status = fold_if_due(self) == STATUS_SEALED ? STATUS_SEALED : STATUS_EMPTY;
		if (status == STATUS_EMPTY || status == STATUS_BLOCKED) {
			if (self->idle.rounds == 1)
				replica_show(&self->replica, &self->self->figures);
			wait_round(self, self->waits_for, waits, waits_of(self, waits));
		} else {
			if (status != STATUS_SEALED)
				fprintf(stderr, "understudy: %s: stops at batch %llu: %s\n",
					self->outcomes.control->name,
					(unsigned long long)self->next_batch, status_text(status));
			return status == STATUS_SEALED ? 0 : 1;
		}
	}
}

/* In each further worker's thread; the first one has its core. */
static void on_worker_start(void *context, uint32_t worker)
{
	struct vnf_role *self = context;
	const struct role_options *options = &self->role.options;

	(void)role_take_core(&self->role,
		role_replica_thread(self->role.config, options->stage, options->number) + worker);
	role_take_short_turns();
}

/* The stage's workers, and how they are to go about it. */
static enum status start_team(struct vnf_role *self, char *error)
{
	const struct role_options *options = &self->role.options;
	const struct config_stage *stage = &self->role.config->stages[options->stage];
	enum status status;

	self->replica.access.clock_ns = mono_ns;
	self->replica.access.decision.forced = strategy_find(stage->strategies[options->number]);
	status = team_pthread_start(&self->team, stage->workers[options->number],
		self->idle.shares_core, on_worker_start, self);
	if (status != STATUS_OK)
		snprintf(error, CONFIG_ERROR_BYTES, "stage %s: cannot start %u workers: %s",
			stage->name, stage->workers[options->number], status_text(status));
	self->replica.team = &self->team.team;
	return status;
}

static enum status start(struct vnf_role *self, char *error)
{
	const struct config *config = self->role.config;
	const struct role_options *options = &self->role.options;
	uint64_t hash_seed = 0;
	char name[NAME_BYTES];
	struct message hello = role_hello(&self->role, ROLE_REPLICA);
	enum status status;

	if (getrandom(&hash_seed, sizeof(hash_seed), 0) < 0)
		hash_seed = (uint64_t)getpid();
	status = stage_open(&self->replica, config, options->stage,
		config->stages[options->stage].workers[options->number], config->protect, hash_seed,
		error);
	if (status == STATUS_OK)
		status = start_team(self, error);
	if (status != STATUS_OK)
		return status;
	self->replica.engine.progress = &self->self->progress;
	if (!is_first(self))
		self->before.stage = &self->role.page->stages[options->stage - 1];
	status = journal_shm_open(&self->base, &self->role.place, BASE_JOURNAL_NAME);
	if (status == STATUS_OK)
		status = restore(self);
	page_journal_name(name, config->stages[options->stage].name, options->number,
		options->incarnation);
	if (status == STATUS_OK)
		status = journal_shm_create(&self->outcomes, &self->role.place, name,
			config->journal_bytes, self->next_batch, options->incarnation,
			config->protect);
	if (status == STATUS_OK)
		status = journal_writer_open(&self->output, &self->outcomes, 0);
	if (status != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot start: %s", name,
			status_text(status));
		return status;
	}
	self->self->first_batch = self->next_batch;
	atomic_write_release(&self->self->next_batch, self->next_batch);
	self->self->tid = (uint32_t)syscall(SYS_gettid);
	snprintf(hello.name, sizeof(hello.name), "%s", name);
	hello.value = self->next_batch;
	return control_start(&self->control, options->run_dir, &hello, on_message, self);
}

/* Of all that it holds back, before it waits. */
static void let_go(struct vnf_role *self)
{
	if (self->input.journal != NULL)
		journal_detach(&self->input);
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++)
		if (self->before.sources[i].state != OUTCOME_SOURCE_FREE)
			journal_detach(&self->before.sources[i].reader);
}

int vnf_role_main(const struct role_options *options)
{
	static struct vnf_role self;
	char error[CONFIG_ERROR_BYTES] = "";
	int result;

	if (role_open(&self.role, ROLE_REPLICA, options, error) != STATUS_OK) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	/* All threads: what ends last takes the process's memory down, on this core too. */
	self.idle.shares_core = role_take_core(&self.role,
		role_replica_thread(self.role.config, options->stage, options->number));
	self.stage = &self.role.page->stages[options->stage];
	self.self = &self.stage->replicas[options->number];
	self.passive = self.role.config->stages[options->stage].variant == VARIANT_PASSIVE &&
		       self.role.config->protect;
	handle_fatal_signals(&self);
	if (start(&self, error) != STATUS_OK) {
		/* Only at the beginning is that the run's failure; later the others carry on. */
		if (page_leader(self.stage)->incarnation == 0) {
			page_fail(self.role.page, "%.200s", error);
		} else {
			fprintf(stderr, "understudy: %s; another try in a second\n", error);
			let_go(&self);
			sleep(1);
		}
		return 1;
	}
	while (!atomic_read_acquire(&self.go) && !atomic_read_relaxed(&self.role.page->stop))
		usleep(100);
	role_take_short_turns();
	result = serve(&self);
	_exit(result); /* the process's end frees all; the control thread may be anywhere */
}
