/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "loggers/control.h"
#include "loggers/logger.h"
#include "manager/manager.h"
#include "sequencer/egress.h"
#include "sequencer/ingress.h"
#include "tests/sim/disk.h"
#include "tests/sim/input.h"
#include "tests/sim/mail.h"
#include "tests/sim/oracle.h"
#include "tests/sim/platform.h"
#include "vnf/runner.h"

#define LINKS_MAX 64
#define RETRY_NS 20000000
#define TICK_NS 1000000

struct page *page;
struct store *disks[LOGGERS_COUNT];
static struct config *config;

/* A role's connection to a manager. */
struct link {
	struct control *control;
	struct thread *thread; /* the role's control thread */
	struct peer *peer;
	struct mail to_manager, to_role;
	bool open, greeted;
};

struct manager_process {
	struct manager manager;
	struct process *process;
	struct thread *thread;
	struct link *links[LINKS_MAX];
	uint32_t links_count;
	struct mail from_supervisor;
};

static struct {
	struct manager_process *manager; /* the present one, or NULL */
	struct process *process;
	struct thread *thread;
	struct mail from_manager;
	struct process *ended[PROCESSES_MAX];
	uint64_t ended_ns[PROCESSES_MAX];
	uint32_t ended_count, told;
	bool done;
} supervisor;

static struct ingress *base_ingress;

uint64_t answer_of_the_world(void)
{
	return (uint64_t)world_random(1u << 30) << 20 | 1;
}

uint64_t base_overwritten(void)
{
	const struct journal_writer *writer = base_ingress == NULL ? NULL : &base_ingress->writer;

	return writer == NULL || writer->journal == NULL
		       ? 0
		       : writer->limit - writer->journal->ring_lines;
}

uint32_t journal_stage(const char *name)
{
	return (uint32_t)(name[1] - '0');
}

bool process_may_fail(const struct process *process)
{
	return process->kind == PROCESS_REPLICA || process->kind == PROCESS_MANAGER ||
	       (plan_is_fatal(world.plan) && process->kind != PROCESS_SUPERVISOR);
}

bool processes_ended_well(void)
{
	return supervisor.done && page->failed == 0;
}

static void role_begin(struct role *role, uint32_t stage, uint32_t number, uint64_t incarnation)
{
	role->options.stage = stage;
	role->options.number = number;
	role->options.incarnation = incarnation;
	role->options.run_dir = "";
	role->config = config;
	role->page = page;
}

static struct message hello_of(const struct process *process, enum role_kind kind)
{
	return (struct message){.type = MESSAGE_HELLO,
		.role = kind,
		.stage = process->stage,
		.number = process->number,
		.pid = process->pid,
		.incarnation = process->incarnation};
}

/* The control thread. */

static void converse(struct link *link)
{
	struct control *control = link->control;
	struct message message, answer;

	mail_put(&link->to_manager, &control->hello, false, supervisor.manager->thread);
	while (link->open) {
		uint64_t next_ns = mail_next_ns(&link->to_role);

		if (mail_take(&link->to_role, &message)) {
			memset(&answer, 0, sizeof(answer));
			if (control->handler(control->context, &message, &answer) && link->open)
				mail_put(&link->to_manager, &answer, false,
					supervisor.manager->thread);
			continue;
		}
		world_sleep(
			next_ns < world.now_ns + 5000000 ? next_ns - world.now_ns + 1 : 5000000);
	}
}

static void control_main(void *argument)
{
	struct control *control = argument;

	for (;;) {
		struct manager_process *manager = supervisor.manager;

		if (manager != NULL && manager->process->alive && manager->thread != NULL) {
			struct link *link = calloc(1, sizeof(*link));

			BUG_ON(manager->links_count == LINKS_MAX);
			link->control = control;
			link->thread = world.current;
			link->open = true;
			manager->links[manager->links_count++] = link;
			converse(link);
		}
		world_sleep(RETRY_NS);
	}
}

