/* SPDX-License-Identifier: BSD-3-Clause */
/* One stage's outcomes from several journals: which counts, attached late, ended, corrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/bytes.h"
#include "loggers/outcomes.h"

#define RING_BYTES (1u << 20)
#define REPLICAS 2

static struct shm_place place;
static struct journal journals[REPLICAS];
static struct journal_writer writers[REPLICAS];
static uint64_t next_batches[REPLICAS];
static struct outcomes outcomes;
static struct page_stage stage;
static struct idle idle;

static const char *name_of(uint32_t replica)
{
	return replica == 0 ? "stage-0.1" : "stage-1.2";
}

static int set_up(void **state)
{
	(void)state;
	memset(&place, 0, sizeof(place));
	memset(&outcomes, 0, sizeof(outcomes));
	memset(&stage, 0, sizeof(stage));
	outcomes.stage = &stage;
	snprintf(place.dir, sizeof(place.dir), "/dev/shm/understudy-out.XXXXXX");
	if (mkdtemp(place.dir) == NULL)
		return 1;
	for (uint32_t r = 0; r < REPLICAS; r++) {
		next_batches[r] = 0;
		assert_int_equal(journal_shm_create(&journals[r], &place, name_of(r), RING_BYTES, 0,
					 r + 1, true),
			STATUS_OK);
		assert_int_equal(journal_writer_open(&writers[r], &journals[r], 1), STATUS_OK);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < OUTCOME_SOURCES_MAX; i++) {
		struct outcome_source *source = &outcomes.sources[i];

		if (source->state == OUTCOME_SOURCE_FREE)
			continue;
		if (source->reader.journal != NULL)
			journal_give_back(&source->reader);
		journal_shm_close(&source->journal);
	}
	for (uint32_t r = 0; r < REPLICAS; r++) {
		owner_release(&journals[r].control->owner);
		journal_shm_close(&journals[r]);
	}
	shm_place_remove(&place);
	return 0;
}

/* The replica's next outcome: of a batch of one packet, dropped for the cause given. */
static void publish(uint32_t replica, uint8_t where)
{
	struct outcome_header *header;
	struct outcome_record *record;
	uint64_t batch_no = next_batches[replica]++;
	uint32_t bytes = ALIGN_UP(outcome_deltas_at(1), 8u);
	void *room;

	assert_int_equal(journal_reserve(&writers[replica], 4096, &room), STATUS_OK);
	memset(room, 0, 4096);
	header = room;
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC,
		.batch_no = batch_no,
		.first_id = batch_no,
		.bytes = bytes,
		.count = 1};
	record = (struct outcome_record *)(header + 1);
	*record = (struct outcome_record){VERDICT_DROP, where, 0};
	/* Some filling, so that a few outcomes go round the ring. */
	assert_int_equal(journal_publish(&writers[replica], 4096, batch_no + 1), STATUS_OK);
}

static void publish_fold(uint32_t replica)
{
	struct fold_header *fold;
	void *room;

	assert_int_equal(journal_reserve(&writers[replica], sizeof(*fold), &room), STATUS_OK);
	fold = room;
	*fold = (struct fold_header){.magic = FOLD_MAGIC, .bytes = sizeof(*fold), .last = 1};
	assert_int_equal(journal_publish(&writers[replica], sizeof(*fold), next_batches[replica]),
		STATUS_OK);
}

static enum status attach(uint32_t replica, uint64_t from_batch)
{
	struct outcomes_reading reading = {GATE_REPLICA, "test", from_batch, false};
	enum status status = outcomes_attach(&outcomes, &place, name_of(replica), replica,
		replica + 1, &reading);

	outcomes_poll(&outcomes, &idle);
	return status;
}

