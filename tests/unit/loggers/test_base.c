/* SPDX-License-Identifier: BSD-3-Clause */
/* The base journals of a chain's gateways, one after the other, and their readers. */
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

#include "loggers/base.h"

#define RING_BYTES (1u << 14)
#define GATEWAYS_MAX 8

/* A gateway: its base journal, and what it publishes, each batch its number and nothing else. */
struct gateway {
	struct base base;
	struct journal_writer writer;
};

static struct shm_place place;
static struct page page;
static struct gateway gateways[GATEWAYS_MAX];
static uint32_t gateways_count;
static uint64_t next_batch;

static int set_up(void **state)
{
	(void)state;
	memset(&page, 0, sizeof(page));
	memset(gateways, 0, sizeof(gateways));
	memset(&place, 0, sizeof(place));
	gateways_count = 0;
	next_batch = 0;
	snprintf(place.dir, sizeof(place.dir), "/dev/shm/understudy-base.XXXXXX");
	return mkdtemp(place.dir) == NULL;
}

/* Owner words are given back before the memory goes. */
static int tear_down(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < gateways_count; i++) {
		owner_release(&gateways[i].base.journal.control->owner);
		journal_shm_close(&gateways[i].base.journal);
	}
	shm_place_remove(&place);
	return access(place.dir, F_OK) == 0;
}