enum status control_start(struct control *control, const char *run_dir, const struct message *hello,
	control_handler handler, void *context)
{
	(void)run_dir;
	control->hello = *hello;
	control->handler = handler;
	control->context = context;
	(void)thread_start(world.current->process, "control", control_main, control);
	return STATUS_OK;
}

/* The manager. */

static void send_to(void *connection, const struct message *message)
{
	struct link *link = connection;

	if (connection == &supervisor)
		mail_put(&supervisor.from_manager, message, true, supervisor.thread);
	else if (link->open)
		mail_put(&link->to_role, message, true, link->thread);
}

static bool receive_all(struct manager_process *self)
{
	struct message message;
	bool some = false;

	while (mail_take(&self->from_supervisor, &message)) {
		manager_receive(&self->manager, self->manager.supervisor, &message);
		some = true;
	}
	for (uint32_t i = 0; i < self->links_count; i++) {
		struct link *link = self->links[i];

		while (mail_take(&link->to_manager, &message)) {
			if (link->peer == NULL)
				link->peer = manager_connect(&self->manager, link, false);
			manager_receive(&self->manager, link->peer, &message);
			some = true;
		}
		if (!link->thread->process->alive && link->open) {
			link->open = false;
			if (link->peer != NULL)
				manager_disconnect(&self->manager, link->peer);
			link->peer = NULL;
			link->to_manager.count = 0;
		}
	}
	return some;
}

static uint64_t manager_next_ns(const struct manager_process *self, uint64_t tick_ns)
{
	uint64_t next_ns = mail_next_ns(&self->from_supervisor);

	if (tick_ns < next_ns)
		next_ns = tick_ns;
	for (uint32_t i = 0; i < self->links_count; i++)
		if (mail_next_ns(&self->links[i]->to_manager) < next_ns)
			next_ns = mail_next_ns(&self->links[i]->to_manager);
	return next_ns;
}

static void manager_process_main(void *argument)
{
	struct manager_process *self = argument;
	uint64_t tick_ns = world.now_ns;
	struct death death;

	role_begin(&self->manager.role, 0, 0, 0);
	manager_open(&self->manager);
	self->manager.send = send_to;
	(void)manager_connect(&self->manager, &supervisor, true);
	if (page->incarnations != 0)
		sometimes(SOMETIMES_MANAGER_RESTART);
	self->thread = world.current;
	manager_begin(&self->manager);
	for (;;) {
		uint64_t next_ns;

		while (platform_next_death(&self->manager.watcher, &death))
			manager_death(&self->manager, &death);
		if (receive_all(self))
			continue;
		if (world.now_ns >= tick_ns) {
			manager_tick(&self->manager, world.now_ns);
			tick_ns = world.now_ns + TICK_NS;
		}
		next_ns = manager_next_ns(self, tick_ns);
		world_sleep(next_ns > world.now_ns ? next_ns - world.now_ns : 1);
	}
}

static void start_manager(void)
{
	struct manager_process *self = calloc(1, sizeof(*self));

	self->process = process_start(PROCESS_MANAGER, "manager", manager_process_main, self);
	supervisor.manager = self;
	supervisor.from_manager.count = 0;
}

/* Replicas. */

struct replica_process {
	struct runner runner;
	struct control control;
	struct team team;
	uint64_t random;
	uint32_t go;
	struct process *process;
};

bool replica_leads(const struct process *process)
{
	const struct page_term *leader = page_leader(&page->stages[process->stage]);

	return leader->incarnation == process->incarnation;
}

void replica_corrupt(struct process *process)
{
	const struct replica_process *self = process->self;
	const struct journal_writer *writer = &self->runner.output;
	struct journal_block *block;
	uint64_t at = writer->position + writer->pad_lines;

	if (writer->journal == NULL)
		return;
	block = (struct journal_block *)(writer->journal->ring +
					 at % writer->journal->ring_lines * LINE_BYTES);
	if (block->position != at || block->bytes == 0 || block->header_crc == 0 ||
		(writer->journal->control->head & JOURNAL_POSITION_MASK) != writer->position)
		return;
	((uint8_t *)(block + 1))[world_random(block->bytes)] ^= (uint8_t)(1 + world_random(255));
	process->corrupts = false;
	process->corrupted = true;
	world_trace("publishes what is corrupt");
}

