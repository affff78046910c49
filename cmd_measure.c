/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * measure: runs a chain under load and kills or stops one of its processes, or two at once, again
 * and again, each time once all is in its place again; then runs it as long without a fault, for
 * comparison. Whom it meets comes from a seed. The figures are those of the chain's control page.
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
#include "core/fault_spec.h"
#include "core/random.h"
#include "loggers/idle.h"
#include "measure.h"

#define READY_NS 60000000000ull	  /* for a chain to come up */
#define RESTORE_NS 60000000000ull /* for redundancy to come back */
#define PAUSE_NS 20000000ull	  /* at least, between two kills; and as much again by chance */
#define BEFORE_NS 5000000ull	  /* of a timeline, before its kill */
#define AFTER_NS 15000000ull	  /* and after it */
#define ASK_NS 2000000000ull	  /* for a manager to be there */
#define POLL_US 500
#define SHOW_NS 10000000000ull
#define QUIET_US 1000000 /* until what a start or a fault leaves is gone, and a standby there */

struct session {
	const struct options *options;
	struct measure *measure;
	struct role_options role;
	char dir[64], run_dir[80], report[96], log[96], input[PATH_BYTES];
	struct role chain; /* the running chain's page; page NULL: not mapped */
	pid_t pid;
	uint64_t shown_ns;
	char error[CONFIG_ERROR_BYTES];
};

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

/* Keeps what was released around a fault; the ring holds it for long enough. */
static void keep_timeline(const struct page *page, struct measure_record *record)
{
	uint64_t count = atomic_read_acquire(&page->egress.releases_count);
	uint64_t first = count < RELEASES_MAX / 2 ? 0 : count - RELEASES_MAX / 2;
	uint64_t t0_ns = record->failover.t0_ns;

	record->timeline.releases = calloc(TIMELINE_MAX, sizeof(struct page_release));
	if (record->timeline.releases == NULL)
		return;
	for (uint64_t i = first; i < count && record->timeline.count < TIMELINE_MAX; i++) {
		struct page_release release = page->egress.releases[i % RELEASES_MAX];

		if (release.at_ns + BEFORE_NS >= t0_ns && release.at_ns <= t0_ns + AFTER_NS)
			record->timeline.releases[record->timeline.count++] = release;
	}
}

static void show_progress(struct session *self, uint64_t started_ns)
{
	const struct measure *measure = self->measure;
	double seconds = (double)(mono_ns() - started_ns) / 1e9;

	if (!isatty(STDERR_FILENO) && mono_ns() < self->shown_ns + SHOW_NS)
		return;
	self->shown_ns = mono_ns();
	fprintf(stderr, "%s%u of %llu faults in %.0f s, about %.0f s to go%s",
		isatty(STDERR_FILENO) ? "\r" : "", measure->faults_count,
		(unsigned long long)self->options->kills, seconds,
		seconds / measure->faults_count *
			(double)(self->options->kills - measure->faults_count),
		isatty(STDERR_FILENO) ? "   " : "\n");
	fflush(stderr);
}

/* One of the components, killed or stopped. */
static bool raise_one(struct session *self, uint32_t component, bool stop)
{
	const struct measure_component *one = &self->measure->components[component];
	uint32_t faults = self->chain.page->faults_count;
	uint64_t until_ns = mono_ns() + ASK_NS;
	char text[NAME_BYTES * 2];
	bool raised;

	snprintf(text, sizeof(text), "%s %s", stop ? "stop" : "kill", one->name);
	self->measure->faults_count++;
	/* The first of two may have met the manager: before it answered, or before it was asked. */
	while (!(raised = inject_fault(self->run_dir, text, self->error) ||
			  self->chain.page->faults_count > faults) &&
		mono_ns() < until_ns)
		usleep(POLL_US);
	return raised;
}

