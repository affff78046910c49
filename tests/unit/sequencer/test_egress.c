/* SPDX-License-Identifier: BSD-3-Clause */
/* Egress over journals in plain memory and a port that writes down what it is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/delta.h"
#include "sequencer/egress.h"

#define RING_BYTES (1u << 20)
#define FRAME_BYTES 60u
#define SENT_MAX 4096u

/* The port: frames carry their packet's ID in their first bytes, and a mark that a delta sets. */
static struct {
	uint64_t ids[SENT_MAX];
	uint8_t marks[SENT_MAX];
	uint32_t count;
	uint32_t room; /* how many more it takes */
} sent;

static uint8_t frame_memory[SEND_BURST][256];

static uint32_t fake_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	(void)port;
	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct port_frame){.data = frame_memory[i], .capacity_bytes = 256};
	return count;
}

static uint32_t fake_send(struct port *port, struct port_frame *frames, uint32_t count)
{
	uint32_t took = 0;

	(void)port;
	for (; took < count && sent.room > 0; took++, sent.room--) {
		assert_true(sent.count < SENT_MAX);
		memcpy(&sent.ids[sent.count], frames[took].data, 8);
		sent.marks[sent.count++] = frames[took].data[20];
	}
	return took;
}

static const struct port_ops fake_ops = {.reserve = fake_reserve, .send = fake_send};

struct side {
	struct journal journal;
	struct journal_writer writer;
};

static struct side base, replicas[3]; /* the third joins where a test says so */
static struct egress *egress;
static struct egress_stage stage;
static struct page *page;
static struct port port;
static uint64_t now_ns;

static void side_open(struct side *side, uint64_t incarnation)
{
	struct journal_control *control = aligned_alloc(4096, sizeof(*control));

	memset(control, 0, sizeof(*control));
	side->journal =
		(struct journal){control, aligned_alloc(4096, RING_BYTES), RING_BYTES / LINE_BYTES};
	journal_format(control, "side", RING_BYTES, 0, incarnation, true);
	assert_int_equal(journal_writer_open(&side->writer, &side->journal, 1), STATUS_OK);
}

static void side_close(struct side *side)
{
	owner_release(&side->journal.control->owner);
	free(side->journal.control);
	free(side->journal.ring);
}

static void join(uint32_t replica)
{
	struct journal_reader reader;
	struct idle idle = {0};

	side_open(&replicas[replica], replica + 1);
	assert_int_equal(journal_attach(&reader, &replicas[replica].journal, GATE_REQUIRED, 0,
				 "egress", 0),
		STATUS_OK);
	assert_int_equal(outcomes_add(&stage.outcomes, &replicas[replica].journal, &reader, replica,
				 replica + 1, 0),
		STATUS_OK);
	outcomes_poll(&stage.outcomes, &idle);
}

static int set_up(void **state)
{
	(void)state;
	egress = calloc(1, sizeof(*egress));
	page = aligned_alloc(64, ALIGN_UP(sizeof(*page), 64));
	memset(page, 0, sizeof(*page));
	memset(&sent, 0, sizeof(sent));
	sent.room = SENT_MAX;
	now_ns = 1000;
	port = (struct port){.ops = &fake_ops, .waits = true};
	side_open(&base, 0);
	memset(&stage, 0, sizeof(stage));
	egress_open(egress, page, &stage, 1);
	egress->ports = &port;
	egress->ports_count = 1;
	egress->protect = true;
	assert_int_equal(journal_attach(&egress->input, &base.journal, GATE_REQUIRED, 0, "egress",
				 0),
		STATUS_OK);
	memset(replicas, 0, sizeof(replicas));
	join(0);
	join(1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t r = 0; r < 3 && replicas[r].journal.control != NULL; r++) {
		owner_release(&replicas[r].journal.control->slots[0].owner);
		side_close(&replicas[r]);
	}
	owner_release(&base.journal.control->slots[0].owner);
	side_close(&base);
	free(egress);
	free(page);
	return 0;
}

