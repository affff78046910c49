/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed since the base values: passes in any portions, what is forgotten, what is loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/unit/txn/tables.h"

#define IMAGE_BYTES_MAX fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX)

static void erase(struct engine *engine, uint64_t id, uint32_t table, uint64_t key)
{
	struct txn txn;

	txn_begin(&txn, engine, id, NOW_NS, HOME_NONE);
	assert_true(txn_erase(&txn, table, &key));
	assert_true(txn_end(&txn));
}

/* Changes in all three shards: 12 entries, of which 2 are gone again. */
static void open_changed(struct engine *engine)
{
	tables_open(engine, 3, true, 20, NULL);
	for (uint64_t key = 0; key < 9; key++)
		tables_put(engine, 10 + key, FLOW, key, key);
	for (uint64_t key = 0; key < 3; key++)
		tables_put(engine, 20 + key, SHARED, key, 100 + key);
	erase(engine, 30, FLOW, 4);
	erase(engine, 31, SHARED, 1);
}

/* However little fits at a time, all come, tombstones first, and none twice. */
static void test_changes_come_in_any_portions(void **state)
{
	struct engine engine;

	(void)state;
	open_changed(&engine);
	for (uint32_t fits = 1; fits < 20; fits++) {
		_Alignas(8) uint8_t bytes[64 + 20 * 128];
		struct fold_header *fold = (struct fold_header *)bytes;
		uint32_t images, all = 0, tombstones = 0, offset, sums[2] = {0};
		bool sound;

		engine_pass_begin(&engine, true);
		assert_int_equal(engine_pass_copy(&engine, bytes, IMAGE_BYTES_MAX - 1, &images,
					 &sound),
			0);
		while (engine_pass_left(&engine) > 0) {
			const struct fold_image *image;
			const uint8_t *key, *value;

			fold->bytes = 64 + engine_pass_copy(&engine, bytes + 64,
						   fits * IMAGE_BYTES_MAX, &images, &sound);
			assert_true(sound);
			offset = 0;
			all += images;
			while ((image = fold_image_next(fold, &offset, &key, &value)) != NULL) {
				images--;
				if (image->flags == IMAGE_TOMBSTONE) {
					assert_int_equal(all, tombstones + 1 + images);
					tombstones++;
					continue;
				}
				assert_int_equal(image->home,
					image->table == FLOW ? *key % HOMES : HOME_NONE);
				sums[image->table] += *value;
			}
			assert_int_equal(images, 0);
		}
		assert_int_equal(tombstones, 2);
		assert_int_equal(all, 12);
		assert_int_equal(sums[FLOW], 36 - 4);
		assert_int_equal(sums[SHARED], 202);
	}
	engine_close(&engine);
}

/* How many changes a pass that copies would come by. */
static uint64_t changes_of(struct engine *engine)
{
	engine_pass_begin(engine, true);
	return engine_pass_left(engine);
}

/* What passes ended on before the base values is forgotten, what is newer is not. */
static void test_what_the_base_values_have_is_forgotten(void **state)
{
	struct engine engine;

	(void)state;
	for (uint32_t copies = 0; copies < 2; copies++) {
		open_changed(&engine);
		engine_pass_begin(&engine, copies);
		engine_pass_over(&engine, UINT64_MAX);
		engine_pass_end(&engine, 32);
		tables_put(&engine, 32, FLOW, 0, 7); /* listed again */
		tables_put(&engine, 33, FLOW, 0, 8); /* once */
		assert_false(engine_base_advanced(&engine, 31));
		assert_true(changes_of(&engine) == 15);
		assert_true(engine_base_advanced(&engine, 33));
		assert_true(changes_of(&engine) == 1);
		engine_pass_over(&engine, UINT64_MAX);
		engine_pass_end(&engine, 34);
		assert_true(engine_base_advanced(&engine, 40));
		assert_true(changes_of(&engine) == 0);
		engine_close(&engine);
	}
	/* More passes than are remembered: the last one counts. */
	tables_open(&engine, 1, true, 20, NULL);
	for (uint64_t id = 1; id < 2 + 2 * PASS_MARKS_MAX; id++) {
		tables_put(&engine, id, FLOW, id, id);
		engine_pass_begin(&engine, false);
		engine_pass_over(&engine, UINT64_MAX);
		engine_pass_end(&engine, id + 1);
	}
	assert_true(engine_base_advanced(&engine, 3));
	assert_true(changes_of(&engine) == 2 * PASS_MARKS_MAX - 1);
	assert_true(engine_base_advanced(&engine, 2 + 2 * PASS_MARKS_MAX));
	assert_true(changes_of(&engine) == 0);
	engine_close(&engine);
}

