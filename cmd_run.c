/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run: the supervisor. It parents every role process, restarts only the manager by itself,
 * and starts
 * the others as the manager orders. When it is killed its children die with it (PR_SET_PDEATHSIG),
 * and the next run removes what it left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "core/digest.h"
#include "loggers/control.h"
#include "loggers/faults.h"
#include "loggers/idle.h"
#include "loggers/logger_role.h"
#include "manager/sight.h"
#include "report.h"
#include "telemetry.h"
#include "vnf/stage.h"

#define CHILDREN_MAX 64
#define PROGRESS_MS 200
#define LOOK_NS 100000000ull /* between looks at the manager */
#define STOP_NS 10000000000ull
#define AGAIN_NS 300000000ull
#define DRAIN_NS 5000000000ull /* for what is in the chain to go out, after an interrupt */
#define MANAGER_FAILURES_MAX 16
#define MANAGER_SOON_NS 20000000ull /* after its start */
#define CHILD_SUPERVISOR_FD 3
#define STANDBY UINT64_MAX	/* the incarnation of a sequencer that waits to be one */
#define STANDBY_NS 500000000ull /* after a sequencer's start, which it is not to disturb */

struct child {
	pid_t pid; /* 0: free */
	enum role_kind role;
	uint32_t stage, number;
	uint64_t incarnation;
};

struct supervisor {
	const struct options *options;
	struct config *config;
	struct page *page;
	struct shm_place place;
	struct report report;
	struct telemetry telemetry;
	struct child children[CHILDREN_MAX];
	int lock_fd, signal_fd, manager_fd;
	int standby_fd; /* it is told through; -1: there is none */
	uint64_t standby_due_ns;
	bool standby_fails;
	uint32_t manager_restarts, manager_failures;
	uint64_t manager_started_ns;
	bool done;
	bool terminal;
	bool manager_stopped; /* when it was last looked at */
	uint64_t looked_ns;
	uint64_t interrupted_ns; /* 0: not yet */
	const char *recording;	 /* a stage that records determinants, or NULL */
};

static int fail(const char *error)
{
	fprintf(stderr, "understudy: %s\n", error);
	return 1;
}

/* CPU time of an ended process goes to its role's line of the report. */
static void account_cpu(struct supervisor *self, const struct child *child,
	const struct rusage *usage)
{
	char name[NAME_BYTES];
	uint32_t i = 0;

	role_name(name, self->config, child->role, child->stage, child->number);
	while (i < self->report.roles_count && strcmp(self->report.roles[i].name, name) != 0)
		i++;
	if (i == REPORT_ROLES_MAX)
		return;
	if (i == self->report.roles_count)
		snprintf(self->report.roles[self->report.roles_count++].name, NAME_BYTES, "%s",
			name);
	self->report.roles[i].cpu_ns +=
		(uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000ull +
		(uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000ull;
}

/* In the child: becomes the role. supervisor_fd: what the manager and a standby hear it by. */
static void become(const struct supervisor *self, const struct child *child, int supervisor_fd)
{
	static const char *const words[] = {"", "sequencer", "vnf", "logger", "manager", ""};
	const struct role_options *options = &self->options->role;
	char stage[16], number[16], incarnation[24];
	const char *arguments[24];
	uint32_t count = 0;
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A terminal or a service manager sends these to all; the supervisor's word counts. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	snprintf(stage, sizeof(stage), "%u", child->stage);
	snprintf(number, sizeof(number), "%u", child->number);
	snprintf(incarnation, sizeof(incarnation), "%llu", (unsigned long long)child->incarnation);
	arguments[count++] = "understudy";
	arguments[count++] = child->incarnation == STANDBY ? "standby" : words[child->role];
	arguments[count++] = "--config";
	arguments[count++] = self->config->path;
	arguments[count++] = "--run-dir";
	arguments[count++] = options->run_dir;
	arguments[count++] = "--stage";
	arguments[count++] = stage;
	arguments[count++] = "--number";
	arguments[count++] = number;
	arguments[count++] = "--incarnation";
	arguments[count++] = incarnation;
	if (options->input != NULL) {
		arguments[count++] = "--input";
		arguments[count++] = options->input;
	}
	if (options->output != NULL) {
		arguments[count++] = "--output";
		arguments[count++] = options->output;
	}
	if (options->unprotected)
		arguments[count++] = "--unprotected";
	if (supervisor_fd >= 0) {
		arguments[count++] = "--supervisor-fd";
		arguments[count++] = "3";
		if (supervisor_fd != CHILD_SUPERVISOR_FD)
			dup2(supervisor_fd, CHILD_SUPERVISOR_FD);
		else
			fcntl(supervisor_fd, F_SETFD, 0);
	}
	arguments[count] = NULL;
	execv("/proc/self/exe", (char *const *)arguments);
	_exit(127);
}

static struct child *find_child(struct supervisor *self, const struct child *wanted)
{
	for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &self->children[i];

		if (child->pid != 0 && child->role == wanted->role &&
			child->stage == wanted->stage && child->number == wanted->number &&
			child->incarnation == wanted->incarnation)
			return child;
	}
	return NULL;
}

static pid_t spawn(struct supervisor *self, const struct child *wanted, int supervisor_fd)
{
	pid_t supervisor = getpid();

	for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &self->children[i];

		if (child->pid != 0)
			continue;
		*child = *wanted;
		child->pid = fork();
		if (child->pid == 0) {
			if (getppid() != supervisor)
				_exit(1);
			become(self, wanted, supervisor_fd);
		}
		if (child->pid < 0)
			child->pid = 0;
		return child->pid;
	}
	return 0;
}