/* Batch n holds `count` packets with the IDs n * 256 on. */
static void publish_batch(uint64_t n, uint32_t count, enum record_kind kind)
{
	struct batch_writer writer;
	void *room;

	assert_int_equal(journal_reserve(&base.writer, BATCH_BYTES_MAX, &room), STATUS_OK);
	batch_begin(&writer, room, n, n * 256, n * count + 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t length = kind == RECORD_PACKET ? FRAME_BYTES : 0;
		uint64_t id = n * 256 + i;
		struct batch_record *record;
		uint8_t *frame = batch_add(&writer, kind, length, &record);

		memset(frame, 0, length);
		if (length > 0)
			memcpy(frame, &id, 8);
	}
	assert_int_equal(journal_publish(&base.writer, batch_end(&writer), n + 1), STATUS_OK);
}

/* How an outcome is spoiled. */
enum spoil {
	SOUND,
	DROPS, /* sound: every packet is dropped */
	BAD_MAGIC,
	BAD_BATCH,
	BAD_COUNT,
	BAD_ID,
	BAD_VERDICT,
	BAD_KIND,
	BAD_SUM,
	BAD_PORT,  /* of a port that there is not; in the last record */
	BAD_DELTA, /* reaches outside the frame; in the last record */
};

static void spoil(struct outcome_header *header, enum spoil how)
{
	struct outcome_record *records = (struct outcome_record *)(header + 1);
	uint8_t *deltas = (uint8_t *)header + outcome_deltas_at(header->count);
	uint32_t last = header->count - 1u;

	header->magic ^= how == BAD_MAGIC;
	header->batch_no += how == BAD_BATCH;
	header->first_id += how == BAD_ID;
	header->delta_bytes -= how == BAD_SUM;
	if (how == BAD_VERDICT)
		records[last].verdict = 9;
	if (how == BAD_KIND)
		records[last].verdict = VERDICT_NONE;
	if (how == BAD_PORT)
		records[last].where = 1;
	if (how == BAD_DELTA)
		store_be16(deltas + header->delta_bytes - 5, 0xffff);
}

/* The outcome of batch n by a replica: each packet forwarded, its mark the replica's number + 1. */
static void publish_outcome(uint32_t replica, uint64_t n, uint32_t count, uint64_t digest,
	enum spoil how)
{
	uint8_t mark = (uint8_t)(replica + 1);
	uint32_t records = count - (how == BAD_COUNT), bytes, delta_bytes = 0;
	struct outcome_header *header;
	struct outcome_record *record;
	uint8_t *deltas;
	void *room;

	assert_int_equal(journal_reserve(&replicas[replica].writer, 65536, &room), STATUS_OK);
	header = room;
	record = (struct outcome_record *)(header + 1);
	deltas = (uint8_t *)header + outcome_deltas_at(records);
	for (uint32_t i = 0; i < records; i++) {
		size_t put = delta_put(deltas + delta_bytes, 64, DELTA_EDIT, 20, &mark, 1);

		record[i] = (struct outcome_record){how == DROPS ? VERDICT_DROP : VERDICT_FORWARD,
			0, (uint16_t)put};
		delta_bytes += (uint32_t)put;
	}
	bytes = ALIGN_UP(outcome_deltas_at(records) + delta_bytes, 8u);
	*header = (struct outcome_header){OUTCOME_MAGIC, n, n * 256, digest, bytes, delta_bytes, 0,
		(uint16_t)records, 0, {0}};
	spoil(header, how);
	assert_int_equal(journal_publish(&replicas[replica].writer, bytes, n + 1), STATUS_OK);
}

/* So many batches of two packets, and the first replica's outcomes of the first ones. */
static void begin(uint64_t batches, uint64_t outcomes)
{
	for (uint64_t n = 0; n < batches; n++)
		publish_batch(n, 2, RECORD_PACKET);
	for (uint64_t n = 0; n < outcomes; n++)
		publish_outcome(0, n, 2, n, SOUND);
}

