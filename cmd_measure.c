/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * measure: runs a chain under load, kills a master again and again, each time once redundancy is
 * restored; then runs it as long without a fault, for comparison. The figures are those of the
 * runs' own reports.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "core/random.h"
#include "loggers/idle.h"
#include "measure.h"

#define READY_NS 60000000000ull	  /* for a chain to come up */
#define RESTORE_NS 60000000000ull /* for redundancy to come back */
#define PAUSE_NS 20000000ull	  /* at least, between two kills; and as much again by chance */
#define BEFORE_NS 5000000ull	  /* of a timeline, before its kill */
#define AFTER_NS 15000000ull	  /* and after it */
#define POLL_US 500

struct session {
	const struct options *options;
	struct measure *measure;
	struct role_options role;
	char dir[64], run_dir[80], report[96], log[96], input[PATH_BYTES];
	struct role chain; /* the running chain's page; page NULL: not mapped */
	pid_t pid;
	char error[CONFIG_ERROR_BYTES];
};

const char *const measure_figure_names[MEASURE_FIGURES] = {"detection", "promotion",
	"first release", "outage", "redundancy restored"};
static const char *const figure_keys[MEASURE_FIGURES] = {"detect_us", "promote_us",
	"first_release_us", "outage_us", "restored_us"};

static double figure_of(const struct measure_kill *kill, enum measure_figure figure)
{
	const double figures[MEASURE_FIGURES] = {kill->detect_us, kill->promote_us,
		kill->first_release_us, kill->outage_us, kill->restored_us};

	return figures[figure];
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

double measure_quantile(const struct measure *measure, uint32_t stage, enum measure_figure figure,
	double fraction)
{
	static double values[KILLS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < measure->kills_count; i++)
		if (stage == UINT32_MAX || measure->kills[i].stage == stage)
			values[count++] = figure_of(&measure->kills[i], figure);
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(values[0]), by_value);
	return values[fraction >= 1 ? count - 1 : (uint32_t)(fraction * count)];
}

const struct measure_kill *measure_median_kill(const struct measure *measure)
{
	double median = measure_quantile(measure, UINT32_MAX, MEASURE_OUTAGE, 0.5);

	for (uint32_t i = 0; i < measure->kills_count; i++)
		if (measure->kills[i].outage_us == median)
			return &measure->kills[i];
	return NULL;
}