/* All workers' steps, in any order. */
static void run_in_any_order(struct team *team, team_work work, void *context)
{
	bool done[WORKERS_MAX] = {false};
	uint32_t left = team->workers;

	while (left > 0) {
		uint32_t worker = world_random(team->workers);

		if (done[worker] || !work(context, worker))
			continue;
		done[worker] = true;
		left--;
	}
}

static bool load_chunk(void *context, const void *bytes, uint32_t count)
{
	static uint64_t room[(FOLD_BYTES_MAX + sizeof(struct fold_header)) / 8];
	struct fold_header *fold = (struct fold_header *)room;

	memcpy(fold + 1, bytes, count);
	fold->bytes = count + (uint32_t)sizeof(*fold);
	return runner_load_images(context, fold) == STATUS_OK;
}

struct reading {
	struct runner *runner;
	struct base_head *head;
};

static bool read_chunk(void *context, const void *bytes, uint32_t count)
{
	struct reading *reading = context;

	if (reading->head == NULL)
		return load_chunk(reading->runner, bytes, count);
	memcpy(reading->head, bytes, sizeof(*reading->head));
	reading->head = NULL;
	return true;
}

static bool logger_lives(enum logger_role kind)
{
	for (uint32_t i = 0; i < world.processes_count; i++)
		if (world.processes[i].kind == PROCESS_LOGGER &&
			world.processes[i].number == kind && world.processes[i].alive)
			return true;
	return false;
}

static enum status read_base(struct runner *runner, struct base_head *head)
{
	struct reading reading = {runner, head};

	world_sleep(world_random(1000000));
	if (!logger_lives(LOGGER_DETERMINANTS))
		return STATUS_IO;
	sometimes(SOMETIMES_RESTORED_FROM_BASE);
	tally->restores++;
	return store_read_base(disks[LOGGER_DETERMINANTS], runner->role.options.stage, read_chunk,
		&reading);
}

static void raise_fault(struct runner *runner, enum fault_action action)
{
	(void)runner;
	(void)action;
}

static const struct runner_shell replica_shell = {read_base, raise_fault};

static bool on_replica_message(void *context, const struct message *message, struct message *answer)
{
	struct replica_process *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		self->go = 1;
	if (message->type != MESSAGE_ATTACH || runner_is_first(&self->runner))
		return false;
	status = runner_attach(&self->runner, message);
	world_trace("attaches to %s: %s", message->name, status_text(status));
	FAULT_POINT(CONSUMER_ATTACHED);
	*answer = *message;
	answer->type = status == STATUS_OK ? MESSAGE_ATTACHED : MESSAGE_ERROR;
	snprintf(answer->text, sizeof(answer->text), "replica cannot read %s: %s", message->name,
		status_text(status));
	return true;
}

static void open_stage(struct replica_process *self, uint32_t stage, uint32_t number)
{
	const struct plan *plan = world.plan;
	struct replica *replica = &self->runner.replica;
	const struct vnf_setting records = {.key = "records"};
	char error[256];
	struct vnf_setup setup = {.settings = &records,
		.settings_count = plan->recorded[stage],
		.homes = plan->homes,
		.error = error,
		.error_bytes = sizeof(error)};

	BUG_ON(replica_open(replica, stage, config->seed, answer_of_the_world(), true,
		       config->ports_count, plan->workers[stage][number]) != STATUS_OK);
	replica->vnfs_before = stage;
	BUG_ON(replica_add_vnf(replica, &ledger_vnf, &setup) != STATUS_OK);
	BUG_ON(replica_ready(replica) != STATUS_OK);
	replica->access.decision.forced = plan->strategies[stage][number];
	self->team = (struct team){plan->workers[stage][number], run_in_any_order};
	replica->team = plan->workers[stage][number] > 1 ? &self->team : NULL;
}

