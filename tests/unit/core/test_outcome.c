/* SPDX-License-Identifier: BSD-3-Clause */
/* Outcomes and folds: each field made to lie in turn is refused, and what is sound is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/bytes.h"
#include "core/delta.h"
#include "core/outcome.h"

#define ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A field of a record: where it is, and what it is made to say. */
struct lie {
	const char *what;
	size_t at;
	size_t width;
	uint64_t value;
	enum status wanted;
};

static void tell(uint8_t *memory, const struct lie *lie)
{
	memcpy(memory + lie->at, &lie->value, lie->width); /* little-endian */
}

/*
 * The outcome: 64 header, 4 records, 32 bytes of deltas, then the extras: an alarm of 5 bytes, a
 * packet of 14, a determinant of 8.
 */
#define RECORD_AT(i) (64 + 4 * (i))
#define DELTAS_AT 80
#define ALARM_AT 112
#define EMIT_AT 128
#define DETERMINANT_AT 160
#define OUTCOME_END 176

static void put_extra(uint8_t *at, uint16_t type, uint16_t record, uint32_t bytes, int content)
{
	struct outcome_extra extra = {type, record, bytes};

	memcpy(at, &extra, sizeof(extra));
	memset(at + sizeof(extra), content, bytes);
}

static uint32_t make_outcome(uint8_t *memory)
{
	struct outcome_header *header = (struct outcome_header *)memory;
	struct outcome_record *records = (struct outcome_record *)(header + 1);

	memset(memory, 0, OUTCOME_END);
	for (uint32_t i = 0; i < 4; i++) {
		records[i] = (struct outcome_record){VERDICT_FORWARD, 1, 8};
		assert_int_equal(delta_put(memory + DELTAS_AT + 8 * i, 8, DELTA_EDIT, 2,
					 (const uint8_t *)"abcd", 4),
			8);
	}
	put_extra(memory + ALARM_AT, EXTRA_ALARM, 1, 5, 'a');
	put_extra(memory + EMIT_AT, EXTRA_EMIT, 3, 8 + FRAME_BYTES_MIN, 'e');
	put_extra(memory + DETERMINANT_AT, EXTRA_DETERMINANT, 0, 8, 'd');
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC,
		.first_id = 77,
		.count = 4,
		.delta_bytes = 32,
		.extra_bytes = OUTCOME_END - ALARM_AT,
		.bytes = OUTCOME_END};
	return OUTCOME_END;
}

static void test_a_sound_outcome_is_read(void **state)
{
	static const struct {
		uint16_t type, record;
		uint32_t bytes;
		int content;
	} wanted[] = {{EXTRA_ALARM, 1, 5, 'a'}, {EXTRA_EMIT, 3, 8 + FRAME_BYTES_MIN, 'e'},
		{EXTRA_DETERMINANT, 0, 8, 'd'}};
	_Alignas(8) uint8_t memory[OUTCOME_END];
	struct outcome_view view;
	const struct outcome_extra *extra;
	uint32_t offset = 0;

	(void)state;
	assert_int_equal(outcome_open(&view, memory, make_outcome(memory)), STATUS_OK);
	assert_ptr_equal(view.deltas, memory + DELTAS_AT);
	for (size_t i = 0; i < ROWS(wanted); i++) {
		extra = outcome_extra_next(&view, &offset);
		assert_non_null(extra);
		assert_int_equal(extra->type, wanted[i].type);
		assert_int_equal(extra->record, wanted[i].record);
		assert_int_equal(extra->bytes, wanted[i].bytes);
		for (uint32_t b = 0; b < extra->bytes; b++)
			assert_int_equal(outcome_extra_content(extra)[b], wanted[i].content);
	}
	assert_null(outcome_extra_next(&view, &offset));
	assert_int_equal(offset, view.header->extra_bytes);
}

#define HEADER(field) offsetof(struct outcome_header, field)
#define EXTRA(field) offsetof(struct outcome_extra, field)

