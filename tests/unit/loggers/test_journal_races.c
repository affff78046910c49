/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal's races, made exact: every ordered load and store is a point at which the other party
 * may run. The journal is compiled into this file, with its ordered loads as points too.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/atomics.h"

#undef atomic_read_seq_cst
#define atomic_read_seq_cst(p) (ATOMICS_STEP(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#undef atomic_read_acquire
#define atomic_read_acquire(p) (ATOMICS_STEP(), __atomic_load_n((p), __ATOMIC_ACQUIRE))

#include "loggers/journal.c"
#include "tests/unit/random.h"

#define RING_BYTES 16384u
#define RING_LINES (RING_BYTES / LINE_BYTES)
#define POINTS_MAX 40

/* The other party's turns: at point a (counted from 1) and at point b. One thread's. */
static __thread struct {
	void (*turn)(void);
	int point, a, b;
	bool inside;
} race;

void atomics_step(const char *file, int line)
{
	(void)file;
	(void)line;
	if (race.turn == NULL || race.inside)
		return;
	race.point++;
	if (race.point != race.a && race.point != race.b)
		return;
	race.inside = true;
	race.turn();
	race.inside = false;
}

static void race_begin(void (*turn)(void), int a, int b)
{
	race.turn = turn;
	race.point = 0;
	race.a = a;
	race.b = b;
}

static void race_end(void)
{
	race.turn = NULL;
}

static struct journal journal;
static struct journal_writer writer;
static uint32_t published;
static bool blank; /* blocks are all zero: a walk that takes one for a header stands still */

/* A page that may not be touched follows the ring. */
static void make_journal(void)
{
	size_t control = ALIGN_UP(sizeof(struct journal_control), 4096);
	uint8_t *memory = mmap(NULL, control + RING_BYTES + 4096, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mprotect(memory + control + RING_BYTES, 4096, PROT_NONE), 0);
	journal = (struct journal){(struct journal_control *)memory, memory + control, RING_LINES};
	journal_format(journal.control, "races", RING_BYTES, 0, 1, true);
	published = 0;
	blank = false;
	assert_int_equal(journal_writer_open(&writer, &journal, 7), STATUS_OK);
}

static void drop_journal(void)
{
	size_t control = ALIGN_UP(sizeof(struct journal_control), 4096);

	if (owner_is_claimed(&journal.control->owner))
		owner_release(&journal.control->owner);
	munmap(journal.control, control + RING_BYTES + 4096);
}

static void drop_reader(struct journal_reader *reader)
{
	journal_detach(reader);
	journal_give_back(reader);
}

/* Every word of a block is its number's; none looks like a block's header. */
static enum status publish_words(uint32_t words)
{
	uint32_t *payload;
	enum status status = journal_reserve(&writer, words * 4, (void **)&payload);

	if (status != STATUS_OK)
		return status;
	for (uint32_t i = 0; i < words; i++)
		payload[i] = blank ? 0 : published;
	status = journal_publish(&writer, words * 4, published + 1);
	published += status == STATUS_OK;
	return status;
}

static bool is_sound(const void *payload, uint32_t bytes)
{
	const uint32_t *words = payload;

	for (uint32_t i = 1; i < bytes / 4; i++)
		if (words[i] != words[0])
			return false;
	return true;
}

static uint32_t words_of(uint32_t n)
{
	return 10 + n * 37 % 300;
}

/* The writer goes round the ring, as far as readers let it. */
static void writer_turn(void)
{
	for (uint32_t i = 0; i < 60; i++)
		if (publish_words(words_of(published)) != STATUS_OK)
			break;
}

/* What an attach said must hold: what it promised to be there is there, and stays. */
static void check_attached(struct journal_reader *reader, int a, int b)
{
	const void *payload;
	uint32_t bytes, first;
	enum status status = journal_peek(reader, &payload, &bytes);

	if (status != STATUS_OK)
		fail_msg("attached at %llu, turns at points %d and %d: peek says '%s'",
			(unsigned long long)reader->position, a, b, status_text(status));
	memcpy(&first, payload, sizeof(first));
	writer_turn();
	for (uint32_t n = first; n < published; n++) {
		assert_int_equal(journal_peek(reader, &payload, &bytes), STATUS_OK);
		assert_true(is_sound(payload, bytes));
		assert_int_equal(*(const uint32_t *)payload, n);
		assert_int_equal(bytes, words_of(n) * 4);
		journal_advance(reader);
	}
	assert_int_equal(journal_peek(reader, &payload, &bytes), STATUS_EMPTY);
}

