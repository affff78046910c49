/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Egress that goes on where a dead one ended: each life of a sequencer is a thread of its own, and
 * dies within a burst that its port is sending, or where it stops. Journals are in shared memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "sequencer/egress.h"

#define RING_BYTES (1u << 20)
#define FRAME_BYTES 60u
#define COUNT 100u /* packets of a batch */
#define SENT_MAX 4096u
#define NEVER UINT32_MAX

/* Outlives the lives: what the device was given, each frame's ID; and the file of alarms. */
static struct {
	uint64_t ids[SENT_MAX];
	uint32_t count;
	uint32_t dies_at; /* the sequencer does, once the device has so many */
	uint32_t alarms, asides;
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
	(void)port;
	for (uint32_t i = 0; i < count; i++) {
		if (sent.count >= sent.dies_at || sent.count == SENT_MAX)
			pthread_exit(NULL);
		memcpy(&sent.ids[sent.count++], frames[i].data, 8);
	}
	return count;
}

static uint64_t fake_sent(struct port *port)
{
	(void)port;
	return sent.count;
}

static const struct port_ops mute_ops = {.reserve = fake_reserve, .send = fake_send};
static const struct port_ops telling_ops = {.reserve = fake_reserve,
	.send = fake_send,
	.sent = fake_sent};

static void note_alarm(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
	uint32_t bytes)
{
	(void)context;
	(void)packet_id;
	(void)clock_ns;
	(void)text;
	sent.alarms += bytes > 0;
}

static struct shm_place place;
static struct page *page;
static struct page_egress *counts;
static struct base base; /* the newest gateway's */
static struct journal_writer input;
static struct journal replica;
static struct journal_writer outcomes;
static bool tells, at_least_once;

/* A new gateway's journal, where the former one's ended. */
static void next_epoch(uint64_t first_batch)
{
	struct page_admitted from;

	if (base.journal.control != NULL) {
		owner_release(&base.journal.control->owner);
		journal_shm_close(&base.journal);
	}
	base = (struct base){.page = page, .place = &place};
	assert_int_equal(base_create(&base, RING_BYTES, first_batch, &from), STATUS_OK);
	assert_int_equal(journal_writer_open(&input, &base.journal, 0), STATUS_OK);
	base_announce(&base);
}

