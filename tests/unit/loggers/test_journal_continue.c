/* SPDX-License-Identifier: BSD-3-Clause */
/* A journal that goes on where a sealed one ended: lines, content, and its readers' places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "loggers/journal.h"

#define RING_BYTES 16384u
#define RING_LINES (RING_BYTES / LINE_BYTES)

struct side {
	struct journal journal;
	struct journal_writer writer;
};

/* Never unmapped: owner words of a living thread are linked through memory. */
static void side_make(struct side *side, uint64_t first_batch)
{
	size_t bytes = sizeof(struct journal_control) + RING_BYTES;
	uint8_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	side->journal = (struct journal){(struct journal_control *)memory,
		memory + sizeof(struct journal_control), RING_LINES};
	journal_format(side->journal.control, "test", RING_BYTES, first_batch, 1, true);
}

static void side_begin(struct side *side)
{
	side_make(side, 0);
	assert_int_equal(journal_writer_open(&side->writer, &side->journal, 1), STATUS_OK);
}

static void side_continue(struct side *next, struct side *former, uint64_t first_batch)
{
	side_make(next, first_batch);
	journal_continue(&next->journal, &former->journal);
	assert_int_equal(journal_writer_open(&next->writer, &next->journal, 2), STATUS_OK);
}

/* Block n's size: sizes force pads at the ring's end. */
static uint32_t size_of(uint32_t n)
{
	return 40 + n * 97 % 1500;
}

static enum status publish(struct side *side, uint32_t n)
{
	uint64_t end;
	void *payload;
	enum status status = journal_reserve(&side->writer, size_of(n), &payload);

	if (status != STATUS_OK)
		return status;
	memset(payload, (int)n, size_of(n));
	end = journal_end_of(&side->writer, size_of(n));
	status = journal_publish(&side->writer, size_of(n), n + 1);
	if (status == STATUS_OK)
		assert_int_equal(journal_head_position(&side->journal), end);
	return status;
}

static void publish_some(struct side *side, uint32_t from, uint32_t count)
{
	for (uint32_t n = from; n < from + count; n++)
		assert_int_equal(publish(side, n), STATUS_OK);
}

/* Publishes until blocked; returns how many. */
static uint32_t publish_all(struct side *side)
{
	uint32_t n = 0;

	while (n < 1000 && publish(side, n) == STATUS_OK)
		n++;
	return n;
}

static void attach(struct journal_reader *reader, struct side *side, enum journal_gate gate,
	const char *name)
{
	assert_int_equal(journal_attach(reader, &side->journal, gate, 3, name, JOURNAL_FROM_TAIL),
		STATUS_OK);
}

/* The next blocks are whole, and those from n on. */
static void read_some(struct journal_reader *reader, uint32_t from, uint32_t count)
{
	const uint8_t *payload;
	uint32_t bytes;

	for (uint32_t n = from; n < from + count; n++) {
		assert_int_equal(journal_peek(reader, (const void **)&payload, &bytes), STATUS_OK);
		assert_int_equal(bytes, size_of(n));
		for (uint32_t i = 0; i < bytes; i++)
			assert_int_equal(payload[i], (uint8_t)n);
		journal_advance(reader);
	}
}

static enum status peek(struct journal_reader *reader)
{
	const void *payload;
	uint32_t bytes;

	return journal_peek(reader, &payload, &bytes);
}

struct dead {
	struct side *side;
	enum journal_gate gate;
	const char *name;
	enum status status;
};

static void *attach_and_die(void *argument)
{
	struct dead *dead = argument;
	struct journal_reader reader;

	dead->status = journal_attach(&reader, &dead->side->journal, dead->gate, 3, dead->name,
		JOURNAL_FROM_TAIL);
	return NULL;
}

static void attach_dead(struct side *side, enum journal_gate gate, const char *name)
{
	struct dead dead = {side, gate, name, STATUS_EMPTY};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, attach_and_die, &dead), 0);
	pthread_join(thread, NULL);
	assert_int_equal(dead.status, STATUS_OK);
}

/* Through several journals, each several rings long, nothing is lost and no line is used twice. */
static void test_lines_and_content_go_on(void **state)
{
	struct side sides[5];
	struct journal_reader reader;
	uint32_t n = 0;

	(void)state;
	side_begin(&sides[0]);
	attach(&reader, &sides[0], GATE_REQUIRED, "reader");
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t end;

		for (uint32_t round = 0; round < 100; round++, n += 2) {
			publish_some(&sides[i], n, 2);
			read_some(&reader, n, 2);
		}
		publish_some(&sides[i], n, 3);
		read_some(&reader, n, 1);
		end = journal_head_position(&sides[i].journal);
		side_continue(&sides[i + 1], &sides[i], n + 3);
		assert_int_equal(publish(&sides[i], n), STATUS_SEALED);
		assert_int_equal(sides[i + 1].journal.control->first_line, end);
		assert_int_equal(journal_head_position(&sides[i + 1].journal), end);
		assert_false(journal_is_sealed(&sides[i + 1].journal));
		read_some(&reader, n + 1, 2);
		assert_int_equal(peek(&reader), STATUS_SEALED);
		assert_int_equal(journal_follow(&reader, &sides[i + 1].journal), STATUS_OK);
		assert_int_equal(reader.position, end);
		assert_int_equal(peek(&reader), STATUS_EMPTY);
		assert_int_equal(sides[i].journal.control->attached, 0);
		n += 3;
	}
	assert_true(reader.position > 4 * RING_LINES);
}

