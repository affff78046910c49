/* SPDX-License-Identifier: BSD-3-Clause */
/* Wire IDs, batches, outcomes, deltas, messages, fault texts: round trips, and any bytes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/bytes.h"
#include "core/config.h"
#include "core/crc32c.h"
#include "core/delta.h"
#include "core/fault_spec.h"
#include "core/histogram.h"
#include "core/message.h"
#include "core/outcome.h"
#include "core/packet_id.h"
#include "tests/unit/random.h"

static void test_wire_ids_avoid_reserved_vids(void **state)
{
	uint8_t frame[128];
	uint32_t expressible = 0;

	(void)state;
	seed_random();
	for (uint32_t i = 0; i < 200000; i++) {
		struct wire_id id = {next_random() & WIRE_SEQUENCE_MASK, next_random() & 7,
			next_random() & 31};
		struct wire_id back;
		size_t bytes = 60;

		if (i < 8192)
			id.sequence = i / 2 + (i & 1 ? 0xffff000 : 0); /* around the wrap */
		memset(frame, (int)i, 60);
		store_be16(frame + 12, i % 3 == 0 ? 0x8100 : i % 3 == 1 ? 0x88a8 : 0x0800);
		if (!wire_id_expressible(id)) {
			assert_int_equal(wire_id_tag(id, frame, &bytes, sizeof(frame)),
				STATUS_INVALID);
			continue;
		}
		expressible++;
		assert_int_equal(wire_id_tag(id, frame, &bytes, sizeof(frame)), STATUS_OK);
		assert_int_equal(bytes, 72);
		for (int tag = 0; tag < WIRE_TAGS; tag++) {
			uint32_t vid = load_be16(frame + 14 + 4 * tag) & 0xfff;

			assert_true(vid != 0 && vid != 4095);
		}
		assert_int_equal(wire_id_tag(id, frame, &bytes, sizeof(frame)), STATUS_EXISTS);
		assert_int_equal(wire_id_untag(frame, &bytes, &back), STATUS_OK);
		assert_int_equal(bytes, 60);
		assert_int_equal(back.sequence, id.sequence);
		assert_int_equal(back.sequencer, id.sequencer);
		assert_int_equal(back.version, id.version);
		assert_int_equal(wire_id_untag(frame, &bytes, &back), STATUS_NOT_FOUND);
	}
	assert_true(expressible > 190000);
}

/* Four tags of our type: not our doing. */
static void test_wire_id_has_three_tags(void **state)
{
	uint8_t frame[60] = {0};
	size_t bytes = sizeof(frame);
	struct wire_id id;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		memcpy(frame + 12 + 4 * i, "\x9a\x5e\x00\x05", 4);
	assert_int_equal(wire_id_untag(frame, &bytes, &id), STATUS_INVALID);
	assert_int_equal(bytes, sizeof(frame));
}

static void test_tags_are_put_on_where_they_fit(void **state)
{
	static const struct {
		size_t bytes, capacity;
		uint32_t sequence;
		uint16_t type;
		enum status wanted;
	} rows[] = {
		{60, 72, 0x1234567, 0x0800, STATUS_OK}, {60, 71, 0x1234567, 0x0800, STATUS_TOO_BIG},
		{60, 72, 0x1234567, WIRE_TPID, STATUS_EXISTS},
		{60, 72, 0, 0x0800, STATUS_INVALID}, /* VLAN ID 0 */
		{14, 26, 0x1234567, 0x0800, STATUS_OK},
		{13, 72, 0x1234567, 0x0800, STATUS_INVALID}, /* no type */
	};
	uint8_t frame[72], before[72];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_id id = {rows[i].sequence, 3, 1};
		size_t bytes = rows[i].bytes;

		for (size_t b = 0; b < sizeof(frame); b++)
			frame[b] = (uint8_t)b;
		store_be16(frame + 12, rows[i].type);
		memcpy(before, frame, sizeof(frame));
		assert_int_equal(wire_id_tag(id, frame, &bytes, rows[i].capacity), rows[i].wanted);
		if (rows[i].wanted == STATUS_OK) {
			assert_int_equal(bytes, rows[i].bytes + WIRE_BYTES);
			assert_memory_equal(frame, before, 12);
			assert_memory_equal(frame + 24, before + 12, rows[i].bytes - 12);
		} else {
			assert_int_equal(bytes, rows[i].bytes);
			assert_memory_equal(frame, before, sizeof(frame));
		}
	}
}

