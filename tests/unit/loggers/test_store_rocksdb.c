/* SPDX-License-Identifier: BSD-3-Clause */
/* The loggers' store: what is put comes back, segments go whole, another's log stays whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loggers/store_rocksdb.h"

#define SEGMENT_BYTES 10000u
#define BATCH_BYTES 1000u

static char dir[64], error[512];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/understudy-store.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int drop_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct store *open_run(const char *chain, uint64_t run)
{
	struct store *store;

	assert_int_equal(store_open(&store, dir, chain, run, SEGMENT_BYTES, error), STATUS_OK);
	return store;
}

static struct store *open_store(const char *chain)
{
	return open_run(chain, 1);
}

/* What a visit saw: batches must be numbered upwards from next. */
struct seen {
	uint64_t next, count, stop_after;
	bool wrong;
};

static bool see_batch(void *context, const void *bytes, uint32_t count)
{
	struct seen *seen = context;
	uint64_t number;

	memcpy(&number, bytes, sizeof(number));
	if (count != BATCH_BYTES || number != seen->next)
		seen->wrong = true;
	seen->next++;
	return ++seen->count != seen->stop_after;
}

static void put(struct store *store, uint64_t first, uint64_t count)
{
	uint8_t bytes[BATCH_BYTES];

	for (uint64_t n = first; n < first + count; n++) {
		memset(bytes, (int)n, sizeof(bytes));
		memcpy(bytes, &n, sizeof(n));
		store_add(store, n, 0, bytes, sizeof(bytes));
		if (n % 4 == 3 || n + 1 == first + count)
			assert_int_equal(store_write(store), STATUS_OK);
	}
}

static uint64_t count_from(struct store *store, uint64_t first, uint32_t most, uint64_t expected)
{
	struct seen seen = {.next = expected};

	assert_int_equal(store_read_batches(store, first, 0, most, see_batch, &seen), STATUS_OK);
	assert_false(seen.wrong);
	return seen.count;
}

static void test_put_and_read(void **state)
{
	struct store *store = open_store("edge");
	struct seen seen = {.next = 250, .stop_after = 3};

	(void)state;
	assert_int_equal(store_write(store), STATUS_OK); /* nothing to write */
	assert_int_equal(count_from(store, 0, 0, 0), 0);
	put(store, 0, 300); /* numbers past 255: order is by number, not by its first byte */
	assert_int_equal(store_sync(store), STATUS_OK);
	assert_int_equal(count_from(store, 0, 0, 0), 300);
	assert_int_equal(count_from(store, 130, 0, 130), 170);
	assert_int_equal(count_from(store, 130, 50, 130), 50);
	assert_int_equal(count_from(store, 300, 0, 300), 0);
	assert_int_equal(store_bytes(store), 300 * BATCH_BYTES);
	assert_int_equal(store_read_batches(store, 250, 0, 0, see_batch, &seen), STATUS_IO);
	assert_int_equal(seen.count, 3);
	store_close(store);
}

/* So many numbered ones from first on, of which the last one is taken back before the write. */
static void put_but_one(struct store *store, uint64_t first, uint64_t count)
{
	uint8_t bytes[BATCH_BYTES] = {0};

	for (uint64_t n = first; n < first + count; n++) {
		memcpy(bytes, &n, sizeof(n));
		store_add(store, n, 0, bytes, sizeof(bytes));
	}
	store_take_back(store);
	assert_int_equal(store_write(store), STATUS_OK);
}

static void test_the_last_is_taken_back(void **state)
{
	struct store *store = open_store("edge");

	(void)state;
	put(store, 0, 10);
	put_but_one(store, 10, 2);
	put_but_one(store, 11, 1);
	assert_int_equal(store_bytes(store), 11 * BATCH_BYTES);
	assert_int_equal(count_from(store, 0, 0, 0), 11);
	put(store, 11, 1);
	assert_int_equal(count_from(store, 0, 0, 0), 12);
	store_close(store);
}