static bool is_there(uint64_t epoch)
{
	char path[PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%s/base.%llu.ctl", place.dir, (unsigned long long)epoch);
	return access(path, F_OK) == 0;
}

/* The next gateway; *from: where the input goes on. */
static struct gateway *begin(uint64_t first_batch, struct page_admitted *from)
{
	struct gateway *gateway = &gateways[gateways_count++];
	struct base *base = &gateway->base;

	*base = (struct base){.page = &page, .place = &place};
	assert_int_equal(base_create(base, RING_BYTES, first_batch, from), STATUS_OK);
	assert_int_equal(journal_writer_open(&gateway->writer, &base->journal, 0), STATUS_OK);
	next_batch = from->next_batch;
	base_announce(base);
	return gateway;
}

/* As ingress does: notes what will be admitted, then publishes. */
static enum status publish(struct gateway *gateway)
{
	uint64_t *room;

	assert_int_equal(journal_reserve(&gateway->writer, sizeof(*room), (void **)&room),
		STATUS_OK);
	*room = next_batch;
	page.ingress.admitted[next_batch % 2] =
		(struct page_admitted){.line = journal_end_of(&gateway->writer, sizeof(*room)),
			.next_batch = next_batch + 1,
			.next_packet_no = next_batch * 10 + 11};
	return journal_publish(&gateway->writer, sizeof(*room), next_batch + 1);
}

static void publish_some(struct gateway *gateway, uint32_t count)
{
	for (; count > 0; count--, next_batch++)
		assert_int_equal(publish(gateway), STATUS_OK);
}

static void read_some(struct journal_reader *reader, uint64_t from, uint32_t count)
{
	const uint64_t *payload;
	uint32_t bytes;

	for (uint64_t n = from; n < from + count; n++) {
		assert_int_equal(journal_peek(reader, (const void **)&payload, &bytes), STATUS_OK);
		assert_int_equal(*payload, n);
		journal_advance(reader);
	}
}

static enum status peek(struct journal_reader *reader)
{
	const void *payload;
	uint32_t bytes;

	return journal_peek(reader, &payload, &bytes);
}

static void close_reader(struct base *base, struct journal_reader *reader)
{
	journal_detach(reader);
	journal_give_back(reader);
	journal_shm_close(&base->journal);
}

/* A reader that takes some batches from the journal that holds line 0 on, and dies. */
static void *read_and_die(void *argument)
{
	uint32_t count = *(uint32_t *)argument;
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;

	if (base_open(&base, 0) != STATUS_OK ||
		journal_attach(&reader, &base.journal, GATE_REQUIRED, 0, "logger", 0) != STATUS_OK)
		return NULL;
	while (count > 0) {
		enum status status = peek(&reader);

		if (status == STATUS_SEALED && base_follow(&base, &reader) == STATUS_OK)
			continue;
		if (status != STATUS_OK)
			return NULL;
		journal_advance(&reader);
		count--;
	}
	return argument;
}

static void leave_dead_reader(uint32_t count)
{
	pthread_t thread;
	void *done;

	assert_int_equal(pthread_create(&thread, NULL, read_and_die, &count), 0);
	pthread_join(thread, &done);
	assert_non_null(done);
}

static void test_the_first_one(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct page_admitted from;
	struct gateway *gateway = &gateways[gateways_count++];

	(void)state;
	assert_int_equal(base_open(&base, 0), STATUS_NOT_FOUND);
	gateway->base = base;
	assert_int_equal(base_create(&gateway->base, RING_BYTES, 7, &from), STATUS_OK);
	assert_int_equal(journal_writer_open(&gateway->writer, &gateway->base.journal, 0),
		STATUS_OK);
	assert_int_equal(from.line, 0);
	assert_int_equal(from.next_batch, 7);
	assert_int_equal(from.next_packet_no, 0);
	assert_int_equal(gateway->base.journal.control->first_batch, 7);
	/* Nobody sees it before it is announced. */
	assert_int_equal(base_open(&base, 0), STATUS_NOT_FOUND);
	base_announce(&gateway->base);
	assert_int_equal(page.epoch, 1);
	assert_int_equal(page.epochs[1].first_batch, 7);
	assert_int_equal(base_open(&base, 12345), STATUS_OK);
	assert_int_equal(base.epoch, 1);
	assert_int_equal(base_end(&base), UINT64_MAX);
	journal_shm_close(&base.journal);
}

static void test_a_successor_goes_on(void **state)
{
	struct page_admitted from;
	struct gateway *first = begin(0, &from), *second;
	uint64_t end;

	(void)state;
	publish_some(first, 5);
	end = journal_head_position(&first->base.journal);
	second = begin(99, &from);
	assert_int_equal(from.line, end);
	assert_int_equal(from.next_batch, 5);
	assert_int_equal(from.next_packet_no, 51);
	assert_true(journal_is_sealed(&first->base.journal));
	assert_int_equal(second->base.journal.control->first_batch, 5);
	assert_int_equal(second->base.journal.control->first_line, end);
	assert_int_equal(second->writer.position, end);
	assert_int_equal(page.epoch, 2);
	assert_int_equal(page.epochs[2].first_batch, 5);
	assert_int_equal(page.epochs[2].first_line, end);
	assert_int_equal(base_end(&first->base), end);
	assert_int_equal(base_end(&second->base), UINT64_MAX);
}

/* It noted what would be admitted, and never published it: the note before that one counts. */
static void test_noted_and_not_published(void **state)
{
	struct page_admitted from;
	struct gateway *first = begin(0, &from);

	(void)state;
	publish_some(first, 5);
	(void)journal_seal(&first->base.journal);
	page.ingress.admitted[5 % 2] =
		(struct page_admitted){.line = journal_end_of(&first->writer, 8), .next_batch = 6};
	(void)begin(0, &from);
	assert_int_equal(from.next_batch, 5);
}

static void test_nothing_was_published(void **state)
{
	struct page_admitted from;

	(void)state;
	(void)begin(7, &from);
	(void)begin(7, &from);
	assert_int_equal(from.line, 0);
	assert_int_equal(from.next_batch, 7);
	publish_some(&gateways[1], 2);
	(void)begin(7, &from);
	assert_int_equal(from.next_batch, 9);
	assert_int_equal(page.epoch, 3);
}

static void test_died_before_it_announced(void **state)
{
	struct base dead = {.page = &page, .place = &place};
	struct page_admitted from, again;
	struct gateway *first = begin(0, &from);

	(void)state;
	publish_some(first, 3);
	assert_int_equal(base_create(&dead, RING_BYTES, 0, &from), STATUS_OK);
	journal_shm_close(&dead.journal);
	assert_int_equal(page.epoch, 1);
	(void)begin(0, &again);
	assert_int_equal(page.epoch, 2);
	assert_memory_equal(&from, &again, sizeof(from));
	publish_some(&gateways[1], 3);
}

static void test_an_end_that_nobody_noted(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct page_admitted from;
	struct gateway *first = begin(0, &from);

	(void)state;
	publish_some(first, 3);
	page.ingress.admitted[0].line++;
	assert_int_equal(base_create(&base, RING_BYTES, 0, &from), STATUS_CORRUPT);
	assert_false(is_there(2));
	assert_int_equal(page.epoch, 1);
}

static void test_opened_by_line(void **state)
{
	static const struct {
		uint32_t line; /* in batches: each takes two */
		uint64_t epoch;
	} rows[] = {{0, 1}, {3, 1}, {4, 3}, {9, 3}, {10, 4}, {11, 4}, {99, 4}};
	struct page_admitted from;

	(void)state;
	publish_some(begin(0, &from), 4);
	(void)begin(0, &from); /* died before it had published anything */
	publish_some(begin(0, &from), 6);
	publish_some(begin(0, &from), 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct base base = {.page = &page, .place = &place};

		assert_int_equal(base_open(&base, rows[i].line * 2), STATUS_OK);
		assert_int_equal(base.epoch, rows[i].epoch);
		assert_int_equal(base.journal.control->incarnation, rows[i].epoch);
		journal_shm_close(&base.journal);
	}
}

static void test_a_reader_follows(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;
	struct page_admitted from;

	(void)state;
	publish_some(begin(0, &from), 4);
	assert_int_equal(base_open(&base, 0), STATUS_OK);
	assert_int_equal(journal_attach(&reader, &base.journal, GATE_REQUIRED, 0, "r", 0),
		STATUS_OK);
	read_some(&reader, 0, 4);
	assert_int_equal(base_follow(&base, &reader), STATUS_EMPTY);
	(void)begin(0, &from);
	publish_some(begin(0, &from), 3);
	for (uint64_t epoch = 2; epoch <= 3; epoch++) {
		assert_int_equal(peek(&reader), STATUS_SEALED);
		assert_int_equal(base_end(&base), reader.position);
		assert_int_equal(base_follow(&base, &reader), STATUS_OK);
		assert_int_equal(base.epoch, epoch);
		assert_ptr_equal(reader.journal, &base.journal);
	}
	read_some(&reader, 4, 3);
	assert_int_equal(peek(&reader), STATUS_EMPTY);
	assert_int_equal(base_end(&base), UINT64_MAX);
	/* Nobody is awaited any more in those it has left. */
	assert_int_equal(gateways[0].base.journal.control->attached, 0);
	assert_int_equal(gateways[1].base.journal.control->attached, 0);
	close_reader(&base, &reader);
}

/* A reader that was about to sleep on the journal that goes leaves no sleeper in either. */
static void test_who_follows_sleeps_on_neither(void **state)
{
	struct page_admitted from;
	struct gateway *first = begin(0, &from), *second;
	struct idle idle = {.shares_core = true};
	struct base base = {.page = &page, .place = &place, .idle = &idle};
	struct journal *const waits[] = {&base.journal};
	struct journal_reader reader;

	(void)state;
	publish_some(first, 1);
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "egress"), STATUS_OK);
	read_some(&reader, 0, 1);
	while (idle.armed == 0)
		idle_round(&idle, waits, 1, 1000);
	assert_int_equal(first->base.journal.control->sleepers, 1);
	second = begin(0, &from);
	assert_int_equal(base_follow(&base, &reader), STATUS_OK);
	assert_int_equal(first->base.journal.control->sleepers, 0);
	idle_reset(&idle);
	assert_int_equal(second->base.journal.control->sleepers, 0);
	close_reader(&base, &reader);
}