/* Each tag made to lie: only exactly ours come off, and nothing else is touched. */
static void test_tags_come_off_only_if_they_are_ours(void **state)
{
	static const struct {
		size_t bytes, at;
		uint16_t value;
		enum status wanted;
	} rows[] = {
		{72, 0, 0, STATUS_OK},
		{26, 0, 0, STATUS_OK},
		{25, 0, 0, STATUS_NOT_FOUND},
		{72, 12, 0x8100, STATUS_NOT_FOUND},
		{72, 16, 0x8100, STATUS_NOT_FOUND},
		{72, 20, 0x8100, STATUS_NOT_FOUND},
		{72, 14, 0, STATUS_INVALID},
		{72, 18, 0x0fff, STATUS_INVALID},
		{72, 22, 0xf000, STATUS_INVALID},
		{72, 24, WIRE_TPID, STATUS_INVALID},
	};
	uint8_t frame[72], before[72];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_id id = {0x1234567, 3, 1}, back = {0};
		size_t bytes = 60;

		memset(frame, 7, sizeof(frame));
		assert_int_equal(wire_id_tag(id, frame, &bytes, sizeof(frame)), STATUS_OK);
		if (rows[i].at > 0)
			store_be16(frame + rows[i].at, rows[i].value);
		memcpy(before, frame, sizeof(frame));
		bytes = rows[i].bytes;
		assert_int_equal(wire_id_untag(frame, &bytes, &back), rows[i].wanted);
		if (rows[i].wanted == STATUS_OK) {
			assert_int_equal(bytes, rows[i].bytes - WIRE_BYTES);
			assert_int_equal(back.sequence, id.sequence);
		} else {
			assert_int_equal(bytes, rows[i].bytes);
			assert_memory_equal(frame, before, sizeof(frame));
		}
	}
}

static void test_wire_sequences_wrap(void **state)
{
	(void)state;
	assert_true(wire_sequence_compare(0, WIRE_SEQUENCE_MASK) > 0);
	assert_true(wire_sequence_compare(WIRE_SEQUENCE_MASK, 0) < 0);
	assert_true(wire_sequence_compare(5, 5) == 0);
	for (uint64_t near = (1ull << 28) - 5; near < (1ull << 28) + 5; near++)
		for (int64_t distance = -1000; distance <= 1000; distance += 7) {
			uint64_t wanted = near + (uint64_t)distance;

			assert_true(
				wire_sequence_widen(wanted & WIRE_SEQUENCE_MASK, near) == wanted);
		}
}

/* A sound batch of mixed records. */
static uint32_t make_batch(uint8_t *memory)
{
	struct batch_writer writer;
	struct batch_record *record;

	batch_begin(&writer, memory, 5, packet_id(1, 100), 90);
	for (uint32_t i = 0; i < 20; i++) {
		uint32_t length = 14 + i * 37;
		uint8_t *frame = batch_add(&writer, RECORD_PACKET, length, &record);

		record->port = i % 2;
		record->clock_ns = i;
		memset(frame, (int)i, length);
	}
	(void)batch_add(&writer, RECORD_TICK, 0, &record);
	(void)batch_add(&writer, RECORD_END, 0, &record);
	return batch_end(&writer);
}

static void test_batch_survives_any_bytes(void **state)
{
	uint8_t *memory = aligned_alloc(64, BATCH_BYTES_MAX), *copy;
	struct batch_view view;
	uint32_t bytes = make_batch(memory);

	(void)state;
	seed_random();
	assert_int_equal(batch_open(&view, memory, bytes), STATUS_OK);
	assert_int_equal(view.header->count, 22);
	assert_int_equal(view.header->packets, 20);
	assert_int_equal(view.records[19]->length, 14 + 19 * 37);
	for (uint32_t cut = 0; cut < bytes; cut++) {
		copy = aligned_alloc(8, ALIGN_UP(cut + 1, 8u)); /* exact, for the sanitizer */
		memcpy(copy, memory, cut);
		assert_int_not_equal(batch_open(&view, copy, cut), STATUS_OK);
		free(copy);
	}
	copy = aligned_alloc(64, ALIGN_UP(bytes, 64u));
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(copy, memory, bytes);
		for (uint32_t flips = next_random() % 4 + 1; flips > 0; flips--)
			copy[next_random() % bytes] = (uint8_t)next_random();
		if (batch_open(&view, copy, bytes) == STATUS_OK)
			for (uint32_t r = 0; r < view.header->count; r++)
				assert_true((const uint8_t *)batch_frame(view.records[r]) +
						    view.records[r]->length <=
					    copy + bytes);
	}
	free(copy);
	free(memory);
}