static void test_trim_drops_whole_segments(void **state)
{
	struct store *store = open_store("edge");
	uint64_t trimmed;

	(void)state;
	put(store, 0, 100);
	assert_int_equal(store_trim(store, 100 * BATCH_BYTES, UINT64_MAX), 0);
	assert_int_equal(store_trim(store, 0, 0), 0);
	assert_int_equal(store_trim(store, 0, 5), 0); /* batch 5 is needed: its segment stays */
	trimmed = store_trim(store, 0, 50);
	assert_in_range(trimmed, 30, 50);
	assert_int_equal(store_bytes(store), (100 - trimmed) * BATCH_BYTES);
	assert_int_equal(count_from(store, 0, 0, trimmed), 100 - trimmed);
	trimmed = store_trim(store, 30 * BATCH_BYTES, UINT64_MAX);
	assert_true(store_bytes(store) <= 30 * BATCH_BYTES);
	assert_int_equal(count_from(store, 0, 0, trimmed), 100 - trimmed);
	put(store, 100, 50);
	assert_int_equal(count_from(store, 0, 0, trimmed), 150 - trimmed);
	store_close(store);
}

/* A former run's batches and base values are gone; the chain's claim stays. */
static bool see_nothing(void *context, const void *bytes, uint32_t count)
{
	(void)bytes;
	(void)count;
	(*(uint32_t *)context)++;
	return true;
}

static void test_reopen_drops_the_former_run(void **state)
{
	struct store *store = open_store("edge");
	struct base_head head = {.batch = 7, .images = 0};
	uint32_t chunks = 0;

	(void)state;
	put(store, 0, 20);
	assert_int_equal(store_fold_commit(store, 0, &head, true), STATUS_OK);
	store_close(store);
	store = open_run("edge", 2);
	assert_int_equal(count_from(store, 0, 0, 0), 0);
	assert_int_equal(store_bytes(store), 0);
	assert_int_equal(store_read_base(store, 0, see_nothing, &chunks), STATUS_NOT_FOUND);
	assert_int_equal(chunks, 0);
	store_close(store);
}

static uint64_t next_of(struct store *store, uint32_t stage)
{
	uint64_t next;

	assert_int_equal(store_next(store, stage, &next), STATUS_OK);
	return next;
}

/* A logger that is started again in the same run has what the former one wrote. */
static void test_reopen_goes_on(void **state)
{
	struct store *store = open_store("edge");
	struct base_head head = {.batch = 7, .images = 0};
	uint64_t bytes, trimmed;
	uint32_t chunks = 0;

	(void)state;
	assert_int_equal(next_of(store, 0), 0);
	put(store, 0, 300);
	bytes = store_bytes(store);
	assert_int_equal(next_of(store, 0), 300);
	assert_int_equal(next_of(store, 1), 0);
	assert_int_equal(store_fold_commit(store, 0, &head, true), STATUS_OK);
	store_close(store);
	store = open_store("edge");
	assert_int_equal(next_of(store, 0), 300);
	assert_int_equal(count_from(store, 0, 0, 0), 300);
	assert_int_equal(store_bytes(store), bytes);
	assert_int_equal(store_read_base(store, 0, see_nothing, &chunks), STATUS_OK);
	assert_int_equal(chunks, 1);
	put(store, 300, 50);
	assert_int_equal(count_from(store, 0, 0, 0), 350);
	/* Its segments are in order: the oldest go first. */
	trimmed = store_trim(store, bytes / 2, 300);
	assert_true(trimmed > 0 && trimmed <= 300);
	assert_int_equal(count_from(store, 0, 0, trimmed), 350 - trimmed);
	store_close(store);
}

static size_t families_on_disk(void)
{
	rocksdb_options_t *options = rocksdb_options_create();
	char *problem = NULL, **names;
	size_t count = 0;

	names = rocksdb_list_column_families(options, dir, &count, &problem);
	assert_null(problem);
	rocksdb_list_column_families_destroy(names, count);
	rocksdb_options_destroy(options);
	return count;
}

static void test_another_chains_log_is_left_alone(void **state)
{
	struct store *store = open_store("edge");
	size_t families;

	(void)state;
	put(store, 0, 50);
	store_close(store);
	families = families_on_disk();
	assert_true(families > 3);
	assert_int_equal(store_open(&store, dir, "edg", 1, SEGMENT_BYTES, error), STATUS_INVALID);
	assert_non_null(strstr(error, "edge"));
	assert_int_equal(store_open(&store, dir, "edge2", 1, SEGMENT_BYTES, error), STATUS_INVALID);
	assert_int_equal(families_on_disk(), families);
}

