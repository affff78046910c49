/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "tests/sim/faults.h"

struct disk_record {
	uint64_t number;
	uint32_t stage;
	uint32_t count;
	uint8_t *bytes;
};

/* The one note that is read again. */
struct disk_note {
	uint8_t bytes[512];
	uint32_t count;
};

struct store {
	struct disk_record *records;
	uint32_t records_count, records_capacity;
	uint32_t written, synced; /* of the records */
	uint64_t bytes;
	uint32_t first; /* of the records: those before are trimmed */
	struct disk_stage stages[STAGES_MAX];
	struct disk_image *pending;
	uint32_t pending_count, pending_capacity;
	bool failed;
	struct disk_note written_note, synced_note;
};

struct store *disk_open(void)
{
	return calloc(1, sizeof(struct store));
}

void disk_reopen(struct store *store)
{
	while (store->records_count > store->written)
		store->bytes -= store->records[--store->records_count].count;
	store->pending_count = 0;
	store->failed = false;
}

enum status store_next(struct store *store, uint32_t stage, uint64_t *next)
{
	*next = 0;
	for (uint32_t i = store->records_count; i-- > store->first && *next == 0;)
		if (store->records[i].stage == stage)
			*next = store->records[i].number + 1;
	return STATUS_OK;
}

static void *copy(const void *bytes, size_t count)
{
	void *made = malloc(count + 1);

	memcpy(made, bytes, count);
	return made;
}

/* Room for one more in a list. */
static void *grow(void *list, uint32_t count, uint32_t *capacity, size_t bytes)
{
	if (count < *capacity)
		return list;
	*capacity = *capacity == 0 ? 64 : *capacity * 2;
	return realloc(list, *capacity * bytes);
}

void store_add(struct store *store, uint64_t number, uint32_t stage, const void *bytes,
	uint32_t count)
{
	store->records = grow(store->records, store->records_count, &store->records_capacity,
		sizeof(*store->records));
	store->records[store->records_count++] =
		(struct disk_record){number, stage, count, copy(bytes, count)};
	store->bytes += count;
}

void store_take_back(struct store *store)
{
	struct disk_record *last = &store->records[--store->records_count];

	store->bytes -= last->count;
	free(last->bytes);
}

/* How the disk is: takes its time, and says what became of it. */
static enum status work(struct store *store, uint32_t ns)
{
	enum disk_state state = faults_disk();

	world_sleep(1000 + world_random(ns) * (state == DISK_IS_SLOW ? 50u : 1u));
	if (state == DISK_FAILS || state == DISK_IS_FULL)
		store->failed = true;
	if (store->failed)
		return state == DISK_IS_FULL ? STATUS_FULL : STATUS_IO;
	return STATUS_OK;
}

enum status store_write(struct store *store)
{
	enum status status;

	if (store->written == store->records_count && !store->failed)
		return STATUS_OK;
	status = work(store, 100000);
	if (status == STATUS_OK)
		store->written = store->records_count;
	return status;
}

enum status store_sync(struct store *store)
{
	enum status status = work(store, 2000000);

	if (status == STATUS_OK) {
		store->synced = store->written;
		store->synced_note = store->written_note;
	}
	return status;
}

uint64_t store_trim(struct store *store, uint64_t keep_bytes, uint64_t below)
{
	uint64_t number = 0;

	while (store->bytes > keep_bytes && store->first + 1 < store->synced &&
		store->records[store->first].number < below) {
		number = store->records[store->first].number + 1;
		store->bytes -= store->records[store->first].count;
		store->first++;
	}
	return number;
}

uint64_t store_bytes(const struct store *store)
{
	return store->bytes;
}

void store_fold_image(struct store *store, uint32_t stage, const struct fold_image *image,
	const uint8_t *key)
{
	uint32_t count = (uint32_t)sizeof(*image) + image->key_bytes + image->value_bytes;

	(void)stage;
	(void)key;
	store->pending = grow(store->pending, store->pending_count, &store->pending_capacity,
		sizeof(*store->pending));
	store->pending[store->pending_count++] = (struct disk_image){copy(image, count), count,
		(image->flags & IMAGE_TOMBSTONE) != 0};
}