static bool start_manager(struct supervisor *self)
{
	struct child manager = {.role = ROLE_MANAGER, .incarnation = self->manager_restarts};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	if (self->manager_fd >= 0)
		close(self->manager_fd);
	self->manager_fd = pair[0];
	self->manager_started_ns = mono_ns();
	spawn(self, &manager, pair[1]);
	close(pair[1]);
	return true;
}

/* A sequencer takes long to start, most of it DPDK's: the next one has that behind it already. */
static void start_standby(struct supervisor *self)
{
	const struct child standby = {.role = ROLE_SEQUENCER, .incarnation = STANDBY};
	int pair[2];

	if (self->standby_fd >= 0 || self->standby_fails || !self->config->protect ||
		self->standby_due_ns == 0 || mono_ns() < self->standby_due_ns ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return;
	if (spawn(self, &standby, pair[1]) > 0)
		self->standby_fd = pair[0];
	else
		close(pair[0]);
	close(pair[1]);
}

static void drop_standby(struct supervisor *self)
{
	if (self->standby_fd >= 0)
		close(self->standby_fd); /* it ends */
	self->standby_fd = -1;
	self->standby_due_ns = mono_ns() + STANDBY_NS;
}

/* The standby is told its incarnation, and is a sequencer from then on. False: there is none. */
static bool promote_standby(struct supervisor *self, const struct child *wanted)
{
	struct child *standby =
		find_child(self, &(struct child){.role = ROLE_SEQUENCER, .incarnation = STANDBY});
	bool told = standby != NULL && bytes_send(self->standby_fd, &wanted->incarnation,
					       sizeof(wanted->incarnation)) == STATUS_OK;

	if (told)
		standby->incarnation = wanted->incarnation;
	drop_standby(self);
	return told;
}

static void on_manager(struct supervisor *self)
{
	struct message message;
	struct child child, *found;

	if (message_receive(self->manager_fd, &message) != STATUS_OK) {
		close(self->manager_fd);
		self->manager_fd = -1; /* its end is told by SIGCHLD */
		return;
	}
	child = (struct child){.role = message.role,
		.stage = message.stage,
		.number = message.number,
		.incarnation = message.incarnation};
	found = find_child(self, &child);
	/* A new manager orders again what it does not know to have come. */
	if (message.type == MESSAGE_START && found == NULL &&
		(child.role != ROLE_SEQUENCER || !promote_standby(self, &child)))
		spawn(self, &child, -1);
	if (message.type == MESSAGE_KILL && found != NULL)
		kill(found->pid, message.value == 0 ? SIGKILL : (int)message.value);
	if (message.type == MESSAGE_DONE)
		self->done = true;
}

static void on_exit_of(struct supervisor *self, struct child *child, int status,
	const struct rusage *usage)
{
	struct message message = {.type = MESSAGE_EXITED,
		.role = child->role,
		.stage = child->stage,
		.number = child->number,
		.incarnation = child->incarnation,
		.value = (uint32_t)status};

	account_cpu(self, child, usage);
	if (child->role == ROLE_MANAGER) {
		bool wanted = !self->done && !self->page->stop && self->page->failed != 2;

		/* One that ends again and again as it starts will not do better. */
		self->manager_failures = mono_ns() < self->manager_started_ns + MANAGER_SOON_NS
						 ? self->manager_failures + 1
						 : 0;
		self->manager_restarts++;
		if (wanted && self->manager_failures < MANAGER_FAILURES_MAX) {
			(void)start_manager(self);
		} else {
			if (wanted)
				page_fail(self->page,
					"the manager ended %u times as it started: the run ends",
					self->manager_failures);
			self->done = true;
		}
	} else if (child->incarnation == STANDBY) {
		self->standby_fails |= WIFEXITED(status) && WEXITSTATUS(status) != 0;
		drop_standby(self);
	} else if (self->manager_fd >= 0) {
		(void)!message_send(self->manager_fd, &message);
	}
	child->pid = 0;
}

static uint32_t reap(struct supervisor *self)
{
	struct rusage usage;
	uint32_t left = 0;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
		for (uint32_t i = 0; i < CHILDREN_MAX; i++)
			if (self->children[i].pid == pid)
				on_exit_of(self, &self->children[i], status, &usage);
	for (uint32_t i = 0; i < CHILDREN_MAX; i++)
		left += self->children[i].pid != 0;
	return left;
}

static void show_progress(const struct supervisor *self)
{
	const struct page *page = self->page;

	if (!self->terminal)
		return;
	fprintf(stderr, "\r%llu packets in, %llu out, %u failovers   ",
		(unsigned long long)page->ingress.packets,
		(unsigned long long)page->egress.released, page->failovers_count);
	fflush(stderr);
}

/*
 * The first time the input ends; once more, or if the rest takes too long, all does. Some send the
 * same signal to a process and to its group: two at once are one.
 */
static void interrupt(struct supervisor *self)
{
	if (self->interrupted_ns == 0)
		self->interrupted_ns = mono_ns();
	else if (mono_ns() > self->interrupted_ns + AGAIN_NS)
		atomic_write_release(&self->page->stop, 1u);
	atomic_write_release(&self->page->interrupted, 1u);
}

/*
 * A manager that a signal has stopped is ended, and another one started when it is gone: so there
 * are never two.
 */
static void watch_manager(struct supervisor *self)
{
	bool stopped = false;

	if (mono_ns() < self->looked_ns + LOOK_NS)
		return;
	self->looked_ns = mono_ns();
	for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
		const struct child *child = &self->children[i];

		if (child->pid == 0 || child->role != ROLE_MANAGER)
			continue;
		stopped = sight_is_stopped((uint32_t)child->pid, (uint32_t)child->pid);
		if (stopped && self->manager_stopped && !self->page->maintenance)
			kill(child->pid, SIGKILL);
	}
	self->manager_stopped = stopped;
}

