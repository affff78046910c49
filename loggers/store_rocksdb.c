/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/store_rocksdb.h"

#include <dirent.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/bytes.h"

#define SEGMENTS_MAX 64
#define CHUNK_BYTES (60u * 1024)
#define READAHEAD_BYTES (2u << 20)
#define CONFIG_ERROR_LINE 512

struct segment {
	rocksdb_column_family_handle_t *family;
	uint64_t bytes, last_number;
	uint64_t before_bytes, before_number; /* the last store_add */
};

/* Noted of a segment that is full. */
struct segment_note {
	uint64_t run, bytes;
};

struct store {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
	rocksdb_writebatch_t *batch, *fold;
	rocksdb_column_family_handle_t *facts, *base;
	struct segment segments[SEGMENTS_MAX]; /* oldest first; the last is written to */
	uint32_t segments_count;
	uint64_t run, segments_made, segment_bytes;
	pthread_mutex_t lock; /* segments: the writer changes them, servers read */
};

/* A RocksDB error becomes a line; the text is freed. */
static bool failed(char *problem, const char *what)
{
	if (problem == NULL)
		return false;
	fprintf(stderr, "understudy: log store: %s: %s\n", what, problem);
	rocksdb_free(problem);
	return true;
}

static void segment_name(char name[32], uint64_t number)
{
	snprintf(name, 32, "segment-%llu", (unsigned long long)number);
}

static enum status add_segment(struct store *store)
{
	char name[32], *problem = NULL;
	struct segment segment = {0};

	if (store->segments_count == SEGMENTS_MAX)
		return STATUS_FULL;
	segment_name(name, ++store->segments_made);
	segment.family = rocksdb_create_column_family(store->db, store->options, name, &problem);
	if (failed(problem, "new segment"))
		return STATUS_IO;
	pthread_mutex_lock(&store->lock);
	store->segments[store->segments_count++] = segment;
	pthread_mutex_unlock(&store->lock);
	return STATUS_OK;
}

/* A directory with files that no RocksDB wrote is somebody else's. */
static bool dir_is_foreign(const char *dir)
{
	DIR *opened = opendir(dir);
	struct dirent *entry;
	bool empty = true, database = false;

	if (opened == NULL)
		return false;
	while ((entry = readdir(opened)) != NULL) {
		empty &= entry->d_name[0] == '.';
		database |= strcmp(entry->d_name, "CURRENT") == 0;
	}
	closedir(opened);
	return !empty && !database;
}

struct families {
	rocksdb_column_family_handle_t **handles;
	char **names;
	size_t count, listed;
};

/* Opens what there is; the first family holds the facts, the others a former logger's data. */
static enum status open_families(struct store *store, const char *dir, struct families *families,
	char *error)
{
	static const char *const fallback[] = {"default"};
	const rocksdb_options_t **options;
	char *problem = NULL;

	families->names =
		rocksdb_list_column_families(store->options, dir, &families->listed, &problem);
	rocksdb_free(problem);
	problem = NULL;
	families->count = families->listed == 0 ? 1 : families->listed;
	families->handles = calloc(families->count, sizeof(families->handles[0]));
	options = calloc(families->count, sizeof(*options));
	BUG_ON(families->handles == NULL || options == NULL);
	for (size_t i = 0; i < families->count; i++)
		options[i] = store->options;
	store->db = rocksdb_open_column_families(store->options, dir, (int)families->count,
		families->listed > 0 ? (const char *const *)families->names : fallback, options,
		families->handles, &problem);
	if (problem != NULL) {
		snprintf(error, CONFIG_ERROR_LINE, "%.150s: the log cannot be opened: %.200s", dir,
			problem);
		rocksdb_free(problem);
		families->count = 0;
	} else {
		store->facts = families->handles[0];
	}
	free(options);
	return store->db == NULL ? STATUS_IO : STATUS_OK;
}

/* The fact that says what a stage's base values are as of. */
static void head_name(char name[8], uint32_t stage)
{
	snprintf(name, 8, "base-%u", stage % STAGES_MAX);
}

static void free_families(struct families *families)
{
	if (families->names != NULL)
		rocksdb_list_column_families_destroy(families->names, families->listed);
	free(families->handles);
}

/* Another run's: drops the families but the facts', and the heads of the base values. */
static enum status drop_families(struct store *store, const struct families *families)
{
	enum status status = STATUS_OK;
	char *problem = NULL;

