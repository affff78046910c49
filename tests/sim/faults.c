/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/faults.h"

#include "tests/sim/processes.h"

static uint64_t seen[PLAN_FAULTS_MAX]; /* of the stores or points that each waits for */
static bool raised[PLAN_FAULTS_MAX];
static enum disk_state disk;
static uint64_t disk_until_ns, port_until_ns, partition_until_ns[2];
static struct {
	struct process *process;
	uint64_t at_ns;
} paused[PLAN_FAULTS_MAX];

const char *const fault_kind_texts[FAULT_KINDS] = {
#define X(name, text) text,
	FAULT_KIND_LIST(X)
#undef X
};

void faults_forget_paused(void)
{
	for (uint32_t i = 0; i < PLAN_FAULTS_MAX; i++)
		paused[i].process = NULL;
}

void faults_begin(void)
{
	for (uint32_t i = 0; i < PLAN_FAULTS_MAX; i++) {
		seen[i] = 0;
		raised[i] = false;
		paused[i].process = NULL;
	}
	disk = DISK_FINE;
	port_until_ns = partition_until_ns[0] = partition_until_ns[1] = 0;
}

enum disk_state faults_disk(void)
{
	return world.now_ns < disk_until_ns ? disk : DISK_FINE;
}

bool faults_port_is_blocked(void)
{
	return world.now_ns < port_until_ns;
}

uint64_t faults_partition_ns(bool to_role)
{
	return partition_until_ns[to_role];
}

static bool is_victim(const struct planned_fault *fault, const struct process *process)
{
	if (process == NULL || !process->alive || process->kind != fault->victim)
		return false;
	if (process->kind == PROCESS_LOGGER)
		return process->number == fault->stage;
	return process->kind != PROCESS_REPLICA ||
	       (process->stage == fault->stage && replica_leads(process) == fault->leader);
}

/* A newer one before an older one of the same place, which is about to go. */
static struct process *find_victim(const struct planned_fault *fault)
{
	for (uint32_t i = world.processes_count; i-- > 0;)
		if (is_victim(fault, &world.processes[i]))
			return &world.processes[i];
	return NULL;
}

static void pause_process(struct process *process, uint64_t for_ns)
{
	for (uint32_t i = 0; i < PLAN_FAULTS_MAX; i++)
		if (paused[i].process == NULL) {
			paused[i].process = process;
			paused[i].at_ns = world.now_ns + for_ns;
			process->stopped = true;
			return;
		}
}

const char *const component_names[COMPONENTS] = {"master", "slave", "sequencer", "manager",
	"logger/packets", "logger/determinants", "logger/progress",
	"all at once, or what they share"};

static enum component component_of(const struct process *victim)
{
	if (victim == NULL || victim->kind == PROCESS_SUPERVISOR)
		return COMPONENT_ALL;
	switch (victim->kind) {
	case PROCESS_REPLICA:
		return replica_leads(victim) ? COMPONENT_LEADER : COMPONENT_SLAVE;
	case PROCESS_SEQUENCER:
		return COMPONENT_SEQUENCER;
	case PROCESS_LOGGER:
		return (enum component)(COMPONENT_LOGGERS + victim->number);
	default:
		return COMPONENT_MANAGER;
	}
}

static uint32_t moment_of(const struct planned_fault *fault)
{
	return fault->when == WHEN_POINT  ? (uint32_t)fault->point
	       : fault->when == WHEN_TIME ? FAULT_POINTS
					  : FAULT_POINTS + 1;
}

