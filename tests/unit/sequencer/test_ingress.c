/* SPDX-License-Identifier: BSD-3-Clause */
/* Ingress over journals in plain memory: where a successor goes on, and what is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/packet_id.h"
#include "sequencer/ingress.h"

#define RING_BYTES (1u << 20)
#define BURST 7u /* packets that a port gives at once */
#define TICK_NS 1000000000ull

/* A source of numbered frames, with a time and a cut, a drop and a refusal in each burst. */
struct source {
	uint64_t count, next;
	struct journal *seals; /* sealed while it is read, once */
	bool idle, fails;
	uint32_t resumed;
};

static enum status fake_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct source *source = port->self;

	if (source->fails)
		return STATUS_IO;
	if (source->idle)
		return STATUS_EMPTY;
	if (source->next == source->count)
		return STATUS_END;
	for (uint32_t i = 0; i < BURST && source->next < source->count; i++) {
		struct batch_record *record;
		uint8_t *frame = batch_add(batch, RECORD_PACKET, 60 + i, &record);

		memset(frame, port->number, 60 + i);
		memcpy(frame, &source->next, 8);
		record->port = port->number;
		record->clock_ns = ++source->next * 1000;
		port->place.clock_ns = record->clock_ns;
		counts->bytes += 60 + i;
		counts->seen++;
	}
	counts->cut += 2;
	counts->dropped[INGRESS_RUNT]++;
	port->place.frames = source->next;
	if (source->seals != NULL)
		(void)journal_seal(source->seals);
	return STATUS_OK;
}

static enum status fake_resume(struct port *port)
{
	struct source *source = port->self;

	source->resumed++;
	source->next = port->place.frames;
	return source->fails ? STATUS_IO : STATUS_OK;
}

static const struct port_ops fake_ops = {.receive = fake_receive, .resume = fake_resume};
static const struct port_ops live_ops = {.receive = fake_receive};

/* One gateway after another, each with a journal, a page's counts and ports of its own. */
struct life {
	struct journal journal;
	struct journal_reader reader;
	struct ingress ingress;
	struct port ports[2];
	struct source sources[2];
};

#define LIVES_MAX 4

static struct life lives[LIVES_MAX];
static uint32_t lives_count;
static struct page_ingress counts;
static uint64_t released;
static uint64_t now_ns;

static struct life *begin(uint64_t count, const struct page_admitted *from)
{
	struct life *life = &lives[lives_count++];
	struct ingress *ingress = &life->ingress;
	struct journal_control *control = aligned_alloc(4096, sizeof(*control));

	memset(control, 0, sizeof(*control));
	life->journal =
		(struct journal){control, aligned_alloc(4096, RING_BYTES), RING_BYTES / LINE_BYTES};
	journal_format(control, "base", RING_BYTES, 0, lives_count, true);
	if (lives_count > 1)
		journal_continue(&life->journal, &life[-1].journal);
	assert_int_equal(journal_writer_open(&ingress->writer, &life->journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&life->reader, &life->journal, GATE_REQUIRED, 0, "r",
				 JOURNAL_FROM_TAIL),
		STATUS_OK);
	for (uint16_t i = 0; i < 2; i++) {
		life->sources[i].count = count;
		life->ports[i] = (struct port){.ops = &fake_ops,
			.self = &life->sources[i],
			.number = i,
			.waits = true};
	}
	ingress->counts = &counts;
	ingress->released = &released;
	ingress->ports = life->ports;
	ingress->ports_count = 2;
	ingress->trace_clock = true;
	ingress->epoch = lives_count;
	ingress_resume(ingress, from);
	return life;
}

static int set_up(void **state)
{
	(void)state;
	memset(lives, 0, sizeof(lives));
	memset(&counts, 0, sizeof(counts));
	lives_count = 0;
	now_ns = 5000;
	released = 1000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < lives_count; i++) {
		journal_give_back(&lives[i].reader);
		owner_release(&lives[i].journal.control->owner);
		free(lives[i].journal.control);
		free(lives[i].journal.ring);
	}
	return 0;
}

static enum status work(struct life *life, uint64_t wall_ns)
{
	enum status status;

	(void)ingress_work(&life->ingress, now_ns += 10, wall_ns, &status);
	return status;
}

static void work_some(struct life *life, uint32_t batches)
{
	for (; batches > 0; batches--)
		assert_int_equal(work(life, 0), STATUS_OK);
}

/* The next batch in the journal, which stays in its ring. */
static struct batch_view take(struct life *life)
{
	struct batch_view view;
	const void *payload;
	uint32_t bytes;

	assert_int_equal(journal_peek(&life->reader, &payload, &bytes), STATUS_OK);
	assert_int_equal(batch_open(&view, payload, bytes), STATUS_OK);
	journal_advance(&life->reader);
	return view;
}