static const struct lie outcome_lies[] = {
	{"magic", HEADER(magic), 8, OUTCOME_MAGIC + 1, STATUS_VERSION},
	{"magic of a fold", HEADER(magic), 8, FOLD_MAGIC, STATUS_VERSION},
	{"more bytes than there are", HEADER(bytes), 4, OUTCOME_END + 8, STATUS_CORRUPT},
	{"fewer bytes", HEADER(bytes), 4, OUTCOME_END - 8, STATUS_CORRUPT},
	{"no bytes", HEADER(bytes), 4, 0, STATUS_CORRUPT},
	{"deltas past the limit", HEADER(delta_bytes), 4, OUTCOME_BYTES_MAX + 1, STATUS_CORRUPT},
	{"deltas that wrap around", HEADER(delta_bytes), 4, UINT32_MAX - 7, STATUS_CORRUPT},
	{"fewer deltas, the same sum", HEADER(delta_bytes), 4, 31, STATUS_CORRUPT},
	{"extras past the limit", HEADER(extra_bytes), 4, OUTCOME_BYTES_MAX + 1, STATUS_CORRUPT},
	{"extras that wrap around", HEADER(extra_bytes), 4, UINT32_MAX - 7, STATUS_CORRUPT},
	{"fewer extras", HEADER(extra_bytes), 4, 56, STATUS_CORRUPT},
	{"more records than a batch", HEADER(count), 2, BATCH_PACKETS_MAX + 1, STATUS_CORRUPT},
	{"fewer records", HEADER(count), 2, 3, STATUS_CORRUPT},
	{"no such verdict", RECORD_AT(2), 1, VERDICT_DROP + 1, STATUS_CORRUPT},
	{"dropped by no stage", RECORD_AT(0), 1, VERDICT_DROP | STAGES_MAX << 4, STATUS_CORRUPT},
	{"forwarded to no port", RECORD_AT(3) + 1, 1, PORTS_MAX, STATUS_CORRUPT},
	{"the last port", RECORD_AT(3) + 1, 1, PORTS_MAX - 1, STATUS_OK},
	{"dropped for whatever cause", RECORD_AT(3), 2, VERDICT_DROP | 255 << 8, STATUS_OK},
	{"a longer delta", RECORD_AT(1) + 2, 2, 9, STATUS_CORRUPT},
	{"a shorter delta", RECORD_AT(1) + 2, 2, 7, STATUS_CORRUPT},
	{"no type of extra", ALARM_AT + EXTRA(type), 2, 0, STATUS_CORRUPT},
	{"a type past the last", ALARM_AT + EXTRA(type), 2, 4, STATUS_CORRUPT},
	{"an alarm that is a packet", ALARM_AT + EXTRA(type), 2, EXTRA_EMIT, STATUS_CORRUPT},
	{"an extra of no record", EMIT_AT + EXTRA(record), 2, 4, STATUS_CORRUPT},
	{"an extra past the end", DETERMINANT_AT + EXTRA(bytes), 4, 9, STATUS_CORRUPT},
	{"an extra that wraps around", ALARM_AT + EXTRA(bytes), 4, UINT32_MAX, STATUS_CORRUPT},
	{"a shorter last extra", DETERMINANT_AT + EXTRA(bytes), 4, 0, STATUS_CORRUPT},
	{"a packet too short", EMIT_AT + EXTRA(bytes), 4, 8 + FRAME_BYTES_MIN - 1, STATUS_CORRUPT},
};

static void test_every_lie_of_an_outcome_is_refused(void **state)
{
	_Alignas(8) uint8_t memory[OUTCOME_END];
	struct outcome_view view;

	(void)state;
	for (size_t i = 0; i < ROWS(outcome_lies); i++) {
		enum status status;

		(void)make_outcome(memory);
		tell(memory, &outcome_lies[i]);
		status = outcome_open(&view, memory, sizeof(memory));
		if (status != outcome_lies[i].wanted)
			fail_msg("%s: %s", outcome_lies[i].what, status_text(status));
	}
}

/* Nothing that is missing is read: each length has memory of its own, for the sanitizer. */
static void test_a_cut_outcome_is_refused(void **state)
{
	_Alignas(8) uint8_t memory[OUTCOME_END];
	uint32_t bytes = make_outcome(memory);
	struct outcome_view view;

	(void)state;
	for (uint32_t cut = 0; cut < bytes; cut++) {
		uint8_t *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, memory, cut);
		assert_int_equal(outcome_open(&view, copy, cut), STATUS_CORRUPT);
		free(copy);
	}
}

