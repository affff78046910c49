/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/egress.h"

#include <string.h>

#include "core/bytes.h"
#include "core/delta.h"

enum status egress_add_source(struct egress *egress, const struct journal_reader *reader,
	uint32_t replica, uint64_t incarnation)
{
	for (uint32_t i = 0; i < SOURCES_MAX; i++) {
		if (egress->sources[i].used)
			continue;
		egress->sources[i] = (struct egress_source){
			.reader = *reader,
			.replica = replica,
			.incarnation = incarnation,
			.used = true,
			.next_batch = reader->journal->control->first_batch,
		};
		atomic_write_release(&egress->stage->replicas[replica].compared_batch,
			egress->sources[i].next_batch);
		return STATUS_OK;
	}
	return STATUS_FULL;
}

/* A corrupt outcome is that replica's failure, nobody else's: the manager is told. */
static void mark_bad(struct egress *egress, struct egress_source *source)
{
	source->bad = true;
	atomic_write_release(&egress->stage->replicas[source->replica].bad_incarnation,
		source->incarnation);
}

/* Lets go of a sealed journal: nothing more comes from it. */
static void source_drop(struct egress *egress, struct egress_source *source)
{
	atomic_write_release(&egress->stage->replicas[source->replica].drained_incarnation,
		source->incarnation);
	journal_detach(&source->reader);
	source->used = false;
}

/* The source's next outcome, folds skipped. Errors: as journal_peek. */
static enum status source_peek(struct egress *egress, struct egress_source *source,
	struct outcome_view *view)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	while ((status = journal_peek(&source->reader, &payload, &bytes)) == STATUS_OK) {
		if (block_is_fold(payload, bytes)) {
			journal_advance(&source->reader);
			continue;
		}
		status = outcome_open(view, payload, bytes);
		if (status == STATUS_OK && view->header->batch_no == source->next_batch)
			return STATUS_OK;
		status = STATUS_CORRUPT;
		break;
	}
	if (status == STATUS_SEALED) {
		source_drop(egress, source);
	} else if (status != STATUS_EMPTY) {
		mark_bad(egress, source);
	}
	return status;
}

static void source_advance(struct egress *egress, struct egress_source *source)
{
	source->next_batch++;
	journal_advance(&source->reader);
	atomic_write_release(&egress->stage->replicas[source->replica].compared_batch,
		source->next_batch);
}

static void digest_remember(struct egress *egress, const struct outcome_header *header)
{
	egress->digests[header->batch_no % DIGESTS_REMEMBERED] = header->digest;
	egress->digest_batches[header->batch_no % DIGESTS_REMEMBERED] = header->batch_no + 1;
}

static void digest_compare(struct egress *egress, const struct outcome_header *header)
{
	uint32_t at = header->batch_no % DIGESTS_REMEMBERED;

	if (egress->digest_batches[at] != header->batch_no + 1)
		return;
	counter_add(&egress->counts->digests_compared, 1);
	if (egress->digests[at] == header->digest)
		return;
	if (egress->counts->digest_mismatches == 0)
		atomic_write_relaxed(&egress->counts->mismatch_batch, header->batch_no);
	atomic_add_seq_cst(&egress->counts->digest_mismatches, 1ull);
}

/* Reads a replica that is behind what is released, comparing as it goes. */
static void source_catch_up(struct egress *egress, struct egress_source *source)
{
	struct outcome_view view;

	if (source->bad && journal_is_sealed(source->reader.journal))
		source_drop(egress, source);
	while (source->used && !source->bad && source->next_batch < egress->next_batch &&
		source_peek(egress, source, &view) == STATUS_OK) {
		if (egress->protect)
			digest_compare(egress, view.header);
		source_advance(egress, source);
	}
}

/* Sends a port's composed frames; what a live port does not take within the bound is dropped. */
static void send_port(struct egress *egress, uint32_t number)
{
	struct port *port = &egress->ports[number];
	struct page_stream *stream = &egress->counts->streams[number];
	uint32_t filled = egress->frames_filled[number], sent = 0, tries = 0;

	if (egress->frames_reserved[number] == 0)
		return;
	atomic_write_release(&stream->handed, stream->handed + filled);
	while (sent < filled) {
		uint32_t took = port->ops->send(port, egress->frames[number] + sent, filled - sent);

		sent += took;
		if (took == 0 && !port->waits && ++tries > 10000)
			break;
	}
	atomic_write_release(&stream->completed, stream->completed + sent);
	counter_add(&egress->counts->released, sent);
	counter_add(&egress->counts->dropped_port, filled - sent);
	if (port->ops->cancel != NULL && sent < egress->frames_reserved[number])
		port->ops->cancel(port, egress->frames[number] + sent,
			egress->frames_reserved[number] - sent);
	egress->frames_reserved[number] = egress->frames_filled[number] = 0;
}

void egress_flush(struct egress *egress)
{
	for (uint32_t i = 0; i < egress->ports_count; i++)
		send_port(egress, i);
}