static void raise_on(const struct planned_fault *fault, struct process *victim)
{
	uint32_t index = (uint32_t)(fault - world.plan->faults);

	raised[index] = true;
	tally->faults[fault->kind]++;
	tally->met[component_of(victim)][moment_of(fault)][fault->kind]++;
	world_trace("FAULT %u: %s%s%s", fault->number, fault_kind_texts[fault->kind],
		victim == NULL ? "" : ": ", victim == NULL ? "" : victim->name);
	switch (fault->kind) {
	case SIM_KILL:
		process_end(victim, "is killed");
		break;
	case SIM_STOP:
		/* Nobody watches the manager yet. */
		if (victim->kind == PROCESS_MANAGER)
			pause_process(victim, fault->for_ns);
		else
			victim->stopped = true;
		break;
	case SIM_PAUSE:
		pause_process(victim, fault->for_ns);
		break;
	case SIM_STALL:
		victim->still_until_ns = world.now_ns + fault->for_ns;
		break;
	case SIM_CORRUPT:
		victim->corrupts = true;
		break;
	case SIM_FLIP:
		victim->flips = true;
		break;
	case SIM_DISK_SLOW:
	case SIM_DISK_ERROR:
	case SIM_DISK_FULL:
		disk = fault->kind == SIM_DISK_SLOW    ? DISK_IS_SLOW
		       : fault->kind == SIM_DISK_ERROR ? DISK_FAILS
						       : DISK_IS_FULL;
		disk_until_ns = world.now_ns + fault->for_ns;
		break;
	case SIM_PARTITION:
		partition_until_ns[fault->leader] = world.now_ns + fault->for_ns;
		break;
	case SIM_CLOCK:
		world.wall_offset_ns += fault->leader ? fault->for_ns : -fault->for_ns;
		break;
	case SIM_PORT:
		port_until_ns = world.now_ns + fault->for_ns;
		break;
	case SIM_ASK:
		operator_asks(fault);
		break;
	case SIM_POWER:
		processes_lose_power();
		break;
	case FAULT_KINDS:
		break;
	}
}

static bool needs_victim(const struct planned_fault *fault)
{
	return fault->kind <= SIM_FLIP;
}

static bool is_due(uint32_t index)
{
	return index < world.plan->faults_count && !raised[index] && !world.calm;
}

void faults_by_time(void)
{
	for (uint32_t i = 0; i < PLAN_FAULTS_MAX; i++)
		if (paused[i].process != NULL && paused[i].at_ns <= world.now_ns) {
			paused[i].process->stopped = false;
			world_trace("%s goes on", paused[i].process->name);
			paused[i].process = NULL;
		}
	for (uint32_t i = 0; i < world.plan->faults_count; i++) {
		const struct planned_fault *fault = &world.plan->faults[i];
		struct process *victim;

		if (!is_due(i) || fault->when != WHEN_TIME || world.now_ns < SECOND_NS + fault->at)
			continue;
		victim = find_victim(fault);
		if (victim != NULL || !needs_victim(fault))
			raise_on(fault, victim);
	}
}

uint64_t faults_next_ns(void)
{
	uint64_t next_ns = UINT64_MAX;

	for (uint32_t i = 0; i < PLAN_FAULTS_MAX; i++)
		if (paused[i].process != NULL && paused[i].at_ns < next_ns)
			next_ns = paused[i].at_ns;
	for (uint32_t i = 0; i < world.plan->faults_count; i++)
		if (is_due(i) && world.plan->faults[i].when == WHEN_TIME &&
			world.plan->faults[i].at + SECOND_NS > world.now_ns &&
			world.plan->faults[i].at + SECOND_NS < next_ns)
			next_ns = world.plan->faults[i].at + SECOND_NS;
	return next_ns;
}

void faults_at_store(struct process *process)
{
	for (uint32_t i = 0; i < world.plan->faults_count; i++) {
		const struct planned_fault *fault = &world.plan->faults[i];

		if (is_due(i) && fault->when == WHEN_STORE && is_victim(fault, process) &&
			++seen[i] >= fault->at)
			raise_on(fault, process);
	}
}

void faults_at_point(struct process *process, enum fault_point point)
{
	for (uint32_t i = 0; i < world.plan->faults_count; i++) {
		const struct planned_fault *fault = &world.plan->faults[i];
		struct process *victim = process;

		if (!is_due(i) || fault->when != WHEN_POINT || fault->point != point ||
			++seen[i] < fault->at)
			continue;
		if (!fault->self || !process_may_fail(process) ||
			(fault->kind == SIM_CORRUPT && process->kind != PROCESS_REPLICA))
			victim = find_victim(fault);
		if (victim == NULL && needs_victim(fault))
			continue;
		tally->died_at[point]++;
		raise_on(fault, victim);
	}
}