static void test_foreign_dir(void **state)
{
	struct store *store;
	char path[128];
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/thesis.tex", dir);
	file = fopen(path, "w");
	fputs("years of work", file);
	fclose(file);
	assert_int_equal(store_open(&store, dir, "edge", 1, SEGMENT_BYTES, error), STATUS_INVALID);
	assert_non_null(strstr(error, dir));
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof(path), "%s/CURRENT", dir);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(store_open(&store, "/proc/none", "edge", 1, SEGMENT_BYTES, error),
		STATUS_IO);
}

static void put_image(struct store *store, uint8_t table, uint32_t key, uint64_t value,
	uint8_t flags)
{
	uint8_t bytes[64] = {0};
	struct fold_image *image = (struct fold_image *)bytes;

	*image = (struct fold_image){.table = table,
		.flags = flags,
		.key_bytes = 4,
		.value_bytes = 8,
		.version = value};
	memcpy(bytes + sizeof(*image), &key, 4);
	memcpy(bytes + sizeof(*image) + 4, &value, 8);
	store_fold_image(store, 0, image, bytes + sizeof(*image));
}

/* Sums what a base holds. */
struct base_seen {
	struct base_head head;
	uint32_t chunks, images;
	uint64_t values;
};

static bool see_base(void *context, const void *bytes, uint32_t count)
{
	struct base_seen *seen = context;

	if (seen->chunks++ == 0) {
		assert_int_equal(count, sizeof(seen->head));
		memcpy(&seen->head, bytes, count);
		return true;
	}
	for (uint32_t at = 0; at < count; at += fold_image_bytes(4, 8)) {
		const struct fold_image *image =
			(const struct fold_image *)((const uint8_t *)bytes + at);
		uint64_t value;

		assert_int_equal(image->key_bytes, 4);
		memcpy(&value, (const uint8_t *)(image + 1) + 4, 8);
		assert_int_equal(value, image->version);
		seen->images++;
		seen->values += value;
	}
	return true;
}

static void test_fold(void **state)
{
	struct store *store = open_store("edge");
	struct base_seen seen = {0};
	uint32_t none = 0;

	(void)state;
	assert_int_equal(store_read_base(store, 0, see_nothing, &none), STATUS_NOT_FOUND);
	for (uint32_t key = 0; key < 5000; key++)
		put_image(store, (uint8_t)(key % 2), key, key, 0);
	/* Not committed: not seen. */
	assert_int_equal(store_read_base(store, 0, see_nothing, &none), STATUS_NOT_FOUND);
	assert_int_equal(none, 0);
	assert_int_equal(store_fold_commit(store, 0, &(struct base_head){.batch = 10}, true),
		STATUS_OK);
	assert_int_equal(store_read_base(store, 0, see_base, &seen), STATUS_OK);
	assert_int_equal(seen.head.batch, 10);
	assert_int_equal(seen.images, 5000);
	assert_int_equal(seen.values, 5000ull * 4999 / 2);
	assert_true(seen.chunks > 2);
	/* The next fold: one entry changes, one goes, one of another table with its key stays. */
	put_image(store, 1, 1, 1000001, 0);
	put_image(store, 0, 2, 0, IMAGE_TOMBSTONE);
	put_image(store, 1, 4, 0, IMAGE_TOMBSTONE);
	assert_int_equal(store_fold_commit(store, 0, &(struct base_head){.batch = 20, .next_id = 3},
				 false),
		STATUS_OK);
	seen = (struct base_seen){0};
	assert_int_equal(store_read_base(store, 0, see_base, &seen), STATUS_OK);
	assert_int_equal(seen.head.batch, 20);
	assert_int_equal(seen.head.next_id, 3);
	assert_int_equal(seen.images, 4999);
	assert_int_equal(seen.values, 5000ull * 4999 / 2 + 1000000 - 2);
	assert_int_equal(store_note(store, "note", "x", 1), STATUS_OK);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_put_and_read, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_the_last_is_taken_back, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_trim_drops_whole_segments, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_reopen_drops_the_former_run, make_dir,
			drop_dir),
		cmocka_unit_test_setup_teardown(test_reopen_goes_on, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_another_chains_log_is_left_alone, make_dir,
			drop_dir),
		cmocka_unit_test_setup_teardown(test_foreign_dir, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_fold, make_dir, drop_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