/* Room for one output of a port; NULL if the port is down: a counted drop. */
static struct port_frame *next_frame(struct egress *egress, uint32_t number)
{
	struct port *port = &egress->ports[number];

	if (egress->frames_filled[number] == egress->frames_reserved[number]) {
		send_port(egress, number);
		if (port->ops->reserve != NULL)
			egress->frames_reserved[number] =
				port->ops->reserve(port, egress->frames[number], SEND_BURST);
		if (egress->frames_reserved[number] == 0)
			return NULL;
	}
	return &egress->frames[number][egress->frames_filled[number]];
}

/* Base frame + delta, straight into the port's memory; a counted drop where that has no room. */
static void compose(struct egress *egress, const struct batch_record *record,
	const struct outcome_record *outcome, const uint8_t *delta)
{
	struct port_frame *frame;
	size_t length = record->length;

	frame = next_frame(egress, outcome->where);
	if (frame != NULL && length <= frame->capacity_bytes) {
		copy_frame(frame->data, batch_frame(record), length);
		if (delta_apply(frame->data, &length, frame->capacity_bytes, delta,
			    outcome->delta_bytes) != STATUS_OK)
			frame = NULL;
	} else {
		frame = NULL;
	}
	if (frame == NULL) {
		counter_add(&egress->counts->dropped_port, 1);
		return;
	}
	frame->length = (uint32_t)length;
	frame->wire_length = record->wire_length;
	frame->clock_ns = record->clock_ns;
	egress->frames_filled[outcome->where]++;
}

static void release_extra(struct egress *egress, const struct batch_view *batch,
	const struct outcome_extra *extra)
{
	const uint8_t *content = outcome_extra_content(extra);
	const struct batch_record *record = batch->records[extra->record];
	struct port_frame *frame;
	uint16_t port;

	if (extra->type == EXTRA_ALARM) {
		counter_add(&egress->counts->alarms, 1);
		if (egress->alarm != NULL)
			egress->alarm(egress->alarm_context,
				batch->header->first_id + extra->record, record->clock_ns,
				(const char *)content, extra->bytes);
	} else if (extra->type == EXTRA_EMIT) {
		memcpy(&port, content, sizeof(port));
		frame = port < egress->ports_count ? next_frame(egress, port) : NULL;
		if (frame == NULL || extra->bytes - 8 > frame->capacity_bytes) {
			counter_add(&egress->counts->dropped_port, 1);
			return;
		}
		frame->length = frame->wire_length = extra->bytes - 8;
		frame->clock_ns = record->clock_ns;
		memcpy(frame->data, content + 8, frame->length);
		egress->frames_filled[port]++;
		counter_add(&egress->counts->emitted, 1);
	}
}

/* Whether an outcome is one of this batch, whole: nothing of it is sent before that is known. */
static bool outcome_fits(const struct egress *egress, const struct batch_view *batch,
	const struct outcome_view *outcome)
{
	const uint8_t *delta = outcome->deltas;

	if (outcome->header->count != batch->header->count ||
		outcome->header->first_id != batch->header->first_id)
		return false;
	for (uint32_t i = 0; i < batch->header->count; i++) {
		const struct outcome_record *record = &outcome->records[i];

		if ((batch->records[i]->kind == RECORD_PACKET) != (record->verdict != VERDICT_NONE))
			return false;
		if (record->verdict == VERDICT_FORWARD &&
			(record->where >= egress->ports_count ||
				delta_check(batch->records[i]->length, delta,
					record->delta_bytes) != STATUS_OK))
			return false;
		delta += record->delta_bytes;
	}
	return true;
}

/* Composes all outputs of a batch. */
static void release_batch(struct egress *egress, const struct batch_view *batch,
	const struct outcome_view *outcome)
{
	const uint8_t *delta = outcome->deltas;
	const struct outcome_extra *extra;
	uint32_t offset = 0, dropped = 0;

	extra = outcome_extra_next(outcome, &offset);
	for (uint32_t i = 0; i < batch->header->count; i++) {
		const struct outcome_record *record = &outcome->records[i];

		if (record->verdict == VERDICT_FORWARD) {
			compose(egress, batch->records[i], record, delta);
		} else if (record->verdict == VERDICT_DROP) {
			dropped++;
			egress->counts->drops[record->where >> 5][record->where & 31]++;
		} else if (batch->records[i]->kind == RECORD_END) {
			egress->ended = true;
		}
		delta += record->delta_bytes;
		for (; extra != NULL && extra->record == i;
			extra = outcome_extra_next(outcome, &offset))
			release_extra(egress, batch, extra);
	}
	counter_add(&egress->counts->packets, batch->header->packets);
	counter_add(&egress->counts->dropped_by_vnf, dropped);
	counter_add(&egress->counts->outcome_bytes, outcome->header->bytes);
}