/* Without payloads: the same records, each with at most so much of its frame. */
static void test_batch_cut(void **state)
{
	uint8_t *memory = aligned_alloc(64, BATCH_BYTES_MAX),
		*cut = aligned_alloc(64, BATCH_BYTES_MAX);
	struct batch_view whole, view;
	uint32_t bytes = make_batch(memory);

	(void)state;
	assert_int_equal(batch_open(&whole, memory, bytes), STATUS_OK);
	bytes = batch_cut(&whole, cut, 128);
	assert_int_equal(batch_open(&view, cut, bytes), STATUS_OK);
	assert_int_equal(view.header->count, whole.header->count);
	assert_int_equal(view.header->packets, whole.header->packets);
	assert_int_equal(view.header->first_id, whole.header->first_id);
	for (uint32_t i = 0; i < view.header->count; i++) {
		uint32_t length = whole.records[i]->length;

		assert_int_equal(view.records[i]->length, length < 128 ? length : 128);
		assert_int_equal(view.records[i]->whole_length, length <= 128 ? 0 : length);
		assert_int_equal(view.records[i]->clock_ns, whole.records[i]->clock_ns);
		assert_memory_equal(batch_frame(view.records[i]), batch_frame(whole.records[i]),
			view.records[i]->length);
	}
	free(memory);
	free(cut);
}

static uint32_t make_outcome(uint8_t *memory)
{
	struct outcome_header *header = (struct outcome_header *)memory;
	struct outcome_record *records = (struct outcome_record *)(header + 1);
	struct outcome_extra extra = {EXTRA_ALARM, 1, 5};
	uint32_t at;

	memset(memory, 0, 1024);
	for (uint32_t i = 0; i < 4; i++)
		records[i] = (struct outcome_record){VERDICT_FORWARD, 1, 8};
	at = outcome_deltas_at(4);
	for (uint32_t i = 0; i < 4; i++)
		at += (uint32_t)delta_put(memory + at, 8, DELTA_EDIT, 2, (const uint8_t *)"abcd",
			4);
	memcpy(memory + at, &extra, sizeof(extra));
	memcpy(memory + at + sizeof(extra), "alarm", 5);
	*header = (struct outcome_header){.magic = OUTCOME_MAGIC,
		.count = 4,
		.delta_bytes = 32,
		.extra_bytes = 16,
		.bytes = at + 16};
	return header->bytes;
}

static void test_outcome_survives_any_bytes(void **state)
{
	_Alignas(64) uint8_t memory[1024], copy[1024];
	struct outcome_view view;
	const struct outcome_extra *extra;
	uint32_t bytes = make_outcome(memory), offset = 0;

	(void)state;
	seed_random();
	assert_int_equal(outcome_open(&view, memory, bytes), STATUS_OK);
	extra = outcome_extra_next(&view, &offset);
	assert_non_null(extra);
	assert_memory_equal(outcome_extra_content(extra), "alarm", 5);
	assert_null(outcome_extra_next(&view, &offset));
	for (uint32_t cut = 0; cut < bytes; cut++)
		assert_int_not_equal(outcome_open(&view, memory, cut), STATUS_OK);
	for (uint32_t i = 0; i < 200000; i++) {
		memcpy(copy, memory, sizeof(copy));
		copy[next_random() % bytes] = (uint8_t)next_random();
		copy[next_random() % bytes] ^= (uint8_t)(1 << next_random() % 8);
		if (outcome_open(&view, copy, bytes) != STATUS_OK)
			continue;
		offset = 0;
		while ((extra = outcome_extra_next(&view, &offset)) != NULL)
			assert_true(outcome_extra_content(extra) + extra->bytes <= copy + bytes);
	}
}

static void test_delta_round_trip(void **state)
{
	uint8_t before[HEADER_VIEW_BYTES], after[HEADER_VIEW_BYTES + DELTA_SLACK_BYTES],
		out[HEADER_VIEW_BYTES * 5];

	(void)state;
	seed_random();
	for (uint32_t i = 0; i < 100000; i++) {
		size_t bytes = next_random() % (HEADER_VIEW_BYTES + 1), length = bytes;

		for (size_t b = 0; b < bytes; b++)
			before[b] = after[b] = (uint8_t)next_random();
		for (uint32_t changes = next_random() % 12; changes > 0 && bytes > 0; changes--)
			after[next_random() % bytes] = (uint8_t)next_random();
		size_t put = delta_diff(out, before, after, bytes);

		assert_int_equal(put == 0, memcmp(before, after, bytes) == 0);
		assert_int_equal(delta_apply(before, &length, bytes, out, put), STATUS_OK);
		assert_int_equal(length, bytes);
		assert_memory_equal(before, after, bytes);
	}
}

