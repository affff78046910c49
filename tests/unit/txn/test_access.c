/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random transaction programs under every strategy, 1 to 8 workers, shuffled arrival, any
 * interleaving and any batch cuts, against the model: the same outcomes, values and aborts, and the
 * same digests as each other. Then seeded bugs of the engine: each must be caught. A failure prints
 * the program's seed; SEED=N repeats it. PROGRAMS=N runs as many.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/random.h"
#include "tests/unit/txn/model.h"
#include "txn/access.h"
#include "core/mutants.h"

#define STEPS_MAX 2000000 /* of a team, for one thing: more is a hang */

#ifdef UNDERSTUDY_MUTANTS
enum mutant mutant = MUTANT_NONE;
#endif

/* Workers take steps in random order, in one thread. */
struct dice_team {
	struct team team;
	uint64_t random;
	bool hangs;
};

static void dice_run(struct team *team, team_work work, void *context)
{
	struct dice_team *dice = (struct dice_team *)team;
	bool done[WORKERS_MAX] = {false};
	uint32_t left = team->workers, steps = 0;

	while (left > 0 && !dice->hangs) {
		uint32_t worker = (uint32_t)(random_next(&dice->random) >> 16) % team->workers;

		if (!done[worker] && work(context, worker)) {
			done[worker] = true;
			left--;
		}
		dice->hangs = ++steps > STEPS_MAX;
	}
}

/* Workers are threads, for TSan. */
struct thread_work {
	team_work work;
	void *context;
	uint32_t worker;
};

static void *thread_main(void *argument)
{
	struct thread_work *work = argument;

	while (!work->work(work->context, work->worker))
		;
	return NULL;
}

static void threads_run(struct team *team, team_work work, void *context)
{
	pthread_t threads[WORKERS_MAX];
	struct thread_work works[WORKERS_MAX];

	for (uint32_t w = 0; w < team->workers; w++) {
		works[w] = (struct thread_work){work, context, w};
		assert_int_equal(pthread_create(&threads[w], NULL, thread_main, &works[w]), 0);
	}
	for (uint32_t w = 0; w < team->workers; w++)
		pthread_join(threads[w], NULL);
}

/* An engine that runs the program in one way. */
struct way {
	struct engine engine;
	struct access access;
	struct job *jobs;	    /* its own copy */
	const struct job *declared; /* as the program has them */
	uint32_t base;		    /* slot 0 is this job */
	uint64_t digest;	    /* of all batches */
	struct dice_team team;
};

static const uint64_t *engine_get(void *self, uint32_t table, uint64_t key)
{
	return txn_read(self, table, &key);
}

static bool engine_put(void *self, uint32_t table, uint64_t key, uint64_t value,
	uint64_t deadline_ns)
{
	uint64_t *entry = txn_modify(self, table, &key);

	if (entry == NULL)
		entry = txn_insert(self, table, &key);
	if (entry == NULL)
		return false;
	entry[0] = value;
	entry[1]++;
	txn_expire_at(self, table, &key, deadline_ns);
	return true;
}

static void engine_erase(void *self, uint32_t table, uint64_t key)
{
	(void)txn_erase(self, table, &key);
}

static const uint64_t *engine_foresee(void *self, uint64_t key)
{
	return txn_foresee(self, FLOW_TABLE, &key);
}

static bool engine_widen(void *self)
{
	return txn_widen(self);
}

static void engine_abort(void *self)
{
	txn_abort(self);
}

static struct store store_of(struct txn *txn)
{
	return (struct store){engine_get, engine_put, engine_erase, engine_foresee, engine_widen,
		engine_abort, txn};
}

static void on_prepare(void *caller, uint32_t slot, struct txn *txn)
{
	struct way *way = caller;
	struct store store = store_of(txn);

	job_prepare(&way->jobs[way->base + slot], &store);
}

static void on_access(void *caller, uint32_t slot, struct txn *txn)
{
	struct way *way = caller;
	struct store store = store_of(txn);

	job_flow(&way->jobs[way->base + slot], &store);
}

