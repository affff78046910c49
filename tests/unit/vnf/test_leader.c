/* SPDX-License-Identifier: BSD-3-Clause */
/* A slave's view of its leader: what it has published, and when that cannot be known any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vnf/leader.h"

#define RING_BYTES (1u << 16)

static struct shm_place place;
static struct journal journal;
static struct journal_writer writer;

static int make_journal(void **state)
{
	(void)state;
	memset(&place, 0, sizeof(place));
	snprintf(place.dir, sizeof(place.dir), "/dev/shm/understudy-leader.XXXXXX");
	if (mkdtemp(place.dir) == NULL)
		return -1;
	return journal_shm_create(&journal, &place, "j", RING_BYTES, 0, 9, true) != STATUS_OK ||
	       journal_writer_open(&writer, &journal, 1) != STATUS_OK;
}

static int drop_journal(void **state)
{
	(void)state;
	owner_release(&journal.control->owner);
	journal_shm_close(&journal);
	shm_place_remove(&place);
	return access(place.dir, F_OK) == 0;
}

static void publish(const void *payload, uint32_t bytes, uint64_t next_batch)
{
	void *room;

	assert_int_equal(journal_reserve(&writer, bytes, &room), STATUS_OK);
	memcpy(room, payload, bytes);
	assert_int_equal(journal_publish(&writer, bytes, next_batch), STATUS_OK);
}

static void publish_outcome(uint64_t batch_no)
{
	struct outcome_header header = {.magic = OUTCOME_MAGIC,
		.batch_no = batch_no,
		.bytes = sizeof(header)};

	publish(&header, sizeof(header), batch_no + 1);
}

static void publish_fold(uint64_t batch_no)
{
	struct fold_header header = {.magic = FOLD_MAGIC,
		.batch_no = batch_no,
		.bytes = sizeof(header),
		.last = 1};

	publish(&header, sizeof(header), batch_no + 1);
}

static void assert_gives(struct leader *leader, uint64_t batch_no)
{
	struct outcome_view outcome = {0};

	assert_int_equal(leader_outcome(leader, batch_no, &outcome), STATUS_OK);
	assert_int_equal(outcome.header->batch_no, batch_no);
}

static void test_a_leader_is_read_in_order(void **state)
{
	struct leader leader = {0};
	struct outcome_view outcome;

	(void)state;
	publish_outcome(0);
	assert_int_equal(leader_follow(&leader, &place, "j", 9, true), STATUS_OK);
	assert_int_equal(leader.incarnation, 9);
	assert_gives(&leader, 0);
	assert_gives(&leader, 0); /* until the next is asked for */
	assert_true(leader_is_valid(&leader));
	assert_int_equal(leader_outcome(&leader, 1, &outcome), STATUS_EMPTY);
	publish_outcome(1);
	publish_fold(1);
	publish_outcome(2);
	publish_outcome(3);
	assert_gives(&leader, 3); /* those before, and folds, are passed */
	assert_int_equal(leader_outcome(&leader, 2, &outcome), STATUS_LAPPED);
	assert_int_equal(leader_outcome(&leader, 4, &outcome), STATUS_EMPTY);
	(void)journal_seal(&journal);
	assert_int_equal(leader_outcome(&leader, 4, &outcome), STATUS_SEALED);
	leader_drop(&leader);
	assert_int_equal(leader.incarnation, 0);
	assert_null(leader.journal.control);
}

static void test_a_corrupt_outcome_is_told(void **state)
{
	struct leader leader = {0};
	struct outcome_view outcome;
	uint8_t garbage[100] = "not an outcome";

	(void)state;
	publish(garbage, sizeof(garbage), 1);
	assert_int_equal(leader_follow(&leader, &place, "j", 9, true), STATUS_OK);
	assert_int_equal(leader_outcome(&leader, 0, &outcome), STATUS_CORRUPT);
	leader_drop(&leader);
}

static void test_a_leader_that_is_not_read_says_how_far_it_is(void **state)
{
	struct leader leader = {0};
	struct outcome_view outcome;

	(void)state;
	assert_int_equal(leader_follow(&leader, &place, "j", 4, false), STATUS_OK);
	assert_true(leader_is_valid(&leader)); /* there is nothing that may be overwritten */
	assert_int_equal(leader_outcome(&leader, 0, &outcome), STATUS_EMPTY);
	publish_outcome(0);
	assert_int_equal(leader_outcome(&leader, 0, &outcome), STATUS_OK);
	assert_int_equal(leader_outcome(&leader, 1, &outcome), STATUS_EMPTY);
	(void)journal_seal(&journal);
	assert_int_equal(leader_outcome(&leader, 0, &outcome), STATUS_OK);
	assert_int_equal(leader_outcome(&leader, 1, &outcome), STATUS_SEALED);
	leader_drop(&leader);
}

static void test_who_cannot_be_followed_is_dropped_whole(void **state)
{
	struct leader leader = {0};
	struct journal_reader readers[JOURNAL_READERS_MAX];

	(void)state;
	assert_int_equal(leader_follow(&leader, &place, "j", 9, true), STATUS_OK);
	/* In place of the former one, which is let go whether there is a new one or not. */
	assert_int_equal(leader_follow(&leader, &place, "none", 10, true), STATUS_NOT_FOUND);
	assert_int_equal(leader.incarnation, 0);
	assert_null(leader.journal.control);
	assert_null(leader.reader.journal);
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		assert_int_equal(journal_attach(&readers[i], &journal, GATE_NONE, 0, "r",
					 JOURNAL_FROM_TAIL),
			STATUS_OK);
	assert_int_equal(leader_follow(&leader, &place, "j", 9, true), STATUS_FULL);
	assert_null(leader.journal.control);
	assert_null(leader.reader.journal);
	leader_drop(&leader); /* of nobody: nothing */
	assert_int_equal(leader_follow(&leader, &place, "j", 9, false), STATUS_OK);
	leader_drop(&leader);
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++) {
		journal_detach(&readers[i]);
		journal_give_back(&readers[i]);
	}
}

static void test_what_is_overwritten_is_not_valid(void **state)
{
	struct leader leader = {0};
	struct outcome_view outcome;
	uint64_t batch_no = 1;
	void *room;

	(void)state;
	publish_outcome(0);
	assert_int_equal(leader_follow(&leader, &place, "j", 9, true), STATUS_OK);
	assert_gives(&leader, 0);
	while (journal_reserve(&writer, sizeof(struct outcome_header), &room) == STATUS_OK)
		publish_outcome(batch_no++);
	assert_true(leader_is_valid(&leader)); /* it holds the writer back, which waits */
	assert_int_equal(journal_detach_blockers(&writer, true), 1);
	for (uint32_t i = 0; i < RING_BYTES / 128; i++)
		publish_outcome(batch_no++);
	assert_false(leader_is_valid(&leader));
	assert_int_not_equal(leader_outcome(&leader, 1, &outcome), STATUS_OK);
	leader_drop(&leader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_leader_is_read_in_order, make_journal,
			drop_journal),
		cmocka_unit_test_setup_teardown(test_a_corrupt_outcome_is_told, make_journal,
			drop_journal),
		cmocka_unit_test_setup_teardown(test_a_leader_that_is_not_read_says_how_far_it_is,
			make_journal, drop_journal),
		cmocka_unit_test_setup_teardown(test_who_cannot_be_followed_is_dropped_whole,
			make_journal, drop_journal),
		cmocka_unit_test_setup_teardown(test_what_is_overwritten_is_not_valid, make_journal,
			drop_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
