/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/fault_spec.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/mail.h"
#include "tests/sim/oracle.h"
#include "tests/sim/platform.h"
#include "tests/sim/roles.h"

struct page *page;
struct store *disks[LOGGERS_COUNT];
struct config *config;

static struct {
	struct process *process;
	struct thread *thread;
	struct mail from_manager;
	struct process *ended[PROCESSES_MAX];
	uint64_t ended_ns[PROCESSES_MAX];
	uint32_t ended_count, told;
	bool done;
} supervisor;

uint32_t journal_stage(const char *name)
{
	return (uint32_t)(name[1] - '0');
}

bool process_may_fail(const struct process *process)
{
	return process->kind != PROCESS_SUPERVISOR;
}

bool processes_ended_well(void)
{
	return supervisor.done && page->failed == 0;
}

uint64_t answer_of_the_world(void)
{
	return (uint64_t)world_random(1u << 30) << 20 | 1;
}

void role_begin(struct role *role, uint32_t stage, uint32_t number, uint64_t incarnation)
{
	role->options.stage = stage;
	role->options.number = number;
	role->options.incarnation = incarnation;
	role->options.run_dir = "";
	role->config = config;
	role->page = page;
}

struct message hello_of(const struct process *process, enum role_kind kind)
{
	return (struct message){.type = MESSAGE_HELLO,
		.role = kind,
		.stage = process->stage,
		.number = process->number,
		.pid = process->pid,
		.incarnation = process->incarnation};
}

/* The supervisor. */

static void start_process(const struct message *order)
{
	char name[48];
	struct process *process;

	if (order->role == ROLE_REPLICA) {
		snprintf(name, sizeof(name), "s%u/%u.%llu", order->stage, order->number,
			(unsigned long long)order->incarnation);
		process = replica_start(name);
	} else if (order->role == ROLE_LOGGER) {
		snprintf(name, sizeof(name), "logger/%u", order->number);
		process = logger_start(name);
	} else {
		process = sequencer_start("sequencer");
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
	if (order->type == MESSAGE_KILL && found != NULL && order->value == SIGSTOP)
		found->stopped = true;
	else if (order->type == MESSAGE_KILL && found != NULL)
		process_kill(found);
	if (order->type == MESSAGE_DONE)
		supervisor.done = world.over = true;
}

/* What a former one had asked for is lost. */
static void start_manager(void)
{
	supervisor.from_manager.count = 0;
	(void)manager_start();
}

void supervisor_tell(const struct message *message)
{
	mail_put(&supervisor.from_manager, message, true, supervisor.thread);
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
	} else {
		manager_tell(&message);
	}
}

static void ask_for_maintenance(bool on)
{
	struct message message = {.type = MESSAGE_ORDER};

	snprintf(message.text, sizeof(message.text), "maintenance %s", on ? "on" : "off");
	manager_ask(supervisor.thread, &message);
	if (on)
		sometimes(SOMETIMES_MAINTENANCE);
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
		if (world.calm && page->maintenance)
			ask_for_maintenance(false);
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
	if (manager_is_dead() && died->kind == PROCESS_REPLICA)
		sometimes(SOMETIMES_DIED_TOGETHER);
}

void operator_asks(const struct planned_fault *fault)
{
	struct message message = {.type = MESSAGE_INJECT, .role = ROLE_CLI};
	char moment[48] = "";

	if (fault->at_packet > 0)
		snprintf(moment, sizeof(moment), " @packet=%llu",
			(unsigned long long)fault->at_packet);
	else if (fault->for_ns % 2 > 0)
		snprintf(moment, sizeof(moment), " @time=%.6f", (double)fault->for_ns / 1e9);
	switch (fault->for_ns % 8) {
	case 0:
		message.type = MESSAGE_ORDER;
		snprintf(message.text, sizeof(message.text), "switchover s%u", fault->stage);
		manager_ask(supervisor.thread, &message);
		return;
	case 1:
		message.type = MESSAGE_ORDER;
		snprintf(message.text, sizeof(message.text), "resync s%u/%u", fault->stage,
			fault->leader ? 1 : 0);
		manager_ask(supervisor.thread, &message);
		return;
	case 2:
		snprintf(message.text, sizeof(message.text), "kill %s",
			service_names[fault->at_packet % (SERVICES_COUNT + 1)]);
		manager_ask(supervisor.thread, &message);
		return;
	case 3:
		ask_for_maintenance(true);
		return;
	default:
		break;
	}
	snprintf(message.text, sizeof(message.text), "%s s%u/%s%s", fault->self ? "stop" : "kill",
		fault->stage, fault->leader ? "master" : "slave", moment);
	manager_ask(supervisor.thread, &message);
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
	manager_sees_death(process);
}

void processes_lose_power(void)
{
	for (uint32_t i = 0; i < world.processes_count; i++)
		process_end(&world.processes[i], "has no power");
	for (uint32_t i = 0; i < LOGGERS_COUNT; i++)
		disk_lose_power(disks[i]);
	for (uint32_t i = 0; i < shared_count; i++)
		shared[i].linked = false;
	base_forgotten();
	faults_forget_paused();
	oracle_power_lost(disk_batches(disks[LOGGER_PACKETS]));
	memset(page, 0, sizeof(*page));
	page->magic = PAGE_MAGIC;
	page->records = world.plan->recorded[0] || world.plan->recorded[1];
	page->restart.wanted = 1;
	memset(&supervisor, 0, sizeof(supervisor));
	supervisor.process = process_start(PROCESS_SUPERVISOR, "supervisor", supervisor_main, NULL);
	supervisor.process->slowness = 1;
	sometimes(SOMETIMES_RESTART_FROM_DISK);
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
	config->agreed = plan->agreed;
	config->protect = plan->protect;
}

void processes_begin(void)
{
	make_config();
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	page->magic = PAGE_MAGIC;
	page->records = world.plan->recorded[0] || world.plan->recorded[1];
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
