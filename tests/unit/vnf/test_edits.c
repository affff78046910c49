/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes beyond the header view: read back, written as a delta and loaded again, all agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/delta.h"
#include "tests/unit/random.h"
#include "vnf/edits.h"

#define FRAME_MAX 20000
#define RECORD 3
#define ROUNDS 2000

/* A packet as a replica has it, and the same as plain bytes. */
struct subject {
	struct edits edits;
	struct vnf_packet packet;
	uint32_t room;
	uint8_t view[HEADER_VIEW_BYTES + DELTA_SLACK_BYTES];
	uint8_t model[FRAME_MAX];
	size_t model_bytes;
	struct {
		struct batch_record record;
		uint8_t bytes[FRAME_MAX];
	} arrival;
};

static void set_packet(struct subject *subject, uint32_t length, uint32_t room)
{
	struct vnf_packet *packet = &subject->packet;

	subject->arrival.record = (struct batch_record){.length = length, .kind = RECORD_PACKET};
	for (uint32_t i = 0; i < length; i++)
		subject->arrival.bytes[i] = (uint8_t)(i * 7 + 1);
	*packet = (struct vnf_packet){.arrival = subject->arrival.bytes,
		.current = subject->view,
		.length = length,
		.record = RECORD};
	packet->header_bytes = length < HEADER_VIEW_BYTES ? (uint16_t)length : HEADER_VIEW_BYTES;
	memcpy(subject->view, packet->arrival, packet->header_bytes);
	subject->room = room;
	subject->edits.used = subject->edits.count = 0;
	edits_forget(&subject->edits, RECORD);
	memcpy(subject->model, packet->arrival, length);
	subject->model_bytes = length;
}

static struct subject *make_subject(uint32_t length, uint32_t room)
{
	struct subject *subject = calloc(1, sizeof(*subject));

	assert_non_null(subject);
	subject->edits.bytes = malloc(EXTRAS_BYTES_MAX);
	assert_non_null(subject->edits.bytes);
	set_packet(subject, length, room);
	return subject;
}

static void free_subject(struct subject *subject)
{
	free(subject->edits.bytes);
	free(subject);
}

static bool edit(struct subject *subject, uint16_t offset, const uint8_t *bytes, uint16_t count)
{
	if (!edits_edit(&subject->edits, &subject->packet, &subject->room, offset, bytes, count))
		return false;
	memcpy(subject->model + offset, bytes, count);
	return true;
}

static bool resize(struct subject *subject, uint16_t length)
{
	if (!edits_resize(&subject->edits, &subject->packet, &subject->room, length))
		return false;
	if (length > subject->model_bytes)
		memset(subject->model + subject->model_bytes, 0, length - subject->model_bytes);
	subject->model_bytes = length;
	return true;
}

static void assert_reads_as_model(const struct subject *subject, uint32_t offset, uint32_t count)
{
	static uint8_t bytes[FRAME_MAX];

	memset(bytes, 0xaa, count + 1);
	edits_read(&subject->edits, &subject->packet, offset, bytes, count);
	assert_memory_equal(bytes, subject->model + offset, count);
	assert_int_equal(bytes[count], 0xaa);
}

static void assert_delta_leads_to_model(const struct subject *subject, uint8_t *delta,
	uint32_t *delta_bytes)
{
	static uint8_t frame[FRAME_MAX];
	size_t length = subject->arrival.record.length;

	*delta_bytes = edits_delta(&subject->edits, &subject->packet, delta);
	memcpy(frame, subject->packet.arrival, length);
	assert_int_equal(delta_apply(frame, &length, sizeof(frame), delta, *delta_bytes),
		STATUS_OK);
	assert_int_equal(length, subject->model_bytes);
	assert_memory_equal(frame, subject->model, length);
}

/* A next stage takes the delta and goes on from there. */
static void assert_loads_as_model(const struct subject *subject, struct subject *next,
	const uint8_t *delta, uint32_t delta_bytes)
{
	set_packet(next, subject->arrival.record.length, subject->arrival.record.length + 768);
	assert_true(edits_load(&next->edits, &next->packet, &next->room, delta, delta_bytes));
	assert_int_equal(next->packet.length, subject->model_bytes);
	memcpy(next->model, subject->model, subject->model_bytes);
	assert_reads_as_model(next, 0, (uint32_t)subject->model_bytes);
}

