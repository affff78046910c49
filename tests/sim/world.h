/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A world in one thread, from one seed: processes and their threads as coroutines, virtual time,
 * and faults. A thread runs until it sleeps, waits, yields, or comes to an ordered store or a named
 * fault point, where the world may let another one run or end its process. The code of production
 * runs in it as it is; what it would ask of the kernel it asks of platform.c.
 */
#ifndef UNDERSTUDY_TESTS_SIM_WORLD_H
#define UNDERSTUDY_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fault_points.h"
#include "core/random.h"
#include "loggers/owner.h"
#include "tests/sim/coroutine.h"
#include "tests/sim/plan.h"

#define THREADS_MAX 160
#define PROCESSES_MAX 160
#define OWNED_MAX 24
#define WAITS_MAX 8
#define SECOND_NS 1000000000ull

enum thread_state { THREAD_FREE, THREAD_NEW, THREAD_READY, THREAD_ASLEEP, THREAD_GONE };

struct process;

struct thread {
	struct process *process;
	const char *name;
	void (*main)(void *argument);
	void *argument;
	struct coroutine coroutine;
	enum thread_state state;
	uint64_t wake_ns;
	const uint32_t *waits[WAITS_MAX]; /* futexes */
	uint32_t waits_count;
	bool woken; /* by a futex, not by time */
	uint32_t id;
	struct owner *owned[OWNED_MAX];
};

struct process {
	char name[48];
	enum process_kind kind;
	uint32_t stage, number;
	uint64_t incarnation;
	uint32_t pid;
	bool alive;
	bool stopped; /* SIGSTOP */
	uint64_t still_until_ns;
	uint64_t dies_at_ns; /* a signal is on its way; 0: none */
	uint32_t slowness;   /* 1: as fast as can be */
	bool corrupts;	     /* what it publishes next */
	bool flips;	     /* a bit of its state, at its next store */
	bool corrupted;
	uint64_t cpu_ns;
	uint64_t ended_ns;
	bool ended_in_order; /* with the run */
	void *self;	     /* the role's */
};

struct world {
	const struct plan *plan;
	uint64_t now_ns;
	uint64_t random; /* of the interleaving */
	struct thread threads[THREADS_MAX];
	struct process processes[PROCESSES_MAX];
	uint32_t processes_count;
	struct thread *current; /* NULL: the world itself */
	uint64_t switches;
	uint64_t wall_offset_ns; /* the day's time less virtual time; jumps */
	bool calm;		 /* no more faults */
	bool over;		 /* the run has ended */
	bool traced;
	void (*observe)(void); /* after each turn */
	void (*died)(struct process *process);
};

extern struct world world;

/* Whom faults meet. */
enum component {
	COMPONENT_LEADER,
	COMPONENT_SLAVE,
	COMPONENT_SEQUENCER,
	COMPONENT_MANAGER,
	COMPONENT_LOGGERS,		       /* and those after it, by number */
	COMPONENT_ALL = COMPONENT_LOGGERS + 3, /* or what they share */
	COMPONENTS
};

extern const char *const component_names[COMPONENTS];

/* Counts over all schedules, in memory that they share. */
struct tally {
	uint64_t points[FAULT_POINTS];
	uint64_t died_at[FAULT_POINTS];
	/* Whom faults met, at which point, or at some time, or at some store of its own. */
	uint64_t met[COMPONENTS][FAULT_POINTS + 2][FAULT_KINDS];
	uint64_t faults[FAULT_KINDS];
	uint64_t virtual_ns, switches;
	uint64_t batches, packets, failovers, restores, promotions, folds;
	uint64_t sometimes[SOMETIMES];
};

extern struct tally *tally;

void world_begin(const struct plan *plan);

/* Until world.over, or until_ns; false: then, or too many turns. */
bool world_run(uint64_t until_ns);

struct process *process_start(enum process_kind kind, const char *name, void (*main)(void *),
	void *argument);
struct thread *thread_start(struct process *process, const char *name, void (*main)(void *),
	void *argument);

/* Its threads run no more; their owner words say so. Comes back unless it is the current one. */
void process_end(struct process *process, const char *why);

/* SIGKILL, which takes its time to arrive: until then it may run. */
void process_kill(struct process *process);

/* Within threads. */
void world_sleep(uint64_t ns);
void world_yield(void);
/* True: woken. Until one of the words is woken, or until_ns. */
bool world_wait(const uint32_t *const *words, uint32_t count, uint64_t until_ns);
void world_wake(const uint32_t *word);

/* A number below n, of the interleaving's own randomness. */
uint32_t world_random(uint32_t n);

/* Where everybody stands, in the trace. */
void world_show(void);

void world_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The invariant that does not hold: prints what happened and ends the schedule. */
_Noreturn void world_violated(const char *invariant, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Something rare that a campaign must come to see. */
static inline void sometimes(enum sometimes what)
{
	tally->sometimes[what]++;
}

#endif