	for (size_t i = 1; i < families->count; i++) {
		rocksdb_drop_column_family(store->db, families->handles[i], &problem);
		if (failed(problem, "drop a former run's segment"))
			status = STATUS_IO;
		problem = NULL;
		rocksdb_column_family_handle_destroy(families->handles[i]);
	}
	for (uint32_t stage = 0; stage < STAGES_MAX && status == STATUS_OK; stage++) {
		char name[8];

		head_name(name, stage);
		rocksdb_delete_cf(store->db, store->write, store->facts, name, strlen(name),
			&problem);
		if (failed(problem, "drop a former run's base"))
			status = STATUS_IO;
	}
	return status;
}

/* A named fact, to be freed by rocksdb_free; NULL: there is none. Errors: IO. */
static enum status find_fact(struct store *store, const char *name, char **fact, size_t *bytes)
{
	char *problem = NULL;

	*bytes = 0;
	*fact = rocksdb_get_cf(store->db, store->read, store->facts, name, strlen(name), bytes,
		&problem);
	return failed(problem, "read") ? STATUS_IO : STATUS_OK;
}

/* The chain's name in the store: another one's log is not to be dropped. */
static enum status claim_for(struct store *store, const char *dir, const char *chain, char *error)
{
	char *found;
	size_t bytes;
	bool other;

	if (find_fact(store, "chain", &found, &bytes) != STATUS_OK)
		return STATUS_IO;
	other = found != NULL && (bytes != strlen(chain) || memcmp(found, chain, bytes) != 0);
	if (other)
		snprintf(error, CONFIG_ERROR_LINE,
			"%.150s: this is the log of chain '%.*s': give chain '%s' "
			"another 'loggers: dir'",
			dir, (int)bytes, found, chain);
	rocksdb_free(found);
	return other ? STATUS_INVALID : store_note(store, "chain", chain, (uint32_t)strlen(chain));
}

static enum status iterator_end(rocksdb_iterator_t *iterator)
{
	char *problem = NULL;

	rocksdb_iter_get_error(iterator, &problem);
	rocksdb_iter_destroy(iterator);
	return failed(problem, "read") ? STATUS_IO : STATUS_OK;
}

/* What its batches take, noted when it was full, or counted; and the last number. Errors: IO. */
static enum status measure(struct store *store, struct segment *segment, uint64_t number)
{
	rocksdb_iterator_t *iterator;
	struct segment_note note = {0};
	char name[32], *found;
	size_t bytes;

	segment_name(name, number);
	if (find_fact(store, name, &found, &bytes) != STATUS_OK)
		return STATUS_IO;
	if (bytes == sizeof(note))
		memcpy(&note, found, bytes);
	rocksdb_free(found);
	if (note.run == store->run)
		segment->bytes = note.bytes;
	iterator = rocksdb_create_iterator_cf(store->db, store->read, segment->family);
	rocksdb_iter_seek_to_last(iterator);
	if (rocksdb_iter_valid(iterator))
		segment->last_number = load_be64(rocksdb_iter_key(iterator, &bytes));
	for (bool count = segment->bytes == 0; count && rocksdb_iter_valid(iterator);
		rocksdb_iter_prev(iterator)) {
		(void)rocksdb_iter_value(iterator, &bytes);
		segment->bytes += bytes;
	}
	return iterator_end(iterator);
}

/* This run's: a former logger's segments, oldest first, and base values. */
static enum status keep_families(struct store *store, const struct families *families)
{
	uint64_t numbers[SEGMENTS_MAX];
	enum status status = STATUS_OK;

	for (size_t i = 1; i < families->count; i++) {
		unsigned long long number;
		uint32_t at = store->segments_count;

		if (sscanf(families->names[i], "segment-%llu", &number) != 1) {
			store->base = families->handles[i];
			continue;
		}
		if (at == SEGMENTS_MAX)
			return STATUS_FULL;
		for (; at > 0 && numbers[at - 1] > number; at--) {
			numbers[at] = numbers[at - 1];
			store->segments[at] = store->segments[at - 1];
		}
		numbers[at] = number;
		store->segments[at] = (struct segment){.family = families->handles[i]};
		store->segments_count++;
		if (number > store->segments_made)
			store->segments_made = number;
	}
	if (store->base == NULL || store->segments_count == 0)
		return STATUS_CORRUPT;
	for (uint32_t i = 0; i < store->segments_count && status == STATUS_OK; i++)
		status = measure(store, &store->segments[i], numbers[i]);
	return status;
}