/* The extras' length agrees with the header, and not with the extras. */
static void test_extras_fill_their_room(void **state)
{
	static const struct {
		uint32_t extra_bytes, last_bytes;
		enum status wanted;
	} rows[] = {
		{64, 8, STATUS_OK},
		{48, 8, STATUS_OK},	     /* without the last one */
		{48 + 7, 8, STATUS_CORRUPT}, /* no room for its head */
		{48 + 8, 0, STATUS_OK},
		{48 + 8, 1, STATUS_CORRUPT},
		{48 + 8 + 5, 5, STATUS_CORRUPT}, /* its padding is outside */
		{48 + 8 + 5, 6, STATUS_CORRUPT},
	};
	_Alignas(8) uint8_t memory[OUTCOME_END];
	struct outcome_header *header = (struct outcome_header *)memory;
	struct outcome_view view;

	(void)state;
	for (size_t i = 0; i < ROWS(rows); i++) {
		(void)make_outcome(memory);
		header->extra_bytes = rows[i].extra_bytes;
		header->bytes = ALARM_AT + rows[i].extra_bytes;
		memcpy(memory + DETERMINANT_AT + EXTRA(bytes), &rows[i].last_bytes, 4);
		assert_int_equal(outcome_open(&view, memory, header->bytes), rows[i].wanted);
	}
}

/* The longest frame may be emitted, one byte more may not. */
static void test_an_emitted_frame_has_a_limit(void **state)
{
	uint32_t room = ALIGN_UP(8 + FRAME_BYTES_MAX + 1, 8u);
	uint8_t *memory = aligned_alloc(8, ALARM_AT + 8 + room);
	struct outcome_header *header = (struct outcome_header *)memory;
	struct outcome_view view;

	(void)state;
	assert_non_null(memory);
	for (uint32_t over = 0; over < 2; over++) {
		memset(memory, 0, ALARM_AT + 8 + room);
		*header = (struct outcome_header){.magic = OUTCOME_MAGIC, .count = 1};
		put_extra(memory + 72, EXTRA_EMIT, 0, 8 + FRAME_BYTES_MAX + over, 'e');
		header->extra_bytes = 8 + ALIGN_UP(8 + FRAME_BYTES_MAX + over, 8u);
		header->bytes = 72 + header->extra_bytes;
		assert_int_equal(outcome_open(&view, memory, header->bytes),
			over == 0 ? STATUS_OK : STATUS_CORRUPT);
	}
	free(memory);
}

static void test_an_outcome_may_be_empty(void **state)
{
	struct outcome_header header = {.magic = OUTCOME_MAGIC, .bytes = sizeof(header)};
	struct outcome_view view;
	uint32_t offset = 0;

	(void)state;
	assert_int_equal(outcome_open(&view, &header, sizeof(header)), STATUS_OK);
	assert_null(outcome_extra_next(&view, &offset));
}

/* A batch that the outcome above fits: two packets, a tick, a packet. */
static void make_batch(uint8_t *memory, struct batch_view *view)
{
	struct batch_writer writer;
	struct batch_record *record;

	batch_begin(&writer, memory, 1, 77, 70);
	for (uint32_t i = 0; i < 4; i++) {
		bool tick = i == 2;

		memset(batch_add(&writer, tick ? RECORD_TICK : RECORD_PACKET, tick ? 0 : 20,
			       &record),
			0, tick ? 0 : 20);
		record->clock_ns = i;
	}
	assert_int_equal(batch_open(view, memory, batch_end(&writer)), STATUS_OK);
}

