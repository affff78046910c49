/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/egress.h"

#include <string.h>

#include "core/bytes.h"
#include "core/delta.h"
#include "core/fault_points.h"
#include "core/mutants.h"

static uint32_t number_of(const struct egress_stage *stage)
{
	return (uint32_t)(stage - stage->egress->stages);
}

/* A difference: nothing is released until it is settled. */
static void raise_doubt(struct egress_stage *stage, const struct page_digest *first,
	uint64_t replica, const struct outcome_header *header)
{
	struct page_doubt *doubt = &stage->egress->page->doubt;

	if (page_doubt_is_open(doubt))
		return;
	doubt->batch = header->batch_no;
	doubt->stage = number_of(stage);
	doubt->replicas[0] = (uint32_t)first->replica;
	doubt->replicas[1] = (uint32_t)replica;
	doubt->digests[0] = first->digest;
	doubt->digests[1] = header->digest;
	doubt->verdict = DOUBT_OPEN;
	atomic_write_release(&doubt->raised, doubt->raised + 1);
}

/* What a third replica has made of the batch that was in doubt tells who was wrong. */
static void judge_doubt(const struct egress_stage *stage, const struct outcome_header *header)
{
	struct page_doubt *doubt = &stage->egress->page->doubt;

	if (doubt->raised == 0 || doubt->verdict != DOUBT_OPEN ||
		doubt->batch != header->batch_no || doubt->stage != number_of(stage) ||
		page_doubt_is_open(doubt))
		return;
	atomic_write_release(&doubt->verdict,
		(uint32_t)(header->digest == doubt->digests[1]	 ? DOUBT_FIRST
			   : header->digest == doubt->digests[0] ? DOUBT_SECOND
								 : DOUBT_BOTH));
}

/* The first one to tell of a batch; where another had told, and is refuted, in its place. */
static void note_digest(struct egress_stage *stage, struct page_digest *note, uint32_t replica,
	const struct outcome_header *header)
{
	if (note->batch == (DIGEST_IN_DOUBT | (header->batch_no + 1)) &&
		number_of(stage) == stage->egress->stages_count - 1 &&
		note->digest != header->digest)
		counter_add(&stage->egress->page->doubt.released_wrong, 1);
	atomic_write_release(&note->batch, 0ull);
	note->digest = header->digest;
	note->replica = replica;
	atomic_write_release(&note->batch, header->batch_no + 1);
}

static void digest_seen(void *context, const struct outcome_source *source,
	const struct outcome_header *header)
{
	struct egress_stage *stage = context;
	struct page_egress *counts = stage->egress->counts;
	struct page_digest *note =
		&stage->egress->page
			 ->digests[number_of(stage)][header->batch_no % DIGESTS_REMEMBERED];

	judge_doubt(stage, header);
	if (note->batch != header->batch_no + 1) {
		note_digest(stage, note, source->replica, header);
		return;
	}
	if (!stage->egress->protect)
		return;
	counter_add(&counts->digests_compared, 1);
	if (note->digest == header->digest)
		return;
	atomic_add_seq_cst(&counts->digest_mismatches, 1ull);
	raise_doubt(stage, note, source->replica, header);
}

/*
 * Once a doubt is settled: what was done of its batch, and since, is done anew by replicas that are
 * compared among themselves. What was released of it is compared with theirs, and told.
 */
static void begin_anew(struct egress *egress)
{
	const struct page_doubt *doubt = &egress->page->doubt;

	for (uint32_t s = 0; s < egress->stages_count; s++)
		for (uint32_t at = 0; at < DIGESTS_REMEMBERED; at++) {
			uint64_t *batch = &egress->page->digests[s][at].batch;

			if (*batch <= doubt->batch || (*batch & DIGEST_IN_DOUBT) != 0)
				continue;
			/* Others were released by a run that was cut off, or are not yet. */
			*batch = *batch > egress->counts->first_batch &&
						 *batch <= egress->next_batch
					 ? *batch | DIGEST_IN_DOUBT
					 : 0;
		}
	atomic_write_release(&egress->counts->doubts_begun, doubt->settled);
}

