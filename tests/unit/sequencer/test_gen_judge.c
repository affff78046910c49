/* SPDX-License-Identifier: BSD-3-Clause */
/* What a sink makes of sequence numbers: missing, duplicated, reordered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/gen_judge.h"
#include "sequencer/port.h"

#define FRAMES 128

/* Frames as the generator makes them: the judge finds their numbers itself. */
static uint8_t frame[2048];
static uint32_t frame_bytes, number_at;

static int make_frame(void **state)
{
	static uint64_t memory[BATCH_BYTES_MAX / 8];
	struct page_ingress counts = {0};
	struct batch_writer writer;
	struct batch_view view;
	struct port port = {0};
	char error[CONFIG_ERROR_BYTES];

	(void)state;
	if (port_gen_open(&port, "flows=1,size=100,count=2", error) != STATUS_OK)
		return 1;
	batch_begin(&writer, memory, 0, 0, 1);
	if (port.ops->receive(&port, &writer, &counts) == STATUS_IO)
		return 1;
	if (batch_open(&view, memory, batch_end(&writer)) != STATUS_OK || view.header->count < 2)
		return 1;
	frame_bytes = view.records[0]->length;
	memcpy(frame, batch_frame(view.records[0]), frame_bytes);
	/* The number lies where two frames of a flow differ last. */
	for (uint32_t i = 0; i < frame_bytes; i++)
		if (frame[i] != batch_frame(view.records[1])[i])
			number_at = i - 7;
	port.ops->close(&port);
	return 0;
}

static void judge_number(struct gen_judge *judge, uint64_t number)
{
	for (uint32_t i = 0; i < 8; i++)
		frame[number_at + i] = (uint8_t)(number >> (56 - 8 * i));
	gen_judge_frame(judge, frame, frame_bytes);
}

static void test_rows(void **state)
{
	static const struct {
		uint64_t numbers[8];
		uint32_t count, missing, duplicated, reordered;
	} rows[] = {
		{{0, 1, 2, 3}, 4, 0, 0, 0},
		{{0, 2, 3}, 3, 1, 0, 0},
		{{0, 2, 1, 3}, 4, 0, 0, 1},
		{{0, 2, 1, 1}, 4, 0, 1, 1},
		{{0, 0}, 2, 0, 1, 0},
		{{5}, 1, 5, 0, 0},
		{{5, 0, 4, 5}, 4, 3, 1, 2},
		{{3, 2, 1, 0}, 4, 0, 0, 3},
		{{0, 100000}, 2, 99999, 0, 0},
		{{0, 100000, 100000}, 3, 99999, 1, 0},
		{{0, 100000, 99999, 99999}, 4, 99998, 1, 1},
	};
	static struct gen_judge judge;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&judge, 0, sizeof(judge));
		for (uint32_t n = 0; n < rows[i].count; n++)
			judge_number(&judge, rows[i].numbers[n]);
		assert_int_equal(gen_judge_counts(&judge)->seen, rows[i].count);
		assert_int_equal(gen_judge_counts(&judge)->missing, rows[i].missing);
		assert_int_equal(gen_judge_counts(&judge)->duplicated, rows[i].duplicated);
		assert_int_equal(gen_judge_counts(&judge)->reordered, rows[i].reordered);
	}
}

/* Several windows long, with a loss, a repetition and a late one in each. */
static void test_long_runs(void **state)
{
	static struct gen_judge judge;
	uint32_t rounds = 0;

	(void)state;
	for (uint64_t n = 0; n < GEN_WINDOW * 5ull; n++) {
		uint64_t place = n % 10000;

		if (place == 100 || place == 200)
			continue;
		judge_number(&judge, n);
		if (place == 9000) {
			judge_number(&judge, n - 8800); /* 200 comes late */
			judge_number(&judge, n - 8800); /* and again */
			judge_number(&judge, n);
			rounds++;
		}
	}
	assert_int_equal(gen_judge_counts(&judge)->reordered, rounds);
	assert_int_equal(gen_judge_counts(&judge)->duplicated, rounds * 2);
	assert_int_equal(gen_judge_counts(&judge)->missing,
		rounds + 2); /* the last round is not over */
}