static void test_an_outcome_fits_its_batch_alone(void **state)
{
	static const struct {
		struct lie lie; /* wanted: OK if it fits all the same */
		uint32_t ports;
	} rows[] = {
		{{"it fits", HEADER(first_id), 8, 77, STATUS_OK}, 2},
		{{"another batch", HEADER(first_id), 8, 78, STATUS_CORRUPT}, 2},
		{{"a port too few", HEADER(first_id), 8, 77, STATUS_CORRUPT}, 1},
		{{"a packet without verdict", RECORD_AT(0), 1, VERDICT_NONE, STATUS_CORRUPT}, 2},
		{{"a tick forwarded", RECORD_AT(2), 1, VERDICT_FORWARD, STATUS_CORRUPT}, 2},
		{{"a tick dropped", RECORD_AT(2), 1, VERDICT_DROP, STATUS_CORRUPT}, 2},
		{{"a packet dropped", RECORD_AT(0), 1, VERDICT_DROP, STATUS_OK}, 2},
		{{"an edit past the frame", DELTAS_AT + 16, 2, 17, STATUS_CORRUPT}, 2},
		{{"an edit up to its end", DELTAS_AT + 16, 2, 16, STATUS_OK}, 2},
		{{"an edit past its delta", DELTAS_AT + 2, 2, 5, STATUS_CORRUPT}, 2},
	};
	_Alignas(8) uint8_t memory[OUTCOME_END];
	uint8_t *batch_bytes = aligned_alloc(64, BATCH_BYTES_MAX);
	struct batch_view batch;
	struct outcome_view view;

	(void)state;
	assert_non_null(batch_bytes);
	make_batch(batch_bytes, &batch);
	for (size_t i = 0; i < ROWS(rows); i++) {
		struct outcome_record *records;

		(void)make_outcome(memory);
		records = (struct outcome_record *)(memory + 64);
		records[2] = (struct outcome_record){VERDICT_NONE, 0, 0};
		records[1].delta_bytes = 16; /* two edits */
		tell(memory, &rows[i].lie);
		assert_int_equal(outcome_open(&view, memory, sizeof(memory)), STATUS_OK);
		if (outcome_fits(&view, &batch, rows[i].ports) != (rows[i].lie.wanted == STATUS_OK))
			fail_msg("%s", rows[i].lie.what);
	}
	((struct batch_header *)batch_bytes)->count = 3;
	(void)make_outcome(memory);
	assert_int_equal(outcome_open(&view, memory, sizeof(memory)), STATUS_OK);
	assert_false(outcome_fits(&view, &batch, 2));
	free(batch_bytes);
}

/* A fold of two images: table 3 with key 8 and value 16, a tombstone of table 15 with key 40. */
#define IMAGE_AT 64
#define TOMBSTONE_AT (64 + 48)
#define FOLD_END (TOMBSTONE_AT + 64)

static uint32_t make_fold(uint8_t *memory)
{
	struct fold_header header = {.magic = FOLD_MAGIC,
		.bytes = FOLD_END,
		.images = 2,
		.last = 1};
	struct fold_image image = {.table = 3, .key_bytes = 8, .value_bytes = 16, .version = 9};
	struct fold_image tombstone = {.table = TABLES_MAX - 1,
		.flags = IMAGE_TOMBSTONE,
		.key_bytes = KEY_BYTES_MAX};

	memset(memory, 0, FOLD_END);
	memcpy(memory, &header, sizeof(header));
	memcpy(memory + IMAGE_AT, &image, sizeof(image));
	memset(memory + IMAGE_AT + 24, 'k', 8);
	memset(memory + IMAGE_AT + 32, 'v', 16);
	memcpy(memory + TOMBSTONE_AT, &tombstone, sizeof(tombstone));
	memset(memory + TOMBSTONE_AT + 24, 'K', KEY_BYTES_MAX);
	return FOLD_END;
}

static void test_a_sound_fold_is_read(void **state)
{
	_Alignas(8) uint8_t memory[FOLD_END];
	uint32_t bytes = make_fold(memory), offset = 0;
	const struct fold_header *fold = NULL;
	const struct fold_image *image;
	const uint8_t *key, *value;

	(void)state;
	assert_true(block_is_fold(memory, bytes));
	assert_false(block_is_fold(memory, sizeof(struct fold_header) - 1));
	assert_int_equal(fold_open(&fold, memory, bytes), STATUS_OK);
	assert_ptr_equal(fold, memory);
	image = fold_image_next(fold, &offset, &key, &value);
	assert_non_null(image);
	assert_int_equal(image->table, 3);
	assert_int_equal(image->version, 9);
	assert_memory_equal(key, "kkkkkkkk", 8);
	assert_memory_equal(value, "vvvvvvvvvvvvvvvv", 16);
	image = fold_image_next(fold, &offset, &key, &value);
	assert_non_null(image);
	assert_int_equal(image->flags, IMAGE_TOMBSTONE);
	assert_int_equal(key[KEY_BYTES_MAX - 1], 'K');
	assert_null(fold_image_next(fold, &offset, &key, &value));
	*(uint64_t *)memory = OUTCOME_MAGIC;
	assert_false(block_is_fold(memory, bytes));
}

