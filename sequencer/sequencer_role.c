/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/sequencer_role.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "core/plain_text.h"
#include "loggers/base.h"
#include "loggers/base_wire.h"
#include "loggers/control.h"
#include "loggers/idle.h"
#include "sequencer/egress.h"
#include "sequencer/ingress.h"

#define ASIDES_FILE "set-aside.pcap" /* in the run directory */
#define IDLE_NS 1000000
#define REPEAT_BATCHES 64 /* asked for at a time */
#define POLL_NS 50000	  /* of ports, and of a journal that is full */

struct sequencer {
	struct role role;
	struct base base; /* the ingress's */
	struct port ports[PORTS_MAX];
	struct ingress ingress;
	struct egress egress;
	struct control control;
	struct egress_stage stages[STAGES_MAX];
	pthread_t egress_thread;
	FILE *alerts;
	struct port asides; /* opened with the first one */
	uint32_t go;
	uint32_t attached;
};

static void write_alarm(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
	uint32_t bytes)
{
	struct sequencer *self = context;
	char plain[ALARM_BYTES_MAX + 1];

	plain_text(plain, sizeof(plain), text, bytes);
	if (self->alerts != NULL)
		fprintf(self->alerts,
			"{\"packet_id\": %llu, \"clock_ns\": %llu, \"alarm\": \"%s\"}\n",
			(unsigned long long)packet_id, (unsigned long long)clock_ns, plain);
}

/* Behind a dead sequencer, or a run that left its log: what is written stays. */
static bool goes_on(const struct sequencer *self)
{
	return self->role.page->epoch > 0 || self->role.page->restart.durable_batch > 0;
}

/* A packet that a stage crashes on goes to a capture, for the operator. */
static void keep_aside(void *context, const struct batch_record *record)
{
	struct sequencer *self = context;
	struct port_frame frame;
	char dev[PATH_BYTES + 32], error[CONFIG_ERROR_BYTES];

	if (self->asides.ops == NULL) {
		snprintf(dev, sizeof(dev), "pcap:%s/" ASIDES_FILE, self->role.options.run_dir);
		if (port_open(&self->asides, 1, dev, PORT_SINK_GOES_ON, HUGEPAGES_NO, error) !=
			STATUS_OK) {
			fprintf(stderr, "understudy: %s\n", error);
			self->asides.ops = NULL;
			return;
		}
	}
	(void)self->asides.ops->reserve(&self->asides, &frame, 1);
	memcpy(frame.data, batch_frame(record), record->length);
	frame.length = record->length;
	frame.wire_length = record->wire_length;
	frame.clock_ns = record->clock_ns;
	(void)self->asides.ops->send(&self->asides, &frame, 1);
}

/* Those of a former run are of no more use. */
static void forget_asides(const struct sequencer *self)
{
	char path[PATH_BYTES + 32];

	snprintf(path, sizeof(path), "%s/" ASIDES_FILE, self->role.options.run_dir);
	if (!goes_on(self))
		unlink(path);
}

static bool on_message(void *context, const struct message *message, struct message *answer)
{
	static const struct outcomes_reading reading = {GATE_REQUIRED, "egress", 0, true};
	struct sequencer *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		atomic_write_release(&self->go, 1u);
	if (message->type != MESSAGE_ATTACH)
		return false;
	status = outcomes_attach(&self->stages[message->stage].outcomes, &self->role.place,
		message->name, message->number, message->incarnation, &reading);
	message_answer_attach(answer, message, "egress", status);
	return true;
}

static uint32_t waits_of(struct sequencer *self, struct journal **waits)
{
	uint32_t last = self->egress.stages_count - 1, count = 1;

	waits[0] = &self->egress.base.journal;
	for (uint32_t s = self->egress.agreed ? 0 : last; s <= last; s++)
		count = outcomes_waits(&self->stages[s].outcomes, waits, count, IDLE_JOURNALS_MAX);
	return count;
}