/* A repetition from beyond the window is no mark for a number of the window. */
static void test_old_repetition(void **state)
{
	static struct gen_judge judge;

	(void)state;
	for (uint64_t n = 0; n < GEN_WINDOW + 1000ull; n++)
		if (n != GEN_WINDOW + 7)
			judge_number(&judge, n);
	assert_int_equal(gen_judge_counts(&judge)->missing, 1);
	judge_number(&judge, 7);
	assert_int_equal(gen_judge_counts(&judge)->duplicated, 1);
	judge_number(&judge, GEN_WINDOW + 7);
	assert_int_equal(gen_judge_counts(&judge)->reordered, 1);
	assert_int_equal(gen_judge_counts(&judge)->missing, 0);
	assert_int_equal(gen_judge_counts(&judge)->duplicated, 1);
}

static void test_other_frames(void **state)
{
	static struct gen_judge judge;
	uint8_t other[64] = {0};

	(void)state;
	for (uint32_t bytes = 0; bytes < sizeof(other); bytes++)
		gen_judge_frame(&judge, other, bytes);
	for (uint32_t bytes = 0; bytes < number_at + 8; bytes++)
		gen_judge_frame(&judge, frame, bytes);
	assert_int_equal(gen_judge_counts(&judge)->seen, 0);
}

/* Each frame's judgement, as a process that died within the next frame may have left it. */
static void test_died_within_a_frame(void **state)
{
	static const uint64_t numbers[] = {0, 1, 3, 2, 3, 70000, 69999, 1, 70001};
	static struct gen_judge whole, dead;

	(void)state;
	memset(&whole, 0, sizeof(whole));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct gen_counts *half = &whole.counts[(whole.frames + 1) % 2];

		/* It was filling the other half: any of it may be there. */
		memset(half, 0xa5, sizeof(*half) / (i % 3 + 1));
		dead = whole;
		judge_number(&whole, numbers[i]);
		/* All of it, but not that the frame is over: the successor judges it again. */
		dead.counts[whole.frames % 2] = whole.counts[whole.frames % 2];
		assert_int_equal(dead.frames, i);
		judge_number(&dead, numbers[i]);
		assert_memory_equal(&dead, &whole, sizeof(dead));
	}
	assert_int_equal(whole.frames, 9);
	assert_int_equal(gen_judge_counts(&whole)->seen, 9);
	assert_int_equal(gen_judge_counts(&whole)->next, 70002);
	assert_int_equal(gen_judge_counts(&whole)->duplicated, 2);
	assert_int_equal(gen_judge_counts(&whole)->reordered, 2);
	assert_int_equal(gen_judge_counts(&whole)->missing, 70002 - 7);
}

/*
 * It died after it had marked the frame's number and before the frame was over: one that is sent
 * again is none too many, and one that comes late is late once.
 */
static void test_died_with_the_number_marked(void **state)
{
	static const uint64_t numbers[] = {3, 4, 500, 100000, 99990, 99990};
	static struct gen_judge whole, dead;

	(void)state;
	memset(&whole, 0, sizeof(whole));
	for (uint64_t n = 0; n < 3; n++)
		judge_number(&whole, n);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		dead = whole;
		judge_number(&whole, numbers[i]);
		memcpy(dead.window, whole.window, sizeof(dead.window));
		dead.counts[whole.frames % 2] = whole.counts[whole.frames % 2];
		judge_number(&dead, numbers[i]);
		assert_memory_equal(gen_judge_counts(&dead), gen_judge_counts(&whole),
			sizeof(struct gen_counts));
		assert_memory_equal(dead.window, whole.window, sizeof(dead.window));
	}
	assert_int_equal(gen_judge_counts(&whole)->reordered, 1);
	assert_int_equal(gen_judge_counts(&whole)->duplicated, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_runs),
		cmocka_unit_test(test_old_repetition),
		cmocka_unit_test(test_other_frames),
		cmocka_unit_test(test_died_within_a_frame),
		cmocka_unit_test(test_died_with_the_number_marked),
	};

	return cmocka_run_group_tests(tests, make_frame, NULL);
}
