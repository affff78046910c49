/* SPDX-License-Identifier: BSD-3-Clause */
/* The journal's protocol, step by step in one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loggers/journal.h"

#define RING_BYTES 16384u

static struct journal make_journal(void)
{
	size_t bytes = sizeof(struct journal_control) + RING_BYTES;
	uint8_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct journal journal = {(struct journal_control *)memory,
		memory + sizeof(struct journal_control), RING_BYTES / LINE_BYTES};

	assert_true(memory != MAP_FAILED);
	journal_format(journal.control, "test", RING_BYTES, 0, 1, true);
	return journal;
}

static void drop_journal(struct journal *journal)
{
	munmap(journal->control, sizeof(struct journal_control) + RING_BYTES);
}

/* Block n's size and content: sizes force pads at the ring's end. */
static uint32_t size_of(uint32_t n)
{
	return 40 + n * 97 % 1500;
}

static void fill(uint8_t *payload, uint32_t n)
{
	for (uint32_t i = 0; i < size_of(n); i++)
		payload[i] = (uint8_t)(n * 31 + i);
}

static bool is_block(const void *payload, uint32_t bytes, uint32_t n)
{
	const uint8_t *at = payload;

	if (bytes != size_of(n))
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		if (at[i] != (uint8_t)(n * 31 + i))
			return false;
	return true;
}

static enum status publish(struct journal_writer *writer, uint32_t n)
{
	void *payload;
	enum status status = journal_reserve(writer, size_of(n), &payload);

	if (status != STATUS_OK)
		return status;
	fill(payload, n);
	return journal_publish(writer, size_of(n), n + 1);
}

static void test_round_trip(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 7), STATUS_OK);
	assert_int_equal(journal_attach(&reader, &journal, GATE_REQUIRED, 0, "reader", 0),
		STATUS_OK);
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_EMPTY);
	for (uint32_t n = 0; n < 500; n++) {
		assert_int_equal(publish(&writer, n), STATUS_OK);
		assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
		assert_true(is_block(payload, bytes, n));
		journal_advance(&reader);
	}
	journal_seal(&journal);
	assert_int_equal(publish(&writer, 500), STATUS_SEALED);
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_SEALED);
	journal_detach(&reader);
	journal_give_back(&reader);
	owner_release(&journal.control->owner);
	drop_journal(&journal);
}

static void test_sealed_between_reserve_and_publish(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader reader;
	const void *payload;
	void *room;
	uint32_t bytes;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&reader, &journal, GATE_REQUIRED, 0, "reader", 0),
		STATUS_OK);
	assert_int_equal(journal_reserve(&writer, size_of(0), &room), STATUS_OK);
	fill(room, 0);
	assert_int_equal(journal_seal(&journal), 0);
	assert_int_equal(journal_publish(&writer, size_of(0), 1), STATUS_SEALED);
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_SEALED);
	journal_detach(&reader);
	journal_give_back(&reader);
	owner_release(&journal.control->owner);
	drop_journal(&journal);
}

/* Publishes until blocked; returns how many. */
static uint32_t publish_all(struct journal_writer *writer, uint32_t from)
{
	uint32_t n = from;

	while (n - from < 10000 && publish(writer, n) == STATUS_OK)
		n++;
	return n - from;
}

static void test_gates(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader required, optional, none;
	const void *payload;
	uint32_t bytes;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&none, &journal, GATE_NONE, 0, "none", 0), STATUS_OK);
	assert_int_equal(journal_attach(&optional, &journal, GATE_OPTIONAL, 0, "optional", 0),
		STATUS_OK);
	assert_true(publish_all(&writer, 0) < 200);
	assert_int_equal(journal_detach_blockers(&writer, false), 0);
	assert_int_equal(journal_detach_blockers(&writer, true), 1);
	assert_int_equal(journal_peek(&optional, &payload, &bytes), STATUS_DETACHED);
	assert_int_equal(publish_all(&writer, 0), 10000);
	assert_int_equal(journal_peek(&none, &payload, &bytes), STATUS_LAPPED);
	assert_int_equal(journal_attach(&required, &journal, GATE_REQUIRED, 0, "required",
				 JOURNAL_FROM_TAIL),
		STATUS_OK);
	assert_int_equal(journal_peek(&required, &payload, &bytes), STATUS_OK);
	assert_true(publish_all(&writer, 0) < 200);
	assert_int_equal(journal_detach_blockers(&writer, true), 0);
	journal_detach(&required);
	assert_true(publish_all(&writer, 0) == 10000);
	drop_journal(&journal);
}