static uint32_t work(uint32_t times)
{
	uint32_t released = 0;

	while (times-- > 0)
		released += egress_work(egress, now_ns += 10);
	return released;
}

/* What was sent: batches of count packets each, all once, in order, all of one mark in a batch. */
static void check_sent(uint32_t batches, uint32_t count)
{
	assert_int_equal(sent.count, batches * count);
	for (uint32_t i = 0; i < sent.count; i++) {
		assert_int_equal(sent.ids[i], i / count * 256 + i % count);
		assert_int_equal(sent.marks[i], sent.marks[i / count * count]);
	}
	assert_int_equal(page->egress.released, sent.count);
	assert_int_equal(page->egress.streams[0].handed, sent.count);
	assert_int_equal(page->egress.streams[0].completed, sent.count);
	assert_int_equal(page->egress.batches, batches);
}

static void test_first_outcome_wins(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 20; n++) {
		uint32_t first = n % 3 == 0;

		publish_batch(n, 100, RECORD_PACKET);
		assert_int_equal(work(2), 0); /* no outcome yet */
		publish_outcome(first, n, 100, n, SOUND);
		assert_int_equal(work(3), 1);
		publish_outcome(!first, n, 100, n, SOUND);
		assert_int_equal(work(3), 0);
		assert_int_equal(sent.marks[n * 100], first + 1);
	}
	check_sent(20, 100);
	assert_int_equal(page->egress.digests_compared, 20);
	assert_int_equal(page->egress.digest_mismatches, 0);
	assert_int_equal(page->egress.wins[0], 13);
	assert_int_equal(page->egress.wins[1], 7);
	assert_int_equal(page->egress.packets, 2000);
}

static void test_outcome_before_batch(void **state)
{
	(void)state;
	publish_outcome(0, 0, 4, 1, SOUND);
	assert_int_equal(work(3), 0);
	assert_int_equal(sent.count, 0);
	publish_batch(0, 4, RECORD_PACKET);
	assert_int_equal(work(1), 1);
	check_sent(1, 4);
}

/* A replica's bad outcome is its own failure: the other one serves, and each output goes once. */
static void spoiled(enum spoil how)
{
	publish_batch(0, 3, RECORD_PACKET);
	publish_batch(1, 3, RECORD_PACKET);
	publish_outcome(0, 0, 3, 5, SOUND);
	assert_int_equal(work(1), 1);
	publish_outcome(0, 1, 3, 5, how);
	(void)work(3);
	assert_int_equal(page->stages[0].replicas[0].bad_incarnation, 1);
	assert_int_equal(page->stages[0].replicas[1].bad_incarnation, 0);
	publish_outcome(1, 0, 3, 5, SOUND);
	publish_outcome(1, 1, 3, 5, SOUND);
	assert_int_equal(work(3), 1);
	check_sent(2, 3);
	assert_int_equal(sent.marks[3], 2);
	assert_int_equal(page->egress.digest_mismatches, 0);
	assert_int_equal(page->failed, 0);
	/* Once sealed, the bad one's journal may go. */
	(void)journal_seal(&replicas[0].journal);
	(void)work(1);
	assert_int_equal(page->stages[0].replicas[0].drained_incarnation, 1);
}

static void test_corrupt_outcomes(void **state)
{
	(void)state;
	for (enum spoil how = BAD_MAGIC; how <= BAD_SUM; how++) {
		spoiled(how);
		(void)tear_down(state);
		(void)set_up(state);
	}
}

static void test_outcome_for_no_port(void **state)
{
	(void)state;
	spoiled(BAD_PORT);
}

static void test_delta_that_does_not_apply(void **state)
{
	(void)state;
	spoiled(BAD_DELTA);
}

