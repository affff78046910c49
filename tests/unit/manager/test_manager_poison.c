/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that replicas crash on: which crashes count, and what is set aside then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/outcome.h"
#include "core/packet_id.h"
#include "manager/manager_parts.h"

#define RING_BYTES (1u << 16)
#define REPLICAS 2u
#define BATCH 7u
#define PACKET packet_id(3, 1234)

static struct manager *manager;
static struct page page;
static struct config config;
static struct journal_writer writers[REPLICAS + 1];

/* Two replicas of stage 1 are watched, and one of stage 0. */
static int set_up(void **state)
{
	(void)state;
	manager = calloc(1, sizeof(*manager));
	memset(&page, 0, sizeof(page));
	memset(&config, 0, sizeof(config));
	config.protect = true;
	config.stages_count = 2;
	strncpy(config.stages[1].name, "edge", NAME_BYTES - 1);
	manager->role.page = &page;
	manager->role.config = &config;
	for (uint32_t i = 0; i <= REPLICAS; i++) {
		struct watched *watched = &manager->watcher.watched[i * 3];
		struct journal_control *control = aligned_alloc(4096, sizeof(*control));

		memset(control, 0, sizeof(*control));
		watched->journal = (struct journal){control, aligned_alloc(4096, RING_BYTES),
			RING_BYTES / LINE_BYTES};
		journal_format(control, "r", RING_BYTES, 0, i + 1, true);
		assert_int_equal(journal_writer_open(&writers[i], &watched->journal, 0), STATUS_OK);
		watched->state = i == 1 ? WATCHED_LOST : WATCHED_LIVE;
		watched->stage = i < REPLICAS;
		watched->replica = i % REPLICAS;
		watched->incarnation = i + 1;
		page.stages[watched->stage].replicas[watched->replica].incarnation = i + 1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i <= REPLICAS; i++) {
		owner_release(&writers[i].journal->control->owner);
		free(writers[i].journal->control);
		free(writers[i].journal->ring);
	}
	free(manager);
	return 0;
}

/* A replica of stage 1 ends within a packet of a batch; packet 0: it was not executed with care. */
static bool crash(uint32_t replica, uint64_t batch, uint64_t packet)
{
	struct page_replica *lost = &page.stages[1].replicas[replica];

	lost->at_batch = batch + 1;
	lost->at_packet = packet;
	lost->crashed = lost->incarnation;
	return manager_suspect(manager, 1, replica, FAILOVER_DEATH);
}

static void publish_outcome(uint32_t replica, uint64_t batch)
{
	struct outcome_header *header;

	assert_int_equal(journal_reserve(&writers[replica], sizeof(*header), (void **)&header),
		STATUS_OK);
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC, .batch_no = batch};
	assert_int_equal(journal_publish(&writers[replica], sizeof(*header), batch + 1), STATUS_OK);
}

static bool is_sealed(uint32_t number)
{
	return journal_is_sealed(writers[number].journal);
}

/* The first crash tells the batch, the second one the packet. */
static void test_the_second_crash_sets_aside(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < BATCH; n++)
		publish_outcome(0, n);
	assert_false(crash(0, BATCH, 0));
	assert_int_equal(page.stages[1].suspects[0], BATCH + 1);
	assert_int_equal(page.stages[1].asides_count, 0);
	assert_false(is_sealed(0));
	assert_true(crash(1, BATCH, PACKET));
	assert_int_equal(page.stages[1].asides_count, 1);
	assert_int_equal(page.stages[1].asides[0], 1234);
	/* All of the stage's, the lost one's too; nobody else's. */
	assert_true(is_sealed(0));
	assert_true(is_sealed(1));
	assert_false(is_sealed(2));
	assert_int_equal(page.stages[0].asides_count, 0);
	/* Who crashed on it before it had heard so changes nothing. */
	assert_false(crash(0, BATCH, PACKET));
	assert_int_equal(page.stages[1].asides_count, 1);
	assert_int_equal(page.failed, 0);
}

/* It was not executed with care yet: nothing tells which packet it was. */
static void test_two_crashes_without_care(void **state)
{
	(void)state;
	assert_false(crash(0, BATCH, 0));
	assert_false(crash(1, BATCH, 0));
	assert_int_equal(page.stages[1].asides_count, 0);
	assert_int_equal(page.stages[1].suspects[0], BATCH + 1);
	assert_int_equal(page.stages[1].suspects[1], 0);
	assert_false(is_sealed(0) || is_sealed(1));
}