static void on_restore(void *caller, uint32_t slot)
{
	struct way *way = caller;
	struct job *job = &way->jobs[way->base + slot];

	memset(job->results, 0, sizeof(job->results));
}

static const struct access_steps steps = {on_prepare, on_access, on_restore, NULL};

static uint16_t home_of(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key % HOMES);
}

static void open_engine(struct way *way, const uint32_t *capacity, uint64_t hash_seed,
	uint32_t workers)
{
	static const char *const names[TABLES] = {"one", "two", "flows"};

	engine_open(&way->engine, hash_seed, true, workers, NULL, NULL);
	for (uint32_t t = 0; t < TABLES; t++) {
		struct table_spec spec = {.name = names[t],
			.key_bytes = 8,
			.value_bytes = 16,
			.capacity = capacity[t],
			.scope = t == FLOW_TABLE ? TABLE_FLOW : TABLE_SHARED,
			.home = home_of};

		assert_int_equal(engine_add_table(&way->engine, &spec, NULL), STATUS_OK);
	}
	assert_int_equal(engine_ready(&way->engine), STATUS_OK);
	assert_int_equal(access_open(&way->access, &way->engine, &steps, way), STATUS_OK);
}

/* Continues with an engine that has never seen more than the values. */
static void rebuild(struct way *way, const uint32_t *capacity, uint32_t workers)
{
	static uint64_t images[1 << 16];
	struct fold_header *fold = (struct fold_header *)images;
	struct engine old = way->engine;
	struct decision decision = way->access.decision;
	const struct fold_image *image;
	const uint8_t *key, *value;
	uint32_t count, offset = 0;
	bool sound;

	access_close(&way->access);
	for (uint32_t t = 0; t < TABLES; t++)
		for (uint32_t i = 0; i < old.tables[t].spec.capacity; i++)
			if (table_entry(&old.tables[t], i)->live)
				change_mark(&old, &old.shards[0], t, i);
	engine_pass_begin(&old, true);
	fold->bytes = 64 + engine_pass_copy(&old, (uint8_t *)(fold + 1), sizeof(images) - 512,
				   &count, &sound);
	assert_true(engine_pass_left(&old) == 0);
	open_engine(way, capacity, old.hash_seed + 1, workers);
	way->access.decision.forced = decision.forced;
	while ((image = fold_image_next(fold, &offset, &key, &value)) != NULL)
		if ((image->flags & IMAGE_TOMBSTONE) == 0 &&
			engine_load(&way->engine, image, key, value) != STATUS_OK)
			way->team.hangs = true; /* only a mutant leaves such images */
	if (engine_state_digest(&old) != engine_state_digest(&way->engine))
		way->team.hangs = true;
	engine_close(&old);
}

/* Jobs [from, to), all of one quantum, as one batch; arrival is shuffled over the workers. */
static void run_batch(struct way *way, uint32_t from, uint32_t to)
{
	uint32_t order[BATCH_PACKETS_MAX], count = to - from, pick;
	uint32_t workers = way->engine.workers;

	engine_advance(&way->engine, way->jobs[from].now_ns, way->jobs[from].id);
	engine_batch_zero(&way->engine);
	way->base = from;
	pick = decision_pick(&way->access.decision, count);
	access_begin(&way->access, 0, count, pick == PICK_ALONE ? 0 : pick - 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = (uint32_t)(random_next(&way->team.random) >> 16) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t slot = order[i], worker = slot * 7 % workers;
		struct job *job = &way->jobs[from + slot];

		way->access.txns[slot] = (struct access_txn){.id = job->id,
			.now_ns = job->now_ns,
			.context = job,
			.home = (uint16_t)job->home,
			.prepares = job->prepares,
			.flows = job->flows,
			.alone = job->alone};
		access_declare(&way->access, worker, slot);
		for (uint32_t o = 0; o < job->operations_count; o++)
			access_operate(&way->access, worker, slot, &job->operations[o], 0);
	}
	access_run(&way->access, &way->team.team);
	for (uint32_t slot = 0; slot < count; slot++)
		way->jobs[from + slot].aborted = way->access.txns[slot].aborted;
	way->digest += engine_batch_digest(&way->engine);
}