/* A gating reader attaches while the writer goes round the ring, at any two points of it. */
static void attach_under_writer(bool from_tail)
{
	for (int a = 1; a <= POINTS_MAX; a++)
		for (int b = a; b <= POINTS_MAX; b++) {
			struct journal_reader reader;
			enum status status;
			uint64_t from;

			make_journal();
			writer_turn();
			from = from_tail ? JOURNAL_FROM_TAIL : journal.control->tail;
			race_begin(writer_turn, a, b);
			status = journal_attach(&reader, &journal, GATE_OPTIONAL, 0, "r", from);
			race_end();
			if (status == STATUS_OK) {
				check_attached(&reader, a, b);
				drop_reader(&reader);
			} else {
				assert_false(from_tail);
				assert_int_equal(status, STATUS_LAPPED);
			}
			drop_journal();
		}
}

static void test_attach_at_tail_under_writer(void **state)
{
	(void)state;
	attach_under_writer(true);
}

static void test_attach_at_position_under_writer(void **state)
{
	(void)state;
	attach_under_writer(false);
}

static struct journal_reader late;

static void attach_turn(void)
{
	assert_int_equal(journal_attach(&late, &journal, GATE_OPTIONAL, 0, "late",
				 JOURNAL_FROM_TAIL),
		STATUS_OK);
}

/* The other way round: a reader attaches at any point of the writer's publishing. */
static void test_writer_under_attach(void **state)
{
	(void)state;
	for (int a = 1; a < 400; a++) {
		make_journal();
		writer_turn();
		late.journal = NULL;
		race_begin(attach_turn, a, 0);
		writer_turn();
		race_end();
		if (late.journal != NULL) {
			check_attached(&late, a, 0);
			drop_reader(&late);
		}
		drop_journal();
	}
}

/* At the first point the writer goes round the ring, at the second the attacher dies. */
static void lap_then_die(void)
{
	if (race.point == race.b)
		kill(getpid(), SIGKILL);
	writer_turn();
}

/* In a child, so that a writer that goes astray fails only this case. */
static void carry_on_after_attacher(void)
{
	struct journal_reader witness;
	const void *payload;
	uint32_t bytes, slot_bits = (uint32_t)journal.control->attached;

	alarm(5);
	for (int i = 0; i < 500; i++)
		if (publish_words(words_of(published)) != STATUS_OK &&
			journal_detach_blockers(&writer, true) == 0)
			_exit(1);
	if (slot_bits != 0)
		journal_release_slot(&journal, (uint32_t)__builtin_ctz(slot_bits));
	if (journal_attach(&witness, &journal, GATE_REQUIRED, 0, "w", JOURNAL_FROM_TAIL) !=
		STATUS_OK)
		_exit(2);
	if (journal_peek(&witness, &payload, &bytes) != STATUS_OK || !is_sound(payload, bytes))
		_exit(3);
	_exit(0);
}

/* A reader that dies as it attaches may leave its bit, and a cursor that is gone long since. */
static void test_attacher_dies_behind_the_tail(void **state)
{
	(void)state;
	for (int a = 1; a < POINTS_MAX; a++)
		for (int b = a + 1; b < POINTS_MAX; b++) {
			struct journal_reader reader;
			bool died;
			int status;
			pid_t child;

			make_journal();
			blank = true;
			writer_turn();
			child = fork();
			if (child == 0) {
				race_begin(lap_then_die, a, b);
				_exit(journal_attach(&reader, &journal, GATE_OPTIONAL, 0, "v",
					JOURNAL_FROM_TAIL));
			}
			assert_int_equal(waitpid(child, &status, 0), child);
			died = WIFSIGNALED(status);
			writer.position = journal_head_position(&journal);
			writer.limit = journal.control->tail + RING_LINES;
			published = (uint32_t)journal.control->published_batch;
			child = fork();
			if (child == 0)
				carry_on_after_attacher();
			assert_int_equal(waitpid(child, &status, 0), child);
			if (status != 0)
				fail_msg("lapped at point %d, dead at %d: the writer's status %x",
					a, b, status);
			drop_journal();
			if (!died)
				break;
		}
}

static struct journal_reader lapped;