static int set_up(void **state)
{
	(void)state;
	memset(&sent, 0, sizeof(sent));
	memset(&place, 0, sizeof(place));
	memset(&base, 0, sizeof(base));
	snprintf(place.dir, sizeof(place.dir), "/dev/shm/understudy-egress.XXXXXX");
	if (mkdtemp(place.dir) == NULL)
		return 1;
	page = aligned_alloc(64, ALIGN_UP(sizeof(*page), 64));
	memset(page, 0, sizeof(*page));
	counts = &page->egress;
	tells = at_least_once = false;
	assert_int_equal(journal_shm_create(&replica, &place, "r", RING_BYTES, 0, 1, true),
		STATUS_OK);
	assert_int_equal(journal_writer_open(&outcomes, &replica, 0), STATUS_OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	owner_release(&base.journal.control->owner);
	journal_shm_close(&base.journal);
	owner_release(&replica.control->owner);
	journal_shm_close(&replica);
	shm_place_remove(&place);
	free(page);
	return 0;
}

/* Batch n holds COUNT packets with the IDs n * 256 on; or the end. */
static void publish_batch(uint64_t n, enum record_kind kind)
{
	struct batch_writer writer;
	uint32_t bytes;
	void *room;

	assert_int_equal(journal_reserve(&input, BATCH_BYTES_MAX, &room), STATUS_OK);
	batch_begin(&writer, room, n, n * 256, n * COUNT + 1);
	for (uint32_t i = 0; i < (kind == RECORD_PACKET ? COUNT : 1); i++) {
		uint32_t length = kind == RECORD_PACKET ? FRAME_BYTES : 0;
		uint64_t id = n * 256 + i;
		struct batch_record *record;
		uint8_t *frame = batch_add(&writer, kind, length, &record);

		memset(frame, 0, length);
		if (length > 0)
			memcpy(frame, &id, sizeof(id));
	}
	bytes = batch_end(&writer);
	page->ingress.admitted[n % 2] =
		(struct page_admitted){.line = journal_end_of(&input, bytes), .next_batch = n + 1};
	assert_int_equal(journal_publish(&input, bytes, n + 1), STATUS_OK);
}

/*
 * Its outcome. Plain: all are forwarded. Else every fifth packet is dropped, every tenth one raises
 * an alarm, and every 20th one, from the first, emits one with the ID n * 256 + 128 + i.
 */
static void publish_outcome(uint64_t n, uint32_t count, bool plain)
{
	struct outcome_header *header;
	struct outcome_record *records;
	uint8_t *at;
	void *room;

	assert_int_equal(journal_reserve(&outcomes, 65536, &room), STATUS_OK);
	header = room;
	memset(header, 0, 65536);
	records = (struct outcome_record *)(header + 1);
	at = (uint8_t *)room + ALIGN_UP(outcome_deltas_at(count), 8u);
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC,
		.batch_no = n,
		.first_id = n * 256,
		.digest = n,
		.count = (uint16_t)count};
	for (uint16_t i = 0; i < count; i++) {
		uint64_t id = n * 256 + 128 + i;

		records[i].verdict = count == 1		    ? VERDICT_NONE
				     : !plain && i % 5 == 0 ? VERDICT_DROP
							    : VERDICT_FORWARD;
		if (records[i].verdict == VERDICT_DROP)
			records[i].where = 3;
		if (!plain && i % 10 == 0) {
			*(struct outcome_extra *)at = (struct outcome_extra){EXTRA_ALARM, i, 5};
			memcpy(at + 8, "alarm", 5);
			at += 16;
		}
		if (!plain && i % 20 == 0) {
			*(struct outcome_extra *)at =
				(struct outcome_extra){EXTRA_EMIT, i, 8 + FRAME_BYTES};
			memcpy(at + 16, &id, sizeof(id));
			at += 16 + ALIGN_UP(FRAME_BYTES, 8u);
		}
	}
	header->bytes = (uint32_t)(at - (uint8_t *)room);
	header->extra_bytes = header->bytes - ALIGN_UP(outcome_deltas_at(count), 8u);
	assert_int_equal(journal_publish(&outcomes, header->bytes, n + 1), STATUS_OK);
}

static void publish_some(uint64_t from, uint64_t to, bool plain)
{
	for (uint64_t n = from; n < to; n++) {
		publish_batch(n, RECORD_PACKET);
		publish_outcome(n, COUNT, plain);
	}
}

struct life {
	struct egress *egress;
	struct egress_stage stage;
	struct port port;
	uint32_t works;
	enum status status;
};

/* As the sequencer's shell does; it ends without letting go of anything. */
static void *live(void *argument)
{
	static const struct outcomes_reading reading = {GATE_REQUIRED, "egress", 0, true};
	struct life *life = argument;
	struct idle idle = {0};
	uint64_t now_ns = 1000;

	egress_open(life->egress, page, &life->stage, 1);
	life->egress->ports = &life->port;
	life->egress->ports_count = 1;
	life->egress->at_least_once = at_least_once;
	life->egress->alarms_told = sent.alarms;
	life->egress->alarm = note_alarm;
	life->status = egress_attach(life->egress, &place, NULL);
	if (life->status == STATUS_OK)
		life->status = outcomes_attach(&life->stage.outcomes, &place, "r", 0, 1, &reading);
	if (life->status != STATUS_OK)
		return NULL;
	outcomes_poll(&life->stage.outcomes, &idle);
	while (life->works-- > 0)
		(void)egress_work(life->egress, now_ns += 10);
	return NULL;
}