#define MODEL_KEYS 40

/* Base values, or a fold's, which may tell of some keys only. */
struct model {
	bool told[2][MODEL_KEYS], there[2][MODEL_KEYS];
	uint64_t value[2][MODEL_KEYS];
};

static void take(struct model *model, const uint8_t *bytes, uint32_t images)
{
	while (images-- > 0) {
		struct fold_image image;
		uint64_t key;

		memcpy(&image, bytes, sizeof(image));
		memcpy(&key, bytes + sizeof(image), 8);
		model->told[image.table][key] = true;
		model->there[image.table][key] = image.flags != IMAGE_TOMBSTONE;
		if (image.flags != IMAGE_TOMBSTONE)
			memcpy(&model->value[image.table][key], bytes + sizeof(image) + 8, 8);
		bytes += fold_image_bytes(image.key_bytes, image.value_bytes);
	}
}

static uint64_t random_below(uint64_t *random, uint64_t below)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (*random >> 33) % below;
}

static void change_some(struct engine *engine, uint64_t *random, uint64_t *id)
{
	for (uint64_t i = random_below(random, 6); i > 0; i--) {
		uint32_t table = random_below(random, 2) == 0 ? SHARED : FLOW;
		uint64_t key = random_below(random, MODEL_KEYS);

		++*id;
		if (random_below(random, 3) > 0)
			tables_put(engine, *id, table, key, *id);
		else if (tables_get(engine, table, key) != UINT64_MAX)
			erase(engine, *id, table, key);
	}
}

static void commit(struct model *base, const struct model *fold)
{
	for (uint32_t table = 0; table < 2; table++)
		for (uint64_t key = 0; key < MODEL_KEYS; key++)
			if (fold->told[table][key]) {
				base->there[table][key] = fold->there[table][key];
				base->value[table][key] = fold->value[table][key];
			}
}

static void assert_same(const struct engine *engine, const struct model *base)
{
	for (uint32_t table = 0; table < 2; table++)
		for (uint64_t key = 0; key < MODEL_KEYS; key++)
			assert_true(
				tables_get(engine, table, key) ==
				(base->there[table][key] ? base->value[table][key] : UINT64_MAX));
}

/*
 * Two replicas with the same changes between the portions of their passes: whoever folds, whenever
 * it begins anew as its fold or its predecessor's is lost, and however late it hears of new base
 * values: a fold that ends makes base values of what there is then.
 */
static void test_changes_between_portions(void **state)
{
	static struct model base, fold, next;
	struct engine engines[2];
	uint64_t random = 4711, id = 0, base_id = 0;
	uint32_t folder = 0, ended = 0;

	(void)state;
	memset(&base, 0, sizeof(base));
	tables_open(&engines[0], 3, true, MODEL_KEYS, NULL);
	tables_open(&engines[1], 1, true, MODEL_KEYS, NULL);
	for (uint32_t round = 0; round < 20000; round++) {
		uint64_t same = random, same_id = id, chance;
		uint8_t bytes[3 * IMAGE_BYTES_MAX];
		uint32_t images;
		bool sound, anew = false;

		change_some(&engines[0], &same, &same_id);
		change_some(&engines[1], &random, &id);
		chance = random_below(&random, 100);
		if (chance < 1)
			folder ^= 1;
		if (chance < 5)
			anew = engine_base_advanced(&engines[chance % 2], base_id);
		if (round == 0 || chance < 1 || anew) {
			memset(&fold, 0, sizeof(fold));
			engine_pass_begin(&engines[folder], true);
			engine_pass_begin(&engines[folder ^ 1], false);
		}
		take(&fold, bytes,
			(engine_pass_copy(&engines[folder], bytes, sizeof(bytes), &images, &sound),
				images));
		assert_true(sound);
		engine_pass_over(&engines[folder ^ 1], random_below(&random, 8));
		if (engine_pass_left(&engines[folder ^ 1]) == 0)
			engine_pass_end(&engines[folder ^ 1], id + 1);
		if (engine_pass_left(&engines[folder]) > 0)
			continue;
		ended++;
		next = base;
		commit(&next, &fold);
		assert_same(&engines[folder], &next);
		engine_pass_end(&engines[folder], id + 1);
		if (chance % 3 == 0)
			continue; /* lost: the next one that begins has all of it again */
		base = next;
		base_id = id + 1;
	}
	assert_true(ended > 500);
	engine_close(&engines[0]);
	engine_close(&engines[1]);
}