/* Gateways that died before they published anything are forgotten while it is behind them. */
static void test_followed_past_the_forgotten(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;
	struct page_admitted from;

	(void)state;
	publish_some(begin(0, &from), 3);
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "egress"), STATUS_OK);
	read_some(&reader, 0, 3);
	(void)begin(0, &from);
	(void)begin(0, &from);
	publish_some(begin(0, &from), 3);
	base_forget(&page, &place, UINT64_MAX, 3);
	assert_int_equal(page.forgotten_epoch, 3);
	assert_int_equal(peek(&reader), STATUS_SEALED);
	assert_int_equal(base_follow(&base, &reader), STATUS_OK);
	assert_int_equal(base.epoch, 4);
	read_some(&reader, 3, 3);
	(void)begin(0, &from);
	publish_some(begin(0, &from), 3);
	publish_some(begin(0, &from), 3);
	base_forget(&page, &place, UINT64_MAX, UINT64_MAX);
	assert_int_equal(page.forgotten_epoch, 6);
	/* What the sixth published it has not read: it is not left out in silence. */
	assert_int_equal(base_follow(&base, &reader), STATUS_LAPPED);
	close_reader(&base, &reader);
}

/* It died in the first of three; each later one keeps a place for it. */
static void test_succeeded_in_the_oldest(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;
	struct page_admitted from;

	(void)state;
	publish_some(begin(0, &from), 4);
	leave_dead_reader(2);
	publish_some(begin(0, &from), 3);
	publish_some(begin(0, &from), 3);
	assert_true(journal_awaits(&gateways[2].base.journal, "logger"));
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "logger"), STATUS_OK);
	assert_int_equal(base.epoch, 1);
	read_some(&reader, 2, 2);
	assert_int_equal(base_follow(&base, &reader), STATUS_OK);
	read_some(&reader, 4, 3);
	assert_int_equal(base_follow(&base, &reader), STATUS_OK);
	read_some(&reader, 7, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_false(journal_awaits(&gateways[i].base.journal, "logger"));
	close_reader(&base, &reader);
}