static void replica_main(void *argument)
{
	struct replica_process *self = argument;
	struct runner *runner = &self->runner;
	struct process *process = self->process;
	struct message hello;
	enum status status;

	world_sleep(1000000 + world_random(4000000)); /* exec, libraries, memory */
	role_begin(&runner->role, process->stage, process->number, process->incarnation);
	runner_open(runner, &replica_shell);
	open_stage(self, process->stage, process->number);
	runner->self->tid = world.current->id;
	status = runner_start(runner);
	if (status != STATUS_OK) {
		world_trace("cannot start: %s", status_text(status));
		if (page_leader(runner->stage)->incarnation == 0) {
			page_fail(page, "%s cannot start: %s", process->name, status_text(status));
		} else {
			runner_let_go(runner);
			world_sleep(SECOND_NS);
		}
		process_end(process, "ends");
	}
	hello = hello_of(process, ROLE_REPLICA);
	snprintf(hello.name, sizeof(hello.name), "%s", runner->outcomes.control->name);
	hello.value = runner->next_batch;
	world_trace("starts at batch %llu", (unsigned long long)runner->next_batch);
	(void)!control_start(&self->control, "", &hello, on_replica_message, self);
	while (!self->go && !page->stop)
		world_sleep(100000);
	status = runner_serve(runner);
	world_trace("stops at batch %llu: %s", (unsigned long long)runner->next_batch,
		status_text(status));
	process_end(process, "ends");
}

/* Loggers. */

struct logger_process {
	struct logger logger;
	struct role role;
	struct control control;
	struct process *process;
};

static bool on_logger_message(void *context, const struct message *message, struct message *answer)
{
	struct logger_process *self = context;
	enum status status;

	if (message->type != MESSAGE_ATTACH)
		return false;
	status = logger_add_source(&self->logger, message->name, message->stage, message->number,
		message->incarnation);
	FAULT_POINT(CONSUMER_ATTACHED);
	*answer = *message;
	answer->type = status == STATUS_OK ? MESSAGE_ATTACHED : MESSAGE_ERROR;
	snprintf(answer->text, sizeof(answer->text), "a logger cannot read %s: %s", message->name,
		status_text(status));
	return true;
}

static void logger_main(void *argument)
{
	struct logger_process *self = argument;
	struct logger *logger = &self->logger;
	struct idle idle = {.shares_core = true};
	struct journal *const waits[] = {&logger->base};
	struct message hello = hello_of(self->process, ROLE_LOGGER);
	enum status status;

	role_begin(&self->role, 0, self->process->number, 0);
	logger->kind = (enum logger_role)self->process->number;
	logger->role = &self->role;
	logger->counts = &page->loggers[logger->kind];
	logger->disk = config->durability == DURABILITY_DISK;
	logger->keeps = config->retention_bytes > 0 || logger->disk;
	logger->store = disks[logger->kind];
	while ((status = logger_attach(logger)) == STATUS_NOT_FOUND || status == STATUS_EMPTY)
		world_sleep(1000000);
	BUG_ON(status != STATUS_OK);
	(void)!control_start(&self->control, "", &hello, on_logger_message, self);
	while (!page->stop) {
		if (logger_work(logger, &status) > 0) {
			idle_reset(&idle);
			continue;
		}
		if (status != STATUS_OK) {
			page_fail(page, "a logger cannot write its store: %s", status_text(status));
			process_end(self->process, "ends");
		}
		if (logger->disk && logger->attached)
			idle_round(&idle, waits, 1, 2000000);
		else
			world_sleep(2000000);
	}
	process_end(self->process, "ends");
}

/* The sequencer, and its ports. */

struct sequencer_process {
	struct role role;
	struct journal base;
	struct port ports[2];
	struct ingress ingress;
	struct egress egress;
	struct egress_stage *stages;
	struct control control;
	struct process *process;
	uint64_t ordinal; /* of the last packet that came in */
	uint64_t clock_ns, next_ns;
	uint32_t go, attached;
};

static struct port_frame *frames_of(void)
{
	static struct port_frame frames[SEND_BURST];
	static uint8_t memory[SEND_BURST][FRAME_BYTES_MAX + 64];