/* What the fault, or the two, left on the page; those that nobody asked for are told apart. */
static void take_records(struct session *self, uint32_t from, uint32_t row)
{
	struct measure *measure = self->measure;
	const struct page *page = self->chain.page;

	for (uint32_t i = from; i < page->failovers_count && i < FAILOVERS_MAX; i++) {
		struct measure_record *record = &measure->records[measure->records_count++];

		record->failover = page->failovers[i];
		/* Nobody waits for a new leader where every replica's word counts. */
		if (measure->config->stages[record->failover.stage].variant == VARIANT_ACTIVE)
			record->failover.promoted_ns = 0;
		record->row = record->failover.action == 0 ? MEASURE_UNASKED : row;
		measure->unasked += record->failover.action == 0;
		keep_timeline(page, record);
	}
}

/* One fault or two at once, to the restored redundancy. */
static bool fault_once(struct session *self, uint64_t *random)
{
	struct measure *measure = self->measure;
	const struct page *page = self->chain.page;
	uint32_t count = measure->components_count, from = page->failovers_count;
	uint32_t first = (uint32_t)(random_next(random) >> 32) % count;
	uint32_t second = (first + 1 + (uint32_t)(random_next(random) >> 32) % (count - 1)) % count;
	bool stop = (random_next(random) >> 32) % 6 == 0;
	bool two = (random_next(random) >> 32) % 8 == 0;
	uint64_t until_ns = mono_ns() + RESTORE_NS, settled_ns = 0;

	usleep((useconds_t)((PAUSE_NS + random_next(random) % PAUSE_NS) / 1000));
	if (!raise_one(self, first, stop) || (two && !raise_one(self, second, false)))
		return false;
	while (mono_ns() < until_ns) {
		if (has_ended(self))
			return fail_with_log(self);
		if (atomic_read_acquire(&page->failovers_count) < from + 1 + two ||
			atomic_read_acquire(&page->open_failovers) > 0 || !is_ready(self))
			settled_ns = 0;
		else if (settled_ns == 0)
			settled_ns = mono_ns();
		if (settled_ns != 0 && mono_ns() > settled_ns + AFTER_NS) {
			take_records(self, from, two ? MEASURE_TWO : first * 2 + stop);
			return true;
		}
		usleep(POLL_US);
	}
	snprintf(self->error, sizeof(self->error),
		"fault %u, on %s%s%s: redundancy did not come back in %llu s",
		measure->faults_count, measure->components[first].name, two ? " and " : "",
		two ? measure->components[second].name : "", RESTORE_NS / 1000000000ull);
	return false;
}

/* The run with faults, then as long without. */
static bool measure_runs(struct session *self)
{
	struct measure *measure = self->measure;
	uint64_t random = (measure->seed + 1) * 0x9e3779b97f4a7c15ull | 1, started_ns, took_ns;

	if (!start_chain(self) || !wait_until_ready(self))
		return false;
	usleep(QUIET_US);
	measure_resources(&measure->before, self->pid, &self->chain.place);
	started_ns = mono_ns();
	while (measure->faults_count < self->options->kills) {
		if (!fault_once(self, &random))
			return false;
		show_progress(self, started_ns);
	}
	took_ns = mono_ns() - started_ns;
	usleep(QUIET_US);
	measure_resources(&measure->after, self->pid, &self->chain.place);
	measure->faulty = end_chain(self);
	if (measure->faulty == NULL)
		return false;
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

static void add_component(struct measure *measure, const char *format, const char *name)
{
	struct measure_component *made = &measure->components[measure->components_count++];

	snprintf(made->name, sizeof(made->name), format, name);
}

static void list_components(struct measure *measure)
{
	const struct config *config = measure->config;

	for (uint32_t s = 0; s < config->stages_count; s++) {
		add_component(measure, "%s/master", config->stages[s].name);
		add_component(measure, "%s/slave", config->stages[s].name);
	}
	for (uint32_t i = 0; i <= SERVICES_COUNT; i++)
		add_component(measure, "%s", service_names[i]);
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
	list_components(self->measure);
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
	for (uint32_t i = 0; i < self->measure->records_count; i++)
		free(self->measure->records[i].timeline.releases);
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
		measure_print(&measure, stdout);
		if (measure_write(&measure, options->report) != STATUS_OK) {
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