static void test_corrupt_block(void **state)
{
	(void)state;
	publish_batch(0, 3, RECORD_PACKET);
	publish_outcome(0, 0, 3, 5, SOUND);
	replicas[0].journal.ring[100] ^= 1;
	assert_int_equal(work(2), 0);
	assert_int_equal(page->stages[0].replicas[0].bad_incarnation, 1);
	publish_outcome(1, 0, 3, 5, SOUND);
	assert_int_equal(work(2), 1);
	check_sent(1, 3);
}

/* The master dies with part of its outcomes read by nobody; the slave is behind, then ahead. */
static void test_once_only_across_a_switch(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 12; n++)
		publish_batch(n, 50, RECORD_PACKET);
	for (uint64_t n = 0; n < 7; n++)
		publish_outcome(0, n, 50, n, SOUND);
	for (uint64_t n = 0; n < 2; n++)
		publish_outcome(1, n, 50, n, SOUND);
	assert_int_equal(work(5), 5);
	(void)journal_seal(&replicas[0].journal);
	for (uint64_t n = 2; n < 4; n++)
		publish_outcome(1, n, 50, n, SOUND);
	assert_int_equal(work(4), 2); /* the sealed part stands */
	assert_int_equal(page->stages[0].replicas[0].drained_incarnation, 1);
	assert_int_equal(replicas[0].journal.control->attached, 0);
	for (uint64_t n = 4; n < 12; n++)
		publish_outcome(1, n, 50, n, SOUND);
	assert_int_equal(work(8), 5);
	check_sent(12, 50);
	assert_int_equal(sent.marks[6 * 50], 1);
	assert_int_equal(sent.marks[7 * 50], 2);
	assert_int_equal(page->egress.digests_compared, 7);
}

static void test_agreed_waits_for_two(void **state)
{
	(void)state;
	egress->agreed = true;
	begin(6, 4);
	assert_int_equal(work(4), 0);
	publish_outcome(1, 0, 2, 0, SOUND);
	publish_outcome(1, 1, 2, 1, SOUND);
	assert_int_equal(work(4), 2);
	check_sent(2, 2);
	/* What one has said before it died is worth as much as before. */
	(void)journal_seal(&replicas[0].journal);
	publish_outcome(1, 2, 2, 2, SOUND);
	publish_outcome(1, 3, 2, 3, SOUND);
	publish_outcome(1, 4, 2, 4, SOUND);
	assert_int_equal(work(4), 2);
	check_sent(4, 2);
	assert_int_equal(page->egress.digests_compared, 4);
	assert_int_equal(page->egress.digest_mismatches, 0);
}

static void test_agreed_lets_no_difference_out(void **state)
{
	(void)state;
	egress->agreed = true;
	for (uint64_t n = 0; n < 4; n++) {
		publish_batch(n, 2, RECORD_PACKET);
		publish_outcome(0, n, 2, n, SOUND);
		publish_outcome(1, n, 2, n == 2 ? 77 : n, SOUND);
	}
	assert_int_equal(work(8), 2);
	check_sent(2, 2);
	assert_int_equal(page->doubt.batch, 2);
}

/* Three batches of the first replica's are released; the second differs at the second of them. */
static void raise_doubt(void)
{
	begin(6, 3);
	assert_int_equal(work(4), 3);
	publish_outcome(1, 0, 2, 0, SOUND);
	publish_outcome(1, 1, 2, 77, SOUND);
	for (uint64_t n = 3; n < 5; n++)
		publish_outcome(0, n, 2, n, SOUND);
	(void)work(1);
	assert_int_equal(page->doubt.raised, 1);
	assert_int_equal(page->doubt.batch, 1);
	assert_int_equal(page->doubt.replicas[0], 0);
	assert_int_equal(page->doubt.replicas[1], 1);
	for (uint64_t n = 2; n < 5; n++)
		publish_outcome(1, n, 2, n + 76, SOUND);
	assert_int_equal(work(4), 0);
}

