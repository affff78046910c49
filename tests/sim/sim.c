/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs simulated schedules, each in a process of its own:
 *
 *	sim [--schedules N] [--seed S] [--workers N] [--json FILE]   a campaign, from seed S on
 *	sim --seed S --trace [--without-mask M] [--packets N]        one schedule, told step by step
 *	sim --mutant NAME|all|found [--schedules N] [--seed S]       seeded bugs, each to be caught
 *
 * What violates an invariant is made smaller, printed, and repeated by the command that is printed
 * with it. Exit status 0: nothing was found (of mutants: all were).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "core/mutants.h"
#include "tests/sim/faults.h"
#include "tests/sim/oracle.h"
#include "tests/sim/processes.h"
#include "tests/sim/verdict.h"
#include "tests/sim/world.h"

#define RUN_NS (60 * SECOND_NS) /* virtual; a replica that never comes takes 20 s */
#define REAL_SECONDS 60
#define WORKERS_LIMIT 16
#define VIOLATIONS_SHOWN 5
#define COVERING 2000 /* schedules: so many must come to see all that there is to see */

struct verdict *verdict;
enum mutant mutant = MUTANT_NONE;

static const char *const mutant_names[MUTANTS_COUNT] = {
#define X(name, text) [MUTANT_##name] = #name,
	ENGINE_MUTANTS(X) CHAIN_MUTANTS(X) FOUND_MUTANTS(X)
#undef X
};

static const char *const mutant_texts[MUTANTS_COUNT] = {
#define X(name, text) [MUTANT_##name] = text,
	ENGINE_MUTANTS(X) CHAIN_MUTANTS(X) FOUND_MUTANTS(X)
#undef X
};

static struct {
	uint64_t schedules, seed;
	uint32_t workers, without, packets;
	bool one, traced;
	const char *json, *mutant;
} options = {.schedules = 1000, .seed = 1, .workers = 2};

static const char *const point_names[FAULT_POINTS] = {
#define X(name, text) #name,
	FAULT_POINT_LIST(X)
#undef X
};