static void supervise(struct supervisor *self)
{
	struct signalfd_siginfo info;

	while (!self->done && atomic_read_acquire(&self->page->failed) != 2) {
		struct pollfd fds[2] = {{.fd = self->signal_fd, .events = POLLIN},
			{.fd = self->manager_fd, .events = POLLIN}};

		if (self->interrupted_ns != 0 && mono_ns() > self->interrupted_ns + DRAIN_NS)
			atomic_write_release(&self->page->stop, 1u);
		watch_manager(self);
		start_standby(self);
		if (poll(fds, 2, PROGRESS_MS) <= 0) {
			show_progress(self);
			continue;
		}
		if (fds[1].revents != 0)
			on_manager(self);
		if ((fds[0].revents & POLLIN) &&
			read(self->signal_fd, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGCHLD)
				(void)reap(self);
			else
				interrupt(self);
		}
	}
	show_progress(self);
	if (self->terminal)
		fprintf(stderr, "\n");
}

/* All roles see the page's stop word; who does not go in time is killed. */
static void stop_children(struct supervisor *self)
{
	uint64_t until_ns = mono_ns() + STOP_NS;
	bool killed = false;

	self->done = true;
	atomic_write_release(&self->page->stop, 1u);
	if (self->manager_fd >= 0)
		close(self->manager_fd);
	self->manager_fd = -1;
	drop_standby(self);
	while (reap(self) > 0) {
		usleep(2000);
		if (killed || mono_ns() < until_ns)
			continue;
		for (uint32_t i = 0; i < CHILDREN_MAX; i++)
			if (self->children[i].pid != 0)
				kill(self->children[i].pid, SIGKILL);
		killed = true;
	}
}