/* As the manager does. */
static void settle_doubt(void)
{
	page->stages[0].refuted_below = 3;
	page->doubt.settled = page->doubt.raised;
	join(2);
}

static void test_doubt_about_the_second(void **state)
{
	uint64_t released;

	(void)state;
	raise_doubt();
	released = page->egress.batches;
	assert_int_equal(work(9), 0);
	settle_doubt();
	assert_int_equal(work(2), 0); /* what they have published counts no more */
	assert_int_equal(page->stages[0].replicas[0].drained_incarnation, 1);
	assert_int_equal(page->stages[0].replicas[1].drained_incarnation, 2);
	for (uint64_t n = 0; n < 6; n++)
		publish_outcome(2, n, 2, n, SOUND);
	assert_int_equal(work(9), 6 - released);
	check_sent(6, 2);
	assert_int_equal(sent.marks[released * 2], 3);
	assert_int_equal(page->doubt.verdict, DOUBT_SECOND);
	assert_int_equal(page->doubt.released_wrong, 0);
	assert_int_equal(page->doubt.raised, 1);
}

static void test_doubt_about_what_was_released(void **state)
{
	uint64_t released;

	(void)state;
	raise_doubt();
	released = page->egress.batches;
	settle_doubt();
	publish_outcome(2, 0, 2, 0, SOUND);
	for (uint64_t n = 1; n < 6; n++)
		publish_outcome(2, n, 2, n + 76, SOUND);
	assert_int_equal(work(9), 6 - released);
	check_sent(6, 2);
	assert_int_equal(page->doubt.verdict, DOUBT_FIRST);
	assert_int_equal(page->doubt.released_wrong, released - 1);
	assert_int_equal(page->doubt.raised, 1);
}

static void test_doubt_about_both(void **state)
{
	(void)state;
	raise_doubt();
	settle_doubt();
	publish_outcome(2, 0, 2, 0, SOUND);
	publish_outcome(2, 1, 2, 5, SOUND);
	(void)work(2);
	assert_int_equal(page->doubt.verdict, DOUBT_BOTH);
}

static void test_digest_mismatch_stops_release(void **state)
{
	(void)state;
	begin(5, 3);
	assert_int_equal(work(3), 3);
	publish_outcome(1, 0, 2, 0, SOUND);
	publish_outcome(1, 1, 2, 77, SOUND);
	publish_outcome(1, 2, 2, 78, SOUND);
	(void)work(1);
	assert_int_equal(page->doubt.batch, 1);
	assert_true(page->egress.digest_mismatches > 0);
	for (uint64_t n = 3; n < 5; n++) {
		publish_outcome(0, n, 2, n, SOUND);
		publish_outcome(1, n, 2, n, SOUND);
	}
	assert_int_equal(work(5), 0);
	check_sent(3, 2);
}

static void test_waits_for_the_disk(void **state)
{
	(void)state;
	egress->wait_disk = true;
	for (uint64_t n = 0; n < 3; n++) {
		publish_batch(n, 2, RECORD_PACKET);
		publish_outcome(0, n, 2, n, SOUND);
	}
	assert_int_equal(work(3), 0);
	page->loggers[LOGGER_PACKETS].next_batch = 3; /* written is not enough */
	assert_int_equal(work(3), 0);
	page->loggers[LOGGER_PACKETS].durable_batch = 2;
	assert_int_equal(work(3), 2);
	check_sent(2, 2);
	page->loggers[LOGGER_PACKETS].durable_batch = 3;
	assert_int_equal(work(3), 1);
	check_sent(3, 2);
}

