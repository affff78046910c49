/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed since the base values: images in any portions, what is forgotten, what is loaded. */
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
		uint32_t at = 0, images, all = 0, tombstones = 0, offset, sums[2] = {0};

		assert_int_equal(engine_copy_changes(&engine, &at, bytes, IMAGE_BYTES_MAX - 1,
					 &images),
			0);
		assert_int_equal(at, 0);
		while (engine_changes_left(&engine, at) > 0) {
			const struct fold_image *image;
			const uint8_t *key, *value;

			fold->bytes = 64 + engine_copy_changes(&engine, &at, bytes + 64,
						   fits * IMAGE_BYTES_MAX, &images);
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

/* What is older than the base values is forgotten, what is newer is not, and comes once. */
static void test_what_the_base_values_have_is_forgotten(void **state)
{
	static const struct {
		uint64_t next_id;
		uint32_t left; /* tombstones and entries that are there */
	} rows[] = {{10, 12}, {11, 11}, {20, 4}, {23, 2}, {31, 1}, {32, 0}};
	struct engine engine;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_changed(&engine);
		engine_base_advanced(&engine, rows[i].next_id);
		assert_int_equal(engine_changes_left(&engine, 0), rows[i].left);
		/* One that was forgotten changes again. */
		tables_put(&engine, 40, FLOW, 0, 7);
		assert_int_equal(engine_changes_left(&engine, 0),
			rows[i].left + (rows[i].next_id > 10));
		engine_close(&engine);
	}
}

/* The lists grow past what was taken at start: nothing of it is lost. */
static void test_lists_grow(void **state)
{
	struct engine engine;
	uint32_t at = 0, images, tombstones = 0;
	uint8_t bytes[256];

	(void)state;
	tables_open(&engine, 1, true, 1, NULL);
	for (uint64_t id = 1; id <= 70000; id++) {
		tables_put(&engine, id, SHARED, id, id);
		erase(&engine, id, SHARED, id);
	}
	while (engine_changes_left(&engine, at) > 1) {
		struct fold_image image;
		uint64_t key;

		assert_int_not_equal(engine_copy_changes(&engine, &at, bytes, IMAGE_BYTES_MAX,
					     &images),
			0);
		memcpy(&image, bytes, sizeof(image));
		memcpy(&key, bytes + sizeof(image), sizeof(key));
		assert_int_equal(image.flags, IMAGE_TOMBSTONE);
		assert_int_equal(image.version, ++tombstones);
		assert_int_equal(key, tombstones);
	}
	assert_int_equal(tombstones, 70000);
	/* The entry that is gone is told by its tombstone alone. */
	assert_int_equal(engine_copy_changes(&engine, &at, bytes, IMAGE_BYTES_MAX, &images), 0);
	assert_int_equal(images, 0);
	assert_int_equal(engine_changes_left(&engine, at), 0);
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
	assert_int_equal(engine_changes_left(&engine, 0), 0);
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
		cmocka_unit_test(test_lists_grow),
		cmocka_unit_test(test_only_sound_images_are_loaded),
		cmocka_unit_test(test_there_are_only_so_many_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