static uint64_t number_of(const struct batch_record *record)
{
	uint64_t number;

	memcpy(&number, batch_frame(record), sizeof(number));
	return number;
}

static const struct page_admitted first_life = {0};

/* Of the two notes one is the last batch's, the other one that of the batch before. */
static void test_every_batch_is_noted(void **state)
{
	struct life *life = begin(100, &first_life);
	struct page_admitted before = {0};

	(void)state;
	for (uint64_t n = 0; n < 6; n++) {
		const struct page_admitted *note = &counts.admitted[n % 2];

		work_some(life, 1);
		assert_int_equal(note->line, journal_head_position(&life->journal));
		assert_int_equal(note->next_batch, n + 1);
		assert_int_equal(note->next_sequence, (n + 1) * BURST * 2);
		assert_int_equal(note->next_packet_no, (n + 1) * BURST * 2 + 1);
		assert_int_equal(note->clock_ns, (n + 1) * BURST * 1000);
		assert_int_equal(note->epoch, 1);
		assert_int_equal(note->bytes, counts.bytes);
		assert_int_equal(note->seen, (n + 1) * BURST * 2);
		assert_int_equal(note->cut, (n + 1) * 4);
		assert_int_equal(note->dropped[INGRESS_RUNT], (n + 1) * 2);
		for (uint32_t i = 0; i < 2; i++) {
			assert_int_equal(note->places[i].frames, (n + 1) * BURST);
			assert_int_equal(note->places[i].clock_ns, (n + 1) * BURST * 1000);
		}
		assert_memory_equal(&counts.admitted[(n + 1) % 2], &before, sizeof(before));
		before = *note;
	}
}

/* Its journal is sealed while a batch is filled: that batch was never admitted. */
static void test_a_successor_goes_on(void **state)
{
	struct life *dead = begin(100, &first_life), *next;
	struct page_admitted from;
	struct batch_view batch;

	(void)state;
	work_some(dead, 3);
	from = counts.admitted[0];
	dead->sources[0].seals = &dead->journal;
	assert_int_equal(work(dead, 0), STATUS_SEALED);
	assert_int_equal(from.line, journal_head_position(&dead->journal));
	assert_int_not_equal(counts.admitted[1].line, from.line);
	assert_memory_equal(&counts.admitted[0], &from, sizeof(from));
	next = begin(100, &from);
	assert_int_equal(counts.packets, 3 * BURST * 2);
	assert_int_equal(counts.batches, 3);
	assert_int_equal(counts.bytes, from.bytes);
	assert_int_equal(counts.seen, 3 * BURST * 2);
	assert_int_equal(counts.cut, 12);
	assert_int_equal(counts.dropped[INGRESS_RUNT], 6);
	assert_int_equal(counts.ended, 0);
	assert_int_equal(ingress_resume_ports(&next->ingress), STATUS_OK);
	assert_int_equal(next->sources[1].resumed, 1);
	work_some(next, 1);
	batch = take(next);
	assert_int_equal(batch.header->batch_no, 3);
	assert_int_equal(batch.header->first_id, packet_id(2, 3 * BURST * 2));
	assert_int_equal(batch.header->first_packet_no, 3 * BURST * 2 + 1);
	/* Each port's next frame: none is lost, none is taken twice. */
	assert_int_equal(number_of(batch.records[0]), 3 * BURST);
	assert_int_equal(number_of(batch.records[BURST]), 3 * BURST);
	assert_int_not_equal(batch.records[0]->port, batch.records[BURST]->port);
	assert_int_equal(counts.packets, 4 * BURST * 2);
	assert_int_equal(counts.seen, 4 * BURST * 2);
	assert_int_equal(counts.admitted[1].epoch, 2);
}

/* The packet clock never goes back, not even where the day's did between two gateways. */
static void test_the_clock_goes_on(void **state)
{
	struct life *life = begin(100, &first_life);
	struct batch_view batch;

	(void)state;
	life->ingress.trace_clock = false;
	assert_int_equal(work(life, 90 * TICK_NS), STATUS_OK);
	life = begin(100, &counts.admitted[0]);
	life->ingress.trace_clock = false;
	assert_int_equal(work(life, 80 * TICK_NS), STATUS_OK);
	batch = take(life);
	assert_int_equal(batch.records[0]->clock_ns, 90 * TICK_NS);
	/* A tick takes a sequence, and is no packet. */
	life->sources[0].idle = life->sources[1].idle = true;
	assert_int_equal(work(life, 90 * TICK_NS), STATUS_EMPTY);
	assert_int_equal(work(life, 91 * TICK_NS), STATUS_OK);
	assert_int_equal(counts.admitted[0].ticks, 1);
	assert_int_equal(counts.admitted[0].next_sequence, 4 * BURST + 1);
	assert_int_equal(counts.admitted[0].next_packet_no, 4 * BURST + 1);
	(void)begin(100, &counts.admitted[0]);
	assert_int_equal(counts.ticks, 1);
	assert_int_equal(counts.packets, 4 * BURST);
}

