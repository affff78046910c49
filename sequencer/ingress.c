/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/ingress.h"

#include <string.h>

#include "core/fault_points.h"
#include "core/mutants.h"
#include "core/packet_id.h"

#define TICK_NS 1000000000ull
#define AHEAD_BATCHES 32
#define GATHER_NS 100000

static enum status reserve(struct ingress *ingress, uint64_t now_ns)
{
	void *room;
	enum status status;

	if (ingress->reserved)
		return STATUS_OK;
	status = journal_reserve(&ingress->writer, BATCH_BYTES_MAX, &room);
	if (status == STATUS_BLOCKED) {
		if (ingress->blocked_since_ns == 0)
			ingress->blocked_since_ns = now_ns;
		(void)journal_detach_blockers(&ingress->writer,
			now_ns - ingress->blocked_since_ns > ingress->patience_ns);
		return status;
	}
	if (status != STATUS_OK)
		return status;
	if (ingress->blocked_since_ns != 0) {
		counter_add(&ingress->counts->blocked_ns, now_ns - ingress->blocked_since_ns);
		ingress->blocked_since_ns = 0;
	}
	batch_begin(&ingress->batch, room, ingress->next_batch,
		packet_id((uint16_t)ingress->epoch, ingress->next_sequence),
		ingress->next_packet_no);
	ingress->reserved = true;
	return STATUS_OK;
}

/* Fills the batch from the ports, another one first each time; END once all have ended. */
static enum status receive(struct ingress *ingress)
{
	for (uint32_t i = 0; i < ingress->ports_count; i++) {
		uint32_t number = (uint32_t)((ingress->next_batch + i) % ingress->ports_count);
		struct port *port = &ingress->ports[number];
		enum status status;

		if (ingress->ports_ended & 1u << number || batch_is_full(&ingress->batch))
			continue;
		status = port->ops->receive(port, &ingress->batch, ingress->counts);
		if (status == STATUS_END)
			ingress->ports_ended |= 1u << number;
		else if (status == STATUS_IO)
			return status;
	}
	if (ingress->batch.header->count > 0)
		return STATUS_OK;
	return ingress->ports_ended == (1u << ingress->ports_count) - 1 ? STATUS_END : STATUS_EMPTY;
}

/*
 * A batch costs every thread of the chain a turn. While they are behind, one that has room waits
 * for more packets: it would only wait behind the others otherwise.
 */
static bool gathers(struct ingress *ingress, uint64_t now_ns)
{
	if (ingress->gathers_since_ns == 0)
		ingress->gathers_since_ns = now_ns;
	return !batch_is_full(&ingress->batch) &&
	       ingress->next_batch > atomic_read_relaxed(ingress->released) + AHEAD_BATCHES &&
	       now_ns < ingress->gathers_since_ns + GATHER_NS;
}

/* The packet clock: the source's or the wall's, never going back. */
static void set_clocks(struct ingress *ingress, uint64_t wall_ns)
{
	struct batch_record *record = (struct batch_record *)(ingress->batch.header + 1);

	for (uint32_t i = 0; i < ingress->batch.header->count; i++) {
		uint64_t clock_ns = ingress->trace_clock ? record->clock_ns : wall_ns;

		if (clock_ns > ingress->clock_ns || MUTANT(CLOCK_BACK))
			ingress->clock_ns = clock_ns;
		record->clock_ns = ingress->clock_ns;
		record = (struct batch_record *)((uint8_t *)(record + 1) +
						 ((record->length + 7) & ~7u));
	}
}

enum status ingress_resume_ports(struct ingress *ingress)
{
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < ingress->ports_count && status == STATUS_OK; i++)
		if (ingress->ports[i].ops->resume != NULL)
			status = ingress->ports[i].ops->resume(&ingress->ports[i]);
	return status;
}

void ingress_resume(struct ingress *ingress, const struct page_admitted *from)
{
	struct page_ingress *counts = ingress->counts;

	ingress->next_packet_no = 1;
	ingress->next_batch = counts->batches = from->next_batch;
	if (from->line == 0)
		return;
	if (ingress->epoch <= from->epoch)
		ingress->epoch = from->epoch + 1;
	ingress->next_sequence = from->next_sequence;
	ingress->next_packet_no = from->next_packet_no;
	ingress->clock_ns = from->clock_ns;
	ingress->ended = from->ended != 0;
	counts->packets = from->next_packet_no - 1;
	counts->bytes = from->bytes;
	counts->seen = from->seen;
	counts->ticks = from->ticks;
	counts->cut = from->cut;
	memcpy(counts->dropped, from->dropped, sizeof(counts->dropped));
	atomic_write_release(&counts->ended, from->ended);
	for (uint32_t i = 0; i < ingress->ports_count; i++)
		ingress->ports[i].place = from->places[i];
}