/* The supervisor's process; its words go to a file. */
static bool start_chain(struct session *self)
{
	const char *arguments[16] = {"understudy", "run", self->options->words[0], "--run-dir",
		self->run_dir, "--report", self->report};
	uint32_t count = 7;

	if (self->input[0] != 0) {
		arguments[count++] = "--input";
		arguments[count++] = self->input;
	}
	if (self->options->role.output != NULL) {
		arguments[count++] = "--output";
		arguments[count++] = self->options->role.output;
	}
	self->pid = fork();
	if (self->pid == 0) {
		int log = open(self->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		setpgid(0, 0); /* an interrupt at the terminal is ours to pass on */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execv("/proc/self/exe", (char *const *)arguments);
		_exit(127);
	}
	return self->pid > 0;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* The run's own last words, as the error. */
static bool fail_with_log(struct session *self)
{
	char line[CONFIG_ERROR_BYTES];
	FILE *log = fopen(self->log, "re");

	snprintf(self->error, sizeof(self->error),
		interrupted ? "interrupted" : "the chain ended before it was measured");
	while (log != NULL && fgets(line, sizeof(line), log) != NULL)
		if (strncmp(line, "understudy: ", 12) == 0 && strstr(line, "WITHOUT") == NULL)
			snprintf(self->error, sizeof(self->error), "%.*s",
				(int)strcspn(line + 12, "\n"), line + 12);
	if (log != NULL)
		fclose(log);
	return false;
}

static bool has_ended(struct session *self)
{
	if (self->pid != 0 && waitpid(self->pid, NULL, WNOHANG) == self->pid)
		self->pid = 0;
	return self->pid == 0 || interrupted;
}

static bool is_ready(const struct session *self)
{
	const struct config *config = self->measure->config;
	const struct page *page = self->chain.page;

	for (uint32_t s = 0; s < config->stages_count; s++)
		for (uint32_t r = 0; r < config_replicas(config, s); r++)
			if (atomic_read_acquire(&page->stages[s].replicas[r].state) !=
				REPLICA_READY)
				return false;
	return atomic_read_relaxed(&page->egress.released) > 0;
}

static bool wait_until_ready(struct session *self)
{
	uint64_t until_ns = mono_ns() + READY_NS;

	while (mono_ns() < until_ns) {
		if (has_ended(self))
			return fail_with_log(self);
		if (self->chain.page == NULL &&
			role_open(&self->chain, ROLE_CLI, &self->role, self->error) != STATUS_OK)
			self->chain.page = NULL;
		if (self->chain.page != NULL && is_ready(self))
			return true;
		usleep(POLL_US);
	}
	snprintf(self->error, sizeof(self->error),
		"the chain has released nothing for %llu s: is there traffic at its ports?",
		READY_NS / 1000000000ull);
	return false;
}

/* Ends the run in good order and takes its report. */
static json_t *end_chain(struct session *self)
{
	json_t *report;
	int status = 0;

	if (self->chain.page != NULL)
		role_close(&self->chain);
	self->chain.page = NULL;
	if (self->pid != 0) {
		kill(self->pid, SIGINT);
		while (waitpid(self->pid, &status, 0) < 0 && errno == EINTR)
			;
		self->pid = 0;
	}
	report = json_load_file(self->report, 0, NULL);
	unlink(self->report);
	if (report == NULL || status != 0) {
		(void)fail_with_log(self);
		json_decref(report);
		return NULL;
	}
	return report;
}

/* Keeps what was released around a kill; the ring holds it for long enough. */
static void keep_timeline(const struct page *page, const struct page_failover *failover,
	struct measure_kill *kill)
{
	uint64_t count = atomic_read_acquire(&page->egress.releases_count);
	uint64_t first = count < RELEASES_MAX / 2 ? 0 : count - RELEASES_MAX / 2;

	kill->failover = *failover;
	kill->timeline.releases = calloc(TIMELINE_MAX, sizeof(struct page_release));
	if (kill->timeline.releases == NULL)
		return;
	for (uint64_t i = first; i < count && kill->timeline.count < TIMELINE_MAX; i++) {
		struct page_release release = page->egress.releases[i % RELEASES_MAX];

		if (release.at_ns + BEFORE_NS >= kill->failover.t0_ns &&
			release.at_ns <= kill->failover.t0_ns + AFTER_NS)
			kill->timeline.releases[kill->timeline.count++] = release;
	}
}

static void show_progress(const struct session *self, uint64_t started_ns)
{
	const struct measure *measure = self->measure;
	double seconds = (double)(mono_ns() - started_ns) / 1e9;

	if (!isatty(STDERR_FILENO) && measure->kills_count % 50 != 0)
		return;
	fprintf(stderr, "%s%u of %llu kills in %.0f s, about %.0f s to go%s",
		isatty(STDERR_FILENO) ? "\r" : "", measure->kills_count,
		(unsigned long long)self->options->kills, seconds,
		seconds / measure->kills_count *
			(double)(self->options->kills - measure->kills_count),
		isatty(STDERR_FILENO) ? "   " : "\n");
	fflush(stderr);
}

/* One kill, to the restored redundancy. */
static bool kill_once(struct session *self, uint64_t *random)
{
	struct measure *measure = self->measure;
	const struct page *page = self->chain.page;
	uint32_t number = measure->kills_count, stage;
	struct measure_kill *kill = &measure->kills[number];
	const struct page_failover *failover = &page->failovers[number];
	char text[NAME_BYTES + 16];
	uint64_t until_ns = mono_ns() + RESTORE_NS;
	bool kept = false;

	usleep((useconds_t)((PAUSE_NS + random_next(random) % PAUSE_NS) / 1000));
	stage = (uint32_t)(random_next(random) >> 32) % measure->config->stages_count;
	kill->stage = stage;
	snprintf(text, sizeof(text), "kill %s/master", measure->config->stages[stage].name);
	if (!inject_fault(self->run_dir, text, self->error))
		return false;
	while (mono_ns() < until_ns) {
		if (has_ended(self))
			return fail_with_log(self);
		if (!kept && atomic_read_acquire(&failover->t0_ns) != 0 &&
			mono_ns() > failover->t0_ns + AFTER_NS) {
			keep_timeline(page, failover, kill);
			kept = true;
		}
		if (kept && atomic_read_acquire(&failover->restored_ns) != 0 && is_ready(self)) {
			measure->kills_count++;
			return true;
		}
		usleep(POLL_US);
	}
	snprintf(self->error, sizeof(self->error),
		"kill %u: redundancy did not come back in %llu s", number + 1,
		RESTORE_NS / 1000000000ull);
	return false;
}

static bool take_kills(struct measure *measure)
{
	const json_t *failovers = json_object_get(measure->faulty, "failovers");

	for (uint32_t i = 0; i < measure->kills_count; i++) {
		const json_t *one = json_array_get(failovers, i);
		double *into[MEASURE_FIGURES] = {&measure->kills[i].detect_us,
			&measure->kills[i].promote_us, &measure->kills[i].first_release_us,
			&measure->kills[i].outage_us, &measure->kills[i].restored_us};

		for (int f = 0; f < MEASURE_FIGURES; f++)
			*into[f] = json_number_value(json_object_get(one, figure_keys[f]));
	}
	return json_array_size(failovers) == measure->kills_count;
}

/* The run with kills, then as long without. */
static bool measure_runs(struct session *self)
{
	struct measure *measure = self->measure;
	uint64_t random = (measure->seed + 1) * 0x9e3779b97f4a7c15ull | 1, started_ns, took_ns;

	if (!start_chain(self) || !wait_until_ready(self))
		return false;
	started_ns = mono_ns();
	while (measure->kills_count < self->options->kills) {
		if (!kill_once(self, &random))
			return false;
		show_progress(self, started_ns);
	}
	took_ns = mono_ns() - started_ns;
	measure->faulty = end_chain(self);
	if (measure->faulty == NULL)
		return false;
	if (!take_kills(measure)) {
		snprintf(self->error, sizeof(self->error),
			"there were other failovers than those asked for: see the report");
		return false;
	}
	fprintf(stderr, "%sas long without a fault: %.0f s\n", isatty(STDERR_FILENO) ? "\n" : "",
		(double)took_ns / 1e9);
	if (!start_chain(self) || !wait_until_ready(self))
		return false;
	for (started_ns = mono_ns(); mono_ns() < started_ns + took_ns;) {
		if (has_ended(self))
			return fail_with_log(self);
		usleep(POLL_US * 10);
	}
	measure->faultless = end_chain(self);
	return measure->faultless != NULL;
}

static void print_rows(const struct measure *measure, uint32_t stage, const char *name)
{
	printf("  %-22s %11s %11s %11s\n", name, "p50", "p99", "max");
	for (int f = 0; f < MEASURE_FIGURES; f++)
		printf("    %-20s %8.1f us %8.1f us %8.1f us\n", measure_figure_names[f],
			measure_quantile(measure, stage, (enum measure_figure)f, 0.5),
			measure_quantile(measure, stage, (enum measure_figure)f, 0.99),
			measure_quantile(measure, stage, (enum measure_figure)f, 1));
}

static double number_at(const json_t *report, const char *object, const char *key)
{
	const json_t *in = object == NULL ? report : json_object_get(report, object);

	return json_number_value(json_object_get(in, key));
}

static void print_result(const struct measure *measure)
{
	printf("%s: %u masters killed, %.0f packets released\n", measure->config->chain,
		measure->kills_count, number_at(measure->faulty, "packets", "released"));
	if (json_is_null(json_object_get(measure->faulty, "lost")))
		printf("  lost, duplicated, reordered: not judged, there is no gen: traffic\n");
	else
		printf("  lost %.0f, duplicated %.0f, reordered %.0f\n",
			number_at(measure->faulty, NULL, "lost"),
			number_at(measure->faulty, NULL, "duplicated"),
			number_at(measure->faulty, NULL, "reordered"));
	print_rows(measure, UINT32_MAX, "all stages");
	for (uint32_t s = 0; measure->config->stages_count > 1 && s < measure->config->stages_count;
		s++)
		print_rows(measure, s, measure->config->stages[s].name);
	printf("  release gaps of a run without faults of the same length:\n"
	       "    %-20s %8.1f us %8.1f us %8.1f us\n",
		"", number_at(measure->faultless, "release_gaps", "p50_us"),
		number_at(measure->faultless, "release_gaps", "p99_us"),
		number_at(measure->faultless, "release_gaps", "max_us"));
	printf("  %.2f Mpps with the kills, %.2f without\n",
		number_at(measure->faulty, NULL, "throughput_mpps"),
		number_at(measure->faultless, NULL, "throughput_mpps"));
}

static json_t *figures_json(const struct measure *measure, uint32_t stage)
{
	json_t *figures = json_object();

	for (int f = 0; f < MEASURE_FIGURES; f++)
		json_object_set_new(figures, figure_keys[f],
			json_pack("{s:f, s:f, s:f}", "p50",
				measure_quantile(measure, stage, (enum measure_figure)f, 0.5),
				"p99",
				measure_quantile(measure, stage, (enum measure_figure)f, 0.99),
				"max",
				measure_quantile(measure, stage, (enum measure_figure)f, 1)));
	return figures;
}

static bool write_report(const struct measure *measure, const char *path)
{
	json_t *root = json_pack("{s:i, s:s, s:i, s:I, s:O, s:O}", "version", 1, "chain",
		measure->config->chain, "kills", (int)measure->kills_count, "seed",
		(json_int_t)measure->seed, "run", measure->faulty, "run_without_faults",
		measure->faultless);
	json_t *stages = json_object();
	bool written;

	for (uint32_t s = 0; s < measure->config->stages_count; s++)
		json_object_set_new(stages, measure->config->stages[s].name,
			figures_json(measure, s));
	json_object_set_new(root, "all", figures_json(measure, UINT32_MAX));
	json_object_set_new(root, "stages", stages);
	for (int i = 0; i < 3; i++) {
		static const char *const keys[] = {"lost", "duplicated", "reordered"};

		json_object_set(root, keys[i], json_object_get(measure->faulty, keys[i]));
	}
	written = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0;
	json_decref(root);
	return written;
}

/* The traffic must not end before the last kill. */
static void make_endless(struct session *self)
{
	const char *dev = self->measure->config->ports[0].dev;

	if (strncmp(dev, "gen:", 4) == 0)
		snprintf(self->input, sizeof(self->input), "%.200s,count=1e15", dev);
	else if (self->options->role.input != NULL)
		snprintf(self->input, sizeof(self->input), "%s", self->options->role.input);
}

static int fail(const char *error)
{
	fprintf(stderr, "understudy: %s\n", error);
	return 1;
}

static bool prepare(struct session *self, struct config **config)
{
	const struct options *options = self->options;

	if (options->words_count != 1 || options->kills == 0 || options->kills > KILLS_MAX ||
		options->report == NULL) {
		snprintf(self->error, sizeof(self->error),
			"measure needs one CHAIN.yaml, --kills from 1 to %d and --report FILE",
			KILLS_MAX);
		return false;
	}
	self->role = options->role;
	self->role.config_path = options->words[0];
	if (role_config(config, &self->role, self->error) != STATUS_OK)
		return false;
	self->measure->config = *config;
	if (strncmp((*config)->ports[0].dev, "pcap:", 5) == 0) {
		snprintf(self->error, sizeof(self->error),
			"%s: measure needs traffic that goes on: give --input gen:..., or live "
			"ports",
			options->words[0]);
		return false;
	}
	snprintf(self->dir, sizeof(self->dir), "/tmp/understudy-measure.XXXXXX");
	if (mkdtemp(self->dir) == NULL) {
		snprintf(self->error, sizeof(self->error), "/tmp: %s", strerror(errno));
		return false;
	}
	snprintf(self->run_dir, sizeof(self->run_dir), "%s/run", self->dir);
	snprintf(self->report, sizeof(self->report), "%s/report", self->dir);
	snprintf(self->log, sizeof(self->log), "%s/log", self->dir);
	self->role.run_dir = self->run_dir;
	make_endless(self);
	return true;
}

static void clean_up(struct session *self, struct config *config)
{
	char path[128];

	if (self->pid > 0) {
		kill(self->pid, SIGTERM);
		kill(self->pid, SIGTERM);
		(void)waitpid(self->pid, NULL, 0);
	}
	for (uint32_t i = 0; i < self->measure->kills_count; i++)
		free(self->measure->kills[i].timeline.releases);
	json_decref(self->measure->faulty);
	json_decref(self->measure->faultless);
	config_free(config);
	if (self->dir[0] == 0)
		return;
	unlink(self->log);
	unlink(self->report);
	snprintf(path, sizeof(path), "%s/lock", self->run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/alerts.jsonl", self->run_dir);
	unlink(path);
	rmdir(self->run_dir);
	rmdir(self->dir);
}

int command_measure(const struct options *options)
{
	static struct measure measure;
	struct session self = {.options = options, .measure = &measure};
	struct config *config = NULL;
	int result = 0;

	measure.seed = options->seed;
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	if (!prepare(&self, &config) || !measure_runs(&self)) {
		result = fail(self.error);
	} else {
		print_result(&measure);
		if (!write_report(&measure, options->report)) {
			snprintf(self.error, sizeof(self.error), "%.200s: cannot be written",
				options->report);
			result = fail(self.error);
		}
		if (options->html != NULL && measure_html(&measure, options->html) != STATUS_OK) {
			snprintf(self.error, sizeof(self.error), "%.200s: cannot be written",
				options->html);
			result = fail(self.error);
		}
	}
	clean_up(&self, config);
	return result;
}