/* One life, so many rounds of work long, or until its device has so many. */
static void work(uint32_t works, uint32_t dies_at)
{
	struct life *life = aligned_alloc(64, ALIGN_UP(sizeof(*life), 64));
	pthread_t thread;

	memset(life, 0, sizeof(*life));
	life->egress = calloc(1, sizeof(*life->egress));
	life->port = (struct port){.ops = tells ? &telling_ops : &mute_ops, .waits = true};
	life->works = works;
	sent.dies_at = dies_at;
	assert_int_equal(pthread_create(&thread, NULL, live, life), 0);
	pthread_join(thread, NULL);
	assert_int_equal(life->status, STATUS_OK);
	page->services[SERVICE_SEQUENCER].starts++;
	journal_shm_close(&life->stage.outcomes.sources[0].journal);
	journal_shm_close(&life->egress->base.journal);
	free(life->egress);
	free(life);
}

/* The device has those from `from` on, in order, for `count` outputs, at `at`. */
static void check_sent(uint32_t at, uint64_t from, uint32_t count)
{
	assert_true(at + count <= sent.count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(sent.ids[at + i], (from + i) / COUNT * 256 + (from + i) % COUNT);
}

static void check_stream(uint64_t handed, uint64_t ambiguous)
{
	assert_int_equal(counts->streams[0].handed, handed);
	assert_int_equal(counts->streams[0].completed, handed);
	assert_int_equal(counts->ambiguous, ambiguous);
	assert_int_equal(counts->digest_mismatches, 0);
	assert_int_equal(page->failed, 0);
}

/* Between two batches nothing is open, and all counts go on. */
static void test_died_between_batches(void **state)
{
	(void)state;
	next_epoch(0);
	publish_some(0, 3, true);
	work(2, NEVER);
	next_epoch(0);
	publish_some(3, 4, true);
	counts->packets = counts->released = 12345; /* whatever it was at */
	work(8, NEVER);
	assert_int_equal(sent.count, 4 * COUNT);
	check_sent(0, 0, 4 * COUNT);
	check_stream(4 * COUNT, 0);
	assert_int_equal(counts->batches, 4);
	assert_int_equal(counts->packets, 4 * COUNT);
	assert_int_equal(counts->released, 4 * COUNT);
}

static void test_a_port_that_tells(void **state)
{
	(void)state;
	tells = true;
	next_epoch(0);
	publish_some(0, 3, true);
	work(8, COUNT + 70);
	assert_int_equal(counts->batches, 1);
	assert_int_equal(counts->streams[0].completed, COUNT + 64);
	for (uint32_t more = 71; more <= 72; more++) {
		next_epoch(0);
		work(8, COUNT + more);
		assert_int_equal(sent.count, COUNT + more);
	}
	next_epoch(0);
	work(8, NEVER);
	assert_int_equal(sent.count, 3 * COUNT);
	check_sent(0, 0, 3 * COUNT);
	check_stream(3 * COUNT, 0);
	assert_int_equal(counts->streams[0].takeovers, 0);
	assert_int_equal(counts->released, 3 * COUNT);
	assert_int_equal(counts->packets, 3 * COUNT);
}

/* 36 were handed over, 6 of them left: none is repeated, and 36 are declared. */
static void test_a_port_that_does_not(void **state)
{
	(void)state;
	next_epoch(0);
	publish_some(0, 3, true);
	work(8, COUNT + 70);
	assert_int_equal(counts->streams[0].handed, 2 * COUNT);
	assert_int_equal(counts->streams[0].completed, COUNT + 64);
	next_epoch(0);
	work(8, NEVER);
	check_sent(0, 0, COUNT + 70);
	check_sent(COUNT + 70, 2 * COUNT, COUNT);
	assert_int_equal(sent.count, 2 * COUNT + 70);
	check_stream(3 * COUNT, 36);
	assert_int_equal(counts->released, 3 * COUNT - 36);
	assert_int_equal(counts->packets, 3 * COUNT);
	assert_int_equal(counts->batches, 3);
}

/* Successors that die as they come declare nothing anew; another span is added. */
static void test_declared_once(void **state)
{
	(void)state;
	next_epoch(0);
	publish_some(0, 3, true);
	work(8, 70);
	for (uint32_t i = 0; i < 3; i++) {
		next_epoch(0);
		work(0, NEVER);
		check_stream(COUNT, 36);
		assert_int_equal(counts->released, 64);
	}
	next_epoch(0);
	work(8, 70 + 10); /* within the first burst of the next batch */
	assert_int_equal(counts->batches, 1);
	next_epoch(0);
	work(0, NEVER);
	check_stream(COUNT + 64, 36 + 64);
	next_epoch(0);
	work(8, NEVER);
	check_stream(3 * COUNT, 36 + 64);
	check_sent(80, COUNT + 64, 2 * COUNT - 64);
	assert_int_equal(counts->released, 3 * COUNT - 36 - 64);
	assert_int_equal(counts->streams[0].takeovers, 2);
}

/* What is open leaves again, and is declared once though two of them die on the way. */
static void test_at_least_once(void **state)
{
	(void)state;
	at_least_once = true;
	next_epoch(0);
	publish_some(0, 3, true);
	work(8, 70);
	next_epoch(0);
	work(0, NEVER);
	next_epoch(0);
	work(8, 75); /* at the same outputs */
	check_sent(70, 64, 5);
	next_epoch(0);
	work(8, NEVER);
	check_sent(0, 0, 70);
	check_sent(75, 64, 3 * COUNT - 64);
	assert_int_equal(sent.count, 75 + 3 * COUNT - 64);
	check_stream(3 * COUNT, 36);
	assert_int_equal(counts->released, 3 * COUNT);
	assert_int_equal(counts->streams[0].takeovers, 1);
}

/* Of a half released batch the drops are counted, the alarms told: not again. */
static void test_drops_and_alarms_once(void **state)
{
	(void)state;
	tells = true;
	next_epoch(0);
	publish_some(0, 2, false);
	publish_batch(2, RECORD_END);
	publish_outcome(2, 1, true);
	/* A batch has 80 outputs, 5 more emitted; the device dies in each burst. */
	for (uint32_t dies_at = 10; dies_at < 170; dies_at += 40) {
		work(8, dies_at);
		assert_int_equal(sent.count, dies_at);
		next_epoch(0);
	}
	work(8, NEVER);
	assert_int_equal(sent.count, 2 * 85);
	for (uint32_t i = 0; i < sent.count; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(sent.ids[i], sent.ids[j]);
	assert_int_equal(sent.alarms, 20);
	assert_int_equal(counts->alarms, 20);
	assert_int_equal(counts->dropped_by_vnf, 40);
	assert_int_equal(counts->drops[0][0][3], 40);
	assert_int_equal(counts->emitted, 10);
	assert_int_equal(counts->released, 170);
	assert_int_equal(counts->dropped_port, 0);
	check_stream(170, 0);
	assert_int_equal(counts->ended, 1);
	/* An end that was released stays one. */
	counts->ended = 0;
	next_epoch(0);
	work(8, NEVER);
	assert_int_equal(counts->ended, 1);
	assert_int_equal(sent.count, 170);
}

/* A restart from disk: batches 2 to 6 are there, and loggers noted that 3 and 4 were released. */
static void restart(void)
{
	struct page_restart *from = &page->restart;

	from->wanted = 1;
	from->durable_batch = 7;
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t batch = 4 + (i ^ 1); /* the first logger's is the later one */

		from->notes[i].batch = batch;
		from->notes[i].mark = (struct page_released){.packets = batch * COUNT,
			.released = batch * COUNT - 30,
			.emitted = 3,
			.dropped_by_vnf = 20,
			.alarms = 7,
			.ambiguous = 10,
			.handed = {batch * COUNT - 20}};
	}
	replica.control->first_batch = 2;
	next_epoch(2);
	publish_some(2, 9, true);
}

/* At a port that tells, and has so many outputs; 5 batches of them are noted. */
static void restart_at_a_file(uint32_t outputs)
{
	tells = true;
	restart();
	page->restart.notes[0].mark.ambiguous = 0;
	page->restart.notes[0].mark.handed[0] = 5 * COUNT;
	sent.count = outputs;
}

/* Nobody knows of 5 and 6, which are left out and declared. */
static void test_restart_at_a_port_that_cannot_tell(void **state)
{
	(void)state;
	restart();
	sent.alarms = 7;
	work(1, NEVER);
	assert_int_equal(counts->batches, 6);
	assert_int_equal(sent.count, 0);
	check_stream(6 * COUNT - 20, 10 + COUNT);
	/* Nor does a successor, whose restart this is not. */
	next_epoch(2);
	work(9, NEVER);
	assert_int_equal(counts->batches, 9);
	assert_int_equal(sent.count, 2 * COUNT);
	check_sent(0, 7 * COUNT, 2 * COUNT);
	check_stream(9 * COUNT - 20, 10 + 2 * COUNT);
	assert_int_equal(counts->packets, 9 * COUNT);
	assert_int_equal(counts->emitted, 3);
	assert_int_equal(counts->dropped_by_vnf, 20);
	assert_int_equal(counts->alarms, 7);
	assert_int_equal(counts->released, 5 * COUNT - 30 + 2 * COUNT);
}

static void test_restart_that_repeats(void **state)
{
	(void)state;
	at_least_once = true;
	restart();
	work(9, NEVER);
	assert_int_equal(sent.count, 4 * COUNT);
	check_sent(0, 5 * COUNT, 4 * COUNT);
	check_stream(9 * COUNT - 20, 10 + 2 * COUNT);
	assert_int_equal(counts->released, 9 * COUNT - 30);
}

/* The file has more than was noted, and all of it once; those of an earlier one are known too. */
static void test_restart_at_a_port_that_tells(void **state)
{
	(void)state;
	restart_at_a_file(6 * COUNT + 13);
	work(9, NEVER);
	assert_int_equal(sent.count, 9 * COUNT);
	check_sent(6 * COUNT + 13, 6 * COUNT + 13, 3 * COUNT - 13);
	check_stream(9 * COUNT, 0);
	assert_int_equal(counts->batches, 9);
}

/* So with a sequencer that dies where all that it has released was there already. */
static void test_died_after_a_restart(void **state)
{
	(void)state;
	restart_at_a_file(6 * COUNT + 13);
	work(1, NEVER);
	assert_int_equal(counts->batches, 6);
	assert_int_equal(sent.count, 6 * COUNT + 13);
	next_epoch(2);
	work(9, NEVER);
	assert_int_equal(sent.count, 9 * COUNT);
	check_sent(6 * COUNT + 13, 6 * COUNT + 13, 3 * COUNT - 13);
	check_stream(9 * COUNT, 0);
	assert_int_equal(counts->batches, 9);
	assert_int_equal(counts->released, 9 * COUNT - 30);
}

/* It has less: what the power failure took of batches long released does not come again. */
static void test_restart_with_a_shorter_file(void **state)
{
	(void)state;
	restart_at_a_file(4 * COUNT);
	work(9, NEVER);
	check_sent(4 * COUNT, 5 * COUNT, 4 * COUNT);
	check_stream(8 * COUNT, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_died_between_batches),
		CASE(test_a_port_that_tells),
		CASE(test_a_port_that_does_not),
		CASE(test_declared_once),
		CASE(test_at_least_once),
		CASE(test_drops_and_alarms_once),
		CASE(test_restart_at_a_port_that_cannot_tell),
		CASE(test_restart_that_repeats),
		CASE(test_restart_at_a_port_that_tells),
		CASE(test_died_after_a_restart),
		CASE(test_restart_with_a_shorter_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
