/* SPDX-License-Identifier: BSD-3-Clause */
/* Ingress and egress, in the world, and its ports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loggers/control.h"
#include "loggers/idle.h"
#include "sequencer/egress.h"
#include "sequencer/ingress.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/input.h"
#include "tests/sim/oracle.h"
#include "tests/sim/processes.h"
#include "tests/sim/roles.h"

static struct ingress *base_ingress;

uint64_t base_overwritten(uint64_t *first_line)
{
	const struct journal_writer *writer = base_ingress == NULL ? NULL : &base_ingress->writer;

	*first_line = 0;
	if (writer == NULL || writer->journal == NULL)
		return 0;
	*first_line = writer->journal->control->first_line;
	return writer->limit - writer->journal->ring_lines;
}

void base_forgotten(void)
{
	base_ingress = NULL;
}

struct sequencer_process {
	struct role role;
	struct base base;
	struct port ports[2];
	struct ingress ingress;
	struct egress egress;
	struct egress_stage *stages;
	struct control control;
	struct process *process;
	uint64_t ordinal; /* of the last packet that came in */
	uint64_t clock_ns, next_ns;
	uint32_t go, attached;
};

static struct port_frame *frames_of(void)
{
	static struct port_frame frames[SEND_BURST];
	static uint8_t memory[SEND_BURST][FRAME_BYTES_MAX + 64];

	for (uint32_t i = 0; i < SEND_BURST; i++)
		frames[i] = (struct port_frame){.data = memory[i],
			.capacity_bytes = FRAME_BYTES_MAX + 64};
	return frames;
}

static enum status source_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct sequencer_process *self = port->self;
	const struct plan *plan = world.plan;
	uint32_t burst = 1 + world_random(plan->burst);

	if (self->ordinal == plan->packets)
		return STATUS_END;
	if (world.now_ns < self->next_ns)
		return STATUS_EMPTY;
	while (self->ordinal < plan->packets && burst-- > 0 && !batch_is_full(batch)) {
		uint8_t frame[FRAME_BYTES_MAX];
		uint64_t gap_ns = input_clock_gap_ns(plan, self->ordinal + 1);
		uint32_t length = input_frame(plan, ++self->ordinal, frame);
		struct batch_record *record;

		self->clock_ns += gap_ns;
		if (gap_ns >= SECOND_NS && port->trace_clock &&
			batch->header->count + 1 < BATCH_PACKETS_MAX &&
			batch_writer_bytes(batch) + sizeof(*record) < BATCH_BYTES_SOFT) {
			(void)batch_add(batch, RECORD_TICK, 0, &record);
			record->clock_ns = self->clock_ns;
		}
		memcpy(batch_add(batch, RECORD_PACKET, length, &record), frame, length);
		record->port = 0;
		record->clock_ns = self->clock_ns;
		counts->bytes += length;
	}
	port->place = (struct page_place){self->ordinal, self->clock_ns};
	self->next_ns = world.now_ns + world_random((uint32_t)plan->gap_ns);
	return STATUS_OK;
}

static enum status source_resume(struct port *port)
{
	struct sequencer_process *self = port->self;

	if (port->place.frames > 0) {
		self->ordinal = port->place.frames;
		self->clock_ns = port->place.clock_ns;
	}
	return STATUS_OK;
}

static uint64_t sink_sent(struct port *port)
{
	(void)port;
	return oracle_sent_count();
}

static enum status sink_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	(void)port;
	(void)batch;
	(void)counts;
	return STATUS_END;
}

static uint32_t sink_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	uint32_t some = 1 + world_random(count);

	(void)port;
	memcpy(frames, frames_of(), some * sizeof(*frames));
	return some;
}

static uint32_t sink_send(struct port *port, struct port_frame *frames, uint32_t count)
{
	uint32_t took = faults_port_is_blocked() ? 0 : world_random(world.plan->port_take + 1);

	(void)port;
	took = took < count ? took : count;
	for (uint32_t i = 0; i < took; i++)
		oracle_sent(frames[i].data, frames[i].length);
	if (took == 0)
		world_yield();
	return took;
}

static const struct port_ops source_ops = {.receive = source_receive, .resume = source_resume};
/* One that can tell what it has, as a capture; and a device, which cannot. */
static const struct port_ops sink_ops = {.receive = sink_receive,
	.reserve = sink_reserve,
	.send = sink_send,
	.sent = sink_sent};
static const struct port_ops device_ops = {.receive = sink_receive,
	.reserve = sink_reserve,
	.send = sink_send};

static void tell_alarm(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
	uint32_t bytes)
{
	(void)context;
	(void)packet_id;
	(void)clock_ns;
	oracle_alarm(text, bytes);
}

static bool on_sequencer_message(void *context, const struct message *message,
	struct message *answer)
{
	static const struct outcomes_reading reading = {GATE_REQUIRED, "egress", 0, true};
	struct sequencer_process *self = context;
	enum status status;

	if (message->type == MESSAGE_GO)
		self->go = 1;
	if (message->type != MESSAGE_ATTACH)
		return false;
	status = outcomes_attach(&self->stages[message->stage].outcomes, &self->role.place,
		message->name, message->number, message->incarnation, &reading);
	FAULT_POINT(CONSUMER_ATTACHED);
	message_answer_attach(answer, message, self->process->name, status);
	return true;
}

