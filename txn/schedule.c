/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"

/* An operation becomes ready once; so does, at most, its chain because of it. */
#define READY_MAX (BATCH_PACKETS_MAX * OPERATIONS_MAX)

/*
 * A chain as a unit:
 *   IDLE    -> QUEUED   one of its operations became ready
 *   QUEUED  -> RUNNING  a worker took it
 *   RUNNING -> AGAIN    another became ready meanwhile
 *   AGAIN   -> RUNNING  its worker looks once more
 *   RUNNING -> IDLE     nothing in it is ready
 */
enum chain_run { CHAIN_IDLE, CHAIN_QUEUED, CHAIN_RUNNING, CHAIN_AGAIN };

static const char *const names[STRATEGIES] = {
	"serial",
	"depth-operation-eager",
	"depth-operation-lazy",
	"depth-chain-eager",
	"depth-chain-lazy",
	"breadth-operation-eager",
	"breadth-operation-lazy",
	"breadth-chain-eager",
	"breadth-chain-lazy",
	"unstructured-operation-eager",
	"unstructured-operation-lazy",
	"unstructured-chain-eager",
	"unstructured-chain-lazy",
};

struct strategy strategy_of(uint32_t number)
{
	uint32_t at = number - 1;

	if (number == 0)
		return (struct strategy){.serial = true};
	return (struct strategy){
		.exploration = (enum exploration)(at / 4),
		.granularity = (enum granularity)(at / 2 % 2),
		.aborts = (enum abort_handling)(at % 2),
	};
}

uint32_t strategy_number(const struct strategy *strategy)
{
	if (strategy->serial)
		return 0;
	return 1 + (uint32_t)strategy->exploration * 4 + (uint32_t)strategy->granularity * 2 +
	       (uint32_t)strategy->aborts;
}

const char *strategy_name(uint32_t number)
{
	return names[number];
}

uint32_t strategy_find(const char *name)
{
	uint32_t number = 0;

	while (number < STRATEGIES && strcmp(names[number], name) != 0)
		number++;
	return number;
}

static void push(struct schedule *schedule, uint32_t worker, void *unit)
{
	struct schedule_worker *own = &schedule->worker[worker];

	if (schedule->strategy.exploration == EXPLORE_DEPTH_FIRST)
		own->stack[own->depth++] = unit;
	else
		atomic_write_release(&schedule->queue[atomic_add_seq_cst(&schedule->tail, 1u)],
			unit);
}

static void notify_chain(struct schedule *schedule, uint32_t worker, struct chain *chain)
{
	uint32_t run = atomic_read_seq_cst(&chain->run);

	for (;;) {
		if (run == CHAIN_QUEUED || run == CHAIN_AGAIN)
			return;
		if (atomic_swap_if(&chain->run, &run,
			    (uint32_t)(run == CHAIN_IDLE ? CHAIN_QUEUED : CHAIN_AGAIN)))
			break;
	}
	if (run == CHAIN_IDLE)
		push(schedule, worker, chain);
}

static void on_ready(void *context, uint32_t worker, struct operation_node *node)
{
	struct schedule *schedule = context;

	if (schedule->strategy.granularity == GRANULE_CHAIN)
		notify_chain(schedule, worker, node->node.chain);
	else
		push(schedule, worker, node);
}

enum status schedule_open(struct schedule *schedule, struct graph *graph)
{
	*schedule = (struct schedule){.graph = graph};
	schedule->queue = calloc(READY_MAX, sizeof(*schedule->queue));
	if (schedule->queue == NULL)
		return STATUS_NO_MEMORY;
	for (uint32_t w = 0; w < graph->workers; w++) {
		schedule->worker[w].stack = calloc(READY_MAX, sizeof(void *));
		if (schedule->worker[w].stack == NULL)
			return STATUS_NO_MEMORY;
	}
	graph->on_ready = on_ready;
	graph->schedule = schedule;
	return STATUS_OK;
}

void schedule_close(struct schedule *schedule)
{
	for (uint32_t w = 0; w < WORKERS_MAX; w++)
		free(schedule->worker[w].stack);
	free(schedule->queue);
	*schedule = (struct schedule){0};
}