static void *egress_main(void *argument)
{
	struct sequencer *self = argument;
	struct idle idle = {
		.shares_core = role_take_core(&self->role, role_egress_thread(self->role.config))};
	struct journal *waits[IDLE_JOURNALS_MAX];
	enum status status = egress_attach(&self->egress, &self->role.place, &idle);

	role_take_short_turns();
	if (status != STATUS_OK)
		page_fail(self->role.page, "egress cannot read the base journal: %s",
			status_text(status));
	atomic_write_release(&self->attached, 1u);
	while (status == STATUS_OK && !atomic_read_relaxed(&self->role.page->stop)) {
		for (uint32_t s = 0; s < self->egress.stages_count; s++)
			outcomes_poll(&self->stages[s].outcomes, &idle);
		if (egress_work(&self->egress, mono_ns()) > 0) {
			idle_worked(&idle);
			continue;
		}
		idle_round(&idle, waits, waits_of(self, waits), IDLE_NS);
	}
	idle_reset(&idle);
	return NULL;
}

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* A fault that this process raises itself: right after the batch that holds its packet. */
static void raise_due(struct sequencer *self)
{
	struct page *page = self->role.page;
	const struct failover_subject subject = {ROLE_SEQUENCER, 0, 0,
		page->services[SERVICE_SEQUENCER].starts};

	for (uint32_t i = 0; i < atomic_read_relaxed(&page->faults_count); i++) {
		struct page_fault *fault = &page->faults[i];
		uint32_t armed = FAULT_ARMED;

		if (fault->target != TARGET_SERVICE || fault->stage != SERVICE_SEQUENCER ||
			fault->at_packet == 0 || fault->at_packet >= self->ingress.next_packet_no ||
			!atomic_swap_if(&fault->state, &armed, (uint32_t)FAULT_RAISED))
			continue;
		(void)page_open_failover(page, &subject, fault, mono_ns());
		raise(fault->action == FAULT_KILL ? SIGKILL : SIGSTOP);
	}
}

/* One logged batch, published once more, as readers make room for it. */
static enum status repeat(struct sequencer *self, const void *bytes, uint32_t count)
{
	struct batch_view batch;
	enum status status = batch_open(&batch, bytes, count);

	if (status != STATUS_OK)
		return status;
	while ((status = ingress_repeat(&self->ingress, &batch, mono_ns())) == STATUS_BLOCKED &&
		!atomic_read_relaxed(&self->role.page->stop))
		usleep(POLL_NS / 1000);
	if (self->ingress.writer.wake_needed)
		idle_wake(&self->base.journal);
	return status;
}

/* A few of them, from the packet logger's socket. Errors: IO, those of repeat. */
static enum status repeat_some(struct sequencer *self)
{
	static uint64_t chunk[BATCH_BYTES_MAX / 8];
	struct serve_request request = {.magic = SERVE_MAGIC,
		.kind = SERVE_BATCHES,
		.first_batch = self->ingress.next_batch,
		.count = REPEAT_BATCHES};
	char path[PATH_BYTES + 32];
	uint32_t bytes;
	enum status status;
	int fd;

	snprintf(path, sizeof(path), "%s/logger-packets.sock", self->role.options.run_dir);
	fd = control_connect(path);
	if (fd < 0)
		return STATUS_IO;
	status = bytes_send(fd, &request, sizeof(request));
	while (status == STATUS_OK &&
		(status = bytes_receive(fd, &bytes, sizeof(bytes))) == STATUS_OK && bytes > 0) {
		status = bytes > sizeof(chunk) ? STATUS_CORRUPT : bytes_receive(fd, chunk, bytes);
		if (status == STATUS_OK)
			status = repeat(self, chunk, bytes);
	}
	close(fd);
	return status;
}

/*
 * At a restart from disk: what was admitted before it, and is not in the base values, goes through
 * the chain again, before anything new.
 */
static void repeat_logged(struct sequencer *self)
{
	const struct page *page = self->role.page;
	enum status status = STATUS_OK;

	while (self->ingress.next_batch < page->restart.durable_batch &&
		(status == STATUS_OK || status == STATUS_IO) && !atomic_read_relaxed(&page->stop)) {
		status = repeat_some(self);
		if (status == STATUS_IO)
			usleep(10000); /* the logger may be starting again */
		counter_add(&self->role.page->services[SERVICE_SEQUENCER].beat, 1);
	}
	if (status != STATUS_OK && status != STATUS_IO && status != STATUS_BLOCKED)
		page_fail(self->role.page, "the packet log cannot be repeated at batch %llu: %s",
			(unsigned long long)self->ingress.next_batch, status_text(status));
	if (ingress_resume_ports(&self->ingress) != STATUS_OK)
		page_fail(self->role.page, "the input cannot be gone on with: it is not as it was");
}