static bool take_lock(struct supervisor *self, char *error)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	const char *dir = self->options->role.run_dir;
	char path[PATH_BYTES + 16];

	if (strlen(dir) > 80) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"--run-dir is longer than 80 characters: its sockets would not fit");
		return false;
	}
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: cannot be made: %s: give another --run-dir", dir, strerror(errno));
		return false;
	}
	snprintf(path, sizeof(path), "%s/lock", dir);
	self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (self->lock_fd < 0 || fcntl(self->lock_fd, F_OFD_SETLK, &lock) != 0) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: %s", dir,
			self->lock_fd < 0 ? strerror(errno)
					  : "another chain runs here: give another --run-dir");
		return false;
	}
	return true;
}

static void remove_files(struct supervisor *self)
{
	static const char *const names[] = {"manager.sock", "logger-packets.sock",
		"logger-determinants.sock", "logger-progress.sock", "config"};
	char path[PATH_BYTES + 32];

	shm_place_remove(&self->place);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->options->role.run_dir, names[i]);
		unlink(path);
	}
}

/* The page, with the faults in it before anything starts. */
static bool make_page(struct supervisor *self, char *error)
{
	void *memory;
	enum status status;

	mkdir(self->place.dir, 0700);
	if (self->place.huge_dir[0] != 0)
		mkdir(self->place.huge_dir, 0700);
	status = shm_page_create(&memory, &self->place, PAGE_NAME, sizeof(*self->page));
	if (status != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: shared memory: %s", self->place.dir,
			status_text(status));
		return false;
	}
	self->page = memory;
	self->page->started_ns = mono_ns();
	self->page->records = self->recording != NULL;
	for (uint32_t i = 0; i < self->options->faults_count; i++) {
		char reason[CONFIG_ERROR_BYTES];

		if (fault_arm(self->page, self->config, self->options->faults[i], reason) !=
			STATUS_OK) {
			snprintf(error, CONFIG_ERROR_BYTES, "--fault %s", reason);
			return false;
		}
	}
	self->page->magic = PAGE_MAGIC;
	return true;
}

static void run_file(const struct supervisor *self, char path[PATH_BYTES + 16])
{
	snprintf(path, PATH_BYTES + 16, "%s/" RUN_FILE, self->config->logger_dir);
}