/* What is held back by one that is never detached is not freed by letting others go. */
static void test_nobody_is_detached_for_nothing(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader required, optional;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&required, &journal, GATE_REQUIRED, 0, "r", 0), STATUS_OK);
	assert_int_equal(journal_attach(&optional, &journal, GATE_OPTIONAL, 0, "o", 0), STATUS_OK);
	assert_true(publish_all(&writer, 0) < 200);
	assert_int_equal(journal_detach_blockers(&writer, true), 0);
	journal_detach(&required);
	assert_int_equal(journal_detach_blockers(&writer, true), 1);
	drop_journal(&journal);
}

#define READ 20

/* A thread that reads some, lets go of half of it, and ends: its slot's owner is dead. */
static void *read_and_die(void *argument)
{
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;

	if (journal_attach(&reader, argument, GATE_REQUIRED, 0, "logger", 0) != STATUS_OK)
		return NULL;
	reader.holds = true;
	for (uint32_t n = 0; n < READ; n++) {
		if (journal_peek(&reader, &payload, &bytes) != STATUS_OK)
			return NULL;
		journal_advance(&reader);
		if (n == READ / 2 - 1)
			journal_let_go(&reader);
	}
	return argument;
}

static void test_a_successor_reads_what_was_not_let_go(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader next;
	const void *payload;
	pthread_t thread;
	void *done;
	uint32_t bytes, published;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	for (uint32_t n = 0; n < READ; n++)
		assert_int_equal(publish(&writer, n), STATUS_OK);
	assert_int_equal(pthread_create(&thread, NULL, read_and_die, &journal), 0);
	pthread_join(thread, &done);
	assert_non_null(done);
	/* Its place is held though it is dead. */
	published = READ + publish_all(&writer, READ);
	assert_true(published < 1000);
	assert_int_equal(journal_succeed(&next, &journal, GATE_REQUIRED, "logger"), STATUS_OK);
	for (uint32_t n = READ / 2; n < published; n++) {
		assert_int_equal(journal_peek(&next, &payload, &bytes), STATUS_OK);
		assert_true(is_block(payload, bytes, n));
		journal_advance(&next);
	}
	/* And is nobody's any more. */
	assert_true(publish_all(&writer, published) > 0);
	journal_detach(&next);
	assert_int_equal(publish_all(&writer, 0), 10000);
	drop_journal(&journal);
}

static void test_last_replica_stays(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader a, b;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&a, &journal, GATE_REPLICA, 3, "a", 0), STATUS_OK);
	assert_int_equal(journal_attach(&b, &journal, GATE_REPLICA, 3, "b", 0), STATUS_OK);
	(void)publish_all(&writer, 0);
	assert_int_equal(journal_detach_blockers(&writer, true), 1);
	assert_int_equal(journal_detach_blockers(&writer, true), 0);
	assert_int_not_equal(journal_reader_valid(&a), journal_reader_valid(&b));
}