static void test_any_changes_agree_with_plain_bytes(void **state)
{
	struct subject *subject = make_subject(64, 0), *next = make_subject(64, 0);
	uint8_t *delta = malloc(DELTA_BYTES_MAX);

	(void)state;
	assert_non_null(delta);
	seed_random();
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t length = 14 + next_random() % 400, delta_bytes;
		uint32_t changes = next_random() % 7;

		set_packet(subject, length, length + 768);
		for (uint32_t i = 0; i < changes; i++) {
			uint32_t now = subject->packet.length, offset, count;
			uint8_t bytes[64];

			if (next_random() % 3 == 0) {
				assert_true(resize(subject, (uint16_t)(14 + next_random() % 500)));
				continue;
			}
			offset = next_random() % (now + 1);
			count = next_random() % 41;
			if (count > now - offset)
				count = now - offset;
			for (uint32_t b = 0; b < count; b++)
				bytes[b] = (uint8_t)next_random();
			assert_true(edit(subject, (uint16_t)offset, bytes, (uint16_t)count));
		}
		for (int i = 0; i < 5; i++) {
			uint32_t offset = next_random() % (subject->packet.length + 1);
			uint32_t left = subject->packet.length - offset;

			assert_reads_as_model(subject, offset, next_random() % (left + 1));
		}
		assert_delta_leads_to_model(subject, delta, &delta_bytes);
		assert_loads_as_model(subject, next, delta, delta_bytes);
	}
	free(delta);
	free_subject(subject);
	free_subject(next);
}

static void test_only_what_is_beyond_the_view_takes_room(void **state)
{
	struct subject *subject = make_subject(300, 50);
	uint8_t bytes[64] = "abcdefghijklmnopqrstuvwxyz";

	(void)state;
	assert_true(edit(subject, 100, bytes, 28)); /* up to the view's end */
	assert_int_equal(subject->room, 50);
	assert_int_equal(subject->edits.count, 0);
	assert_true(edit(subject, 120, bytes, 14)); /* 6 bytes beyond it */
	assert_int_equal(subject->room, 50 - DELTA_OPERATION_BYTES - 6);
	assert_int_equal(subject->edits.count, 1);
	assert_true(edit(subject, 300, bytes, 0)); /* nothing */
	assert_int_equal(subject->edits.count, 1);
	assert_false(edit(subject, 128, bytes, 37)); /* one byte more than there is room */
	assert_int_equal(subject->room, 40);
	assert_true(edit(subject, 128, bytes, 36));
	assert_int_equal(subject->room, 0);
	assert_reads_as_model(subject, 0, 300);
	free_subject(subject);
}

static void test_without_room_nothing_changes(void **state)
{
	struct subject *subject = make_subject(300, 3);
	uint8_t bytes[40] = "0123456789", was[HEADER_VIEW_BYTES];

	(void)state;
	memcpy(was, subject->view, sizeof(was));
	assert_false(edit(subject, 110, bytes, 40)); /* of which 18 bytes would be in view */
	assert_memory_equal(subject->view, was, sizeof(was));
	assert_false(resize(subject, 40));
	assert_int_equal(subject->packet.length, 300);
	assert_int_equal(subject->packet.header_bytes, HEADER_VIEW_BYTES);
	assert_int_equal(subject->room, 3);
	assert_reads_as_model(subject, 0, 300);
	free_subject(subject);
}

static void test_a_packet_takes_so_many_edits(void **state)
{
	struct subject *subject = make_subject(300, 1000);

	(void)state;
	for (int i = 0; i < PACKET_EDITS_MAX; i++)
		assert_true(edit(subject, (uint16_t)(200 + i), (const uint8_t *)"x", 1));
	assert_false(edit(subject, 280, (const uint8_t *)"x", 1));
	assert_false(resize(subject, 100));
	assert_true(edit(subject, 10, (const uint8_t *)"x", 1)); /* in view */
	assert_reads_as_model(subject, 0, 300);
	edits_forget(&subject->edits, RECORD);
	subject->packet.record = RECORD + 1; /* another's are its own */
	assert_true(resize(subject, 100));
	free_subject(subject);
}