static void ingress_main(struct sequencer *self)
{
	struct idle idle = {.shares_core = role_take_core(&self->role, 0)};
	enum status status = STATUS_OK;

	role_take_short_turns();
	repeat_logged(self);
	while (!atomic_read_relaxed(&self->role.page->stop)) {
		uint64_t clock_ns = self->ingress.trace_clock ? 0 : wall_ns();

		counter_add(&self->role.page->services[SERVICE_SEQUENCER].beat, 1);
		if (atomic_read_relaxed(&self->role.page->interrupted))
			self->ingress.ports_ended = (1u << self->ingress.ports_count) - 1;
		if (ingress_work(&self->ingress, mono_ns(), clock_ns, &status) > 0) {
			if (self->ingress.writer.wake_needed)
				idle_wake(&self->base.journal);
			if (atomic_read_relaxed(&self->role.page->faults_count) != 0)
				raise_due(self);
			idle_worked(&idle);
			continue;
		}
		if (status == STATUS_IO) {
			for (uint32_t i = 0; i < self->role.config->ports_count; i++)
				if (self->ports[i].error[0] != 0)
					page_fail(self->role.page, "%s", self->ports[i].error);
			self->ingress.ports_ended = ~0u >> (32 - self->ingress.ports_count);
			continue; /* what came before the damage is still processed */
		}
		if (status == STATUS_BLOCKED)
			idle_blocked(&idle, POLL_NS);
		else if (self->ingress.gathers_since_ns != 0)
			idle_worked(&idle); /* it came just now, and more may */
		else
			idle_round(&idle, NULL, 0, status == STATUS_END ? IDLE_NS * 10 : POLL_NS);
	}
}

/* What comes in at one port of a pair goes out at the other: it must fit there. */
static enum status check_pairs(const struct sequencer *self, char *error)
{
	const struct config *config = self->role.config;

	for (uint32_t i = 0; i + 1 < config->ports_count; i += 2) {
		uint32_t one = self->ports[i].mtu, other = self->ports[i + 1].mtu;

		if (one == 0 || other == 0 || one == other)
			continue;
		snprintf(error, CONFIG_ERROR_BYTES,
			"ports %u and %u have MTU %u and %u: longer frames could not leave; set "
			"both alike ('ip link set dev NAME mtu %u')",
			i, i + 1, one, other, one < other ? one : other);
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

static enum status open_ports(struct sequencer *self, char *error)
{
	const struct config *config = self->role.config;

	for (uint32_t i = 0; i < config->ports_count; i++) {
		enum status status;

		status = port_open(&self->ports[i], (uint16_t)i, config->ports[i].dev,
			i == 0		? PORT_SOURCE
			: goes_on(self) ? PORT_SINK_GOES_ON
					: PORT_SINK,
			config->hugepages, error);

		if (status != STATUS_OK)
			return status;
		self->ports[i].trace_clock = config_trace_clock(config);
		self->ports[i].judge = i == 1 ? &self->role.page->egress.sink : NULL;
	}
	return check_pairs(self, error);
}

/*
 * The file that alarms go to, each in a line of its own and in one write; a successor goes on
 * behind the last whole one, and knows how many there are.
 */
static enum status open_alerts(struct sequencer *self, char *error)
{
	char path[PATH_BYTES + 32];
	off_t whole = 0, at = 0;
	int c;

	snprintf(path, sizeof(path), "%s/alerts.jsonl", self->role.options.run_dir);
	self->alerts = fopen(path, goes_on(self) ? "a+e" : "we");
	if (self->alerts == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%.200s: cannot be written: %s", path,
			strerror(errno));
		return STATUS_IO;
	}
	while (goes_on(self) && (c = getc(self->alerts)) != EOF) {
		at++;
		if (c == '\n') {
			self->egress.alarms_told++;
			whole = at;
		}
	}
	if (goes_on(self) && (fseeko(self->alerts, whole, SEEK_SET) != 0 ||
				     ftruncate(fileno(self->alerts), whole) != 0))
		return STATUS_IO;
	(void)setvbuf(self->alerts, NULL, _IOLBF, 4096);
	return STATUS_OK;
}

/* The base journal of a new gateway epoch, and the input from where a former one's ended. */
static enum status open_ingress(struct sequencer *self, char *error)
{
	const struct config *config = self->role.config;
	struct page_admitted from;
	enum status status;

	self->base = (struct base){.page = self->role.page, .place = &self->role.place};
	status = base_create(&self->base, config->journal_bytes,
		base_restart_batch(self->role.page, config->stages_count), &from);
	if (status != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"base journal of %llu MiB in shared memory: %s: make "
			"'journal' smaller or room in %.100s",
			(unsigned long long)config->journal_bytes >> 20, status_text(status),
			self->role.place.dir);
		return status;
	}
	status = journal_writer_open(&self->ingress.writer, &self->base.journal, 0);
	self->ingress.counts = &self->role.page->ingress;
	self->ingress.released = &self->role.page->egress.batches;
	self->ingress.ports = self->ports;
	self->ingress.ports_count = config->ports_count;
	self->ingress.trace_clock = config_trace_clock(config);
	self->ingress.patience_ns = config->hang_ms * 20000000ull;
	self->ingress.epoch = self->base.epoch;
	if (status != STATUS_OK)
		return status;
	ingress_resume(&self->ingress, &from);
	base_announce(&self->base);
	return STATUS_OK;
}