/* Operations by hand, one after the other, and what the frame is then. */
static void test_delta_operations(void **state)
{
	static const struct {
		enum delta_operation operation;
		uint16_t offset, length;
		const char *bytes, *wanted; /* NULL: refused */
	} rows[] = {
		{DELTA_EDIT, 1, 2, "XY", "aXYdef"}, {DELTA_EDIT, 5, 2, "XY", NULL},
		{DELTA_INSERT, 0, 3, "new", "newabcdef"}, {DELTA_INSERT, 6, 3, "new", "abcdefnew"},
		{DELTA_INSERT, 7, 1, "n", NULL}, {DELTA_REMOVE, 1, 4, NULL, "af"},
		{DELTA_REMOVE, 0, 6, NULL, ""}, {DELTA_REMOVE, 3, 4, NULL, NULL},
		{DELTA_RESIZE, 3, 0, NULL, "abc"}, {DELTA_RESIZE, 6, 0, NULL, "abcdef"},
		{DELTA_RESIZE, 8, 0, NULL, "abcdef"}, /* and two zeros */
	};
	uint8_t delta[16], frame[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t bytes = 6, wanted = rows[i].operation == DELTA_RESIZE ? rows[i].offset : 0;
		size_t put = delta_put(delta, sizeof(delta), rows[i].operation, rows[i].offset,
			(const uint8_t *)rows[i].bytes, rows[i].length);
		enum status status = rows[i].wanted == NULL ? STATUS_CORRUPT : STATUS_OK;

		memset(frame, 'z', sizeof(frame));
		memcpy(frame, "abcdef", 6);
		assert_int_equal(put, 4 + (rows[i].bytes == NULL ? 0 : rows[i].length));
		assert_int_equal(delta_check(bytes, delta, put), status);
		assert_int_equal(delta_apply(frame, &bytes, sizeof(frame), delta, put), status);
		if (rows[i].wanted == NULL)
			continue;
		if (rows[i].operation != DELTA_RESIZE)
			wanted = strlen(rows[i].wanted);
		assert_int_equal(bytes, wanted);
		assert_memory_equal(frame, rows[i].wanted, strlen(rows[i].wanted));
		for (size_t b = strlen(rows[i].wanted); b < wanted; b++)
			assert_int_equal(frame[b], 0);
		/* What grows past the room is refused. */
		if (wanted > 6) {
			bytes = 6;
			assert_int_equal(delta_apply(frame, &bytes, wanted - 1, delta, put),
				STATUS_TOO_BIG);
		}
	}
}

static void test_delta_put_keeps_to_its_room(void **state)
{
	uint8_t out[16] = {0}, bytes[8] = {0};

	(void)state;
	assert_int_equal(delta_put(out, 12, DELTA_EDIT, 0, bytes, 8), 12);
	assert_int_equal(delta_put(out, 11, DELTA_EDIT, 0, bytes, 8), 0);
	assert_int_equal(delta_put(out, 11, DELTA_INSERT, 0, bytes, 8), 0);
	assert_int_equal(delta_put(out, 4, DELTA_REMOVE, 0, NULL, 8), 4);
	assert_int_equal(delta_put(out, 3, DELTA_REMOVE, 0, NULL, 8), 0);
	assert_int_equal(delta_put(out, 4, DELTA_REMOVE, 0, NULL, DELTA_LENGTH_MAX), 4);
	assert_int_equal(delta_put(out, 4, DELTA_REMOVE, 0, NULL, DELTA_LENGTH_MAX + 1), 0);
}

/* A window of 64 bytes in which all differ is one edit. */
static void test_delta_of_all_bytes(void **state)
{
	uint8_t before[128], after[128 + DELTA_SLACK_BYTES], out[256];
	size_t put, bytes = sizeof(before);

	(void)state;
	memset(before, 1, sizeof(before));
	memset(after, 2, sizeof(after));
	put = delta_diff(out, before, after, sizeof(before));
	assert_int_equal(put, 2 * (64 + DELTA_OPERATION_BYTES));
	assert_int_equal(delta_apply(before, &bytes, bytes, out, put), STATUS_OK);
	assert_memory_equal(before, after, sizeof(before));
}