	for (uint32_t i = 0; i < SEND_BURST; i++)
		frames[i] = (struct port_frame){.data = memory[i],
			.capacity_bytes = FRAME_BYTES_MAX + 64};
	return frames;
}

static enum status source_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct sequencer_process *self = port->self;
	const struct plan *plan = world.plan;
	uint32_t burst = 1 + world_random(plan->burst);

	if (self->ordinal == plan->packets)
		return STATUS_END;
	if (world.now_ns < self->next_ns)
		return STATUS_EMPTY;
	while (self->ordinal < plan->packets && burst-- > 0 && !batch_is_full(batch)) {
		uint8_t frame[FRAME_BYTES_MAX];
		uint64_t gap_ns = input_clock_gap_ns(plan, self->ordinal + 1);
		uint32_t length = input_frame(plan, ++self->ordinal, frame);
		struct batch_record *record;

		self->clock_ns += gap_ns;
		if (gap_ns >= SECOND_NS && port->trace_clock &&
			batch->header->count + 1 < BATCH_PACKETS_MAX &&
			batch_writer_bytes(batch) + sizeof(*record) < BATCH_BYTES_SOFT) {
			(void)batch_add(batch, RECORD_TICK, 0, &record);
			record->clock_ns = self->clock_ns;
		}
		memcpy(batch_add(batch, RECORD_PACKET, length, &record), frame, length);
		record->port = 0;
		record->clock_ns = self->clock_ns;
		counts->bytes += length;
	}
	self->next_ns = world.now_ns + world_random((uint32_t)plan->gap_ns);
	return STATUS_OK;
}

static enum status sink_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	(void)port;
	(void)batch;
	(void)counts;
	return STATUS_END;
}

static uint32_t sink_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	uint32_t some = 1 + world_random(count);

	(void)port;
	memcpy(frames, frames_of(), some * sizeof(*frames));
	return some;
}

static uint32_t sink_send(struct port *port, struct port_frame *frames, uint32_t count)
{
	uint32_t took = world_random(world.plan->port_take + 1);

	(void)port;
	took = took < count ? took : count;
	for (uint32_t i = 0; i < took; i++)
		oracle_sent(frames[i].data, frames[i].length);
	if (took == 0)
		world_yield();
	return took;
}

static const struct port_ops source_ops = {.receive = source_receive};
static const struct port_ops sink_ops = {.receive = sink_receive,
	.reserve = sink_reserve,
	.send = sink_send};

static void tell_alarm(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
	uint32_t bytes)
{
	(void)context;
	(void)packet_id;
	(void)clock_ns;
	oracle_alarm(text, bytes);
}

static bool on_sequencer_message(void *context, const struct message *message,
	struct message *answer)
{
	static const struct outcomes_reading reading = {GATE_REQUIRED, "egress", 0};
	struct sequencer_process *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		self->go = 1;
	if (message->type != MESSAGE_ATTACH)
		return false;
	status = outcomes_attach(&self->stages[message->stage].outcomes, &self->role.place,
		message->name, message->number, message->incarnation, &reading);
	FAULT_POINT(CONSUMER_ATTACHED);
	*answer = *message;
	answer->type = status == STATUS_OK ? MESSAGE_ATTACHED : MESSAGE_ERROR;
	snprintf(answer->text, sizeof(answer->text), "egress cannot read %s: %s", message->name,
		status_text(status));
	return true;
}

static void egress_main(void *argument)
{
	struct sequencer_process *self = argument;
	struct idle idle = {.shares_core = true};
	struct journal *waits[IDLE_JOURNALS_MAX];
	uint32_t last = world.plan->stages - 1;

	BUG_ON(journal_attach(&self->egress.base, &self->base, GATE_REQUIRED, 0, "egress", 0) !=
		STATUS_OK);
	self->attached = 1;
	while (!page->stop) {
		for (uint32_t s = 0; s <= last; s++)
			outcomes_poll(&self->stages[s].outcomes, &idle);
		if (egress_work(&self->egress, world.now_ns) > 0) {
			idle_worked(&idle);
			continue;
		}
		waits[0] = &self->base;
		idle_round(&idle, waits,
			outcomes_waits(&self->stages[last].outcomes, waits, 1, IDLE_JOURNALS_MAX),
			1000000);
	}
	idle_reset(&idle);
}