static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void *shared_memory(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* What the run counts for itself. */
static void count_rare(void)
{
	tally->virtual_ns += world.now_ns - SECOND_NS;
	tally->switches += world.switches;
	for (uint32_t s = 0; s < world.plan->stages; s++)
		if (page->stages[s].term > 1) {
			sometimes(SOMETIMES_TAKEOVER);
			tally->promotions += page->stages[s].term - 1;
		}
	for (uint32_t s = 0; s < world.plan->stages; s++)
		for (uint32_t r = 0; r < REPLICAS_MAX; r++)
			if (page->stages[s].term > 1 && page->stages[s].replicas[r].determines != 0)
				sometimes(SOMETIMES_OLD_JOURNAL_DRAINED);
	tally->failovers += page->failovers_count;
	for (uint32_t i = 0; i < page->failovers_count; i++) {
		if (page->failovers[i].kind == FAILOVER_HANG)
			sometimes(SOMETIMES_HANG_SEEN);
		if (page->failovers[i].kind == FAILOVER_BAD)
			sometimes(SOMETIMES_CORRUPT_SEEN);
	}
}

/* Safety with faults, then liveness without: all must come to its end. */
static void run_schedule(const struct plan *plan)
{
	bool fatal = plan_is_fatal(plan);

	world_begin(plan);
	oracle_begin();
	faults_begin();
	processes_begin();
	(void)world_run(SECOND_NS + 220000000);
	world.calm = true;
	if (!world_run(SECOND_NS + RUN_NS) && !fatal)
		world_violated("L1",
			"after %.1f s without faults: %llu of %llu batches released, %u failovers",
			(double)(world.now_ns - SECOND_NS) / 1e9,
			(unsigned long long)page->egress.batches,
			(unsigned long long)page->ingress.batches, page->failovers_count);
	if (!fatal || processes_ended_well())
		oracle_end();
	else
		sometimes(SOMETIMES_RUN_FAILED);
	count_rare();
}

/* In a process of its own; true: all invariants held. */
static bool try_schedule(const struct plan *plan)
{
	pid_t child;
	int status;

	memset(verdict, 0, sizeof(*verdict));
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct itimerval limit = {.it_value.tv_sec = REAL_SECONDS};
		struct rlimit none = {0, 0};

		if (!world.traced)
			(void)!freopen("/dev/null", "w", stderr);
		setitimer(ITIMER_PROF, &limit, NULL);
		setrlimit(RLIMIT_CORE, &none);
		run_schedule(plan);
		fflush(stdout);
		schedule_exit(0);
	}
	waitpid(child, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (verdict->invariant[0] == 0) {
		snprintf(verdict->invariant, sizeof(verdict->invariant), "I13");
		snprintf(verdict->text, sizeof(verdict->text), "%s %d",
			WIFSIGNALED(status) ? "ended by signal" : "ended with status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	return false;
}

/* Leaves out what is not needed to violate the same invariant. */
static void shrink(uint64_t seed, uint32_t *without, uint32_t *packets)
{
	struct verdict first;
	struct plan plan;
	uint32_t faults;

	plan_make(&plan, seed);
	(void)try_schedule(&plan);
	first = *verdict;
	faults = plan.faults_count;
	*without = 0;
	*packets = plan.packets;
	for (uint32_t i = 0; i < faults; i++) {
		plan_make(&plan, seed);
		plan_shrink(&plan, *without | 1u << i, *packets);
		if (!try_schedule(&plan) && strcmp(verdict->invariant, first.invariant) == 0)
			*without |= 1u << i;
	}
	for (uint32_t cut = *packets / 2; cut > 0; cut /= 2) {
		plan_make(&plan, seed);
		plan_shrink(&plan, *without, *packets - cut);
		if (*packets > cut && !try_schedule(&plan) &&
			strcmp(verdict->invariant, first.invariant) == 0)
			*packets -= cut;
	}
	plan_make(&plan, seed);
	plan_shrink(&plan, *without, *packets);
	(void)try_schedule(&plan);
}

static void show_violation(uint64_t seed)
{
	uint32_t without, packets;
	struct plan plan;

	shrink(seed, &without, &packets);
	plan_make(&plan, seed);
	plan_shrink(&plan, without, packets);
	printf("VIOLATION of %s at %.6f ms, turn %llu: %s\n", verdict->invariant,
		(double)verdict->now_ns / 1e6, (unsigned long long)verdict->turn, verdict->text);
	plan_print(&plan, stdout);
	printf("  again, step by step: sim --seed %llu --trace --without-mask %u --packets %u\n",
		(unsigned long long)seed, without, packets);
	fflush(stdout);
}

struct share {
	uint64_t violations, done;
	uint64_t seeds[VIOLATIONS_SHOWN];
};

/* Every so-manieth schedule of the campaign. */
static void run_share(struct share *share, uint32_t worker)
{
	for (uint64_t i = worker; i < options.schedules; i += options.workers) {
		struct plan plan;

		plan_make(&plan, options.seed + i);
		if (!try_schedule(&plan)) {
			if (share->violations < VIOLATIONS_SHOWN)
				share->seeds[share->violations] = options.seed + i;
			share->violations++;
		}
		share->done++;
	}
}

static void add_tally(struct tally *sum, const struct tally *part)
{
	uint64_t *into = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
		into[i] += from[i];
}

static bool print_coverage(const struct tally *sum)
{
	bool all = true;

	for (uint32_t i = 0; i < FAULT_KINDS; i++)
		printf("  fault      %-60s %10llu\n", fault_kind_texts[i],
			(unsigned long long)sum->faults[i]);
	for (uint32_t i = 0; i < FAULT_POINTS; i++) {
		printf("  point      %-60s %10llu, %llu faults\n", point_names[i],
			(unsigned long long)sum->points[i], (unsigned long long)sum->died_at[i]);
		all &= sum->died_at[i] > 0;
	}
	for (uint32_t i = 0; i < SOMETIMES; i++) {
		printf("  sometimes  %-60s %10llu\n", sometimes_texts[i],
			(unsigned long long)sum->sometimes[i]);
		all &= sum->sometimes[i] > 0;
	}
	return all;
}

/* By component, by moment, by kind of fault: how often it was met, and survived. */
static json_t *met_json(const struct tally *sum)
{
	json_t *components = json_object();

	for (uint32_t c = 0; c < COMPONENTS; c++) {
		json_t *moments = json_object();

		for (uint32_t m = 0; m < FAULT_POINTS + 2; m++) {
			json_t *kinds = json_object();

			for (uint32_t k = 0; k < FAULT_KINDS; k++)
				if (sum->met[c][m][k] > 0)
					json_object_set_new(kinds, fault_kind_texts[k],
						json_integer((json_int_t)sum->met[c][m][k]));
			json_object_set_new(moments,
				m < FAULT_POINTS    ? point_texts[m]
				: m == FAULT_POINTS ? "at some time"
						    : "at an ordered store of its own",
				kinds);
		}
		json_object_set_new(components, component_names[c], moments);
	}
	return components;
}

static void write_json(const struct tally *sum, uint64_t violations, uint64_t done, double seconds)
{
	json_t *root = json_pack("{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "schedules",
		(json_int_t)done, "seed", (json_int_t)options.seed, "violations",
		(json_int_t)violations, "virtual_s", (double)sum->virtual_ns / 1e9, "real_s",
		seconds, "batches", (json_int_t)sum->batches, "outputs", (json_int_t)sum->packets,
		"failovers", (json_int_t)sum->failovers, "promotions", (json_int_t)sum->promotions,
		"turns", (json_int_t)sum->switches);
	json_t *faults = json_object(), *points = json_object(), *seen = json_object();

	for (uint32_t i = 0; i < FAULT_KINDS; i++)
		json_object_set_new(faults, fault_kind_texts[i],
			json_integer((json_int_t)sum->faults[i]));
	for (uint32_t i = 0; i < FAULT_POINTS; i++)
		json_object_set_new(points, point_names[i],
			json_pack("{s:I, s:I}", "reached", (json_int_t)sum->points[i], "faults",
				(json_int_t)sum->died_at[i]));
	for (uint32_t i = 0; i < SOMETIMES; i++)
		json_object_set_new(seen, sometimes_texts[i],
			json_integer((json_int_t)sum->sometimes[i]));
	json_object_set_new(root, "faults", faults);
	json_object_set_new(root, "fault_points", points);
	json_object_set_new(root, "sometimes", seen);
	json_object_set_new(root, "met", met_json(sum));
	if (json_dump_file(root, options.json, JSON_INDENT(2)) != 0)
		fprintf(stderr, "sim: %s cannot be written\n", options.json);
	json_decref(root);
}

static int campaign(void)
{
	struct tally *tallies = shared_memory(sizeof(*tallies) * WORKERS_LIMIT);
	struct verdict *verdicts = shared_memory(sizeof(*verdicts) * WORKERS_LIMIT);
	struct share *shares = shared_memory(sizeof(*shares) * WORKERS_LIMIT);
	struct tally sum = {0};
	uint64_t began_ns = real_ns(), violations = 0, done = 0, took_ns;
	bool all;

	fflush(stdout);
	for (uint32_t w = 0; w < options.workers; w++)
		if (fork() == 0) {
			tally = &tallies[w];
			verdict = &verdicts[w];
			run_share(&shares[w], w);
			_Exit(0);
		}
	while (wait(NULL) > 0)
		continue;
	took_ns = real_ns() - began_ns;
	for (uint32_t w = 0; w < options.workers; w++) {
		add_tally(&sum, &tallies[w]);
		violations += shares[w].violations;
		done += shares[w].done;
		for (uint64_t i = 0; i < shares[w].violations && i < VIOLATIONS_SHOWN; i++)
			show_violation(shares[w].seeds[i]);
	}
	all = print_coverage(&sum);
	printf("%llu schedules from seed %llu, %llu violations; %.1f s of virtual time in %.1f s, "
	       "%.1f times real; %llu batches, %llu outputs, %llu failovers, %llu promotions, "
	       "%llu base values\n",
		(unsigned long long)done, (unsigned long long)options.seed,
		(unsigned long long)violations, (double)sum.virtual_ns / 1e9, (double)took_ns / 1e9,
		(double)sum.virtual_ns / (double)took_ns, (unsigned long long)sum.batches,
		(unsigned long long)sum.packets, (unsigned long long)sum.failovers,
		(unsigned long long)sum.promotions, (unsigned long long)sum.folds);
	if (options.json != NULL)
		write_json(&sum, violations, done, (double)took_ns / 1e9);
	if (!all)
		printf("NOT COVERED: what has 0 above was never reached\n");
	return violations != 0 || (!all && done >= COVERING);
}

/* How many schedules it takes to catch a seeded bug; 0: so many do not. */
static uint64_t catch_mutant(enum mutant which)
{
	uint64_t schedules = 0;
	struct plan plan;
	bool held = true;

	mutant = which;
	while (held && schedules < options.schedules) {
		plan_make(&plan, options.seed + schedules++);
		held = try_schedule(&plan);
	}
	mutant = MUTANT_NONE;
	return held ? 0 : schedules;
}

/* The code without them passes the schedules that catch the mutants. */
static bool holds_without(uint64_t schedules)
{
	struct plan plan;

	for (uint64_t i = 0; i < schedules; i++) {
		plan_make(&plan, options.seed + i);
		if (!try_schedule(&plan))
			return false;
	}
	return true;
}

struct catch
{
	uint64_t schedules; /* 0: not caught */
	struct verdict verdict;
};

static bool is_wanted(int which)
{
	if (mutant_names[which] == NULL)
		return false;
	if (strcmp(options.mutant, "all") == 0)
		return which > MUTANTS_ENGINE_LAST && which < MUTANTS_CHAIN_LAST;
	if (strcmp(options.mutant, "found") == 0)
		return which > MUTANTS_CHAIN_LAST;
	return strcmp(options.mutant, mutant_names[which]) == 0;
}

/* The caught ones, and the greatest number of schedules that one took. */
static uint32_t print_mutants(const struct catch *catches, uint64_t *most, uint32_t *wanted)
{
	uint32_t caught = 0;

	for (int m = MUTANT_NONE + 1; m < MUTANTS_COUNT; m++) {
		const struct catch *one = &catches[m];

		if (!is_wanted(m))
			continue;
		(*wanted)++;
		caught += one->schedules > 0;
		*most = one->schedules > *most ? one->schedules : *most;
		printf("%-18s %-62s ", mutant_names[m], mutant_texts[m]);
		if (one->schedules > 0)
			printf("%5llu schedules: %s, %.90s\n", (unsigned long long)one->schedules,
				one->verdict.invariant, one->verdict.text);
		else
			printf("NOT CAUGHT in %llu schedules\n",
				(unsigned long long)options.schedules);
	}
	return caught;
}

static int mutants(void)
{
	struct catch *catches = shared_memory(sizeof(*catches) * MUTANTS_COUNT);
	struct verdict *verdicts = shared_memory(sizeof(*verdicts) * WORKERS_LIMIT);
	uint32_t caught, wanted = 0;
	uint64_t most = 0;

	for (uint32_t w = 0; w < options.workers; w++)
		if (fork() == 0) {
			verdict = &verdicts[w];
			for (int m = MUTANT_NONE + 1; m < MUTANTS_COUNT; m++)
				if (is_wanted(m) && (uint32_t)m % options.workers == w) {
					catches[m].schedules = catch_mutant((enum mutant)m);
					catches[m].verdict = *verdict;
				}
			_Exit(0);
		}
	while (wait(NULL) > 0)
		continue;
	caught = print_mutants(catches, &most, &wanted);
	if (wanted == 0) {
		fprintf(stderr, "sim: there is no mutant '%s': see core/mutants.h, or say all\n",
			options.mutant);
		return 2;
	}
	if (!holds_without(most)) {
		printf("the code without them does not pass these schedules\n");
		return 1;
	}
	printf("%u of %u seeded bugs caught, after %llu schedules at most, which the code without "
	       "them passes\n",
		caught, wanted, (unsigned long long)most);
	return caught != wanted;
}

static int one(void)
{
	struct plan plan;

	plan_make(&plan, options.seed);
	plan_shrink(&plan, options.without, options.packets);
	plan_print(&plan, stdout);
	world.traced = options.traced;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (try_schedule(&plan)) {
		printf("all invariants hold\n");
		return 0;
	}
	printf("VIOLATION of %s at %.6f ms, turn %llu: %s\n", verdict->invariant,
		(double)verdict->now_ns / 1e6, (unsigned long long)verdict->turn, verdict->text);
	return 1;
}

static bool parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--trace") == 0) {
			options.one = options.traced = true;
			continue;
		}
		if (strcmp(argv[i], "--schedules") == 0)
			options.schedules = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--workers") == 0)
			options.workers = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--json") == 0)
			options.json = value;
		else if (strcmp(argv[i], "--mutant") == 0)
			options.mutant = value;
		else if (strcmp(argv[i], "--without-mask") == 0)
			options.without = (uint32_t)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--packets") == 0)
			options.packets = (uint32_t)strtoul(value, NULL, 10);
		else
			return false;
		i++;
	}
	return options.workers >= 1 && options.workers <= WORKERS_LIMIT;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv)) {
		fprintf(stderr,
			"usage: sim [--schedules N] [--seed S] [--workers 1-16] [--json FILE]\n"
			"       sim --seed S --trace [--without-mask M] [--packets N]\n"
			"       sim --mutant NAME|all|found [--schedules N] [--seed S]\n");
		return 2;
	}
	tally = shared_memory(sizeof(*tally));
	verdict = shared_memory(sizeof(*verdict));
	if (options.mutant != NULL)
		return mutants();
	return options.one ? one() : campaign();
}
