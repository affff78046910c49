/* SPDX-License-Identifier: BSD-3-Clause */
/* A replica's packet loop, in the world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loggers/control.h"
#include "loggers/idle.h"
#include "tests/sim/disk.h"
#include "tests/sim/oracle.h"
#include "tests/sim/processes.h"
#include "tests/sim/roles.h"
#include "vnf/runner.h"

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

void replica_flip(struct process *process)
{
	struct replica_process *self = process->self;

	engine_flip(&self->runner.replica.engine);
	process->flips = false;
	world_trace("a bit of its state changes");
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
	const struct replica_process *self = (const struct replica_process *)runner;

	tally->faults[action == FAULT_KILL ? SIM_KILL : SIM_STOP]++;
	if (action == FAULT_KILL)
		process_end(self->process, "is killed as asked");
	self->process->stopped = true;
	world_trace("%s: is stopped as asked", self->process->name);
	world_yield();
}

void replica_poisoned(void)
{
	struct process *process = world.current->process;

	if (process->kind != PROCESS_REPLICA || process->stage != world.plan->poison_stage)
		return;
	runner_crashes(&((struct replica_process *)process->self)->runner);
	process_end(process, "crashes on the packet");
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
	message_answer_attach(answer, message, self->process->name, status);
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
		if (runner_is_needed(runner)) {
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

struct process *replica_start(const char *name)
{
	struct replica_process *self = aligned_alloc(64, sizeof(*self));

	memset(self, 0, sizeof(*self));
	self->process = process_start(PROCESS_REPLICA, name, replica_main, self);
	self->process->self = self;
	return self->process;
}