static void ingress_open(struct sequencer_process *self)
{
	const struct plan *plan = world.plan;
	struct ingress *ingress = &self->ingress;

	self->ports[0] =
		(struct port){.ops = &source_ops, .self = self, .waits = true, .trace_clock = true};
	self->ports[1] = (struct port){.ops = &sink_ops, .self = self, .number = 1, .waits = true};
	self->clock_ns = 1600000000ull * SECOND_NS;
	ingress->counts = &page->ingress;
	ingress->ports = self->ports;
	ingress->ports_count = 2;
	ingress->trace_clock = plan->seed % 3 != 0;
	ingress->patience_ns = config->hang_ms * 20000000ull;
	ingress->epoch = 1;
	ingress->next_packet_no = 1;
	ingress->next_sequence = plan->first_sequence;
	egress_open(&self->egress, page, self->stages, plan->stages);
	self->egress.ports = self->ports;
	self->egress.ports_count = 2;
	self->egress.protect = true;
	self->egress.passive = plan->passive[plan->stages - 1];
	self->egress.wait_disk = plan->disk;
	self->egress.alarm = tell_alarm;
	self->egress.counts->mismatch_batch = NO_BATCH;
}

static void sequencer_main(void *argument)
{
	struct sequencer_process *self = argument;
	struct idle idle = {.shares_core = true};
	struct message hello = hello_of(self->process, ROLE_SEQUENCER);
	enum status status;

	role_begin(&self->role, 0, 0, 0);
	self->stages = calloc(world.plan->stages, sizeof(*self->stages));
	if (journal_shm_create(&self->base, &self->role.place, BASE_JOURNAL_NAME,
		    config->journal_bytes, 0, 0, false) != STATUS_OK) {
		page_fail(page, "the base journal is there already");
		process_end(self->process, "ends");
	}
	BUG_ON(journal_writer_open(&self->ingress.writer, &self->base, 0) != STATUS_OK);
	base_ingress = &self->ingress;
	ingress_open(self);
	(void)thread_start(self->process, "egress", egress_main, self);
	while (!self->attached)
		world_sleep(100000);
	(void)!control_start(&self->control, "", &hello, on_sequencer_message, self);
	while (!self->go && !page->stop)
		world_sleep(100000);
	while (!page->stop) {
		uint64_t wall_ns = self->ingress.trace_clock ? 0
							     : world.now_ns + world.wall_offset_ns;

		if (ingress_work(&self->ingress, world.now_ns, wall_ns, &status) > 0) {
			if (self->ingress.writer.wake_needed)
				idle_wake(&self->base);
			idle_worked(&idle);
			continue;
		}
		if (status == STATUS_BLOCKED) {
			sometimes(SOMETIMES_WRITER_BLOCKED);
			idle_blocked(&idle, 50000);
		} else {
			idle_round(&idle, NULL, 0, status == STATUS_END ? 10000000 : 50000);
		}
	}
	process_end(self->process, "ends");
}

/* The supervisor. */

static void start_process(const struct message *order)
{
	char name[48];
	struct process *process;

	if (order->role == ROLE_REPLICA) {
		struct replica_process *self = aligned_alloc(64, sizeof(*self));

		memset(self, 0, sizeof(*self));
		snprintf(name, sizeof(name), "s%u/%u.%llu", order->stage, order->number,
			(unsigned long long)order->incarnation);
		process = process_start(PROCESS_REPLICA, name, replica_main, self);
		process->self = self;
		self->process = process;
	} else if (order->role == ROLE_LOGGER) {
		struct logger_process *self = calloc(1, sizeof(*self));

		snprintf(name, sizeof(name), "logger/%u", order->number);
		process = process_start(PROCESS_LOGGER, name, logger_main, self);
		self->process = process;
	} else {
		struct sequencer_process *self = calloc(1, sizeof(*self));

		process = process_start(PROCESS_SEQUENCER, "sequencer", sequencer_main, self);
		self->process = process;
	}
	process->stage = order->stage;
	process->number = order->number;
	process->incarnation = order->incarnation;
}