static enum status open_egress(struct sequencer *self)
{
	const struct config *config = self->role.config;

	egress_open(&self->egress, self->role.page, self->stages, config->stages_count);
	self->egress.ports = self->ports;
	self->egress.ports_count = config->ports_count;
	self->egress.protect = config->protect;
	self->egress.passive = config->protect &&
			       config->stages[config->stages_count - 1].variant == VARIANT_PASSIVE;
	self->egress.wait_disk = config->protect && config->durability == DURABILITY_DISK;
	self->egress.agreed = config->protect && config->agreed;
	self->egress.at_least_once = config->at_least_once;
	self->egress.alarm = write_alarm;
	self->egress.aside = keep_aside;
	self->egress.context = self;
	if (pthread_create(&self->egress_thread, NULL, egress_main, self) != 0)
		return STATUS_IO;
	(void)pthread_setname_np(self->egress_thread, "egress");
	while (!atomic_read_acquire(&self->attached))
		usleep(100);
	return STATUS_OK;
}

/* By the loggers whose word counts at a restart from disk; or the run is over. */
static bool has_been_told(const struct page *page)
{
	uint32_t wanted = 1u << LOGGER_PACKETS | 1u << LOGGER_DETERMINANTS;

	return (atomic_read_acquire(&page->restart.told) & wanted) == wanted ||
	       atomic_read_relaxed(&page->stop) || atomic_read_relaxed(&page->failed) != 0;
}

static enum status start(struct sequencer *self, char *error)
{
	struct message hello = role_hello(&self->role, ROLE_SEQUENCER);
	enum status status;

	while (self->role.page->restart.wanted && !has_been_told(self->role.page))
		usleep(1000);
	status = open_ports(self, error);
	forget_asides(self);
	if (status == STATUS_OK)
		status = open_alerts(self, error);
	if (status == STATUS_OK)
		status = open_ingress(self, error);
	if (status == STATUS_OK)
		status = open_egress(self);
	if (status != STATUS_OK)
		return status;
	counter_add(&self->role.page->services[SERVICE_SEQUENCER].starts, 1);
	return control_start(&self->control, self->role.options.run_dir, &hello, on_message, self);
}

/*
 * A standby: has done what needs no port, and waits for the supervisor to make it the sequencer.
 * False: it never will be.
 */
static bool await_promotion(struct sequencer *self)
{
	struct role_options *options = &self->role.options;
	const char *devs[PORTS_MAX];

	(void)prctl(PR_SET_NAME, "standby");
	for (uint32_t i = 0; i < self->role.config->ports_count; i++)
		devs[i] = self->role.config->ports[i].dev;
	if (!ports_prepare(devs, self->role.config->ports_count, self->role.config->hugepages))
		exit(1);
	if (bytes_receive(options->supervisor_fd, &options->incarnation,
		    sizeof(options->incarnation)) != STATUS_OK)
		return false;
	(void)prctl(PR_SET_NAME, "sequencer");
	return true;
}

int sequencer_role_main(const struct role_options *options)
{
	static struct sequencer self;
	char error[CONFIG_ERROR_BYTES] = "cannot start";

	if (role_open(&self.role, ROLE_SEQUENCER, options, error) != STATUS_OK) {
		fprintf(stderr, "understudy: %s\n", error);
		return 1;
	}
	if (options->supervisor_fd >= 0 && !await_promotion(&self))
		return 0;
	if (start(&self, error) != STATUS_OK) {
		/* A former one could start: what this one cannot do now may be possible later. */
		if (self.role.page->services[SERVICE_SEQUENCER].starts > 0)
			fprintf(stderr, "understudy: %s\n", error);
		else
			page_fail(self.role.page, "%.250s", error);
		return 1;
	}
	while (!atomic_read_acquire(&self.go) && !atomic_read_relaxed(&self.role.page->stop))
		usleep(100);
	ingress_main(&self);
	pthread_join(self.egress_thread, NULL);
	for (uint32_t i = 0; i < self.role.config->ports_count; i++) {
		if (self.ports[i].error[0] != 0)
			page_fail(self.role.page, "%.250s", self.ports[i].error);
		self.ports[i].ops->close(&self.ports[i]);
	}
	if (self.alerts != NULL)
		fclose(self.alerts);
	_exit(0); /* the process's end frees the rest */
}