void schedule_begin(struct schedule *schedule, struct strategy strategy)
{
	memset(schedule->queue, 0, schedule->tail * sizeof(*schedule->queue));
	schedule->strategy = strategy;
	schedule->head = schedule->tail = 0;
	for (uint32_t w = 0; w < schedule->graph->workers; w++)
		schedule->worker[w].depth = schedule->worker[w].executed = 0;
}

void schedule_start(struct schedule *schedule)
{
	schedule->operations = graph_operations(schedule->graph);
	schedule->window = schedule->tail;
	schedule->window_done = 0;
}

static void execute(struct schedule *schedule, uint32_t worker, struct operation_node *node)
{
	struct schedule_worker *own = &schedule->worker[worker];

	graph_execute(schedule->graph, worker, node);
	atomic_write_release(&own->executed, own->executed + 1);
}

/* All of a chain's operations that are ready; one that waits for other entries bars no reader. */
static void run_chain_once(struct schedule *schedule, uint32_t worker, struct chain *chain)
{
	for (struct node *node = chain->cursor; node != NULL; node = node->next) {
		uint32_t state = node->is_proxy ? NODE_EXECUTED
						: atomic_read_acquire(&node->operation->state);

		if (state == NODE_READY) {
			execute(schedule, worker, node->operation);
			state = NODE_EXECUTED;
		}
		if (state == NODE_BLOCKED && node->writes)
			return;
		if (state != NODE_BLOCKED && chain->cursor == node)
			chain->cursor = node->next;
	}
}

static void run_chain(struct schedule *schedule, uint32_t worker, struct chain *chain)
{
	uint32_t run;

	atomic_write_seq_cst(&chain->run, (uint32_t)CHAIN_RUNNING);
	do {
		run_chain_once(schedule, worker, chain);
		run = CHAIN_RUNNING;
		if (atomic_swap_if(&chain->run, &run, (uint32_t)CHAIN_IDLE))
			return;
		atomic_write_seq_cst(&chain->run, (uint32_t)CHAIN_RUNNING);
	} while (true);
}

static void run_unit(struct schedule *schedule, uint32_t worker, void *unit)
{
	if (schedule->strategy.granularity == GRANULE_CHAIN)
		run_chain(schedule, worker, unit);
	else
		execute(schedule, worker, unit);
}

/* The next of the queue below end, or NULL. */
static void *take(struct schedule *schedule, uint32_t end)
{
	uint32_t head = atomic_read_seq_cst(&schedule->head);

	while (head < end) {
		void *unit = atomic_read_acquire(&schedule->queue[head]);

		if (unit == NULL)
			return NULL; /* its place is taken, it is not there yet */
		if (atomic_swap_if(&schedule->head, &head, head + 1))
			return unit;
	}
	return NULL;
}

static bool step_breadth_first(struct schedule *schedule, uint32_t worker)
{
	uint32_t window = atomic_read_seq_cst(&schedule->window);
	void *unit = take(schedule, window);
	uint32_t tail;

	if (unit != NULL) {
		run_unit(schedule, worker, unit);
		(void)atomic_add_seq_cst(&schedule->window_done, 1u);
		return true;
	}
	/* The round is over once all of it is done: what it made ready is the next. */
	if (atomic_read_seq_cst(&schedule->window_done) != window)
		return false;
	tail = atomic_read_seq_cst(&schedule->tail);
	return tail > window && atomic_swap_if(&schedule->window, &window, tail);
}

bool schedule_step(struct schedule *schedule, uint32_t worker)
{
	struct schedule_worker *own = &schedule->worker[worker];
	void *unit = NULL;

	if (schedule->strategy.exploration == EXPLORE_BREADTH_FIRST)
		return step_breadth_first(schedule, worker);
	if (schedule->strategy.exploration == EXPLORE_UNSTRUCTURED)
		unit = take(schedule, atomic_read_seq_cst(&schedule->tail));
	else if (own->depth > 0)
		unit = own->stack[--own->depth];
	if (unit != NULL)
		run_unit(schedule, worker, unit);
	return unit != NULL;
}

bool schedule_is_done(const struct schedule *schedule)
{
	uint32_t executed = 0;

	for (uint32_t w = 0; w < schedule->graph->workers; w++)
		executed += atomic_read_acquire(&schedule->worker[w].executed);
	return executed == schedule->operations;
}