static void test_places_are_kept_for_who_may_come(void **state)
{
	struct side former, next;
	struct journal_reader none, optional, replica, required;

	(void)state;
	side_begin(&former);
	attach(&none, &former, GATE_NONE, "none");
	attach(&optional, &former, GATE_OPTIONAL, "optional");
	attach_dead(&former, GATE_OPTIONAL, "dead optional");
	attach(&replica, &former, GATE_REPLICA, "replica");
	attach_dead(&former, GATE_REPLICA, "dead replica");
	attach(&required, &former, GATE_REQUIRED, "required");
	attach_dead(&former, GATE_REQUIRED, "dead required");
	publish_some(&former, 0, 3);
	side_continue(&next, &former, 3);
	assert_int_equal(next.journal.control->attached,
		1ull << optional.slot | 1ull << replica.slot | 1ull << required.slot | 1ull << 6);
	assert_true(journal_awaits(&next.journal, "optional"));
	assert_true(journal_awaits(&next.journal, "replica"));
	assert_true(journal_awaits(&next.journal, "required"));
	assert_true(journal_awaits(&next.journal, "dead required"));
	assert_false(journal_awaits(&next.journal, "none"));
	assert_false(journal_awaits(&next.journal, "dead optional"));
	assert_false(journal_awaits(&next.journal, "dead replica"));
	assert_int_equal(next.journal.control->slots[replica.slot].gate, GATE_REPLICA);
	assert_int_equal(next.journal.control->slots[replica.slot].group, 3);
	/* In the former one it is the dead alone who are awaited. */
	assert_false(journal_awaits(&former.journal, "required"));
	assert_true(journal_awaits(&former.journal, "dead required"));
}

/* Nobody has come yet, and nothing is overwritten. */
static void test_a_kept_place_holds_the_writer_back(void **state)
{
	struct side former, next;
	struct journal_reader optional, required;
	uint32_t count;

	(void)state;
	side_begin(&former);
	attach(&required, &former, GATE_REQUIRED, "required");
	attach(&optional, &former, GATE_OPTIONAL, "optional");
	publish_some(&former, 0, 10);
	side_continue(&next, &former, 10);
	count = publish_all(&next);
	assert_true(count < RING_LINES);
	assert_int_equal(journal_detach_blockers(&next.writer, true), 0);
	read_some(&required, 0, 10);
	assert_int_equal(journal_follow(&required, &next.journal), STATUS_OK);
	assert_false(journal_awaits(&next.journal, "required"));
	read_some(&required, 0, count);
	/* An optional one's goes once patience is over; it is told when it comes. */
	assert_int_equal(publish(&next, count), STATUS_BLOCKED);
	assert_int_equal(journal_detach_blockers(&next.writer, false), 0);
	assert_int_equal(journal_detach_blockers(&next.writer, true), 1);
	assert_int_equal(publish(&next, count), STATUS_OK);
	read_some(&optional, 0, 10);
	assert_int_equal(journal_follow(&optional, &next.journal), STATUS_OK);
	assert_int_equal(peek(&optional), STATUS_DETACHED);
}

static void test_a_required_dead_one_is_succeeded(void **state)
{
	struct side former, next;
	struct journal_reader reader;

	(void)state;
	side_begin(&former);
	attach_dead(&former, GATE_REQUIRED, "logger");
	publish_some(&former, 0, 5);
	side_continue(&next, &former, 5);
	publish_some(&next, 5, 4);
	/* The former one still has what it had not read. */
	assert_int_equal(journal_succeed(&reader, &former.journal, GATE_REQUIRED, "logger"),
		STATUS_OK);
	read_some(&reader, 0, 5);
	assert_int_equal(peek(&reader), STATUS_SEALED);
	/* What is kept has no owner yet: who succeeds takes it. */
	assert_int_equal(journal_succeed(&reader, &next.journal, GATE_REQUIRED, "logger"),
		STATUS_OK);
	assert_int_equal(reader.position, next.journal.control->first_line);
	assert_false(journal_awaits(&next.journal, "logger"));
	assert_int_equal(__builtin_popcountll(next.journal.control->attached), 1);
	read_some(&reader, 5, 4);
	assert_int_equal(peek(&reader), STATUS_EMPTY);
	assert_true(publish_all(&next) < RING_LINES);
}