/* The lists grow past what was taken at start: nothing of it is lost. */
static void test_lists_grow(void **state)
{
	struct engine engine;
	uint32_t images, tombstones = 0;
	uint8_t bytes[256];
	bool sound;

	(void)state;
	tables_open(&engine, 1, true, 1, NULL);
	for (uint64_t id = 1; id <= 70000; id++) {
		tables_put(&engine, id, SHARED, id, id);
		erase(&engine, id, SHARED, id);
	}
	engine_pass_begin(&engine, true);
	while (engine_pass_left(&engine) > 1) {
		struct fold_image image;
		uint64_t key;

		assert_int_not_equal(engine_pass_copy(&engine, bytes, IMAGE_BYTES_MAX, &images,
					     &sound),
			0);
		memcpy(&image, bytes, sizeof(image));
		memcpy(&key, bytes + sizeof(image), sizeof(key));
		assert_int_equal(image.flags, IMAGE_TOMBSTONE);
		assert_int_equal(image.version, ++tombstones);
		assert_int_equal(key, tombstones);
	}
	assert_int_equal(tombstones, 70000);
	/* The entry that is gone is told by its tombstone alone. */
	assert_int_equal(engine_pass_copy(&engine, bytes, IMAGE_BYTES_MAX, &images, &sound), 0);
	assert_int_equal(images, 0);
	assert_true(engine_pass_left(&engine) == 0);
	engine_close(&engine);
}

/* Images that lie are refused and leave the tables as they are. */
static void test_only_sound_images_are_loaded(void **state)
{
	static const struct {
		struct fold_image image;
		uint64_t key;
		enum status wanted;
	} rows[] = {
		{{.table = 2, .key_bytes = 8, .value_bytes = 8}, 1, STATUS_CORRUPT},
		{{.table = 255, .key_bytes = 8, .value_bytes = 8}, 1, STATUS_CORRUPT},
		{{.table = FLOW, .key_bytes = 16, .value_bytes = 8}, 1, STATUS_CORRUPT},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 16}, 1, STATUS_CORRUPT},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 8, .flags = 1}, 1, STATUS_CORRUPT},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 8, .home = 1}, 1, STATUS_OK},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 8, .home = 1}, 1, STATUS_CORRUPT},
		{{.table = SHARED, .key_bytes = 8, .value_bytes = 16, .home = HOME_NONE}, 1,
			STATUS_OK},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 8, .home = 2}, 2, STATUS_OK},
		{{.table = FLOW, .key_bytes = 8, .value_bytes = 8, .home = 3}, 3, STATUS_FULL},
	};
	static const uint64_t value[2] = {55, 66};
	struct engine engine;
	uint32_t loaded = 0;

	(void)state;
	tables_open(&engine, 3, true, 2, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t digest = engine_state_digest(&engine);

		assert_int_equal(engine_load(&engine, &rows[i].image, (const uint8_t *)&rows[i].key,
					 (const uint8_t *)value),
			rows[i].wanted);
		loaded += rows[i].wanted == STATUS_OK;
		assert_int_equal(table_count(&engine.tables[SHARED]) +
					 table_count(&engine.tables[FLOW]),
			loaded);
		assert_int_equal(engine_state_digest(&engine) == digest,
			rows[i].wanted != STATUS_OK);
	}
	assert_int_equal(tables_get(&engine, FLOW, 2), 55);
	assert_int_equal(tables_get(&engine, SHARED, 1), 55);
	assert_true(changes_of(&engine) == 0);
	engine_close(&engine);
}

static void test_there_are_only_so_many_tables(void **state)
{
	struct engine engine;

	(void)state;
	engine_open(&engine, 1, true, 1, NULL, NULL);
	for (uint32_t pairs = 0; pairs < TABLES_MAX / 2; pairs++)
		assert_int_equal(tables_add(&engine, 1), STATUS_OK);
	assert_int_equal(tables_add(&engine, 1), STATUS_FULL);
	assert_int_equal(engine.tables_count, TABLES_MAX);
	engine_close(&engine);
	engine_open(&engine, 1, true, 1, NULL, NULL);
	assert_int_equal(tables_add(&engine, 0), STATUS_INVALID);
	assert_int_equal(engine.tables_count, 0);
	engine_close(&engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes_come_in_any_portions),
		cmocka_unit_test(test_what_the_base_values_have_is_forgotten),
		cmocka_unit_test(test_changes_between_portions),
		cmocka_unit_test(test_lists_grow),
		cmocka_unit_test(test_only_sound_images_are_loaded),
		cmocka_unit_test(test_there_are_only_so_many_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