static void test_delta_survives_any_bytes(void **state)
{
	uint8_t frame[256], delta[64];

	(void)state;
	seed_random();
	for (uint32_t i = 0; i < 300000; i++) {
		size_t length = next_random() % 200, bytes = next_random() % sizeof(delta);

		for (size_t b = 0; b < bytes; b++)
			delta[b] = (uint8_t)(next_random() % 3 == 0 ? next_random() : 0);
		enum status checked = delta_check(length, delta, bytes);
		enum status applied = delta_apply(frame, &length, sizeof(frame), delta, bytes);

		assert_true(length <= sizeof(frame));
		if (applied != STATUS_TOO_BIG)
			assert_int_equal(checked, applied);
	}
}

static void test_fault_texts(void **state)
{
	static const struct {
		const char *text;
		bool good, stop, slave;
		uint64_t packet, time_ns;
	} rows[] = {
		{"kill edge/master", true, false, false, 0, 0},
		{"kill edge/slave @packet=5000", true, false, true, 5000, 0},
		{"stop edge/master @time=1.5", true, true, false, 0, 1500000000},
		{"kill edge/master @packet=0", false, 0, 0, 0, 0},
		{"kill edge/master @packet=-1", false, 0, 0, 0, 0},
		{"kill edge/master @packet=1x", false, 0, 0, 0, 0},
		{"kill edge/master @time=", false, 0, 0, 0, 0},
		{"kill edge", false, 0, 0, 0, 0},
		{"kill /master", false, 0, 0, 0, 0},
		{"kick edge/master", false, 0, 0, 0, 0},
		{"kill edge/master @packet=1 more", false, 0, 0, 0, 0},
		{"", false, 0, 0, 0, 0},
		{"kill", false, 0, 0, 0, 0},
		{"kill edge/other", false, 0, 0, 0, 0},
		{"kill edge/slaves", false, 0, 0, 0, 0},
		{"kill edge/master @packet=", false, 0, 0, 0, 0},
		{"kill edge/master @packet=:1", false, 0, 0, 0, 0},
		{"kill edge/master @time=1s", false, 0, 0, 0, 0},
		{"kill edge/master @time=-1", false, 0, 0, 0, 0},
		{"kill edge/master @time=nan", false, 0, 0, 0, 0},
		{"kill edge/master @time=1000000", false, 0, 0, 0, 0},
		{"kill edge/master @time=0", true, false, false, 0, 0},
		{"kill edge/master @later", false, 0, 0, 0, 0},
	};
	struct fault_spec spec;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(fault_spec_parse(&spec, rows[i].text) == STATUS_OK, rows[i].good);
		if (!rows[i].good)
			continue;
		assert_string_equal(spec.stage, "edge");
		assert_int_equal(spec.action == FAULT_STOP, rows[i].stop);
		assert_int_equal(spec.slave, rows[i].slave);
		assert_true(spec.at_packet == rows[i].packet && spec.at_time_ns == rows[i].time_ns);
	}
}

static void test_messages_are_checked(void **state)
{
	struct message message = {.bytes = sizeof(message),
		.version = MESSAGE_VERSION,
		.type = MESSAGE_GO};

	(void)state;
	memset(message.text, 'x', sizeof(message.text));
	assert_int_equal(message_check(&message), STATUS_OK);
	assert_int_equal(strlen(message.text), MESSAGE_TEXT_BYTES - 1);
	message.version++;
	assert_int_equal(message_check(&message), STATUS_VERSION);
}

