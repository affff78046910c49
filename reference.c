/* SPDX-License-Identifier: BSD-3-Clause */
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/delta.h"
#include "core/digest.h"
#include "sequencer/ingress.h"
#include "vnf/stage.h"

#define RING_BYTES (4u << 20)

/* One output, as a hash of all that a port would send: bytes, length on the wire, time. */
struct sent {
	uint64_t hash;
	uint64_t at; /* its place in the order of sending */
};

struct sequence {
	struct sent *list;
	uint64_t count, capacity;
};

static bool append(struct sequence *sequence, uint64_t hash)
{
	if (sequence->count == sequence->capacity) {
		uint64_t capacity = sequence->capacity == 0 ? 65536 : sequence->capacity * 2;
		struct sent *grown = realloc(sequence->list, capacity * sizeof(*grown));

		if (grown == NULL)
			return false;
		sequence->list = grown;
		sequence->capacity = capacity;
	}
	sequence->list[sequence->count] = (struct sent){hash, sequence->count};
	sequence->count++;
	return true;
}

static uint64_t hash_frame(const uint8_t *frame, size_t length, uint32_t wire_length,
	uint64_t clock_ns)
{
	return digest_of(frame, length,
		digest_mix(clock_ns) + (wire_length > length ? wire_length : length));
}

/* Outputs of one batch: its outcome applied to its frames. Only port 1 is compared. */
static enum status collect(struct sequence *outputs, const struct batch_view *batch,
	const void *bytes, uint32_t count)
{
	static uint8_t frame[FRAME_BYTES_MAX + 1];
	struct outcome_view outcome;
	const struct outcome_extra *extra;
	const uint8_t *delta;
	uint32_t offset = 0;
	enum status status = outcome_open(&outcome, bytes, count);

	if (status != STATUS_OK)
		return status;
	delta = outcome.deltas;
	extra = outcome_extra_next(&outcome, &offset);
	for (uint32_t i = 0; i < batch->header->count; i++) {
		const struct batch_record *record = batch->records[i];
		size_t length = record->length;

		if (outcome_verdict(&outcome.records[i]) == VERDICT_FORWARD &&
			outcome.records[i].where == 1) {
			memcpy(frame, batch_frame(record), length);
			status = delta_apply(frame, &length, FRAME_BYTES_MAX, delta,
				outcome.records[i].delta_bytes);
			if (status != STATUS_OK)
				return status;
			if (!append(outputs, hash_frame(frame, length, record->wire_length,
						     record->clock_ns)))
				return STATUS_NO_MEMORY;
		}
		delta += outcome.records[i].delta_bytes;
		for (; extra != NULL && extra->record == i;
			extra = outcome_extra_next(&outcome, &offset))
			if (extra->type == EXTRA_EMIT && outcome_extra_content(extra)[0] == 1 &&
				!append(outputs, hash_frame(outcome_extra_content(extra) + 8,
							 extra->bytes - 8, extra->bytes - 8,
							 record->clock_ns)))
				return STATUS_NO_MEMORY;
	}
	return STATUS_OK;
}

/* The chain's stages, one after another in this thread. */
struct stages {
	struct replica *replicas[STAGES_MAX];
	void *outcomes[STAGES_MAX];
	uint32_t count, opened;
	const struct page *page; /* of the run that is judged: what it set aside */
};

static void stages_close(struct stages *stages)
{
	while (stages->opened > 0)
		replica_close(stages->replicas[--stages->opened]);
	for (uint32_t s = 0; s < stages->count; s++) {
		free(stages->replicas[s]);
		free(stages->outcomes[s]);
	}
}

/* Errors: END (what was asked once cannot be recomputed), others; always to be closed. */
static enum status stages_open(struct stages *stages, const struct config *config, char *error)
{
	enum status status;

