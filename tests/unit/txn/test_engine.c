/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables and transactions against a plain model; layout must never show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "txn/engine.h"
#include "tests/unit/random.h"

#define CAPACITY 200u
#define KEYS 256u
#define SECOND_NS 1000000000ull

static uint32_t ordinal(const void *self, const void *key)
{
	(void)self;
	return (uint32_t) * (const uint64_t *)key;
}

static uint16_t home_of(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key % 16);
}

static void open_engine(struct engine *engine, uint64_t hash_seed, uint32_t workers,
	engine_expire expire)
{
	struct table_spec spec = {.name = "t",
		.key_bytes = 8,
		.value_bytes = 16,
		.capacity = CAPACITY,
		.home = home_of,
		.ordinal = ordinal,
		.ordinals = KEYS};

	engine_open(engine, hash_seed, true, workers, expire, NULL);
	assert_int_equal(engine_add_table(engine, &spec, NULL), STATUS_OK);
	assert_int_equal(engine_ready(engine), STATUS_OK);
}

/* What the table should hold. */
struct model {
	bool there[KEYS];
	uint64_t value[KEYS];
	uint32_t count;
};

/* One random transaction on engine and model; aborted ones leave the model as it was. */
static void one_transaction(struct engine *engine, struct model *model, uint64_t id)
{
	struct model before = *model;
	struct txn txn;
	bool abort = next_random() % 4 == 0;

	txn_begin(&txn, engine, id, id * 1000, HOME_NONE);
	for (uint32_t operations = next_random() % 4 + 1; operations > 0; operations--) {
		uint64_t key = next_random() % KEYS, *value;

		switch (next_random() % 3) {
		case 0:
			value = txn_insert(&txn, 0, &key);
			assert_int_equal(value != NULL,
				!model->there[key] && model->count < CAPACITY);
			if (value != NULL) {
				model->there[key] = true;
				model->count++;
				model->value[key] = value[0] = id;
			}
			break;
		case 1:
			assert_int_equal(txn_erase(&txn, 0, &key), model->there[key]);
			model->count -= model->there[key];
			model->there[key] = false;
			break;
		default:
			value = txn_modify(&txn, 0, &key);
			assert_int_equal(value != NULL, model->there[key]);
			if (value != NULL) {
				assert_true(value[0] == model->value[key]);
				model->value[key] = value[0] = id + 1;
			}
		}
	}
	if (abort)
		txn_abort(&txn);
	assert_int_equal(txn_end(&txn), !abort);
	if (abort)
		*model = before;
}

static void check_against(struct engine *engine, const struct model *model)
{
	struct txn txn;
	uint32_t lowest = 0;

	txn_begin(&txn, engine, 1ull << 40, 0, HOME_NONE);
	for (uint64_t key = 0; key < KEYS; key++) {
		const uint64_t *value = txn_read(&txn, 0, &key);

		assert_int_equal(value != NULL, model->there[key]);
		if (value != NULL)
			assert_true(value[0] == model->value[key]);
	}
	while (lowest < KEYS && model->there[lowest])
		lowest++;
	assert_int_equal(txn_lowest_absent(&txn, 0, 0, KEYS), lowest);
	(void)txn_end(&txn);
}

static void test_against_a_model(void **state)
{
	(void)state;
	seed_random();
	for (int round = 0; round < 30; round++) {
		struct engine engine;
		struct model model = {0};

		open_engine(&engine, next_random(), 1 + next_random() % WORKERS_MAX, NULL);
		for (uint64_t id = 1; id < 2000; id++) {
			uint64_t digest = engine_state_digest(&engine);
			struct model before = model;

			one_transaction(&engine, &model, id);
			if (memcmp(&before, &model, sizeof(model)) == 0 &&
				engine_batch_aborted(&engine) > 0)
				assert_true(engine_state_digest(&engine) == digest);
			engine_batch_zero(&engine);
		}
		check_against(&engine, &model);
		engine_close(&engine);
	}
}