/* A reader that does not gate is lapped at any two points of a peek: it never takes wrong bytes. */
static void test_lapped_within_peek(void **state)
{
	(void)state;
	for (int a = 1; a < 20; a++)
		for (int b = a; b < 20; b++) {
			const void *payload;
			uint32_t bytes, copy[400];

			make_journal();
			assert_int_equal(journal_attach(&lapped, &journal, GATE_NONE, 0, "l", 0),
				STATUS_OK);
			for (int i = 0; i < 12; i++)
				assert_int_equal(publish_words(words_of(published)), STATUS_OK);
			race_begin(writer_turn, a, b);
			for (uint32_t n = 0;; n++) {
				enum status status = journal_peek(&lapped, &payload, &bytes);

				if (status != STATUS_OK) {
					assert_true(
						status == STATUS_LAPPED || status == STATUS_EMPTY);
					break;
				}
				assert_true(bytes <= sizeof(copy));
				memcpy(copy, payload, bytes);
				if (!journal_reader_valid(&lapped))
					break;
				assert_int_equal(copy[0], n);
				assert_int_equal(bytes, words_of(n) * 4);
				assert_true(is_sound(copy, bytes));
				journal_advance(&lapped);
			}
			race_end();
			drop_reader(&lapped);
			drop_journal();
		}
}

/* A lapping payload may put any number where a header was: no byte past the ring is read. */
static void test_sound_stays_within_the_ring(void **state)
{
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;
	int status;
	pid_t child;

	(void)state;
	make_journal();
	assert_int_equal(journal_attach(&reader, &journal, GATE_NONE, 0, "r", 0), STATUS_OK);
	reader.lazy = true;
	/* Four blocks of a quarter of the ring each: the last ends with it. */
	for (int i = 0; i < 4; i++)
		assert_int_equal(publish_words((RING_LINES / 4 - 1) * LINE_BYTES / 4), STATUS_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
		journal_advance(&reader);
	}
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
	assert_true(journal_payload_sound(&reader));
	((struct journal_block *)payload - 1)->bytes = RING_LINES / 4 * LINE_BYTES;
	child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		_exit(journal_payload_sound(&reader));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	drop_reader(&reader);
	drop_journal();
}

/* An optional reader that is dead holds no writer back, whatever the size of its blocks. */
static void test_dead_reader_and_big_blocks(void **state)
{
	(void)state;
	for (uint32_t lines = 2; lines <= RING_LINES / 2; lines += 9) {
		uint32_t blocked = 0;
		pid_t child;

		make_journal();
		child = fork();
		if (child == 0) {
			struct journal_reader reader;

			_exit(journal_attach(&reader, &journal, GATE_OPTIONAL, 0, "dead", 0));
		}
		waitpid(child, NULL, 0);
		for (int i = 0; i < 300; i++)
			if (publish_words((lines - 1) * LINE_BYTES / 4) == STATUS_BLOCKED) {
				if (journal_detach_blockers(&writer, true) == 0)
					fail_msg("blocks of %u lines: held back by a dead optional "
						 "reader, detached none",
						lines);
				blocked++;
			}
		assert_int_equal(blocked, 1);
		drop_journal();
	}
}

/* A journal sealed before it had a writer: who is refused holds nothing. */
static void test_refused_writer_holds_nothing(void **state)
{
	struct journal_writer refused;

	(void)state;
	make_journal();
	owner_release(&journal.control->owner);
	(void)journal_seal(&journal);
	assert_int_not_equal(journal_writer_open(&refused, &journal, 8), STATUS_OK);
	assert_false(owner_is_claimed(&journal.control->owner));
	drop_journal();
}

static void test_too_big(void **state)
{
	uint32_t most = (RING_LINES / 2 - 1) * LINE_BYTES;
	void *payload;

	(void)state;
	make_journal();
	assert_int_equal(journal_reserve(&writer, most + 1, &payload), STATUS_TOO_BIG);
	assert_int_equal(journal_reserve(&writer, UINT32_MAX, &payload), STATUS_TOO_BIG);
	assert_int_equal(journal_reserve(&writer, most, &payload), STATUS_OK);
	assert_int_equal(journal_publish(&writer, most, 1), STATUS_OK);
	assert_int_equal(journal_head_position(&journal), RING_LINES / 2);
	drop_journal();
}