/* The cause in the outcome found for a batch; -1: there is none yet. */
static int find(uint64_t batch_no)
{
	static uint64_t memory[64];
	struct outcome_source *source;
	struct batch_writer writer;
	struct batch_view batch;
	struct batch_record *record;
	struct outcome_view view;
	int cause;

	memset(memory, 0, sizeof(memory));
	batch_begin(&writer, memory, batch_no, batch_no, batch_no + 1);
	(void)batch_add(&writer, RECORD_PACKET, 60, &record);
	assert_int_equal(batch_open(&batch, memory, batch_end(&writer)), STATUS_OK);
	source = outcomes_find(&outcomes, &batch, 2, &view);
	if (source == NULL)
		return -1;
	cause = view.records[0].where;
	outcome_source_advance(&outcomes, source);
	return cause;
}

static void test_whoever_is_first(void **state)
{
	(void)state;
	assert_int_equal(attach(0, 0), STATUS_OK);
	assert_int_equal(attach(1, 0), STATUS_OK);
	assert_int_equal(attach(1, 0), STATUS_OK); /* again is no other */
	assert_int_equal(find(0), -1);
	publish(1, 7);
	assert_int_equal(find(0), 7);
	publish(0, 5); /* late: read, and passed over */
	publish_fold(0);
	publish(0, 6);
	assert_int_equal(find(1), 6);
	publish(1, 9);
	publish(1, 10);
	assert_int_equal(find(2), 10);
}

static void test_attached_late(void **state)
{
	(void)state;
	/* The ring has been gone round: what is wanted is in it, and nothing before is held. */
	for (uint32_t i = 0; i < 1000; i++)
		publish(0, (uint8_t)i);
	assert_int_equal(attach(0, 990), STATUS_OK);
	assert_int_equal(find(990), 990 & 255);
	assert_int_equal(find(991), 991 & 255);
	publish(0, 1);
	/* One that is behind: its next outcome is older than what is wanted. */
	publish(1, 33);
	assert_int_equal(attach(1, 992), STATUS_OK);
	for (uint32_t i = 1; i < 995; i++) {
		publish(1, (uint8_t)i);
		outcomes_catch_up(&outcomes, 992); /* or it would hold the writer back */
	}
	for (uint32_t i = 992; i < 1001; i++)
		assert_int_not_equal(find(i), -1);
	assert_int_equal(find(1001), -1);
}

static void test_what_is_gone(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		publish(0, (uint8_t)i);
	assert_int_equal(attach(0, 3), STATUS_LAPPED);
	assert_int_equal(attach(0, 999), STATUS_OK);
	assert_int_equal(find(999), 999 & 255);
}

/* Folds hold nobody back: a fold longer than the journal is read as it comes. */
static void test_long_fold(void **state)
{
	(void)state;
	assert_int_equal(attach(0, 0), STATUS_OK);
	for (uint32_t i = 0; i < 3 * RING_BYTES / 128; i++) {
		publish_fold(0);
		if (i % 100 == 0)
			outcomes_catch_up(&outcomes, 0);
	}
	publish(0, 5);
	assert_int_equal(find(0), 5);
}

/* A sealed journal is read to its end, then let go by the thread that attached it. */
static void test_sealed(void **state)
{
	(void)state;
	assert_int_equal(attach(0, 0), STATUS_OK);
	publish(0, 1);
	(void)journal_seal(&journals[0]);
	assert_int_equal(find(0), 1);
	assert_int_equal(find(1), -1);
	assert_int_equal(outcomes.sources[0].state, OUTCOME_SOURCE_LEFT);
	outcomes_poll(&outcomes, &idle);
	assert_int_equal(outcomes.sources[0].state, OUTCOME_SOURCE_DONE);
	assert_null(outcomes.sources[0].reader.journal);
}

static void *attach_elsewhere(void *argument)
{
	struct outcomes_reading reading = {GATE_REPLICA, "test", 0, false};

	(void)argument;
	assert_int_equal(outcomes_attach(&outcomes, &place, name_of(0), 0, 1, &reading), STATUS_OK);
	while (atomic_read_acquire(&outcomes.sources[0].state) != OUTCOME_SOURCE_DONE)
		usleep(100);
	/* The thread that attached it gives it back, when it next attaches something. */
	assert_int_equal(outcomes_attach(&outcomes, &place, name_of(1), 1, 2, &reading), STATUS_OK);
	journal_give_back(&outcomes.sources[0].reader);
	return NULL;
}