/* The same history under other hash seeds, and rebuilt from images, gives the same digests. */
static void test_layout_never_shows(void **state)
{
	struct engine a, b, c;
	struct model model_a = {0}, model_b = {0}, model_c = {0};
	uint64_t start;
	uint8_t images[64 * 1024];
	uint32_t count, bytes, offset = 0;
	bool sound;
	struct fold_header *fold = (struct fold_header *)images;
	const struct fold_image *image;
	const uint8_t *key, *value;

	(void)state;
	seed_random();
	open_engine(&a, 1, 1, NULL);
	open_engine(&b, 99, 3, NULL);
	open_engine(&c, 7, 8, NULL);
	start = random_state;
	for (uint64_t id = 1; id < 3000; id++)
		one_transaction(&a, &model_a, id);
	random_state = start;
	for (uint64_t id = 1; id < 3000; id++)
		one_transaction(&b, &model_b, id);
	assert_true(engine_state_digest(&a) == engine_state_digest(&b) &&
		    engine_batch_digest(&a) == engine_batch_digest(&b));
	assert_false(engine_base_advanced(&b, 0));
	engine_pass_begin(&a, true);
	bytes = engine_pass_copy(&a, (uint8_t *)(fold + 1), sizeof(images) - 256, &count, &sound);
	while (engine_pass_left(&a) > 0 || bytes > 0) {
		*fold = (struct fold_header){.magic = FOLD_MAGIC,
			.bytes = bytes + 64,
			.images = count};
		offset = 0;
		while ((image = fold_image_next(fold, &offset, &key, &value)) != NULL)
			if ((image->flags & IMAGE_TOMBSTONE) == 0)
				assert_int_equal(engine_load(&c, image, key, value), STATUS_OK);
		bytes = engine_pass_copy(&a, (uint8_t *)(fold + 1), sizeof(images) - 256, &count,
			&sound);
	}
	engine_pass_end(&a, 3000);
	assert_true(engine_state_digest(&c) == engine_state_digest(&a));
	model_c = model_a;
	engine_batch_zero(&a);
	engine_batch_zero(&c);
	start = random_state;
	for (uint64_t id = 3000; id < 6000; id++)
		one_transaction(&a, &model_a, id);
	random_state = start;
	for (uint64_t id = 3000; id < 6000; id++)
		one_transaction(&c, &model_c, id);
	assert_true(engine_state_digest(&a) == engine_state_digest(&c) &&
		    engine_batch_digest(&a) == engine_batch_digest(&c));
	engine_pass_over(&a, UINT64_MAX);
	engine_pass_end(&a, 6000);
	assert_true(engine_base_advanced(&a, 6000));
	engine_pass_begin(&a, true);
	assert_true(engine_pass_left(&a) == 0);
	engine_close(&a);
	engine_close(&b);
	engine_close(&c);
}

static uint64_t fired[KEYS];
static uint32_t fired_count;

static void note_expiry(void *context, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	(void)context;
	(void)table;
	(void)value;
	fired[fired_count++] = *(const uint64_t *)key | txn_now_ns(txn) / SECOND_NS << 32;
}

/* Expiry goes by deadline, then key, whatever the order of insertion. */
static void test_expiry_is_canonical(void **state)
{
	struct engine engine;

	(void)state;
	seed_random();
	for (int round = 0; round < 20; round++) {
		open_engine(&engine, next_random(), 1 + next_random() % WORKERS_MAX, note_expiry);
		fired_count = 0;
		for (uint64_t i = 0; i < 100; i++) {
			uint64_t key = next_random() % KEYS, id = i + 1;
			struct txn txn;

			txn_begin(&txn, &engine, id, SECOND_NS * 1000, HOME_NONE);
			if (txn_insert(&txn, 0, &key) != NULL)
				txn_expire_at(&txn, 0, &key,
					SECOND_NS * (1001 + next_random() % 20));
			(void)txn_end(&txn);
		}
		engine_advance(&engine, SECOND_NS * 1000, 200);
		assert_int_equal(fired_count, 0);
		engine_advance(&engine, SECOND_NS * 1010 + 5, 201);
		engine_advance(&engine, SECOND_NS * 500000, 202);
		assert_int_equal(table_count(&engine.tables[0]), 0);
		assert_true(fired_count > 50);
		for (uint32_t i = 1; i < fired_count; i++)
			assert_true(fired[i - 1] < fired[i]);
		engine_close(&engine);
	}
}