/* Random sizes, reserved larger than published, and a reader at random distances behind. */
static void test_random_sizes(void **state)
{
	static uint32_t sizes[4096];
	struct journal_reader reader;
	uint32_t taken = 0;

	(void)state;
	seed_random();
	make_journal();
	assert_int_equal(journal_attach(&reader, &journal, GATE_REQUIRED, 0, "r", 0), STATUS_OK);
	while (taken < 50000) {
		const void *payload;
		uint32_t bytes, most;
		uint32_t *room;

		most = 4 + next_random() % (next_random() % 16 == 0 ? 8000 : 700);
		bytes = 4 + next_random() % (most - 3);
		if (journal_reserve(&writer, most, (void **)&room) == STATUS_OK) {
			memset(room, (int)published, bytes);
			sizes[published % 4096] = bytes;
			published++;
			assert_int_equal(journal_publish(&writer, bytes, published), STATUS_OK);
			if (next_random() % 4 != 0)
				continue;
		}
		for (uint32_t left = 1 + next_random() % 20; left > 0 && taken < published;
			left--) {
			assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
			assert_int_equal(bytes, sizes[taken % 4096]);
			for (uint32_t i = 0; i < bytes; i++)
				if (((const uint8_t *)payload)[i] != (uint8_t)taken)
					fail_msg("block %u, byte %u", taken, i);
			journal_advance(&reader);
			taken++;
		}
	}
	assert_int_equal(journal.control->published_batch, published);
	drop_reader(&reader);
	drop_journal();
}

static uint32_t writing;

static void *write_on(void *context)
{
	(void)context;
	while (atomic_read_relaxed(&writing) != 0)
		if (publish_words(words_of(published)) == STATUS_BLOCKED)
			(void)journal_detach_blockers(&writer, false);
	return NULL;
}

/* Attached from the tail while the writer wraps, for a second: always at a block's beginning. */
static void test_attach_while_wrapping(void **state)
{
	static const enum journal_gate gates[] = {GATE_NONE, GATE_OPTIONAL, GATE_REQUIRED};
	time_t end = time(NULL) + 2;
	uint32_t attached = 0, lapped_count = 0;
	pthread_t thread;

	(void)state;
	make_journal();
	writing = 1;
	assert_int_equal(pthread_create(&thread, NULL, write_on, NULL), 0);
	for (; time(NULL) < end; attached++) {
		enum journal_gate gate = gates[attached % 3];
		struct journal_reader reader;
		const void *payload;
		uint32_t bytes, number, next = 0;
		enum status status = STATUS_OK;

		assert_int_equal(journal_attach(&reader, &journal, gate, 0, "r", JOURNAL_FROM_TAIL),
			STATUS_OK);
		for (int i = 0; i < 5; i++) {
			status = journal_peek(&reader, &payload, &bytes);
			if (status == STATUS_EMPTY)
				continue;
			if (status != STATUS_OK)
				break;
			memcpy(&number, payload, sizeof(number));
			if (!is_sound(payload, bytes) || (next != 0 && number != next))
				status = journal_reader_valid(&reader) ? STATUS_CORRUPT
								       : STATUS_LAPPED;
			if (status != STATUS_OK)
				break;
			next = number + 1;
			journal_advance(&reader);
		}
		lapped_count += status == STATUS_LAPPED;
		if (status != STATUS_OK && status != STATUS_EMPTY &&
			(status != STATUS_LAPPED || gate != GATE_NONE))
			fail_msg("gate %d, attach %u: '%s'", gate, attached, status_text(status));
		drop_reader(&reader);
	}
	atomic_write_relaxed(&writing, 0u);
	pthread_join(thread, NULL);
	printf("attached %u times, %u lapped\n", attached, lapped_count);
	assert_true(attached > 100);
	drop_journal();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_random_sizes),
		cmocka_unit_test(test_attach_at_tail_under_writer),
		cmocka_unit_test(test_attach_at_position_under_writer),
		cmocka_unit_test(test_writer_under_attach),
		cmocka_unit_test(test_attacher_dies_behind_the_tail),
		cmocka_unit_test(test_lapped_within_peek),
		cmocka_unit_test(test_sound_stays_within_the_ring),
		cmocka_unit_test(test_dead_reader_and_big_blocks),
		cmocka_unit_test(test_refused_writer_holds_nothing),
		cmocka_unit_test(test_attach_while_wrapping),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