static bool same_key(const struct disk_image *a, const struct disk_image *b)
{
	const struct fold_image *first = (const struct fold_image *)a->bytes;
	const struct fold_image *second = (const struct fold_image *)b->bytes;

	return first->table == second->table && first->key_bytes == second->key_bytes &&
	       memcmp(first + 1, second + 1, first->key_bytes) == 0;
}

static void put_image(struct disk_stage *stage, const struct disk_image *image)
{
	uint32_t at = 0;

	while (at < stage->images_count && !same_key(&stage->images[at], image))
		at++;
	if (image->tombstone) {
		if (at < stage->images_count)
			stage->images[at] = stage->images[--stage->images_count];
		return;
	}
	if (at == stage->images_count) {
		stage->images =
			grow(stage->images, at, &stage->images_capacity, sizeof(*stage->images));
		stage->images_count++;
	}
	stage->images[at] = *image;
}

enum status store_fold_commit(struct store *store, uint32_t stage, const struct base_head *head,
	bool sync)
{
	enum status status = work(store, sync ? 2000000 : 100000);

	if (status == STATUS_OK) {
		for (uint32_t i = 0; i < store->pending_count; i++)
			put_image(&store->stages[stage], &store->pending[i]);
		store->stages[stage].head = *head;
		store->synced_note = store->written_note;
	}
	store->pending_count = 0;
	return status;
}

enum status store_note(struct store *store, const char *name, const void *bytes, uint32_t count)
{
	if (store->failed)
		return STATUS_IO;
	if (strcmp(name, "released") == 0) {
		BUG_ON(count > sizeof(store->written_note.bytes));
		memcpy(store->written_note.bytes, bytes, count);
		store->written_note.count = count;
	}
	return STATUS_OK;
}

enum status store_read_note(struct store *store, const char *name, void *bytes, uint32_t count)
{
	(void)name;
	if (store->written_note.count == count)
		memcpy(bytes, store->written_note.bytes, count);
	return STATUS_OK;
}

void disk_lose_power(struct store *store)
{
	store->written = store->synced;
	store->written_note = store->synced_note;
	disk_reopen(store);
}

uint64_t disk_batches(const struct store *store)
{
	return store->synced == 0 ? 0 : store->records[store->synced - 1].number + 1;
}

enum status store_read_base(struct store *store, uint32_t stage, store_visit visit, void *context)
{
	const struct disk_stage *from = &store->stages[stage];
	uint64_t room[FOLD_BYTES_MAX / 8];
	uint32_t used = 0;

	if (!visit(context, &from->head, sizeof(from->head)))
		return STATUS_IO;
	for (uint32_t i = 0; i < from->images_count; i++) {
		const struct disk_image *image = &from->images[i];
		uint32_t bytes = (image->count + 7) & ~7u;

		if (used + bytes > sizeof(room)) {
			if (!visit(context, room, used))
				return STATUS_IO;
			used = 0;
		}
		memset((uint8_t *)room + used, 0, bytes);
		memcpy((uint8_t *)room + used, image->bytes, image->count);
		used += bytes;
	}
	return used == 0 || visit(context, room, used) ? STATUS_OK : STATUS_IO;
}

bool disk_has_batch(const struct store *store, uint64_t batch_no, const uint8_t **bytes,
	uint32_t *count)
{
	for (uint32_t i = 0; i < store->synced; i++)
		if (store->records[i].number == batch_no && store->records[i].stage == 0) {
			*bytes = store->records[i].bytes;
			*count = store->records[i].count;
			return true;
		}
	return false;
}

const struct disk_stage *disk_stage(const struct store *store, uint32_t stage)
{
	return &store->stages[stage];
}