static void test_attach_checks(void **state)
{
	struct journal journal = make_journal();
	struct journal_reader readers[JOURNAL_READERS_MAX + 1];
	size_t bytes = sizeof(struct journal_control);

	(void)state;
	assert_int_equal(journal_check(journal.control, bytes, RING_BYTES), STATUS_OK);
	assert_int_equal(journal_check(journal.control, bytes, RING_BYTES * 2), STATUS_CORRUPT);
	assert_int_equal(journal_check(journal.control, bytes - 1, RING_BYTES), STATUS_EMPTY);
	journal.control->magic++;
	assert_int_equal(journal_check(journal.control, bytes, RING_BYTES), STATUS_VERSION);
	assert_int_equal(journal_attach(&readers[0], &journal, GATE_NONE, 0, "x", 99),
		STATUS_INVALID);
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		assert_int_equal(journal_attach(&readers[i], &journal, GATE_NONE, 0, "x", 0),
			STATUS_OK);
	assert_int_equal(journal_attach(&readers[JOURNAL_READERS_MAX], &journal, GATE_NONE, 0, "x",
				 0),
		STATUS_FULL);
}

static void test_corrupt_payload(void **state)
{
	struct journal journal = make_journal();
	struct journal_writer writer;
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;

	(void)state;
	assert_int_equal(journal_writer_open(&writer, &journal, 0), STATUS_OK);
	assert_int_equal(journal_attach(&reader, &journal, GATE_REQUIRED, 0, "reader", 0),
		STATUS_OK);
	for (uint32_t at = 0; at < LINE_BYTES - 32 + size_of(0); at++) {
		if (at == 0)
			assert_int_equal(publish(&writer, 0), STATUS_OK);
		journal.ring[at] ^= 1;
		assert_int_not_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
		journal.ring[at] ^= 1;
		if (at == 31)
			at = LINE_BYTES -
			     1; /* reserved bytes are covered by the header's CRC too */
	}
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
}

/* A reader that does not gate never takes overwritten bytes for a block, while a writer runs. */
static void test_lapped_reader_never_sees_wrong_bytes(void **state)
{
	struct journal journal = make_journal();
	struct journal_reader reader;
	uint32_t taken = 0, lapped = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		struct journal_writer writer;

		if (journal_writer_open(&writer, &journal, 1) != STATUS_OK)
			_exit(1);
		for (uint32_t n = 0; n < 300000; n++) {
			uint32_t *payload;

			if (journal_reserve(&writer, 400, (void **)&payload) != STATUS_OK)
				_exit(1);
			for (uint32_t i = 0; i < 100; i++)
				payload[i] = n;
			if (journal_publish(&writer, 400, n + 1) != STATUS_OK)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(journal_attach(&reader, &journal, GATE_NONE, 0, "r", JOURNAL_FROM_TAIL),
		STATUS_OK);
	for (;;) {
		const void *payload;
		uint32_t bytes, copy[100];
		enum status status = journal_peek(&reader, &payload, &bytes);

		if (status == STATUS_OK) {
			memcpy(copy, payload, sizeof(copy));
			if (journal_reader_valid(&reader)) {
				for (uint32_t i = 1; i < 100; i++)
					assert_int_equal(copy[i], copy[0]);
				taken++;
				journal_advance(&reader);
				continue;
			}
			status = STATUS_LAPPED;
		}
		if (status == STATUS_LAPPED) {
			lapped++;
			journal_detach(&reader);
			assert_int_equal(journal_reattach(&reader, JOURNAL_FROM_TAIL), STATUS_OK);
		} else if (status == STATUS_EMPTY && owner_is_dead(&journal.control->owner)) {
			break;
		} else {
			assert_int_equal(status, STATUS_EMPTY);
		}
	}
	waitpid(child, NULL, 0);
	printf("%u blocks taken, lapped %u times\n", taken, lapped);
	assert_true(taken > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sealed_between_reserve_and_publish),
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_nobody_is_detached_for_nothing),
		cmocka_unit_test(test_a_successor_reads_what_was_not_let_go),
		cmocka_unit_test(test_last_replica_stays),
		cmocka_unit_test(test_attach_checks),
		cmocka_unit_test(test_corrupt_payload),
		cmocka_unit_test(test_lapped_reader_never_sees_wrong_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