/* Each field at its ends and one past them. */
static void test_fields_of_messages(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		enum status wanted;
	} rows[] = {
		{offsetof(struct message, bytes), sizeof(struct message) - 1, STATUS_CORRUPT},
		{offsetof(struct message, bytes), sizeof(struct message) + 1, STATUS_CORRUPT},
		{offsetof(struct message, version), 0, STATUS_VERSION},
		{offsetof(struct message, type), 0, STATUS_CORRUPT},
		{offsetof(struct message, type), MESSAGE_HELLO, STATUS_OK},
		{offsetof(struct message, type), MESSAGE_AUDIT, STATUS_OK},
		{offsetof(struct message, type), MESSAGE_AUDIT + 1, STATUS_CORRUPT},
		{offsetof(struct message, role), ROLE_CLI, STATUS_OK},
		{offsetof(struct message, role), ROLE_CLI + 1, STATUS_CORRUPT},
		{offsetof(struct message, stage), STAGES_MAX - 1, STATUS_OK},
		{offsetof(struct message, stage), STAGES_MAX, STATUS_CORRUPT},
		{offsetof(struct message, number), REPLICAS_MAX - 1, STATUS_OK},
		{offsetof(struct message, number), REPLICAS_MAX, STATUS_CORRUPT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message message = {.bytes = sizeof(message),
			.version = MESSAGE_VERSION,
			.type = MESSAGE_GO};

		memcpy((uint8_t *)&message + rows[i].at, &rows[i].value, 4);
		assert_int_equal(message_check(&message), rows[i].wanted);
	}
}

static void test_answers_to_attach(void **state)
{
	struct message request = {.bytes = sizeof(request),
		.version = MESSAGE_VERSION,
		.type = MESSAGE_ATTACH,
		.incarnation = 7,
		.name = "edge-0.7"};
	struct message answer;

	(void)state;
	message_answer_attach(&answer, &request, "egress", STATUS_OK);
	assert_int_equal(answer.type, MESSAGE_ATTACHED);
	assert_int_equal(answer.incarnation, 7);
	message_answer_attach(&answer, &request, "egress", STATUS_NOT_FOUND);
	assert_int_equal(answer.type, MESSAGE_ERROR);
	assert_string_equal(answer.text, "egress cannot read edge-0.7: not found");
	assert_int_equal(message_check(&answer), STATUS_OK);
}

static void test_known_sums(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(&histogram, i * 1000, 1);
	assert_in_range(histogram_quantile(&histogram, 0.5), 500000, 535000);
	assert_in_range(histogram_quantile(&histogram, 0.99), 990000, 1000000);
}

static void test_every_status_has_its_words(void **state)
{
	(void)state;
	assert_string_equal(status_text(STATUS_OK), "ok");
	assert_string_equal(status_text(STATUS_END), "end of input");
	assert_string_equal(status_text((enum status)(STATUS_END + 1)), "unknown status");
	assert_string_equal(status_text((enum status) - 1), "unknown status");
}

/* Frames of any length around 64, and not a byte more. */
static void test_frames_are_copied_whole(void **state)
{
	uint8_t from[200], to[200];

	(void)state;
	for (size_t b = 0; b < sizeof(from); b++)
		from[b] = (uint8_t)(b + 1);
	for (size_t bytes = 0; bytes <= 130; bytes++) {
		memset(to, 0xee, sizeof(to));
		copy_frame(to, from, bytes);
		assert_memory_equal(to, from, bytes);
		for (size_t b = bytes; b < sizeof(to); b++)
			assert_int_equal(to[b], 0xee);
	}
}

static void test_unprotected_stages_have_one_replica(void **state)
{
	static struct config config;

	(void)state;
	config.stages[1].slaves = 2;
	assert_int_equal(config_replicas(&config, 1), 1);
	config.protect = true;
	assert_int_equal(config_replicas(&config, 0), 1);
	assert_int_equal(config_replicas(&config, 1), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_ids_avoid_reserved_vids),
		cmocka_unit_test(test_wire_id_has_three_tags),
		cmocka_unit_test(test_tags_are_put_on_where_they_fit),
		cmocka_unit_test(test_tags_come_off_only_if_they_are_ours),
		cmocka_unit_test(test_wire_sequences_wrap),
		cmocka_unit_test(test_batch_survives_any_bytes),
		cmocka_unit_test(test_batch_cut),
		cmocka_unit_test(test_outcome_survives_any_bytes),
		cmocka_unit_test(test_delta_round_trip),
		cmocka_unit_test(test_delta_operations),
		cmocka_unit_test(test_delta_put_keeps_to_its_room),
		cmocka_unit_test(test_delta_of_all_bytes),
		cmocka_unit_test(test_delta_survives_any_bytes),
		cmocka_unit_test(test_fault_texts),
		cmocka_unit_test(test_messages_are_checked),
		cmocka_unit_test(test_fields_of_messages),
		cmocka_unit_test(test_answers_to_attach),
		cmocka_unit_test(test_every_status_has_its_words),
		cmocka_unit_test(test_frames_are_copied_whole),
		cmocka_unit_test(test_unprotected_stages_have_one_replica),
		cmocka_unit_test(test_known_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