/* It had left the first one when it died in the second. */
static void test_succeeded_in_a_later_one(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;
	struct page_admitted from;

	(void)state;
	publish_some(begin(0, &from), 4);
	publish_some(begin(0, &from), 3);
	leave_dead_reader(5);
	publish_some(begin(0, &from), 3);
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "logger"), STATUS_OK);
	assert_int_equal(base.epoch, 2);
	read_some(&reader, 5, 2);
	close_reader(&base, &reader);
}

static void test_nobody_to_succeed(void **state)
{
	struct base base = {.page = &page, .place = &place};
	struct journal_reader reader;
	struct page_admitted from;

	(void)state;
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "logger"), STATUS_NOT_FOUND);
	publish_some(begin(0, &from), 4);
	publish_some(begin(0, &from), 3);
	publish_some(begin(0, &from), 3);
	/* One that was forgotten, and one that goes right now. */
	base_forget(&page, &place, 8, 4);
	assert_int_equal(page.forgotten_epoch, 1);
	journal_shm_unlink(&place, "base.2");
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "logger"), STATUS_OK);
	assert_int_equal(base.epoch, 3);
	read_some(&reader, 7, 3);
	close_reader(&base, &reader);
	journal_shm_unlink(&place, "base.3");
	assert_int_equal(base_succeed(&base, &reader, GATE_REQUIRED, "logger"), STATUS_NOT_FOUND);
}

/* Epochs begin at batches 0, 4, 7, 10 and lines 0, 8, 14, 20. */
static void test_forgotten_by_line_and_batch(void **state)
{
	static const struct {
		uint64_t line, batch, forgotten;
	} rows[] = {{7, 99, 0}, {99, 3, 0}, {8, 3, 0}, {7, 4, 0}, {8, 4, 1}, {13, 99, 1},
		{99, 6, 1}, {99, 99, 3}, {0, 0, 3}};
	struct page_admitted from;

	(void)state;
	base_forget(&page, &place, 99, 99);
	publish_some(begin(0, &from), 4);
	publish_some(begin(0, &from), 3);
	publish_some(begin(0, &from), 3);
	(void)begin(0, &from);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		base_forget(&page, &place, rows[i].line, rows[i].batch);
		assert_int_equal(page.forgotten_epoch, rows[i].forgotten);
		for (uint64_t epoch = 1; epoch <= 4; epoch++)
			assert_int_equal(is_there(epoch), epoch > rows[i].forgotten);
	}
}

static void test_restart_batch(void **state)
{
	static const struct {
		uint64_t base[2], durable, wanted;
	} rows[] = {
		{{0, 0}, 0, 0}, /* nothing is there */
		{{0, 0}, 9, 0}, /* no base values yet: all there is */
		{{5, 3}, 9, 3}, /* the lowest stage's */
		{{9, 9}, 9, 8}, /* the last one tells where the input goes on */
		{{8, 12}, 9, 8},
		{{12, 13}, 9, 8}, /* base values were on disk, the packets behind them not yet */
		{{1, 1}, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		page.stages[0].base_batch = rows[i].base[0];
		page.stages[1].base_batch = rows[i].base[1];
		page.restart.durable_batch = rows[i].durable;
		assert_int_equal(base_restart_batch(&page, 2), rows[i].wanted);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_first_one),
		CASE(test_a_successor_goes_on),
		CASE(test_noted_and_not_published),
		CASE(test_nothing_was_published),
		CASE(test_died_before_it_announced),
		CASE(test_an_end_that_nobody_noted),
		CASE(test_opened_by_line),
		CASE(test_a_reader_follows),
		CASE(test_who_follows_sleeps_on_neither),
		CASE(test_followed_past_the_forgotten),
		CASE(test_succeeded_in_the_oldest),
		CASE(test_succeeded_in_a_later_one),
		CASE(test_nobody_to_succeed),
		CASE(test_forgotten_by_line_and_batch),
		CASE(test_restart_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