static const char *compare(const struct way *way, const struct model *model, const struct job *jobs,
	uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (way->jobs[i].aborted != jobs[i].aborted)
			return "aborts";
		if (memcmp(way->jobs[i].results, jobs[i].results, sizeof(jobs[i].results)) != 0)
			return "results";
	}
	for (uint32_t t = 0; t < TABLES; t++) {
		struct table *table = (struct table *)&way->engine.tables[t];

		for (uint64_t key = 0; key <= KEYS; key++) {
			const struct model_entry *wanted = &model->entries[t][key];
			uint32_t number =
				table_find(table, table_shard_of(table, key % HOMES), &key);
			struct entry *entry = number == ENTRY_NONE ? NULL
								   : table_entry(table, number);

			if ((entry != NULL) != wanted->there)
				return "entries";
			if (entry == NULL)
				continue;
			if (memcmp(entry_value(table, entry), wanted->value, 16) != 0)
				return "values";
			if (entry->deadline_ns != wanted->deadline_ns)
				return "deadlines";
		}
	}
	return NULL;
}

static bool same_quantum(const struct job *jobs, uint32_t a, uint32_t b)
{
	return jobs[a].now_ns / MODEL_SECOND_NS == jobs[b].now_ns / MODEL_SECOND_NS;
}

struct choice {
	uint32_t strategy, workers;
	bool threads;
};

/* One program in one way; returns what differs from the model, or NULL. */
static const char *run_way(const struct job *program, const uint32_t *capacity,
	const struct choice *choice, uint64_t seed, uint64_t digests[2])
{
	static struct way way;
	static struct model model;
	static struct job jobs[TXNS], wanted[TXNS];
	const char *differs = NULL;

	memcpy(jobs, program, sizeof(jobs));
	memcpy(wanted, program, sizeof(wanted));
	memset(&model, 0, sizeof(model));
	memset(&way, 0, sizeof(way));
	memcpy(model.capacity, capacity, sizeof(model.capacity));
	way.jobs = jobs;
	way.team = (struct dice_team){.random = seed * 2 + 1};
	way.team.team = (struct team){choice->workers, choice->threads ? threads_run : dice_run};
	open_engine(&way, capacity, seed, choice->workers);
	way.access.decision.forced = choice->strategy;
	if (seed % 2 != 0)
		way.access.graph.round = UINT32_MAX - 2; /* soon begins anew */
	for (uint32_t from = 0, to; from < TXNS && differs == NULL; from = to) {
		uint32_t most = 1 + (uint32_t)(random_next(&way.team.random) >> 16) % 200;

		for (to = from; to < TXNS && to - from < most && same_quantum(jobs, from, to); to++)
			model_run(&model, &wanted[to]);
		run_batch(&way, from, to);
		differs = way.team.hangs ? "hang, or digest of a rebuilt state"
					 : compare(&way, &model, wanted, from, to);
		if (differs == NULL && (random_next(&way.team.random) >> 16) % 16 == 0)
			rebuild(&way, capacity, choice->workers);
	}
	if (!(way.access.decision.abort_rate >= 0 && way.access.decision.abort_rate <= 1))
		differs = "the rate of aborts is none";
	digests[0] = way.digest;
	digests[1] = engine_state_digest(&way.engine);
	access_close(&way.access);
	engine_close(&way.engine);
	return differs;
}