/* A replica got over the packet: what it published stands, though all are to go. */
static void test_an_outcome_stands(void **state)
{
	(void)state;
	publish_outcome(0, BATCH - 1);
	publish_outcome(0, BATCH);
	publish_outcome(0, BATCH + 1);
	assert_false(crash(1, BATCH, 0));
	assert_true(crash(1, BATCH, PACKET));
	assert_int_equal(page.stages[1].asides_count, 0);
	assert_true(is_sealed(0) && is_sealed(1));
	assert_int_equal(page.failed, 0);
}

static void test_no_place_to_read_from(void **state)
{
	struct journal *journal = writers[0].journal;

	(void)state;
	publish_outcome(0, BATCH);
	journal->control->attached = UINT32_MAX;
	assert_false(crash(1, BATCH, 0));
	assert_true(crash(1, BATCH, PACKET));
	assert_int_equal(page.stages[1].asides_count, 0);
	assert_true(is_sealed(0));
}

static void test_crashes_that_do_not_count(void **state)
{
	struct page_replica *lost = &page.stages[1].replicas[0];

	(void)state;
	config.protect = false;
	assert_false(crash(0, BATCH, PACKET));
	config.protect = true;
	/* Between batches. */
	lost->at_batch = 0;
	assert_false(manager_suspect(manager, 1, 0, FAILOVER_DEATH));
	/* A signal from outside; the crash was a former one's. */
	lost->at_batch = BATCH + 1;
	lost->crashed = 99;
	assert_false(manager_suspect(manager, 1, 0, FAILOVER_DEATH));
	assert_int_equal(page.stages[1].suspects[0], 0);
}

/* One that hangs loops on the packet, unless a signal has stopped it. */
static void test_hangs(void **state)
{
	struct page_replica *lost = &page.stages[1].replicas[0];
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
	lost->at_batch = BATCH + 1;
	lost->pid = lost->tid = (uint32_t)child;
	assert_false(manager_suspect(manager, 1, 0, FAILOVER_HANG));
	assert_int_equal(page.stages[1].suspects[0], 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	lost->pid = lost->tid = (uint32_t)getpid();
	assert_false(manager_suspect(manager, 1, 0, FAILOVER_HANG));
	assert_int_equal(page.stages[1].suspects[0], BATCH + 1);
	lost->at_packet = PACKET;
	assert_true(manager_suspect(manager, 1, 0, FAILOVER_HANG));
	assert_int_equal(page.stages[1].asides[0], 1234);
}

static void test_the_latest_suspects_are_remembered(void **state)
{
	(void)state;
	for (uint64_t n = 0; n <= SUSPECTS_MAX; n++)
		assert_false(crash(0, BATCH + n, 0));
	for (uint64_t n = 0; n < SUSPECTS_MAX; n++)
		assert_int_equal(page.stages[1].suspects[n], BATCH + SUSPECTS_MAX - n + 1);
	assert_false(crash(0, BATCH, PACKET)); /* is a first one again */
	assert_true(crash(0, BATCH + SUSPECTS_MAX, PACKET));
}

/* One packet after another: the state is at fault, which ends the run, in one line. */
static void test_a_state_that_crashes(void **state)
{
	(void)state;
	for (uint64_t n = 0; page.failed == 0 && n < ASIDES_MAX; n++) {
		assert_int_equal(page.stages[1].asides_count, n);
		assert_false(crash(0, n, 0));
		(void)crash(1, n, packet_id(1, n));
	}
	assert_int_equal(page.failed, 2);
	assert_int_equal(page.stages[1].asides_count, 4);
	assert_non_null(strstr(page.error, "stage edge crashes on one packet after another"));
	assert_null(strchr(page.error, '\n'));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_second_crash_sets_aside),
		CASE(test_two_crashes_without_care),
		CASE(test_an_outcome_stands),
		CASE(test_no_place_to_read_from),
		CASE(test_crashes_that_do_not_count),
		CASE(test_hangs),
		CASE(test_the_latest_suspects_are_remembered),
		CASE(test_a_state_that_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