#define FOLD(field) offsetof(struct fold_header, field)
#define IMAGE(field) offsetof(struct fold_image, field)

static const struct lie fold_lies[] = {
	{"magic", FOLD(magic), 8, FOLD_MAGIC + 1, STATUS_VERSION},
	{"more bytes than there are", FOLD(bytes), 4, FOLD_END + 8, STATUS_CORRUPT},
	{"fewer bytes", FOLD(bytes), 4, FOLD_END - 8, STATUS_CORRUPT},
	{"fewer bytes than the header", FOLD(bytes), 4, 63, STATUS_CORRUPT},
	{"not last and not another", FOLD(last), 4, 2, STATUS_CORRUPT},
	{"one of more blocks", FOLD(last), 4, 0, STATUS_OK},
	{"an image more", FOLD(images), 4, 3, STATUS_CORRUPT},
	{"an image fewer", FOLD(images), 4, 1, STATUS_CORRUPT},
	{"no such table", IMAGE_AT + IMAGE(table), 1, TABLES_MAX, STATUS_CORRUPT},
	{"no key", IMAGE_AT + IMAGE(key_bytes), 1, 0, STATUS_CORRUPT},
	{"a key too long", TOMBSTONE_AT + IMAGE(key_bytes), 1, KEY_BYTES_MAX + 1, STATUS_CORRUPT},
	{"a value too long", IMAGE_AT + IMAGE(value_bytes), 1, VALUE_BYTES_MAX + 1, STATUS_CORRUPT},
	{"a value past the end", TOMBSTONE_AT + IMAGE(value_bytes), 1, 1, STATUS_CORRUPT},
	{"an image that takes the next", IMAGE_AT + IMAGE(value_bytes), 1, 64, STATUS_CORRUPT},
	{"a shorter value", IMAGE_AT + IMAGE(value_bytes), 1, 8, STATUS_CORRUPT},
};

static void test_every_lie_of_a_fold_is_refused(void **state)
{
	_Alignas(8) uint8_t memory[FOLD_END];
	const struct fold_header *fold;

	(void)state;
	for (size_t i = 0; i < ROWS(fold_lies); i++) {
		enum status status;

		(void)make_fold(memory);
		tell(memory, &fold_lies[i]);
		status = fold_open(&fold, memory, sizeof(memory));
		if (status != fold_lies[i].wanted)
			fail_msg("%s: %s", fold_lies[i].what, status_text(status));
	}
}

static void test_a_cut_fold_is_refused(void **state)
{
	_Alignas(8) uint8_t memory[FOLD_END];
	uint32_t bytes = make_fold(memory);
	const struct fold_header *fold;

	(void)state;
	for (uint32_t cut = 0; cut < bytes; cut++) {
		uint8_t *copy = malloc(cut + 1);

		assert_non_null(copy);
		memcpy(copy, memory, cut);
		assert_int_equal(fold_open(&fold, copy, cut), STATUS_CORRUPT);
		if (cut >= sizeof(*fold)) { /* the header knows it too */
			((struct fold_header *)copy)->bytes = cut;
			assert_int_equal(fold_open(&fold, copy, cut), STATUS_CORRUPT);
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sound_outcome_is_read),
		cmocka_unit_test(test_every_lie_of_an_outcome_is_refused),
		cmocka_unit_test(test_a_cut_outcome_is_refused),
		cmocka_unit_test(test_extras_fill_their_room),
		cmocka_unit_test(test_an_emitted_frame_has_a_limit),
		cmocka_unit_test(test_an_outcome_may_be_empty),
		cmocka_unit_test(test_an_outcome_fits_its_batch_alone),
		cmocka_unit_test(test_a_sound_fold_is_read),
		cmocka_unit_test(test_every_lie_of_a_fold_is_refused),
		cmocka_unit_test(test_a_cut_fold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