static void test_an_edit_is_as_long_as_a_delta_can_say(void **state)
{
	struct subject *subject = make_subject(19000, 20000);
	static uint8_t bytes[FRAME_MAX];

	(void)state;
	memset(bytes, 0x5a, sizeof(bytes));
	assert_false(edit(subject, 200, bytes, DELTA_LENGTH_MAX + 1));
	assert_int_equal(subject->room, 20000);
	assert_reads_as_model(subject, 0, 19000);
	assert_true(edit(subject, 200, bytes, DELTA_LENGTH_MAX));
	assert_int_equal(subject->room, 20000 - DELTA_OPERATION_BYTES - DELTA_LENGTH_MAX);
	assert_reads_as_model(subject, 0, 19000);
	free_subject(subject);
}

static void test_a_cut_view_stays_cut(void **state)
{
	struct subject *subject = make_subject(200, 500);

	(void)state;
	assert_true(edit(subject, 90, (const uint8_t *)"gone", 4));
	assert_true(resize(subject, 60));
	assert_int_equal(subject->packet.header_bytes, 60);
	assert_true(resize(subject, 180));
	assert_int_equal(subject->packet.header_bytes, 60);
	assert_reads_as_model(subject, 0, 180); /* zeroes from 60 on, no "gone" */
	assert_true(edit(subject, 58, (const uint8_t *)"across", 6));
	assert_reads_as_model(subject, 0, 180);
	assert_reads_as_model(subject, 59, 3);
	free_subject(subject);
}

/* A delta that is not one of ours is refused, whatever it holds. */
static void test_foreign_deltas_are_refused(void **state)
{
	struct subject *subject = make_subject(300, 1000);
	uint8_t delta[64];
	uint32_t bytes;

	(void)state;
	bytes = (uint32_t)delta_put(delta, 64, DELTA_INSERT, 4, (const uint8_t *)"abcd", 4);
	assert_false(edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes));
	bytes = (uint32_t)delta_put(delta, 64, DELTA_REMOVE, 4, NULL, 4);
	assert_false(edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes));
	bytes = (uint32_t)delta_put(delta, 64, DELTA_EDIT, 200, (const uint8_t *)"abcd", 4);
	assert_false(
		edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes - 1));
	assert_int_equal(subject->edits.count, 0);
	assert_int_equal(subject->packet.length, 300);
	/* What comes before the foreign one counts, what comes after it does not. */
	bytes += (uint32_t)delta_put(delta + bytes, 32, DELTA_REMOVE, 4, NULL, 4);
	bytes += (uint32_t)delta_put(delta + bytes, 32, DELTA_RESIZE, 99, NULL, 0);
	assert_false(edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes));
	assert_int_equal(subject->edits.count, 1);
	assert_int_equal(subject->packet.length, 300);
	/* No room for what it changes. */
	set_packet(subject, 300, 7);
	bytes = (uint32_t)delta_put(delta, 64, DELTA_EDIT, 200, (const uint8_t *)"abcd", 4);
	assert_false(edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes));
	subject->room = 3;
	bytes = (uint32_t)delta_put(delta, 64, DELTA_RESIZE, 99, NULL, 0);
	assert_false(edits_load(&subject->edits, &subject->packet, &subject->room, delta, bytes));
	assert_true(edits_load(&subject->edits, &subject->packet, &subject->room, delta, 0));
	free_subject(subject);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_changes_agree_with_plain_bytes),
		cmocka_unit_test(test_only_what_is_beyond_the_view_takes_room),
		cmocka_unit_test(test_without_room_nothing_changes),
		cmocka_unit_test(test_a_packet_takes_so_many_edits),
		cmocka_unit_test(test_an_edit_is_as_long_as_a_delta_can_say),
		cmocka_unit_test(test_a_cut_view_stays_cut),
		cmocka_unit_test(test_foreign_deltas_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