/* Passive: the leader's journal alone counts, and the sealed part of an old leader's. */
static void test_passive(void **state)
{
	(void)state;
	egress->passive = true;
	page->stages[0].terms[1] = (struct page_term){1, 0, 1};
	page->stages[0].term = 1;
	for (uint64_t n = 0; n < 6; n++) {
		publish_batch(n, 2, RECORD_PACKET);
		publish_outcome(1, n, 2, n, SOUND);
	}
	assert_int_equal(work(4), 0);
	for (uint64_t n = 0; n < 4; n++)
		publish_outcome(0, n, 2, n, SOUND);
	assert_int_equal(work(1), 1);
	(void)journal_seal(&replicas[0].journal);
	page->stages[0].terms[2] = (struct page_term){2, 1, 2};
	page->stages[0].term = 2;
	(void)work(10);
	check_sent(6, 2);
	assert_int_equal(page->stages[0].replicas[0].drained_incarnation, 1);
	assert_int_equal(sent.marks[2], page->egress.wins[0] > 1 ? 1 : 2);
}

static void test_drops_ticks_and_end(void **state)
{
	void *room;
	struct outcome_header *header;

	(void)state;
	publish_batch(0, 5, RECORD_PACKET);
	publish_outcome(0, 0, 5, 1, DROPS);
	publish_batch(1, 1, RECORD_END);
	assert_int_equal(work(2), 1);
	assert_int_equal(page->egress.dropped_by_vnf, 5);
	assert_int_equal(page->egress.drops[0][0][0], 5);
	assert_int_equal(page->egress.ended, 0);
	assert_int_equal(journal_reserve(&replicas[0].writer, 4096, &room), STATUS_OK);
	header = room;
	memset(header, 0, 72);
	*header = (struct outcome_header){OUTCOME_MAGIC, 1, 256, 1, 72, 0, 0, 1, 0, {0}};
	assert_int_equal(journal_publish(&replicas[0].writer, 72, 2), STATUS_OK);
	assert_int_equal(work(1), 1);
	assert_int_equal(page->egress.ended, 1);
	assert_int_equal(sent.count, 0);
	assert_int_equal(work(2), 0);
}

/* A live port that stays full: counted drops, and nothing twice. */
static void test_full_port(void **state)
{
	(void)state;
	port.waits = false;
	sent.room = 150;
	for (uint64_t n = 0; n < 3; n++) {
		publish_batch(n, 100, RECORD_PACKET);
		publish_outcome(0, n, 100, n, SOUND);
	}
	assert_int_equal(work(3), 3);
	assert_int_equal(sent.count, 150);
	assert_int_equal(page->egress.released, 150);
	assert_int_equal(page->egress.dropped_port, 150);
	assert_int_equal(page->egress.streams[0].handed, 300);
	/* Of none of them it is open whether it was sent. */
	assert_int_equal(page->egress.streams[0].completed, 300);
}

static void test_sources_are_bounded(void **state)
{
	struct journal_reader reader = stage.outcomes.sources[0].reader;
	const struct journal *journal = &replicas[0].journal;

	(void)state;
	for (uint32_t i = 2; i < OUTCOME_SOURCES_MAX; i++)
		assert_int_equal(outcomes_add(&stage.outcomes, journal, &reader, 0, i + 1, 0),
			STATUS_OK);
	assert_int_equal(outcomes_add(&stage.outcomes, journal, &reader, 0, 99, 0), STATUS_FULL);
	assert_int_equal(outcomes_add(&stage.outcomes, journal, &reader, 0, 3, 0), STATUS_OK);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_first_outcome_wins),
		CASE(test_outcome_before_batch),
		CASE(test_corrupt_outcomes),
		CASE(test_outcome_for_no_port),
		CASE(test_delta_that_does_not_apply),
		CASE(test_corrupt_block),
		CASE(test_once_only_across_a_switch),
		CASE(test_agreed_waits_for_two),
		CASE(test_agreed_lets_no_difference_out),
		CASE(test_doubt_about_the_second),
		CASE(test_doubt_about_what_was_released),
		CASE(test_doubt_about_both),
		CASE(test_digest_mismatch_stops_release),
		CASE(test_waits_for_the_disk),
		CASE(test_passive),
		CASE(test_drops_ticks_and_end),
		CASE(test_full_port),
		CASE(test_sources_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