/* Errors: IO, which is not to be taken for another run. */
static enum status find_run(struct store *store, bool *same)
{
	char *found;
	size_t bytes;

	if (find_fact(store, "run", &found, &bytes) != STATUS_OK)
		return STATUS_IO;
	*same = found != NULL && bytes == sizeof(store->run) &&
		memcmp(found, &store->run, bytes) == 0;
	rocksdb_free(found);
	return STATUS_OK;
}

/* An empty store, which is this run's from when it is complete. */
static enum status begin_run(struct store *store, const struct families *families)
{
	enum status status = drop_families(store, families);
	char *problem = NULL;

	if (status != STATUS_OK)
		return status;
	store->base = rocksdb_create_column_family(store->db, store->options, "base", &problem);
	status = failed(problem, "base values") ? STATUS_IO : add_segment(store);
	return status == STATUS_OK ? store_note(store, "run", &store->run, sizeof(store->run))
				   : status;
}

static void make_options(struct store *store)
{
	store->options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(store->options, 1);
	rocksdb_options_set_paranoid_checks(store->options, 1);
	rocksdb_options_set_wal_recovery_mode(store->options, rocksdb_point_in_time_recovery);
	rocksdb_options_set_max_total_wal_size(store->options, 64u << 20);
	rocksdb_options_set_write_buffer_size(store->options, 16u << 20);
	rocksdb_options_set_keep_log_file_num(store->options, 2);
	store->read = rocksdb_readoptions_create();
	store->write = rocksdb_writeoptions_create();
	store->batch = rocksdb_writebatch_create();
	store->fold = rocksdb_writebatch_create();
	pthread_mutex_init(&store->lock, NULL);
}

enum status store_open(struct store **result, const char *dir, const char *chain, uint64_t run,
	uint64_t segment_bytes, char *error)
{
	struct store *store = calloc(1, sizeof(*store));
	struct families families = {0};
	enum status status;
	bool same = false;

	if (store == NULL)
		return STATUS_NO_MEMORY;
	if (dir_is_foreign(dir)) {
		snprintf(error, CONFIG_ERROR_LINE,
			"%.150s: has files that are no log of ours: give an empty "
			"'loggers: dir'",
			dir);
		free(store);
		return STATUS_INVALID;
	}
	make_options(store);
	store->segment_bytes = segment_bytes;
	store->run = run;
	status = open_families(store, dir, &families, error);
	if (status == STATUS_OK)
		status = claim_for(store, dir, chain, error);
	if (status == STATUS_OK)
		status = find_run(store, &same);
	if (status == STATUS_OK)
		status = same ? keep_families(store, &families) : begin_run(store, &families);
	else
		for (size_t i = 1; i < families.count; i++)
			rocksdb_column_family_handle_destroy(families.handles[i]);
	free_families(&families);
	if (status != STATUS_OK) {
		store_close(store);
		return status;
	}
	*result = store;
	return STATUS_OK;
}