/* An epoch is never used again, however few journals there were; and an end stays an end. */
static void test_epochs_and_the_end(void **state)
{
	struct life *life = begin(BURST, &first_life);

	(void)state;
	work_some(life, 1);
	counts.admitted[0].epoch = 9;
	life = begin(BURST, &counts.admitted[0]);
	assert_int_equal(life->ingress.epoch, 10);
	assert_int_equal(ingress_resume_ports(&life->ingress), STATUS_OK);
	work_some(life, 1);
	assert_int_equal(take(life).records[0]->kind, RECORD_END);
	assert_int_equal(counts.ended, 1);
	assert_int_equal(work(life, 0), STATUS_END);
	counts.ended = 0;
	life = begin(BURST, &counts.admitted[1]);
	assert_int_equal(counts.ended, 1);
	assert_int_equal(work(life, 0), STATUS_END);
	assert_int_equal(journal_head_position(&life->journal), life->journal.control->first_line);
}

static void test_ports_that_do_not_resume(void **state)
{
	struct life *life = begin(100, &first_life);

	(void)state;
	life->ports[0].ops = &live_ops;
	assert_int_equal(ingress_resume_ports(&life->ingress), STATUS_OK);
	assert_int_equal(life->sources[0].resumed, 0);
	assert_int_equal(life->sources[1].resumed, 1);
	life->sources[1].fails = true;
	assert_int_equal(ingress_resume_ports(&life->ingress), STATUS_IO);
}

/* While the chain is behind a batch is published when it is full, or has waited for that. */
static void test_batches_fill_while_the_chain_is_behind(void **state)
{
	struct life *life = begin(100000, &first_life);
	uint32_t batches = 0;

	(void)state;
	released = 0;
	while (work(life, 0) == STATUS_OK)
		batches++;
	assert_in_range(batches, 2, 100);
	assert_int_equal(counts.batches, batches);
	assert_int_equal(work(life, 0), STATUS_EMPTY);
	now_ns += 99000;
	assert_int_equal(work(life, 0), STATUS_EMPTY);
	now_ns += 1000;
	assert_int_equal(work(life, 0), STATUS_OK);
	assert_int_equal(counts.packets, (batches + 4) * BURST * 2);
	assert_int_equal(work(life, 0), STATUS_EMPTY);
	life->sources[1].idle = true;
	life->sources[0].count = life->sources[0].next + BATCH_PACKETS_MAX - 2 * BURST;
	while (work(life, 0) == STATUS_EMPTY)
		assert_int_not_equal(life->sources[0].next, life->sources[0].count);
	assert_int_equal(counts.packets, (batches + 4) * BURST * 2 + BATCH_PACKETS_MAX);
	/* It has caught up. */
	life->sources[1].idle = false;
	released = life->ingress.next_batch;
	work_some(life, 2);
}

#define LOGGED 6u

/* What a packet logger would have: batches of two gateways, the second one's last one a tick. */
static struct {
	uint64_t bytes[LOGGED][BATCH_BYTES_MAX / 8];
	struct batch_view batches[LOGGED];
} logged;

static void keep(struct life *life, uint32_t from, uint32_t count)
{
	for (uint32_t n = from; n < from + count; n++) {
		struct batch_view batch = take(life);

		memcpy(logged.bytes[n], batch.header, batch.header->bytes);
		assert_int_equal(batch_open(&logged.batches[n], logged.bytes[n],
					 batch.header->bytes),
			STATUS_OK);
	}
}

static void log_some(void)
{
	struct life *life = begin(100, &first_life);

	work_some(life, 3);
	keep(life, 0, 3);
	life = begin(100, &counts.admitted[0]);
	assert_int_equal(ingress_resume_ports(&life->ingress), STATUS_OK);
	work_some(life, 2);
	life->sources[0].idle = life->sources[1].idle = true;
	life->ingress.trace_clock = false;
	assert_int_equal(work(life, 7 * TICK_NS), STATUS_OK);
	keep(life, 3, 3);
	/* The power fails: nothing is left but that. */
	(void)tear_down(NULL);
	(void)set_up(NULL);
	now_ns = 777;
}

static void check_repeated(struct life *life, uint32_t n)
{
	struct batch_view batch = take(life);

	assert_int_equal(batch.header->ingress_mono_ns, now_ns);
	((struct batch_header *)(uintptr_t)batch.header)->ingress_mono_ns =
		((struct batch_header *)logged.bytes[n])->ingress_mono_ns;
	assert_memory_equal(batch.header, logged.bytes[n], batch.header->bytes);
}