/* One program in several ways: against the model, and their digests against each other. */
static const char *run_program(uint64_t seed, const struct choice *choices, uint32_t count,
	uint32_t *at)
{
	static struct job program[TXNS];
	uint64_t random = seed * 2 + 1, first[2] = {0}, digests[2];
	uint32_t capacity[TABLES];
	const char *differs;

	random_next(&random);
	program_make(program, &random);
	for (uint32_t t = 0; t < TABLES; t++)
		capacity[t] = random_next(&random) & 256 ? KEYS / 2 : 3000;
	/* What memory that nobody wrote holds; now and then, for it takes long. */
	mallopt(M_PERTURB, seed % 16 == 0 ? (int)(seed / 16 % 255 + 1) : 0);
	for (*at = 0; *at < count; (*at)++) {
		differs = run_way(program, capacity, &choices[*at], seed + *at, digests);
		if (differs != NULL)
			return differs;
		if (*at == 0)
			memcpy(first, digests, sizeof(first));
		else if (memcmp(first, digests, sizeof(first)) != 0)
			return "digests";
	}
	return NULL;
}

static uint32_t all_choices(struct choice *choices, uint64_t seed)
{
	uint32_t count = 0;

	choices[count++] = (struct choice){0, 1, false};
	for (uint32_t s = 0; s <= STRATEGIES; s++) /* the last: as the model decides */
		choices[count++] =
			(struct choice){s, 1 + (uint32_t)(seed + s) % WORKERS_MAX, false};
	return count;
}

static uint32_t programs(uint32_t usual)
{
	const char *given = getenv("PROGRAMS");

	return given == NULL ? usual : (uint32_t)strtoul(given, NULL, 10);
}

static void test_every_strategy_is_serial(void **state)
{
	struct choice choices[STRATEGIES + 2];
	uint32_t count = programs(150), at;
	uint64_t first;

	(void)state;
	seed_random();
	first = random_state;
	for (uint64_t seed = first; seed < first + count; seed++) {
		const char *differs = run_program(seed, choices, all_choices(choices, seed), &at);

		if (differs != NULL) {
			print_error("SEED=%llu PROGRAMS=1: %s, with %s and %u workers\n",
				(unsigned long long)seed, differs,
				choices[at].strategy == STRATEGIES
					? "auto"
					: strategy_name(choices[at].strategy),
				choices[at].workers);
			fail();
		}
	}
	print_message("%u programs of %u transactions, each in %u ways\n", count, TXNS,
		STRATEGIES + 2);
}

static void test_threads(void **state)
{
	uint32_t count = programs(150) / 10 + 1, at;

	(void)state;
	for (uint64_t i = 0; i < count; i++) {
		struct choice choices[] = {{0, 1, false}, {1 + i % 12, 2, true},
			{1 + (i + 5) % 12, 4, true}, {0, 3, true}};
		const char *differs = run_program(random_state + 1000000 + i, choices, 4, &at);

		if (differs != NULL)
			print_error("SEED=%llu: %s, in threads, %s\n",
				(unsigned long long)(random_state + 1000000 + i), differs,
				strategy_name(choices[at].strategy));
		assert_null(differs);
	}
}

#ifdef UNDERSTUDY_MUTANTS
/* How many programs it takes to catch a seeded bug; 0: it was not. A crash catches it too. */
static uint32_t caught_after(enum mutant which, uint32_t most)
{
	int status;
	pid_t child;

	for (uint32_t i = 0; i < most; i++) {
		child = fork();
		if (child == 0) {
			struct choice choices[STRATEGIES + 2];
			uint32_t at;

			(void)!freopen("/dev/null", "w", stderr);
			(void)!freopen("/dev/null", "w", stdout);
			mutant = which;
			_exit(run_program(i + 1, choices, all_choices(choices, i), &at) != NULL);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			return i + 1;
	}
	return 0;
}

static void test_mutants_are_caught(void **state)
{
	(void)state;
	assert_int_equal(caught_after(MUTANT_NONE, 3), 0);
	for (int m = MUTANT_NONE + 1; m < MUTANTS_ENGINE_LAST; m++) {
		uint32_t after = caught_after((enum mutant)m, 50);

		print_message("seeded bug %d: caught after %u programs\n", m, after);
		assert_int_not_equal(after, 0);
	}
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_strategy_is_serial),
		cmocka_unit_test(test_threads),
#ifdef UNDERSTUDY_MUTANTS
		cmocka_unit_test(test_mutants_are_caught),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