static bool may_lead(void *context, const struct outcome_source *source)
{
	const struct egress_stage *stage = context;
	const struct page_stage *page = stage->outcomes.stage;
	const struct page_term *leader;

	if (!stage->egress->passive)
		return true;
	leader = page_leader(page);
	if (leader->replica == source->replica && leader->incarnation == source->incarnation)
		return true;
	/*
	 * The sealed part of an old leader's journal stands: it leads until it is read to its
	 * end.
	 */
	return source->incarnation < leader->incarnation && journal_is_sealed(&source->journal) &&
	       atomic_read_acquire(&page->replicas[source->replica].drained_incarnation) <
		       source->incarnation;
}

void egress_open(struct egress *egress, struct page *page, struct egress_stage *stages,
	uint32_t stages_count)
{
	egress->page = page;
	egress->counts = &page->egress;
	egress->stages = stages;
	egress->stages_count = stages_count;
	for (uint32_t s = 0; s < stages_count; s++) {
		stages[s].egress = egress;
		stages[s].outcomes.stage = &page->stages[s];
		stages[s].outcomes.accounts = true;
		stages[s].outcomes.seen = digest_seen;
		stages[s].outcomes.may_lead = may_lead;
		stages[s].outcomes.context = &stages[s];
	}
}

static uint64_t ambiguous_of(const struct page_stream *stream)
{
	const struct page_span *span = &stream->spans[stream->takeovers % 2];

	return span->before + span->to - span->from;
}

/*
 * Declares what a dead sequencer had handed to a port and not seen completed; whoever of its
 * successors dies here, it is declared once.
 */
static void declare_span(struct page_stream *stream)
{
	const struct page_span *last = &stream->spans[stream->takeovers % 2];

	if (stream->handed != stream->completed &&
		(last->from != stream->completed || last->to != stream->handed)) {
		stream->spans[(stream->takeovers + 1) % 2] =
			(struct page_span){ambiguous_of(stream), stream->completed, stream->handed};
		atomic_write_release(&stream->takeovers, stream->takeovers + 1);
	}
}

static uint64_t above(uint64_t more, uint64_t less)
{
	return more > less ? more - less : 0;
}

/* The counts as of the last batch released; what was done of the next one is not done again. */
static void resume(struct egress *egress)
{
	static const struct page_released nothing;
	struct page_egress *counts = egress->counts;
	const struct page_released *mark =
		counts->batches == 0 ? &nothing : &counts->marks[(counts->batches - 1) % 2];
	const uint64_t *drops = &counts->drops[0][0][0];

	egress->next_batch = counts->batches;
	egress->ended = mark->ended != 0;
	atomic_write_release(&counts->ended, mark->ended);
	counts->packets = mark->packets;
	counts->released = mark->released;
	counts->emitted = mark->emitted;
	counts->dropped_by_vnf = mark->dropped_by_vnf;
	counts->dropped_port = 0;
	counts->alarms = mark->alarms;
	counts->outcome_bytes = mark->outcome_bytes;
	counts->ambiguous = 0;
	egress->done.alarms = above(egress->alarms_told, mark->alarms);
	for (uint32_t i = 0; i < sizeof(counts->drops) / sizeof(*drops); i++)
		egress->done.drops += drops[i];
	egress->done.drops -= mark->dropped_by_vnf;
	for (uint32_t i = 0; i < egress->ports_count; i++) {
		struct page_stream *stream = &counts->streams[i];
		struct port *port = &egress->ports[i];

		if (port->ops->sent != NULL)
			stream->handed = stream->completed =
				port->ops->sent(port) + stream->dropped;
		if (!egress->at_least_once || egress->next_batch >= egress->open_below)
			declare_span(stream);
		if (egress->at_least_once)
			atomic_write_release(&stream->handed, stream->completed);
		atomic_write_release(&stream->completed, stream->handed);
		counts->ambiguous += ambiguous_of(stream);
		counts->dropped_port += stream->dropped;
		/* A file may have lost what was not on disk yet. */
		egress->done.outputs[i] = above(stream->handed, mark->handed[i]);
		counts->released += egress->done.outputs[i];
	}
	counts->released -= counts->dropped_port - mark->dropped_port;
	if (!egress->at_least_once)
		counts->released -= counts->ambiguous - mark->ambiguous;
	if (counts->releases_count > 0)
		egress->last_mark_ns =
			counts->releases[(counts->releases_count - 1) % RELEASES_MAX].at_ns;
	egress->resumes = true;
}