static void test_logged_batches_are_repeated(void **state)
{
	struct page_admitted from = {.next_batch = 2};
	struct batch_view batch;
	struct life *life;

	(void)state;
	log_some();
	life = begin(100, &from);
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[1], now_ns),
		STATUS_CORRUPT);
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[3], now_ns),
		STATUS_CORRUPT);
	assert_int_equal(journal_head_position(&life->journal), 0);
	for (uint32_t n = 2; n < LOGGED; n++) {
		now_ns += 10;
		assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[n], now_ns),
			STATUS_OK);
		assert_int_equal(counts.admitted[n % 2].line,
			journal_head_position(&life->journal));
		assert_int_equal(counts.admitted[n % 2].places[0].frames,
			(n < 5 ? n + 1 : n) * BURST);
		check_repeated(life, n);
	}
	assert_int_equal(counts.packets, 5 * BURST * 2);
	assert_int_equal(counts.ticks, 1);
	assert_int_equal(counts.batches, LOGGED);
	/* Then new ones: dense in all but the epoch, from where the first port was. */
	assert_int_equal(ingress_resume_ports(&life->ingress), STATUS_OK);
	work_some(life, 1);
	batch = take(life);
	assert_int_equal(batch.header->batch_no, LOGGED);
	assert_int_equal(batch.header->first_id, packet_id(3, 5 * BURST * 2 + 1));
	assert_int_equal(batch.header->first_packet_no, 5 * BURST * 2 + 1);
	assert_int_equal(batch.records[0]->clock_ns, 7 * TICK_NS);
	assert_int_equal(batch.records[0]->port, 0);
	assert_int_equal(number_of(batch.records[0]), 5 * BURST);
	assert_int_equal(counts.admitted[0].epoch, 3);
}

/* A gateway that dies while it repeats is followed by one that goes on behind what it repeated. */
static void test_repeated_by_two(void **state)
{
	struct page_admitted from = {.next_batch = 1};
	struct life *life;

	(void)state;
	log_some();
	life = begin(100, &from);
	for (uint32_t n = 1; n < 4; n++)
		assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[n], now_ns),
			STATUS_OK);
	from = counts.admitted[1];
	assert_int_equal(from.next_batch, 4);
	life = begin(100, &from);
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[3], now_ns),
		STATUS_CORRUPT);
	for (uint32_t n = 4; n < LOGGED; n++) {
		assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[n], now_ns),
			STATUS_OK);
		check_repeated(life, n);
	}
	assert_true(life->ingress.epoch > 2);
	assert_int_equal(counts.packets, 5 * BURST * 2);
}

static void test_a_repeat_that_is_held_back(void **state)
{
	struct page_admitted from = {.next_batch = 0};
	struct life *life;
	uint32_t n;

	(void)state;
	log_some();
	life = begin(100, &from);
	/* The same batch again and again, until the reader holds it back. */
	for (n = 0; n < 10000; n++) {
		((struct batch_header *)logged.bytes[0])->batch_no = n;
		if (ingress_repeat(&life->ingress, &logged.batches[0], now_ns) != STATUS_OK)
			break;
	}
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[0], now_ns),
		STATUS_BLOCKED);
	assert_int_equal(counts.batches, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(take(life).header->batch_no, i);
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[0], now_ns), STATUS_OK);
	assert_int_equal(take(life).header->batch_no, n);
	(void)journal_seal(&life->journal);
	((struct batch_header *)logged.bytes[0])->batch_no = n + 1;
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[0], now_ns), STATUS_SEALED);
}

static void test_a_repeated_end(void **state)
{
	struct page_admitted from = {.next_batch = 1};
	struct life *life = begin(BURST, &first_life);

	(void)state;
	work_some(life, 2);
	keep(life, 0, 2);
	(void)tear_down(NULL);
	(void)set_up(NULL);
	life = begin(BURST, &from);
	assert_int_equal(ingress_repeat(&life->ingress, &logged.batches[1], now_ns), STATUS_OK);
	assert_int_equal(counts.ended, 1);
	assert_int_equal(counts.admitted[1].ended, 1);
	assert_int_equal(counts.packets, BURST * 2);
	assert_int_equal(work(life, 0), STATUS_END);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_every_batch_is_noted),
		CASE(test_a_successor_goes_on),
		CASE(test_the_clock_goes_on),
		CASE(test_epochs_and_the_end),
		CASE(test_ports_that_do_not_resume),
		CASE(test_batches_fill_while_the_chain_is_behind),
		CASE(test_logged_batches_are_repeated),
		CASE(test_repeated_by_two),
		CASE(test_a_repeat_that_is_held_back),
		CASE(test_a_repeated_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