static void test_another_thread_attaches(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, attach_elsewhere, NULL), 0);
	while (atomic_read_acquire(&outcomes.sources[0].state) != OUTCOME_SOURCE_HANDED)
		usleep(100);
	outcomes_poll(&outcomes, &idle);
	(void)journal_seal(&journals[0]);
	assert_int_equal(find(0), -1);
	outcomes_poll(&outcomes, &idle);
	pthread_join(thread, NULL);
	assert_string_equal(outcomes.sources[0].journal.control->name, name_of(1));
	assert_null(outcomes.sources[0].reader.journal);
}

static void test_corrupt(void **state)
{
	struct outcome_header *header;
	void *room;

	(void)state;
	assert_int_equal(attach(0, 0), STATUS_OK);
	assert_int_equal(attach(1, 0), STATUS_OK);
	assert_int_equal(journal_reserve(&writers[0], 4096, &room), STATUS_OK);
	memset(room, 0, 4096);
	header = room;
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC, .bytes = 4096, .count = 9};
	assert_int_equal(journal_publish(&writers[0], 4096, 1), STATUS_OK);
	publish(1, 4);
	assert_int_equal(find(0), 4);
	assert_int_equal(stage.replicas[0].bad_incarnation, 1);
	assert_true(outcomes.sources[0].bad);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Two lives of one replica, each with so many outcomes. */
static void attach_two_lives(uint32_t first_life, uint32_t second_life)
{
	const struct outcomes_reading reading = {GATE_REQUIRED, "egress", 0, false};
	const uint32_t batches[] = {first_life, second_life};

	outcomes.accounts = true;
	stage.replicas[0].incarnation = 2;
	for (uint32_t life = 0; life < 2; life++) {
		for (uint32_t n = 0; n < batches[life]; n++)
			publish(life, 0);
		assert_int_equal(outcomes_attach(&outcomes, &place, name_of(life), 0, life + 1,
					 &reading),
			STATUS_OK);
	}
	outcomes_poll(&outcomes, &idle);
}

/* The newer one's journal was left first. */
static void test_left_in_any_order(void **state)
{
	(void)state;
	attach_two_lives(1, 1);
	journal_seal(&journals[1]);
	outcomes_catch_up(&outcomes, 1);
	assert_int_equal(stage.replicas[0].drained_incarnation, 2);
	journal_seal(&journals[0]);
	outcomes_catch_up(&outcomes, 1);
	assert_int_equal(stage.replicas[0].drained_incarnation, 2);
	assert_int_equal(journals[0].control->attached, 0);
}

/* What an earlier life published is read to its end, and says nothing of how far this one is. */
static void test_an_earlier_life_does_not_account(void **state)
{
	(void)state;
	attach_two_lives(2, 5);
	/* The newer one's are looked at first. */
	outcomes.sources[0].state = OUTCOME_SOURCE_FREE;
	outcomes_catch_up(&outcomes, 5);
	assert_int_equal(stage.replicas[0].compared_batch, 5);
	outcomes.sources[0].state = OUTCOME_SOURCE_READ;
	journal_seal(&journals[0]);
	outcomes_catch_up(&outcomes, 5);
	assert_int_equal(stage.replicas[0].compared_batch, 5);
	assert_int_equal(stage.replicas[0].drained_incarnation, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_whoever_is_first),
		CASE(test_attached_late),
		CASE(test_what_is_gone),
		CASE(test_long_fold),
		CASE(test_sealed),
		CASE(test_another_thread_attaches),
		CASE(test_left_in_any_order),
		CASE(test_an_earlier_life_does_not_account),
		CASE(test_corrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