/* Of the configuration's bytes; 0: it cannot be read. */
static uint64_t digest_of_config(const struct supervisor *self)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(self->config->path, "re");
	size_t count = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);

	if (file != NULL)
		fclose(file);
	return count == 0 ? 0 : digest_of(bytes, count, 1);
}

/*
 * A run that survives power loss leaves a file in its log until it has ended in good order: the
 * next one goes on where it was.
 */
static bool name_run(struct supervisor *self, char *error)
{
	char path[PATH_BYTES + 16];
	struct timespec now;
	unsigned long long run = 0, was = 0, digest = digest_of_config(self);
	FILE *file;
	bool written;

	clock_gettime(CLOCK_REALTIME, &now);
	self->page->run = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
	if (!self->config->protect || self->config->durability != DURABILITY_DISK)
		return true;
	run_file(self, path);
	file = fopen(path, "re");
	self->page->restart.wanted = file != NULL && fscanf(file, "%llu %llx", &run, &was) == 2;
	if (file != NULL)
		fclose(file);
	if (self->page->restart.wanted && was != digest) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%.150s: was changed since the run that is to be gone on with: change it "
			"back, or remove %.150s to begin anew",
			self->config->path, path);
		return false;
	}
	if (self->page->restart.wanted) {
		self->page->run = run;
		fprintf(stderr,
			"understudy: goes on from disk where a former run stopped (without %s it "
			"would begin anew)\n",
			path);
		return true;
	}
	file = fopen(path, "we");
	written = file != NULL &&
		  fprintf(file, "%llu %llx\n", (unsigned long long)self->page->run, digest) > 0 &&
		  fflush(file) == 0 && fsync(fileno(file)) == 0;
	if (!written)
		snprintf(error, CONFIG_ERROR_BYTES, "%.200s: cannot be written: %s", path,
			strerror(errno));
	if (file != NULL)
		fclose(file);
	return written;
}

/* It has ended in good order, or before anything came in: the next one begins anew. */
static void forget_run(const struct supervisor *self)
{
	char path[PATH_BYTES + 16];

	run_file(self, path);
	if (self->config->protect &&
		(self->page->egress.ended != 0 ||
			(!self->page->restart.wanted && self->page->ingress.batches == 0)))
		unlink(path);
}

/* What a leader was told once is in its outcomes alone, and these are not gone back to yet. */
static bool can_restart(const struct supervisor *self, char *error)
{
	if (!self->page->restart.wanted || self->recording == NULL)
		return true;
	snprintf(error, CONFIG_ERROR_BYTES,
		"stage '%s' records determinants: a run with it cannot go on from disk: remove "
		"%.150s/" RUN_FILE " to begin anew",
		self->recording, self->config->logger_dir);
	return false;
}

static bool note_config(const struct supervisor *self)
{
	char path[PATH_BYTES + 16], *absolute = realpath(self->config->path, NULL);
	FILE *file;

	snprintf(path, sizeof(path), "%s/config", self->options->role.run_dir);
	file = fopen(path, "we");
	if (file == NULL || absolute == NULL)
		return false;
	fprintf(file, "%s\n", absolute);
	free(absolute);
	return fclose(file) == 0;
}