static void egress_main(void *argument)
{
	struct sequencer_process *self = argument;
	struct idle idle = {.shares_core = true};
	struct journal *waits[IDLE_JOURNALS_MAX];
	uint32_t last = world.plan->stages - 1;

	self->egress.alarms_told = oracle_alarms_count();
	BUG_ON(egress_attach(&self->egress, &self->role.place, &idle) != STATUS_OK);
	oracle_resumed(self->egress.counts->streams[1].handed);
	self->attached = 1;
	while (!page->stop) {
		for (uint32_t s = 0; s <= last; s++)
			outcomes_poll(&self->stages[s].outcomes, &idle);
		if (egress_work(&self->egress, world.now_ns) > 0) {
			idle_worked(&idle);
			continue;
		}
		waits[0] = &self->egress.base.journal;
		idle_round(&idle, waits,
			outcomes_waits(&self->stages[last].outcomes, waits, 1, IDLE_JOURNALS_MAX),
			1000000);
	}
	idle_reset(&idle);
}

static void ports_open(struct sequencer_process *self)
{
	const struct plan *plan = world.plan;
	struct ingress *ingress = &self->ingress;

	self->ports[0] =
		(struct port){.ops = &source_ops, .self = self, .waits = true, .trace_clock = true};
	self->ports[1] = (struct port){.ops = plan->port_tells ? &sink_ops : &device_ops,
		.self = self,
		.number = 1,
		.waits = true};
	self->clock_ns = 1600000000ull * SECOND_NS;
	ingress->counts = &page->ingress;
	ingress->released = &page->egress.batches;
	ingress->ports = self->ports;
	ingress->ports_count = 2;
	ingress->trace_clock = plan->seed % 3 != 0;
	ingress->patience_ns = config->hang_ms * 20000000ull;
	ingress->epoch = self->base.epoch;
	ingress->next_sequence = plan->first_sequence;
	egress_open(&self->egress, page, self->stages, plan->stages);
	self->egress.ports = self->ports;
	self->egress.ports_count = 2;
	self->egress.protect = plan->protect;
	self->egress.passive = plan->passive[plan->stages - 1];
	self->egress.wait_disk = plan->disk;
	self->egress.agreed = plan->protect && plan->agreed;
	self->egress.alarm = tell_alarm;
}

/* What was logged before a power loss, and is not in the base values. */
static void repeat_logged(struct sequencer_process *self)
{
	while (self->ingress.next_batch < page->restart.durable_batch && !page->stop) {
		struct batch_view batch;
		const uint8_t *bytes;
		uint32_t count;
		enum status status;

		BUG_ON(!disk_has_batch(disks[LOGGER_PACKETS], self->ingress.next_batch, &bytes,
			       &count) ||
			batch_open(&batch, bytes, count) != STATUS_OK);
		status = ingress_repeat(&self->ingress, &batch, world.now_ns);
		BUG_ON(status != STATUS_OK && status != STATUS_BLOCKED);
		if (self->ingress.writer.wake_needed)
			idle_wake(&self->base.journal);
		counter_add(&page->services[SERVICE_SEQUENCER].beat, 1);
		world_sleep(status == STATUS_BLOCKED ? 100000 : 1);
	}
}

static void sequencer_main(void *argument)
{
	struct sequencer_process *self = argument;
	struct idle idle = {.shares_core = true};
	struct message hello = hello_of(self->process, ROLE_SEQUENCER);
	struct page_admitted from;
	enum status status;

	role_begin(&self->role, 0, 0, 0);
	self->stages = calloc(world.plan->stages, sizeof(*self->stages));
	self->base = (struct base){.page = page, .place = &self->role.place};
	while (page->restart.wanted && (page->restart.told & 3) != 3)
		world_sleep(1000000);
	BUG_ON(base_create(&self->base, config->journal_bytes,
		       base_restart_batch(page, config->stages_count), &from) != STATUS_OK);
	BUG_ON(journal_writer_open(&self->ingress.writer, &self->base.journal, 0) != STATUS_OK);
	base_ingress = &self->ingress;
	ports_open(self);
	ingress_resume(&self->ingress, &from);
	base_announce(&self->base);
	FAULT_POINT(GATEWAY_ANNOUNCED);
	if (self->base.epoch > 1)
		sometimes(SOMETIMES_GATEWAY_TAKEOVER);
	(void)thread_start(self->process, "egress", egress_main, self);
	while (!self->attached)
		world_sleep(100000);
	counter_add(&page->services[SERVICE_SEQUENCER].starts, 1);
	(void)!control_start(&self->control, "", &hello, on_sequencer_message, self);
	while (!self->go && !page->stop)
		world_sleep(100000);
	repeat_logged(self);
	BUG_ON(ingress_resume_ports(&self->ingress) != STATUS_OK);
	while (!page->stop) {
		uint64_t wall_ns = self->ingress.trace_clock ? 0
							     : world.now_ns + world.wall_offset_ns;

		counter_add(&page->services[SERVICE_SEQUENCER].beat, 1);
		if (ingress_work(&self->ingress, world.now_ns, wall_ns, &status) > 0) {
			if (self->ingress.writer.wake_needed)
				idle_wake(&self->base.journal);
			idle_worked(&idle);
			continue;
		}
		if (status == STATUS_BLOCKED) {
			sometimes(SOMETIMES_WRITER_BLOCKED);
			idle_blocked(&idle, 50000);
		} else if (self->ingress.gathers_since_ns != 0) {
			world_sleep(1000);
			idle_worked(&idle);
		} else {
			idle_round(&idle, NULL, 0, status == STATUS_END ? 10000000 : 50000);
		}
	}
	process_end(self->process, "ends");
}

struct process *sequencer_start(const char *name)
{
	struct sequencer_process *self = calloc(1, sizeof(*self));

	self->process = process_start(PROCESS_SEQUENCER, name, sequencer_main, self);
	return self->process;
}