	stages->count = config->stages_count;
	for (uint32_t s = 0; s < config->stages_count; s++) {
		stages->replicas[s] = calloc(1, sizeof(struct replica));
		stages->outcomes[s] = aligned_alloc(64, OUTCOME_BYTES_MAX);
		if (stages->replicas[s] == NULL || stages->outcomes[s] == NULL)
			return STATUS_NO_MEMORY;
		status = stage_open(stages->replicas[s], config, s, 1, false, 0, error);
		if (status != STATUS_OK)
			return status;
		stages->opened++;
		if (replica_records(stages->replicas[s]))
			return STATUS_END;
	}
	return STATUS_OK;
}

/* Runs a batch through all stages; the last one's outcome is *bytes long. */
static enum status stages_execute(struct stages *stages, const struct batch_view *batch,
	uint32_t *bytes)
{
	struct outcome_view before;

	for (uint32_t s = 0; s < stages->count; s++) {
		struct replica *replica = stages->replicas[s];
		enum status status;

		replica->asides = stages->page->stages[s].asides;
		replica->asides_count = stages->page->stages[s].asides_count;

		replica_begin(replica, batch, s == 0 ? NULL : &before, stages->outcomes[s]);
		replica_execute(replica, batch, 0, batch->header->count);
		*bytes = replica_end(replica, batch);
		status = outcome_open(&before, stages->outcomes[s], *bytes);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

static enum status run(struct ingress *ingress, struct journal_reader *reader,
	struct stages *stages, struct sequence *outputs)
{
	enum status status = STATUS_OK;

	while (status == STATUS_OK) {
		struct batch_view batch;
		const void *payload;
		uint32_t bytes;

		if (ingress_work(ingress, 1, 0, &status) == 0) {
			if (status != STATUS_IO)
				break;
			status = STATUS_OK; /* a damaged capture: what came before counts */
			ingress->ports_ended = 1;
			continue;
		}
		status = journal_peek(reader, &payload, &bytes);
		if (status == STATUS_OK)
			status = batch_open(&batch, payload, bytes);
		if (status == STATUS_OK)
			status = stages_execute(stages, &batch, &bytes);
		if (status == STATUS_OK)
			status = collect(outputs, &batch, stages->outcomes[stages->count - 1],
				bytes);
		journal_advance(reader);
	}
	return status == STATUS_END ? STATUS_OK : status;
}

/* What Ref sends from port 1. Errors: END (what was asked once cannot be recomputed), others. */
static enum status reference_run(const struct config *config, const struct page *page,
	struct sequence *outputs, char *error)
{
	struct page_ingress *counts = calloc(1, sizeof(*counts));
	struct stages stages = {.page = page};
	size_t control_bytes = sizeof(struct journal_control);
	void *memory = mmap(NULL, control_bytes + RING_BYTES, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct journal journal = {memory, (uint8_t *)memory + control_bytes,
		RING_BYTES / LINE_BYTES};
	struct journal_reader reader;
	struct ingress ingress = {.counts = counts,
		.released = &counts->batches, /* nothing waits behind others */
		.ports_count = 1,
		.trace_clock = true,
		.epoch = 1,
		.next_packet_no = 1};
	struct port port;
	enum status status;

	if (counts == NULL || memory == MAP_FAILED)
		return STATUS_NO_MEMORY;
	journal_format(journal.control, "reference", RING_BYTES, 0, 0, false);
	status = port_open(&port, 0, config->ports[0].dev, PORT_SOURCE, config->hugepages, error);
	if (status == STATUS_OK) {
		port.trace_clock = true;
		ingress.ports = &port;
		status = stages_open(&stages, config, error);
		if (status == STATUS_OK)
			status = journal_writer_open(&ingress.writer, &journal, 0);
		if (status == STATUS_OK)
			status =
				journal_attach(&reader, &journal, GATE_REQUIRED, 0, "reference", 0);
		if (status == STATUS_OK) {
			status = run(&ingress, &reader, &stages, outputs);
			journal_detach(&reader);
			journal_give_back(&reader);
			owner_release(&journal.control->owner);
		}
		stages_close(&stages);
		port.ops->close(&port);
	}
	munmap(memory, control_bytes + RING_BYTES);
	free(counts);
	return status;
}

static enum status read_output(const struct config *config, struct sequence *outputs, char *error)
{
	void *memory = aligned_alloc(64, BATCH_BYTES_MAX);
	struct page_ingress *counts = calloc(1, sizeof(*counts));
	struct batch_writer writer;
	struct batch_view batch;
	struct port port;
	enum status status =
		port_open(&port, 0, config->ports[1].dev, PORT_SOURCE, config->hugepages, error);

	if (status != STATUS_OK)
		goto out;
	for (;;) {
		batch_begin(&writer, memory, 0, 0, 1);
		status = port.ops->receive(&port, &writer, counts);
		(void)batch_end(&writer);
		if (status != STATUS_OK ||
			(status = batch_open(&batch, memory, BATCH_BYTES_MAX)) != STATUS_OK)
			break;
		for (uint32_t i = 0; i < batch.header->count; i++) {
			const struct batch_record *record = batch.records[i];

			if (!append(outputs, hash_frame(batch_frame(record), record->length,
						     record->wire_length, record->clock_ns)))
				status = STATUS_NO_MEMORY;
		}
	}
	port.ops->close(&port);
out:
	free(memory);
	free(counts);
	return status == STATUS_END ? STATUS_OK : status;
}

static int by_hash(const void *a, const void *b)
{
	const struct sent *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/*
 * Pairs equal hashes in order; places holds, for each output found, its place in Ref, or
 * UINT64_MAX.
 */
static void pair(struct sequence *expected, struct sequence *found, uint64_t *places,
	struct reference_verdict *verdict)
{
	uint64_t e = 0, f = 0;

	qsort(expected->list, expected->count, sizeof(struct sent), by_hash);
	qsort(found->list, found->count, sizeof(struct sent), by_hash);
	while (e < expected->count || f < found->count) {
		const struct sent *x = e < expected->count ? &expected->list[e] : NULL;
		const struct sent *y = f < found->count ? &found->list[f] : NULL;

		if (y == NULL || (x != NULL && x->hash < y->hash)) {
			verdict->lost++;
			e++;
		} else if (x == NULL || y->hash < x->hash) {
			places[y->at] = UINT64_MAX;
			if (e > 0 && expected->list[e - 1].hash == y->hash)
				verdict->duplicated++;
			else
				verdict->unexpected++;
			f++;
		} else {
			places[y->at] = x->at;
			e++;
			f++;
		}
	}
}

/* A capture in a file, no pipe and no device. */
static bool can_be_read_again(const char *dev)
{
	struct stat found;

	return strncmp(dev, "pcap:", 5) == 0 && stat(dev + 5, &found) == 0 &&
	       S_ISREG(found.st_mode);
}

enum status reference_judge(const struct config *config, const struct page *page,
	struct reference_verdict *verdict, char *error)
{
	struct sequence expected = {0}, found = {0};
	uint64_t *places, highest = 0;
	enum status status;

	*verdict = (struct reference_verdict){0};
	if (!config_trace_clock(config) || config->ports_count < 2 ||
		!can_be_read_again(config->ports[0].dev) ||
		!can_be_read_again(config->ports[1].dev))
		return STATUS_OK;
	snprintf(error, CONFIG_ERROR_BYTES, "the reference run has too little memory");
	status = reference_run(config, page, &expected, error);
	if (status == STATUS_END)
		return STATUS_OK;
	if (status == STATUS_OK)
		status = read_output(config, &found, error);
	places = calloc(found.count + 1, sizeof(*places));
	if (status == STATUS_OK && places != NULL) {
		verdict->judged = true;
		verdict->expected = expected.count;
		verdict->found = found.count;
		pair(&expected, &found, places, verdict);
		for (uint64_t i = 0; i < found.count; i++) {
			if (places[i] == UINT64_MAX)
				continue;
			verdict->reordered += places[i] < highest;
			highest = places[i] > highest ? places[i] : highest;
		}
	}
	free(places);
	free(expected.list);
	free(found.list);
	return status;
}