/* What can be known to be wrong before anything is started. */
static bool prepare(struct supervisor *self, char *error)
{
	struct replica *replica = calloc(1, sizeof(*replica));
	enum status status;

	if (replica == NULL)
		return false;
	status = role_config(&self->config, &self->options->role, error);
	for (uint32_t s = 0; status == STATUS_OK && s < self->config->stages_count; s++) {
		status = stage_open(replica, self->config, s, 1, false, 0, error);
		if (status == STATUS_OK && replica_records(replica))
			self->recording = self->config->stages[s].name;
		if (status == STATUS_OK)
			replica_close(replica);
	}
	free(replica);
	if (status != STATUS_OK)
		return false;
	if (self->config->ports_count < 2 && !self->options->role.output) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: one port only: add a second one, or give --output",
			self->config->path);
		return false;
	}
	if (self->config->agreed && self->recording != NULL) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: stage '%s' records determinants, which a new slave has from "
			"outcomes that are released: 'release: agreed' would wait for ever; "
			"use 'first'",
			self->config->path, self->recording);
		return false;
	}
	if (!take_lock(self, error))
		return false;
	role_place(&self->place, self->options->role.run_dir, self->config->hugepages);
	if (self->config->hugepages == HUGEPAGES_YES && self->place.huge_dir[0] == 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: 'hugepages: yes', but no 2 MiB hugepage is free on a "
			"hugetlbfs mount: reserve some (vm.nr_hugepages), or use 'auto'",
			self->config->path);
		return false;
	}
	remove_files(self);
	if (self->config->protect && logger_dir_prepare(self->config, error) != STATUS_OK)
		return false;
	return make_page(self, error) && name_run(self, error) && can_restart(self, error) &&
	       note_config(self);
}

static bool open_signals(struct supervisor *self)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	return self->signal_fd >= 0;
}

/* The first thing that makes the run a failure, or NULL. */
static const char *judge(struct supervisor *self, char *error)
{
	uint64_t lost, duplicated, reordered;

	if (atomic_read_acquire(&self->page->failed) == 2)
		return self->page->error;
	if (!self->page->ingress.ended || self->page->interrupted)
		return NULL; /* there is nothing to compare with */
	for (uint32_t i = 0; i < self->page->faults_count; i++)
		if (self->page->faults[i].state == FAULT_ARMED) {
			snprintf(error, CONFIG_ERROR_BYTES,
				"fault %u was never reached: %llu packets were "
				"admitted",
				i + 1, (unsigned long long)self->page->ingress.packets);
			return error;
		}
	if (self->page->doubt.released_wrong > 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%llu batches had been released before replicas were seen to "
			"disagree, and were done anew differently: 'release: agreed' would "
			"have held them",
			(unsigned long long)self->page->doubt.released_wrong);
		return error;
	}
	if (reference_judge(self->config, self->page, &self->report.verdict, error) != STATUS_OK)
		return error;
	if (report_judgement(&self->report, &lost, &duplicated, &reordered) &&
		lost + duplicated + reordered + self->report.verdict.unexpected > 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"the output differs from an uninterrupted run's");
		return error;
	}
	return NULL;
}

int command_run(const struct options *options)
{
	static struct supervisor self;
	struct options own = *options;
	char error[CONFIG_ERROR_BYTES] = "out of memory", verdict[CONFIG_ERROR_BYTES] = "";

	if (options->words_count != 1)
		return fail("run needs one CHAIN.yaml");
	own.role.config_path = options->words[0];
	self.options = &own;
	self.lock_fd = self.manager_fd = self.standby_fd = -1;
	self.terminal = isatty(STDERR_FILENO);
	if (!prepare(&self, error)) {
		if (self.place.dir[0] != 0)
			remove_files(&self);
		config_free(self.config);
		return fail(error);
	}
	self.report.config = self.config;
	self.report.page = self.page;
	if (open_signals(&self) &&
		!telemetry_start(&self.telemetry, self.config, self.page, own.role.run_dir, error))
		fprintf(stderr, "understudy: %s\n", error);
	if (self.signal_fd >= 0 && start_manager(&self))
		supervise(&self);
	else
		page_fail(self.page, "no process can be started: %s", strerror(errno));
	stop_children(&self);
	forget_run(&self);
	telemetry_stop(&self.telemetry);
	self.report.wall_ns = mono_ns() - self.page->started_ns;
	self.report.error = judge(&self, verdict);
	report_print(&self.report, stdout);
	if (options->report != NULL && report_write(&self.report, options->report) != STATUS_OK) {
		snprintf(error, sizeof(error), "%s: the report cannot be written", options->report);
		self.report.error = error;
	}
	remove_files(&self);
	if (self.report.error != NULL)
		return fail(self.report.error);
	return 0;
}
