/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/vnf_role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loggers/control.h"
#include "vnf/runner.h"
#include "vnf/stage.h"
#include "vnf/team_pthread.h"

#define SIGNAL_STACK_BYTES 16384
#define CONNECT_TRIES 10000 /* a millisecond each */
#define CONNECT_US 1000

struct vnf_role {
	struct runner runner;
	struct pthread_team team;
	struct control control;
	uint32_t go;
};

/* For the fatal-signal handler, which has no argument of ours. */
static struct runner *handler_runner;

/* A crash: stamps the time and marks the owner word, before the kernel gets to it. */
static void on_fatal_signal(int number)
{
	struct runner *runner = handler_runner;
	struct failover_subject subject;

	runner_crashes(runner);
	if (runner->outcomes.control != NULL) {
		subject = runner_as_subject(runner);
		(void)page_open_failover(runner->role.page, &subject, NULL, mono_ns());
		owner_mark_dead(&runner->outcomes.control->owner);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void handle_fatal_signals(struct runner *runner)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
	stack_t stack = {.ss_sp = malloc(SIGNAL_STACK_BYTES), .ss_size = SIGNAL_STACK_BYTES};
	struct sigaction action = {.sa_handler = on_fatal_signal,
		.sa_flags = SA_ONSTACK | SA_RESETHAND};

	handler_runner = runner;
	if (stack.ss_sp != NULL)
		sigaltstack(&stack, NULL);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	prctl(PR_SET_DUMPABLE, 0);
}

static bool on_message(void *context, const struct message *message, struct message *answer)
{
	struct vnf_role *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		atomic_write_release(&self->go, 1u);
	if (message->type != MESSAGE_ATTACH || runner_is_first(&self->runner))
		return false;
	status = runner_attach(&self->runner, message);
	message_answer_attach(answer, message, self->runner.outcomes.control->name, status);
	return true;
}

/* From the determinant logger's socket. */
static enum status read_base(struct runner *runner, struct base_head *head)
{
	static uint64_t chunk[(1 << 20) / 8];
	struct fold_header *fold = (struct fold_header *)chunk;
	struct serve_request request = {.magic = SERVE_MAGIC,
		.kind = SERVE_BASE,
		.stage = runner->role.options.stage};
	char path[PATH_BYTES];
	enum status status;
	uint32_t bytes;
	int fd;

	snprintf(path, sizeof(path), "%.200s/logger-determinants.sock",
		runner->role.options.run_dir);
	/* A logger that died is being started again. */
	for (int tries = 0; (fd = control_connect(path)) < 0; tries++) {
		if (tries == CONNECT_TRIES || atomic_read_relaxed(&runner->role.page->stop))
			return STATUS_IO;
		usleep(CONNECT_US);
	}
	status = bytes_send(fd, &request, sizeof(request));
	if (status == STATUS_OK)
		status = bytes_receive(fd, &bytes, sizeof(bytes));
	if (status == STATUS_OK)
		status = bytes == sizeof(*head) ? bytes_receive(fd, head, sizeof(*head))
						: STATUS_CORRUPT;
	while (status == STATUS_OK &&
		(status = bytes_receive(fd, &bytes, sizeof(bytes))) == STATUS_OK && bytes > 0) {
		if (bytes > sizeof(chunk) - sizeof(*fold)) {
			status = STATUS_CORRUPT;
			break;
		}
		fold->bytes = bytes + (uint32_t)sizeof(*fold);
		status = bytes_receive(fd, fold + 1, bytes);
		if (status == STATUS_OK)
			status = runner_load_images(runner, fold);
	}
	close(fd);
	return status;
}

static void raise_fault(struct runner *runner, enum fault_action action)
{
	(void)runner;
	raise(action == FAULT_KILL ? SIGKILL : SIGSTOP);
}

static const struct runner_shell shell = {read_base, raise_fault};

/* In each further worker's thread; the first one has its core. */
static void on_worker_start(void *context, uint32_t worker)
{
	const struct role *role = context;

	(void)role_take_core(role,
		role_replica_thread(role->config, role->options.stage, role->options.number) +
			worker);
	role_take_short_turns();
}

/* The stage's workers, and how they are to go about it. */
static enum status start_team(struct vnf_role *self, char *error)
{
	struct runner *runner = &self->runner;
	const struct role_options *options = &runner->role.options;
	const struct config_stage *stage = &runner->role.config->stages[options->stage];
	enum status status;

	runner->replica.access.clock_ns = mono_ns;
	runner->replica.access.decision.forced = strategy_find(stage->strategies[options->number]);
	status = team_pthread_start(&self->team, stage->workers[options->number],
		runner->idle.shares_core, on_worker_start, &runner->role);
	if (status != STATUS_OK)
		snprintf(error, CONFIG_ERROR_BYTES, "stage %s: cannot start %u workers: %s",
			stage->name, stage->workers[options->number], status_text(status));
	runner->replica.team = &self->team.team;
	return status;
}

static enum status start(struct vnf_role *self, char *error)
{
	struct runner *runner = &self->runner;
	const struct config *config = runner->role.config;
	const struct role_options *options = &runner->role.options;
	uint64_t hash_seed = 0;
	struct message hello = role_hello(&runner->role, ROLE_REPLICA);
	enum status status;

	if (getrandom(&hash_seed, sizeof(hash_seed), 0) < 0)
		hash_seed = (uint64_t)getpid();
	status = stage_open(&runner->replica, config, options->stage,
		config->stages[options->stage].workers[options->number], config->protect, hash_seed,
		error);
	if (status == STATUS_OK)
		status = start_team(self, error);
	if (status != STATUS_OK)
		return status;
	status = runner_start(runner);
	if (status != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s-%u.%llu: cannot start: %s",
			config->stages[options->stage].name, options->number,
			(unsigned long long)options->incarnation, status_text(status));
		return status;
	}
	runner->self->tid = (uint32_t)syscall(SYS_gettid);
	snprintf(hello.name, sizeof(hello.name), "%s", runner->outcomes.control->name);
	hello.value = runner->next_batch;
	return control_start(&self->control, options->run_dir, &hello, on_message, self);
}

int vnf_role_main(const struct role_options *options)
{
	static struct vnf_role self;
	struct runner *runner = &self.runner;
	char error[CONFIG_ERROR_BYTES] = "";
	enum status status;

	if (role_open(&runner->role, ROLE_REPLICA, options, error) != STATUS_OK) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	runner_open(runner, &shell);
	/* All threads: what ends last takes the process's memory down, on this core too. */
	runner->idle.shares_core = role_take_core(&runner->role,
		role_replica_thread(runner->role.config, options->stage, options->number));
	handle_fatal_signals(runner);
	if (start(&self, error) != STATUS_OK) {
		if (runner_is_needed(runner)) {
			page_fail(runner->role.page, "%.200s", error);
		} else {
			fprintf(stderr, "understudy: %s; another try in a second\n", error);
			runner_let_go(runner);
			sleep(1);
		}
		return 1;
	}
	while (!atomic_read_acquire(&self.go) && !atomic_read_relaxed(&runner->role.page->stop))
		usleep(100);
	role_take_short_turns();
	status = runner_serve(runner);
	if (status != STATUS_OK && status != STATUS_SEALED)
		fprintf(stderr, "understudy: %s: stops at batch %llu: %s\n",
			runner->outcomes.control->name, (unsigned long long)runner->next_batch,
			status_text(status));
	/* The process's end frees all; the control thread may be anywhere. */
	_exit(status != STATUS_OK && status != STATUS_SEALED);
}