static const struct page_note *last_note(const struct page *page)
{
	const struct page_note *notes = page->restart.notes;

	return &notes[notes[1].batch > notes[0].batch];
}

/* What was released is as the loggers noted, and what ports had was completed. */
static void restart(struct egress *egress)
{
	const struct page_note *from = last_note(egress->page);
	struct page_egress *counts = egress->counts;

	if (from->batch > 0)
		counts->marks[(from->batch - 1) % 2] = from->mark;
	for (uint32_t i = 0; i < egress->ports_count; i++) {
		counts->streams[i].handed = counts->streams[i].completed = from->mark.handed[i];
		counts->streams[i].dropped = from->mark.dropped[i];
	}
	counts->streams[0].spans[0].before = from->mark.ambiguous;
	counts->drops[0][0][0] = from->mark.dropped_by_vnf; /* whose they were is not kept */
	counts->first_batch = from->batch;
	atomic_write_release(&counts->batches, from->batch);
}

enum status egress_attach(struct egress *egress, const struct shm_place *place, struct idle *idle)
{
	enum status status;

	egress->base = (struct base){.page = egress->page, .place = place, .idle = idle};
	egress->start = egress->page->services[SERVICE_SEQUENCER].starts + 1;
	if (egress->counts->batches < last_note(egress->page)->batch)
		restart(egress);
	if (egress->page->restart.wanted)
		egress->open_below = egress->page->restart.durable_batch;
	if (egress->page->epoch > 1 || egress->page->restart.wanted)
		resume(egress);
	status = base_succeed(&egress->base, &egress->input, GATE_REQUIRED, "egress");
	FAULT_POINT(GATEWAY_ATTACHED);
	return status;
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
	FAULT_POINT(OUTPUT_HANDED);
	while (sent < filled) {
		uint32_t took = port->ops->send(port, egress->frames[number] + sent, filled - sent);

		sent += took;
		if (took == 0 && !port->waits && ++tries > 10000)
			break;
	}
	/* What the device did not take is dropped and counted: nothing is open any more. */
	counter_add(&stream->dropped, filled - sent);
	atomic_write_release(&stream->completed, stream->handed);
	counter_add(&egress->counts->released, MUTANT(MISCOUNT) ? 1 : sent);
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

/* Whether a dead sequencer has done it already. */
static bool is_done(uint64_t *done)
{
	if (*done == 0)
		return false;
	--*done;
	return true;
}

/*
 * Whether nobody knows if an output left before a power loss: it is declared, and left out unless
 * it is to be repeated. A port that can tell has told: what it has is done.
 */
static bool is_open(struct egress *egress, uint32_t number)
{
	struct page_stream *stream = &egress->counts->streams[number];
	uint64_t at = stream->handed + egress->frames_filled[number];

	if (egress->next_batch >= egress->open_below || egress->ports[number].ops->sent != NULL)
		return false;
	if (egress->at_least_once && at < stream->repeated)
		return false; /* a dead sequencer had declared it */
	counter_add(&egress->counts->ambiguous, 1);
	stream->spans[stream->takeovers % 2].before++;
	stream->repeated = at + 1;
	if (egress->at_least_once)
		return false;
	stream->handed = stream->completed = stream->handed + 1;
	return true;
}

/* An output that cannot even be handed to its port, in its turn: a counted drop. */
static void drop_output(struct egress *egress, uint32_t number)
{
	struct page_stream *stream = &egress->counts->streams[number];

	send_port(egress, number); /* those before it */
	counter_add(&stream->dropped, 1);
	counter_add(&stream->handed, 1);
	atomic_write_release(&stream->completed, stream->handed);
	counter_add(&egress->counts->dropped_port, 1);
}

/* Base frame + delta, straight into the port's memory; a counted drop where that has no room. */
static void compose(struct egress *egress, const struct batch_record *record,
	const struct outcome_record *outcome, const uint8_t *delta)
{
	struct port_frame *frame;
	size_t length = record->length;

	if (is_done(&egress->done.outputs[outcome->where]) || is_open(egress, outcome->where))
		return;
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
		drop_output(egress, outcome->where);
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
		if (egress->alarm != NULL && !is_done(&egress->done.alarms))
			egress->alarm(egress->context, batch->header->first_id + extra->record,
				record->clock_ns, (const char *)content, extra->bytes);
	} else if (extra->type == EXTRA_EMIT) {
		memcpy(&port, content, sizeof(port));
		if (port < egress->ports_count &&
			(is_done(&egress->done.outputs[port]) || is_open(egress, port))) {
			counter_add(&egress->counts->emitted, 1);
			return;
		}
		frame = port < egress->ports_count ? next_frame(egress, port) : NULL;
		if (frame == NULL || extra->bytes - 8 > frame->capacity_bytes) {
			if (port < egress->ports_count)
				drop_output(egress, port);
			else
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

/* A VNF's verdict, or a stage that has set the packet aside. */
static void count_drop(struct egress *egress, const struct outcome_record *outcome,
	const struct batch_record *record)
{
	if (outcome->where == DROP_CAUSE_ASIDE && egress->aside != NULL)
		egress->aside(egress->context, record);
	egress->counts->drops[outcome_stage(outcome)][outcome->where >> 5][outcome->where & 31]++;
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
		enum verdict verdict = outcome_verdict(record);

		if (verdict == VERDICT_FORWARD) {
			compose(egress, batch->records[i], record, delta);
		} else if (verdict == VERDICT_DROP) {
			dropped++;
			if (!is_done(&egress->done.drops))
				count_drop(egress, record, batch->records[i]);
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

/* Whether who failed had no part in this release. */
static bool is_by_another(const struct egress *egress, const struct outcome_source *source,
	const struct page_failover *failover)
{
	if (failover->role == ROLE_SEQUENCER)
		return egress->start > failover->incarnation;
	return failover->role != ROLE_REPLICA || source->replica != failover->replica ||
	       source->incarnation != failover->incarnation;
}

static void account_failovers(struct egress *egress, const struct outcome_source *source,
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
		if (failover->first_release_ns == 0 && is_by_another(egress, source, failover))
			atomic_write_relaxed(&failover->first_release_ns, now_ns);
	}
}

static void account_release(struct egress *egress, const struct batch_header *batch,
	const struct outcome_source *source, uint64_t now_ns)
{
	struct page_egress *counts = egress->counts;
	uint64_t gap_ns = egress->last_mark_ns == 0 ? 0 : now_ns - egress->last_mark_ns;

	counts->releases[counts->releases_count % RELEASES_MAX] =
		(struct page_release){now_ns, batch->packets, source->replica};
	atomic_write_release(&counts->releases_count, counts->releases_count + 1);
	histogram_add(&counts->gaps, gap_ns, 1);
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
	if (!egress->wait_disk || MUTANT(RELEASE_EARLY))
		return true;
	return atomic_read_acquire(&egress->page->loggers[LOGGER_PACKETS].durable_batch) > batch_no;
}

/*
 * Whether two replicas of every stage have done the batch alike. Nobody's outcome of it is let go
 * before it is released: a successor has to compare them, too.
 */
static bool is_agreed(struct egress *egress, uint64_t batch_no)
{
	bool differ = false, agreed = true;

	for (uint32_t s = 0; s < egress->stages_count && egress->agreed; s++) {
		agreed &= outcomes_count(&egress->stages[s].outcomes, batch_no, &differ) > 1;
		if (differ) { /* both are seen, and end the release */
			outcomes_catch_up(&egress->stages[s].outcomes, batch_no + 1);
			return false;
		}
	}
	return agreed;
}

/* Opens the next batch, once: whoever waits for its outcome asks often. */
static bool open_batch(struct egress *egress)
{
	const void *payload;
	uint32_t bytes;

	while (!egress->batch_is_open) {
		enum status status = journal_peek(&egress->input, &payload, &bytes);

		if (status == STATUS_SEALED &&
			base_follow(&egress->base, &egress->input) == STATUS_OK)
			continue; /* a gateway's journal ends, its successor's goes on */
		if (status != STATUS_OK)
			break;
		BUG_ON(batch_open(&egress->batch, payload, bytes) != STATUS_OK);
		egress->batch_is_open = egress->batch.header->batch_no >= egress->next_batch;
		if (!egress->batch_is_open)
			journal_advance(&egress->input);
	}
	return egress->batch_is_open;
}

/* Every stage, each time: a replica that is always second, or folds, would fill its journal. */
static void catch_up(struct egress *egress)
{
	for (uint32_t s = 0; s < egress->stages_count; s++)
		outcomes_catch_up(&egress->stages[s].outcomes, egress->next_batch);
}

/* The batch is released from here on, whoever asks; before its outcome may go. */
static void mark_released(struct egress *egress)
{
	struct page_egress *counts = egress->counts;
	struct page_released *mark = &counts->marks[egress->next_batch % 2];

	*mark = (struct page_released){
		.packets = counts->packets,
		.released = counts->released,
		.emitted = counts->emitted,
		.dropped_by_vnf = counts->dropped_by_vnf,
		.dropped_port = counts->dropped_port,
		.alarms = counts->alarms,
		.outcome_bytes = counts->outcome_bytes,
		.ambiguous = counts->ambiguous,
		.ended = egress->ended,
	};
	for (uint32_t i = 0; i < egress->ports_count; i++) {
		/* What a file has of later batches, behind a restart, is not this one's. */
		mark->handed[i] = counts->streams[i].handed - egress->done.outputs[i];
		mark->released -= egress->done.outputs[i];
		mark->dropped[i] = counts->streams[i].dropped;
	}
	atomic_write_release(&counts->batches, ++egress->next_batch);
}

uint32_t egress_work(struct egress *egress, uint64_t now_ns)
{
	struct outcomes *last = &egress->stages[egress->stages_count - 1].outcomes;
	const struct batch_header *batch;
	struct outcome_view outcome;
	struct outcome_source *source;

	if (page_doubt_is_open(&egress->page->doubt))
		return 0;
	if (egress->counts->doubts_begun != egress->page->doubt.settled)
		begin_anew(egress);
	if (egress->ended || !open_batch(egress)) {
		catch_up(egress);
		if (!egress->resumes)
			egress->last_mark_ns = now_ns;
		egress_flush(egress);
		return 0;
	}
	batch = egress->batch.header;
	if (!may_release(egress, batch->batch_no)) {
		catch_up(egress);
		return 0;
	}
	source = outcomes_find(last, &egress->batch, egress->ports_count, &outcome);
	if (source == NULL || !is_agreed(egress, batch->batch_no)) {
		catch_up(egress);
		return 0;
	}
	release_batch(egress, &egress->batch, &outcome);
	if (MUTANT(RELEASE_TWICE) && atomic_read_relaxed(&egress->page->open_failovers) != 0)
		release_batch(egress, &egress->batch, &outcome);
	egress_flush(egress);
	digest_seen(&egress->stages[egress->stages_count - 1], source, outcome.header);
	account_release(egress, batch, source, now_ns);
	mark_released(egress);
	FAULT_POINT(OUTPUT_RELEASED);
	outcome_source_advance(last, source);
	catch_up(egress);
	egress->batch_is_open = egress->resumes = false;
	journal_advance(&egress->input);
	if (egress->ended)
		atomic_write_release(&egress->counts->ended, 1u);
	return 1;
}