static const enum role_kind roles[PROCESS_KINDS] = {ROLE_NONE, ROLE_MANAGER, ROLE_SEQUENCER,
	ROLE_LOGGER, ROLE_REPLICA};

static struct process *find_child(const struct message *order)
{
	for (uint32_t i = 0; i < world.processes_count; i++) {
		struct process *process = &world.processes[i];

		if (process->alive && roles[process->kind] == order->role &&
			process->stage == order->stage && process->number == order->number &&
			process->incarnation == order->incarnation)
			return process;
	}
	return NULL;
}

static void obey(const struct message *order)
{
	struct process *found = find_child(order);

	if (order->type == MESSAGE_START && found == NULL)
		start_process(order);
	if (order->type == MESSAGE_KILL && found != NULL)
		process_end(found, "is killed by the supervisor");
	if (order->type == MESSAGE_DONE)
		supervisor.done = world.over = true;
}

static void tell_end(const struct process *process)
{
	struct message message = {.type = MESSAGE_EXITED,
		.role = roles[process->kind],
		.stage = process->stage,
		.number = process->number,
		.incarnation = process->incarnation};

	if (process->kind == PROCESS_MANAGER) {
		if (!world.over && page->failed == 0)
			start_manager();
	} else if (supervisor.manager != NULL) {
		mail_put(&supervisor.manager->from_supervisor, &message, false,
			supervisor.manager->thread);
	}
}

static void supervisor_main(void *argument)
{
	struct message order;

	(void)argument;
	supervisor.thread = world.current;
	start_manager();
	for (;;) {
		uint64_t next_ns;

		while (mail_take(&supervisor.from_manager, &order))
			obey(&order);
		if (supervisor.told < supervisor.ended_count &&
			supervisor.ended_ns[supervisor.told] <= world.now_ns) {
			tell_end(supervisor.ended[supervisor.told++]);
			continue;
		}
		if (page->failed == 2)
			world.over = true;
		next_ns = mail_next_ns(&supervisor.from_manager);
		if (supervisor.told < supervisor.ended_count &&
			supervisor.ended_ns[supervisor.told] < next_ns)
			next_ns = supervisor.ended_ns[supervisor.told];
		if (next_ns > world.now_ns + 20000000)
			next_ns = world.now_ns + 20000000;
		world_sleep(next_ns > world.now_ns ? next_ns - world.now_ns : 1);
	}
}

static void note_rare_deaths(const struct process *died)
{
	uint32_t alive = 0;

	for (uint32_t i = 0; died->kind == PROCESS_REPLICA && i < world.processes_count; i++)
		alive += world.processes[i].kind == PROCESS_REPLICA && world.processes[i].alive &&
			 world.processes[i].stage == died->stage;
	if (died->kind == PROCESS_REPLICA && alive == 0)
		sometimes(SOMETIMES_ALL_DEAD);
	if (died->kind == PROCESS_REPLICA && page->open_failovers > 0)
		sometimes(SOMETIMES_SECOND_FAILOVER);
	if (supervisor.manager == NULL && died->kind == PROCESS_REPLICA)
		sometimes(SOMETIMES_DIED_TOGETHER);
}

/* The kernel lets those know who watch. */
static void on_death(struct process *process)
{
	uint32_t at = supervisor.ended_count++;

	process->ended_in_order = page->stop;
	process->ended_ns = world.now_ns;
	if (world.over)
		return;
	note_rare_deaths(process);
	supervisor.ended[at] = process;
	supervisor.ended_ns[at] = world.now_ns + 1000 + world_random(2000000);
	if (at > 0 && supervisor.ended_ns[at] < supervisor.ended_ns[at - 1])
		supervisor.ended_ns[at] = supervisor.ended_ns[at - 1];
	thread_wake_by(supervisor.thread, supervisor.ended_ns[at]);
	if (supervisor.manager != NULL && process == supervisor.manager->process) {
		for (uint32_t i = 0; i < supervisor.manager->links_count; i++)
			supervisor.manager->links[i]->open = false;
		supervisor.manager = NULL;
	} else if (supervisor.manager != NULL) {
		thread_wake_by(supervisor.manager->thread,
			world.now_ns + 10000 + world_random(300000));
	}
}