static void account_failovers(struct egress *egress, const struct egress_source *source,
	uint64_t now_ns, uint64_t gap_ns)
{
	uint32_t count = atomic_read_acquire(&egress->page->failovers_count);

	for (uint32_t i = count; i-- > 0 && i + 64 > count;) {
		struct page_failover *failover = &egress->page->failovers[i];
		uint64_t t0_ns = atomic_read_relaxed(&failover->t0_ns);

		if (t0_ns == 0 || now_ns < t0_ns ||
			atomic_read_relaxed(&failover->restored_ns) != 0)
			continue;
		if (gap_ns > failover->gap_max_ns)
			atomic_write_relaxed(&failover->gap_max_ns, gap_ns);
		if (failover->first_release_ns == 0 &&
			(source->replica != failover->replica ||
				source->incarnation != failover->incarnation))
			atomic_write_relaxed(&failover->first_release_ns, now_ns);
	}
}

static void account_release(struct egress *egress, const struct batch_header *batch,
	const struct egress_source *source, uint64_t now_ns)
{
	struct page_egress *counts = egress->counts;
	uint64_t gap_ns = egress->last_mark_ns == 0 ? 0 : now_ns - egress->last_mark_ns;

	if (gap_ns > counts->gap_max_ns)
		counts->gap_max_ns = gap_ns;
	if (atomic_read_relaxed(&egress->page->open_failovers) != 0)
		account_failovers(egress, source, now_ns, gap_ns);
	egress->last_mark_ns = now_ns;
	if (batch->packets > 0) {
		if (counts->first_release_ns == 0)
			counts->first_release_ns = now_ns;
		atomic_write_relaxed(&counts->last_release_ns, now_ns);
	}
	if (batch->packets > 0 && now_ns > batch->ingress_mono_ns)
		histogram_add(&counts->latency, now_ns - batch->ingress_mono_ns, batch->packets);
	counter_add(&counts->wins[source->replica], 1);
}

/* Output commit: whether the batch is as durable as configured. */
static bool may_release(const struct egress *egress, uint64_t batch_no)
{
	if (!egress->wait_disk)
		return true;
	return atomic_read_acquire(&egress->page->loggers[LOGGER_PACKETS].durable_batch) > batch_no;
}

static bool may_lead(const struct egress *egress, const struct egress_source *source)
{
	const struct page_term *leader;

	if (!egress->passive)
		return true;
	leader = page_leader(egress->stage);
	if (leader->replica == source->replica && leader->incarnation == source->incarnation)
		return true;
	/*
	 * The sealed part of an old leader's journal stands: it leads until it is read to its
	 * end.
	 */
	return source->incarnation < leader->incarnation &&
	       journal_is_sealed(source->reader.journal) &&
	       atomic_read_acquire(&egress->stage->replicas[source->replica].drained_incarnation) <
		       source->incarnation;
}

/* Opens the next batch, once: whoever waits for its outcome asks often. */
static bool open_batch(struct egress *egress)
{
	const void *payload;
	uint32_t bytes;

	if (!egress->batch_is_open && journal_peek(&egress->base, &payload, &bytes) == STATUS_OK) {
		BUG_ON(batch_open(&egress->batch, payload, bytes) != STATUS_OK);
		egress->batch_is_open = true;
	}
	return egress->batch_is_open;
}

/* The first source that has the next batch's outcome, and may say it. */
static struct egress_source *find_outcome(struct egress *egress, struct outcome_view *outcome)
{
	for (uint32_t i = 0; i < SOURCES_MAX; i++) {
		struct egress_source *source = &egress->sources[i];

		if (!source->used)
			continue;
		source_catch_up(egress, source);
		if (!source->used || source->bad || source->next_batch != egress->next_batch ||
			!may_lead(egress, source) ||
			source_peek(egress, source, outcome) != STATUS_OK)
			continue;
		if (outcome_fits(egress, &egress->batch, outcome))
			return source;
		mark_bad(egress, source);
	}
	return NULL;
}

uint32_t egress_work(struct egress *egress, uint64_t now_ns)
{
	const struct batch_header *batch;
	struct outcome_view outcome;
	struct egress_source *source;

	if (egress->ended || egress->counts->digest_mismatches > 0 || !open_batch(egress)) {
		for (uint32_t i = 0; i < SOURCES_MAX; i++)
			if (egress->sources[i].used)
				source_catch_up(egress, &egress->sources[i]);
		egress->last_mark_ns = now_ns;
		egress_flush(egress);
		return 0;
	}
	batch = egress->batch.header;
	if (!may_release(egress, batch->batch_no))
		return 0;
	source = find_outcome(egress, &outcome);
	if (source == NULL)
		return 0;
	release_batch(egress, &egress->batch, &outcome);
	egress_flush(egress);
	digest_remember(egress, outcome.header);
	source_advance(egress, source);
	egress->next_batch++;
	account_release(egress, batch, source, now_ns);
	egress->batch_is_open = false;
	journal_advance(&egress->base);
	atomic_write_release(&egress->counts->batches, egress->next_batch);
	if (egress->ended)
		atomic_write_release(&egress->counts->ended, 1u);
	return 1;
}