void store_close(struct store *store)
{
	for (uint32_t i = 0; i < store->segments_count; i++)
		rocksdb_column_family_handle_destroy(store->segments[i].family);
	if (store->base != NULL)
		rocksdb_column_family_handle_destroy(store->base);
	if (store->facts != NULL)
		rocksdb_column_family_handle_destroy(store->facts);
	if (store->db != NULL)
		rocksdb_close(store->db);
	rocksdb_writebatch_destroy(store->batch);
	rocksdb_writebatch_destroy(store->fold);
	rocksdb_writeoptions_destroy(store->write);
	rocksdb_readoptions_destroy(store->read);
	rocksdb_options_destroy(store->options);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

/* Batches in order, the stages of each in order. */
static void number_key(char key[9], uint64_t number, uint32_t stage)
{
	store_be64(key, number);
	key[8] = (char)stage;
}

void store_add(struct store *store, uint64_t number, uint32_t stage, const void *bytes,
	uint32_t count)
{
	struct segment *segment = &store->segments[store->segments_count - 1];
	char key[9];

	number_key(key, number, stage);
	segment->before_bytes = segment->bytes;
	segment->before_number = segment->last_number;
	rocksdb_writebatch_set_save_point(store->batch);
	rocksdb_writebatch_put_cf(store->batch, segment->family, key, sizeof(key), bytes, count);
	segment->bytes += count;
	if (number > segment->last_number)
		segment->last_number = number;
}

void store_take_back(struct store *store)
{
	struct segment *segment = &store->segments[store->segments_count - 1];
	char *problem = NULL;

	rocksdb_writebatch_rollback_to_save_point(store->batch, &problem);
	BUG_ON(problem != NULL); /* nothing was added */
	segment->bytes = segment->before_bytes;
	segment->last_number = segment->before_number;
}

/* What a successor would have to count. */
static enum status end_segment(struct store *store)
{
	const struct segment_note note = {store->run,
		store->segments[store->segments_count - 1].bytes};
	char name[32];
	enum status status;

	segment_name(name, store->segments_made);
	status = store_note(store, name, &note, sizeof(note));
	return status == STATUS_OK ? add_segment(store) : status;
}

enum status store_write(struct store *store)
{
	char *problem = NULL;

	if (rocksdb_writebatch_count(store->batch) == 0)
		return STATUS_OK;
	rocksdb_write(store->db, store->write, store->batch, &problem);
	rocksdb_writebatch_clear(store->batch);
	if (failed(problem, "write"))
		return STATUS_IO;
	if (store->segments[store->segments_count - 1].bytes < store->segment_bytes)
		return STATUS_OK;
	return end_segment(store);
}

enum status store_sync(struct store *store)
{
	char *problem = NULL;

	rocksdb_flush_wal(store->db, 1, &problem);
	return failed(problem, "sync") ? STATUS_IO : STATUS_OK;
}

uint64_t store_bytes(const struct store *store)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < store->segments_count; i++)
		bytes += store->segments[i].bytes;
	return bytes;
}

uint64_t store_trim(struct store *store, uint64_t keep_bytes, uint64_t below)
{
	uint64_t trimmed = 0;

	/* Not the last batch: it tells a restart from where the input goes on. */
	while (store->segments_count >
			1 + (store->segments[store->segments_count - 1].bytes == 0) &&
		store_bytes(store) > keep_bytes && store->segments[0].last_number < below) {
		struct segment oldest = store->segments[0];
		char *problem = NULL;

		pthread_mutex_lock(&store->lock);
		memmove(store->segments, store->segments + 1,
			--store->segments_count * sizeof(store->segments[0]));
		rocksdb_drop_column_family(store->db, oldest.family, &problem);
		rocksdb_column_family_handle_destroy(oldest.family);
		pthread_mutex_unlock(&store->lock);
		if (failed(problem, "trim"))
			break;
		trimmed = oldest.last_number + 1;
	}
	return trimmed;
}

void store_fold_image(struct store *store, uint32_t stage, const struct fold_image *image,
	const uint8_t *key)
{
	char id[2 + KEY_BYTES_MAX];
	uint32_t bytes = fold_image_bytes(image->key_bytes, image->value_bytes);

	id[0] = (char)stage;
	id[1] = (char)image->table;
	memcpy(id + 2, key, image->key_bytes);
	if (image->flags & IMAGE_TOMBSTONE)
		rocksdb_writebatch_delete_cf(store->fold, store->base, id, 2u + image->key_bytes);
	else
		rocksdb_writebatch_put_cf(store->fold, store->base, id, 2u + image->key_bytes,
			(const char *)image, bytes);
}

enum status store_fold_commit(struct store *store, uint32_t stage, const struct base_head *head,
	bool sync)
{
	char *problem = NULL, name[8];

	head_name(name, stage);
	rocksdb_writebatch_put_cf(store->fold, store->facts, name, strlen(name), (const char *)head,
		sizeof(*head));
	rocksdb_write(store->db, store->write, store->fold, &problem);
	rocksdb_writebatch_clear(store->fold);
	if (failed(problem, "fold"))
		return STATUS_IO;
	return sync ? store_sync(store) : STATUS_OK;
}

enum status store_next(struct store *store, uint32_t stage, uint64_t *next)
{
	enum status status = STATUS_OK;

	*next = 0;
	for (uint32_t i = store->segments_count; i-- > 0 && *next == 0 && status == STATUS_OK;) {
		rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(store->db, store->read,
			store->segments[i].family);
		size_t bytes;

		for (rocksdb_iter_seek_to_last(iterator);
			*next == 0 && rocksdb_iter_valid(iterator); rocksdb_iter_prev(iterator)) {
			const char *key = rocksdb_iter_key(iterator, &bytes);

			if (bytes == 9 && key[8] == (char)stage)
				*next = load_be64(key) + 1;
		}
		status = iterator_end(iterator);
	}
	return status;
}