static void make_config(void)
{
	const struct plan *plan = world.plan;

	config = calloc(1, sizeof(*config));
	snprintf(config->chain, sizeof(config->chain), "sim");
	config->ports_count = 2;
	config->stages_count = plan->stages;
	for (uint32_t s = 0; s < plan->stages; s++) {
		struct config_stage *stage = &config->stages[s];

		snprintf(stage->name, sizeof(stage->name), "s%u", s);
		stage->variant = plan->passive[s] ? VARIANT_PASSIVE : VARIANT_ACTIVE;
		stage->slaves = plan->slaves[s];
		stage->homes = plan->homes;
		stage->vnfs_count = 1;
	}
	config->durability = plan->disk ? DURABILITY_DISK : DURABILITY_PROCESS;
	config->retention_bytes = plan->keeps ? 1 << 20 : 0;
	config->fold_batches = plan->fold_batches;
	config->journal_bytes = plan->journal_bytes;
	config->hang_ms = plan->hang_ms;
	config->seed = 7;
	config->protect = true;
}

void processes_begin(void)
{
	make_config();
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	page->magic = PAGE_MAGIC;
	for (uint32_t i = 0; i < LOGGERS_COUNT; i++)
		disks[i] = disk_open();
	memset(&supervisor, 0, sizeof(supervisor));
	world.died = on_death;
	world.observe = oracle_observe;
	supervisor.process = process_start(PROCESS_SUPERVISOR, "supervisor", supervisor_main, NULL);
	supervisor.process->slowness = 1;
}

void world_show(void)
{
	for (uint32_t s = 0; s < world.plan->stages; s++) {
		const struct page_stage *stage = &page->stages[s];

		world_trace("stage %u: term %llu, base values below %llu, line %llu", s,
			(unsigned long long)stage->term, (unsigned long long)stage->base_batch,
			(unsigned long long)stage->base_line);
		for (uint32_t r = 0; r <= world.plan->slaves[s]; r++)
			world_trace("  replica %u.%llu: state %u, next batch %llu, waits for %u", r,
				(unsigned long long)stage->replicas[r].incarnation,
				stage->replicas[r].state,
				(unsigned long long)stage->replicas[r].next_batch,
				stage->replicas[r].waiting);
	}
	for (uint32_t i = 0; i < LOGGERS_COUNT; i++)
		world_trace("logger %u: next batch %llu, durable %llu", i,
			(unsigned long long)page->loggers[i].next_batch,
			(unsigned long long)page->loggers[i].durable_batch);
	world_trace("ingress: %llu batches; egress: %llu",
		(unsigned long long)page->ingress.batches,
		(unsigned long long)page->egress.batches);
	for (uint32_t i = 0; i < shared_count; i++) {
		const struct journal_control *control = shared[i].control;

		if (!shared[i].linked)
			continue;
		world_trace("journal %s: head %llu%s, tail %llu, attached %llx, detached %llx",
			shared[i].name, (unsigned long long)(control->head & JOURNAL_POSITION_MASK),
			control->head & JOURNAL_SEALED ? ", sealed" : "",
			(unsigned long long)control->tail, (unsigned long long)control->attached,
			(unsigned long long)control->detached);
		for (uint32_t slot = 0; slot < JOURNAL_READERS_MAX; slot++)
			if (control->attached >> slot & 1)
				world_trace("  slot %u: %s, cursor %llu, gate %u%s", slot,
					control->slots[slot].name,
					(unsigned long long)control->slots[slot].cursor,
					control->slots[slot].gate,
					owner_is_dead(&control->slots[slot].owner) ? ", dead" : "");
	}
}