/* One that does not gate, and one that came to the former journal after it was sealed. */
/* One that was just being succeeded as the journal was made has two places: both are seen to. */
static void test_no_place_is_kept_for_nobody(void **state)
{
	struct side former, next;
	struct journal_reader reader, second;

	(void)state;
	side_begin(&former);
	attach(&reader, &former, GATE_REQUIRED, "logger");
	attach(&second, &former, GATE_REQUIRED, "logger");
	side_continue(&next, &former, 0);
	assert_int_equal(__builtin_popcountll(next.journal.control->attached), 2);
	assert_int_equal(journal_follow(&second, &next.journal), STATUS_OK);
	assert_int_equal(next.journal.control->attached, 1ull << second.slot);
	assert_false(journal_awaits(&next.journal, "logger"));
	journal_detach(&second);
	journal_give_back(&second);
	journal_detach(&reader);
	journal_give_back(&reader);
}

static void test_who_has_no_place_attaches_anew(void **state)
{
	struct side former, next;
	struct journal_reader none, late;

	(void)state;
	side_begin(&former);
	attach(&none, &former, GATE_NONE, "none");
	none.lazy = true;
	publish_some(&former, 0, 5);
	side_continue(&next, &former, 5);
	attach(&late, &former, GATE_REQUIRED, "late");
	late.holds = true;
	publish_some(&next, 5, 3);
	read_some(&none, 0, 5);
	read_some(&late, 0, 5);
	assert_int_equal(journal_follow(&none, &next.journal), STATUS_OK);
	assert_int_equal(journal_follow(&late, &next.journal), STATUS_OK);
	assert_true(none.lazy && !none.holds);
	assert_true(late.holds && !late.lazy);
	assert_int_equal(next.journal.control->slots[late.slot].gate, GATE_REQUIRED);
	assert_string_equal(next.journal.control->slots[late.slot].name, "late");
	read_some(&none, 5, 3);
	read_some(&late, 5, 3);
	assert_int_equal(former.journal.control->attached, 0);
}

static void test_who_cannot_follow_stays(void **state)
{
	struct side former, next, full;
	struct journal_reader none, others[JOURNAL_READERS_MAX];

	(void)state;
	side_begin(&former);
	attach(&none, &former, GATE_NONE, "none");
	publish_some(&former, 0, 5);
	read_some(&none, 0, 5);
	side_continue(&next, &former, 5);
	assert_int_equal(publish_all(&next), 1000);
	assert_int_equal(journal_follow(&none, &next.journal), STATUS_LAPPED);
	assert_ptr_equal(none.journal, &former.journal);
	assert_int_equal(peek(&none), STATUS_SEALED);
	side_continue(&full, &former, 5);
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		attach(&others[i], &full, GATE_NONE, "other");
	assert_int_equal(journal_follow(&none, &full.journal), STATUS_FULL);
	assert_int_equal(peek(&none), STATUS_SEALED);
	journal_detach(&others[7]);
	journal_give_back(&others[7]);
	assert_int_equal(journal_follow(&none, &full.journal), STATUS_OK);
	assert_int_equal(peek(&none), STATUS_EMPTY);
}

/* A writer that tries whether there is more room stores the tail first; it died right then. */
static void test_a_tail_left_too_high_is_put_right(void **state)
{
	struct side former, next;
	struct journal_reader none, required, late;
	uint64_t tail;

	(void)state;
	side_begin(&former);
	attach(&required, &former, GATE_REQUIRED, "required");
	attach(&none, &former, GATE_NONE, "none");
	publish_some(&former, 0, 10);
	read_some(&required, 0, 3);
	tail = required.position;
	former.journal.control->tail = journal_head_position(&former.journal);
	assert_int_equal(journal_attach(&late, &former.journal, GATE_NONE, 0, "late", tail),
		STATUS_LAPPED);
	side_continue(&next, &former, 10);
	assert_int_equal(former.journal.control->tail, tail);
	attach(&late, &former, GATE_REQUIRED, "late");
	read_some(&late, 3, 7);
	/* Who does not gate holds nothing. */
	assert_int_equal(peek(&none), STATUS_LAPPED);
}

static void test_a_right_tail_stays(void **state)
{
	struct side former, next;
	struct journal_reader none, required;
	uint64_t tail;

	(void)state;
	side_begin(&former);
	attach(&none, &former, GATE_NONE, "none");
	assert_int_equal(publish_all(&former), 1000);
	attach(&required, &former, GATE_REQUIRED, "required");
	while (peek(&required) == STATUS_OK)
		journal_advance(&required);
	tail = former.journal.control->tail;
	assert_true(tail > 0);
	side_continue(&next, &former, 1000);
	assert_int_equal(former.journal.control->tail, tail);
	assert_int_equal(journal_follow(&required, &next.journal), STATUS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_content_go_on),
		cmocka_unit_test(test_places_are_kept_for_who_may_come),
		cmocka_unit_test(test_a_kept_place_holds_the_writer_back),
		cmocka_unit_test(test_a_required_dead_one_is_succeeded),
		cmocka_unit_test(test_no_place_is_kept_for_nobody),
		cmocka_unit_test(test_who_has_no_place_attaches_anew),
		cmocka_unit_test(test_who_cannot_follow_stays),
		cmocka_unit_test(test_a_tail_left_too_high_is_put_right),
		cmocka_unit_test(test_a_right_tail_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