enum status store_read_note(struct store *store, const char *name, void *bytes, uint32_t count)
{
	char *found;
	size_t found_bytes;

	if (find_fact(store, name, &found, &found_bytes) != STATUS_OK)
		return STATUS_IO;
	if (found != NULL && found_bytes == count)
		memcpy(bytes, found, count);
	rocksdb_free(found);
	return STATUS_OK;
}

enum status store_note(struct store *store, const char *name, const void *bytes, uint32_t count)
{
	char *problem = NULL;

	rocksdb_put_cf(store->db, store->write, store->facts, name, strlen(name), bytes, count,
		&problem);
	return failed(problem, "write") ? STATUS_IO : STATUS_OK;
}

/* Images gathered into chunks. */
static bool visit_images(rocksdb_iterator_t *iterator, uint32_t stage, store_visit visit,
	void *context)
{
	char chunk[CHUNK_BYTES], from = (char)stage;
	uint32_t used = 0;

	for (rocksdb_iter_seek(iterator, &from, 1); rocksdb_iter_valid(iterator);
		rocksdb_iter_next(iterator)) {
		size_t bytes;
		const char *key = rocksdb_iter_key(iterator, &bytes), *image;

		if (bytes == 0 || key[0] != from)
			break;
		image = rocksdb_iter_value(iterator, &bytes);
		if (used + bytes > sizeof(chunk)) {
			if (!visit(context, chunk, used))
				return false;
			used = 0;
		}
		memcpy(chunk + used, image, bytes);
		used += (uint32_t)bytes;
	}
	return used == 0 || visit(context, chunk, used);
}

enum status store_read_base(struct store *store, uint32_t stage, store_visit visit, void *context)
{
	const rocksdb_snapshot_t *snapshot = rocksdb_create_snapshot(store->db);
	rocksdb_readoptions_t *read = rocksdb_readoptions_create();
	rocksdb_iterator_t *iterator;
	char *problem = NULL, *head, name[8];
	size_t bytes = 0;
	enum status status = STATUS_OK;

	head_name(name, stage);
	rocksdb_readoptions_set_snapshot(read, snapshot);
	rocksdb_readoptions_set_fill_cache(read, 0); /* once, and all of it */
	rocksdb_readoptions_set_readahead_size(read, READAHEAD_BYTES);
	head = rocksdb_get_cf(store->db, read, store->facts, name, strlen(name), &bytes, &problem);
	iterator = rocksdb_create_iterator_cf(store->db, read, store->base);
	if (failed(problem, "read base values") || bytes != sizeof(struct base_head))
		status = STATUS_NOT_FOUND;
	else if (!visit(context, head, (uint32_t)bytes) ||
		 !visit_images(iterator, stage, visit, context))
		status = STATUS_IO;
	rocksdb_free(head);
	rocksdb_iter_destroy(iterator);
	rocksdb_readoptions_destroy(read);
	rocksdb_release_snapshot(store->db, snapshot);
	return status;
}

enum status store_read_batches(struct store *store, uint64_t first, uint32_t stage, uint32_t count,
	store_visit visit, void *context)
{
	uint32_t left = count == 0 ? UINT32_MAX : count;
	enum status status = STATUS_OK;
	char key[9];

	number_key(key, first, 0);
	pthread_mutex_lock(&store->lock);
	for (uint32_t i = 0; i < store->segments_count && left > 0 && status == STATUS_OK; i++) {
		rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(store->db, store->read,
			store->segments[i].family);

		for (rocksdb_iter_seek(iterator, key, sizeof(key));
			rocksdb_iter_valid(iterator) && left > 0; rocksdb_iter_next(iterator)) {
			size_t bytes;
			const char *value = rocksdb_iter_key(iterator, &bytes);

			if (bytes != sizeof(key) || value[8] != (char)stage)
				continue;
			left--;
			value = rocksdb_iter_value(iterator, &bytes);
			if (!visit(context, value, (uint32_t)bytes)) {
				status = STATUS_IO;
				break;
			}
		}
		rocksdb_iter_destroy(iterator);
	}
	pthread_mutex_unlock(&store->lock);
	return status;
}