/* What the input will be once the batch is published: the journal's end tells whether it was. */
static void note_admitted(struct ingress *ingress, uint32_t bytes)
{
	const struct page_ingress *counts = ingress->counts;
	const struct batch_header *header = ingress->batch.header;
	struct page_admitted *admitted = &ingress->counts->admitted[ingress->next_batch % 2];

	*admitted = (struct page_admitted){
		.line = journal_end_of(&ingress->writer, bytes),
		.next_batch = ingress->next_batch + 1,
		.next_sequence = ingress->next_sequence +
				 (MUTANT(ID_AGAIN) ? header->packets : header->count),
		.next_packet_no = ingress->next_packet_no + header->packets,
		.clock_ns = ingress->clock_ns,
		.epoch = ingress->epoch,
		.bytes = counts->bytes,
		.seen = counts->seen,
		.ticks = counts->ticks + header->count - header->packets,
		.cut = counts->cut,
		.ended = ingress->ended,
	};
	memcpy(admitted->dropped, counts->dropped, sizeof(admitted->dropped));
	for (uint32_t i = 0; i < ingress->ports_count; i++)
		admitted->places[i] = ingress->ports[i].place;
}

static enum status publish(struct ingress *ingress, uint64_t now_ns)
{
	struct batch_header *header = ingress->batch.header;
	uint16_t count = header->count, packets = header->packets;
	uint32_t bytes;
	enum status status;

	header->ingress_mono_ns = ingress->gathers_since_ns == 0 ? now_ns
								 : ingress->gathers_since_ns;
	ingress->gathers_since_ns = 0;
	header->place_frames = ingress->ports[0].place.frames;
	header->place_clock_ns = ingress->ports[0].place.clock_ns;
	bytes = batch_end(&ingress->batch);
	note_admitted(ingress, bytes);
	FAULT_POINT(ID_ASSIGNED);
	status = journal_publish(&ingress->writer, bytes, ingress->next_batch + 1);
	ingress->reserved = false;
	if (status != STATUS_OK)
		return status;
	FAULT_POINT(BATCH_PUBLISHED);
	ingress->next_batch++;
	ingress->next_sequence += MUTANT(ID_AGAIN) ? packets : count;
	ingress->next_packet_no += packets;
	counter_add(&ingress->counts->packets, packets);
	counter_add(&ingress->counts->ticks, count - packets);
	counter_add(&ingress->counts->batches, 1);
	if (ingress->counts->started_ns == 0 && packets > 0)
		atomic_write_relaxed(&ingress->counts->started_ns, now_ns);
	return STATUS_OK;
}

uint32_t ingress_work(struct ingress *ingress, uint64_t now_ns, uint64_t wall_ns,
	enum status *status)
{
	struct batch_record *record;
	uint32_t count;

	if (ingress->ended) {
		*status = STATUS_END;
		return 0;
	}
	*status = reserve(ingress, now_ns);
	if (*status != STATUS_OK)
		return 0;
	*status = receive(ingress);
	if (*status == STATUS_IO)
		return 0;
	if (*status == STATUS_EMPTY) {
		if (ingress->trace_clock || wall_ns < ingress->clock_ns + TICK_NS)
			return 0;
		(void)batch_add(&ingress->batch, RECORD_TICK, 0, &record);
	} else if (*status == STATUS_END) {
		(void)batch_add(&ingress->batch, RECORD_END, 0, &record);
		record->clock_ns = ingress->clock_ns;
		ingress->ended = true;
	} else if (gathers(ingress, now_ns)) {
		*status = STATUS_EMPTY;
		return 0;
	}
	set_clocks(ingress, wall_ns);
	count = ingress->batch.header->count;
	*status = publish(ingress, now_ns);
	if (*status == STATUS_OK && ingress->ended)
		atomic_write_release(&ingress->counts->ended, 1u);
	return count;
}

enum status ingress_repeat(struct ingress *ingress, const struct batch_view *batch, uint64_t now_ns)
{
	const struct batch_header *header = batch->header;
	uint32_t last = header->count - 1u;
	struct page_place *place = &ingress->ports[0].place;
	enum status status;

	if (header->batch_no != ingress->next_batch || header->count == 0)
		return STATUS_CORRUPT;
	status = reserve(ingress, now_ns);
	if (status != STATUS_OK)
		return status;
	memcpy(ingress->batch.header, header, header->bytes);
	ingress->batch.end = (uint8_t *)ingress->batch.header + header->bytes;
	ingress->next_sequence = packet_id_sequence(header->first_id);
	ingress->next_packet_no = header->first_packet_no;
	ingress->counts->packets = header->first_packet_no - 1;
	ingress->clock_ns = batch->records[last]->clock_ns;
	ingress->ended = batch->records[last]->kind == RECORD_END;
	*place = (struct page_place){header->place_frames, header->place_clock_ns};
	if (ingress->epoch <= packet_id_epoch(header->first_id))
		ingress->epoch = packet_id_epoch(header->first_id) + 1u;
	status = publish(ingress, now_ns);
	if (status == STATUS_OK && ingress->ended)
		atomic_write_release(&ingress->counts->ended, 1u);
	return status;
}