/* An entry in use is kept, at the cost of few changes; an idle one goes, never too early. */
static void test_keep(void **state)
{
	struct engine engine;
	uint64_t key = 5, id = 1, now_s = 1000, deadline_ns = 0;
	uint32_t changes = 0;
	struct txn txn;

	(void)state;
	open_engine(&engine, 1, 1, note_expiry);
	for (; now_s < 2000; now_s += 7) {
		engine_advance(&engine, SECOND_NS * now_s, id);
		txn_begin(&txn, &engine, id++, SECOND_NS * now_s, HOME_NONE);
		if (txn_read(&txn, 0, &key) == NULL) {
			assert_int_equal(now_s, 1000);
			assert_non_null(txn_insert(&txn, 0, &key));
		}
		txn_keep(&txn, 0, &key, SECOND_NS * 320);
		(void)txn_end(&txn);
		changes += table_entry(&engine.tables[0], 0)->deadline_ns != deadline_ns;
		deadline_ns = table_entry(&engine.tables[0], 0)->deadline_ns;
	}
	now_s -= 7; /* the last use */
	assert_in_range(changes, 2, 1000 / 20 + 1);
	engine_advance(&engine, SECOND_NS * (now_s + 319), id++);
	assert_int_equal(table_count(&engine.tables[0]), 1);
	engine_advance(&engine, SECOND_NS * (now_s + 320 + 20 + 2), id++);
	assert_int_equal(table_count(&engine.tables[0]), 0);
	engine_close(&engine);
}

/* Whether the entry is there or not, and whatever the number of workers. */
static void test_off_home_aborts(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= WORKERS_MAX; workers++) {
		struct engine engine;
		uint64_t there = 5, absent = 6 + 16;
		struct txn txn;

		open_engine(&engine, 3, workers, NULL);
		txn_begin(&txn, &engine, 1, 0, 5);
		assert_non_null(txn_insert(&txn, 0, &there));
		assert_true(txn_end(&txn));
		for (int i = 0; i < 2; i++) {
			txn_begin(&txn, &engine, 2, 0, 4);
			assert_null(txn_read(&txn, 0, i == 0 ? &there : &absent));
			assert_true(txn_aborted(&txn));
			assert_null(txn_insert(&txn, 0, &(uint64_t){4})); /* sticky */
			assert_false(txn_end(&txn));
		}
		txn_begin(&txn, &engine, 3, 0, 5);
		assert_non_null(txn_modify(&txn, 0, &there));
		for (uint64_t i = 1; i <= TXN_INSERTS_MAX; i++)
			assert_non_null(txn_insert(&txn, 0, &(uint64_t){5 + 16 * i}));
		assert_null(txn_insert(&txn, 0, &(uint64_t){5 + 16 * 9}));
		assert_true(txn_aborted(&txn)); /* more than one transaction may add */
		assert_false(txn_end(&txn));
		assert_int_equal(table_count(&engine.tables[0]), 1);
		engine_close(&engine);
	}
}

/* One bit of the youngest entry's value, and nothing that tells of it. */
static void test_flip(void **state)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	struct txn txn;
	uint64_t digest, *value;
	uint8_t image[fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX)];
	uint32_t images;
	bool sound;

	(void)state;
	open_engine(engine, 1, 1, NULL);
	engine_flip(engine); /* there is nothing yet */
	for (uint64_t key = 0; key < 3; key++) {
		txn_begin(&txn, engine, 10 + (key + 1) % 3, 1000, HOME_NONE);
		value = txn_insert(&txn, 0, &key);
		*value = 100;
		assert_true(txn_end(&txn));
	}
	digest = engine_state_digest(engine);
	for (uint32_t flips = 0; flips < 2; flips++) {
		engine_pass_begin(engine, true);
		for (uint64_t key = 0; key < 3; key++) {
			assert_int_not_equal(engine_pass_copy(engine, image, sizeof(image), &images,
						     &sound),
				0);
			assert_int_equal(images, 1);
			assert_true(sound == (flips == 0 || key != 1));
		}
		if (flips > 0)
			break;
		engine_flip(engine);
		assert_int_equal(engine_state_digest(engine), digest);
	}
	txn_begin(&txn, engine, 20, 2000, HOME_NONE);
	for (uint64_t key = 0; key < 3; key++)
		assert_int_equal(*(const uint64_t *)txn_read(&txn, 0, &key), key == 1 ? 101 : 100);
	assert_true(txn_end(&txn));
	engine_close(engine);
	free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_layout_never_shows),
		cmocka_unit_test(test_expiry_is_canonical),
		cmocka_unit_test(test_off_home_aborts),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_flip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
