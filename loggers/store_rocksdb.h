/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A logger's store in RocksDB: batches in segments, which are column families dropped whole (never
 * per-record deletes); the base values, one key an entry; and a few facts about them. Writes
 * survive
 * the death of the process; store_sync makes all before it survive power loss. After a failed write
 * or sync nothing is acknowledged any more: close and reopen. One writing thread, any reading
 * thread.
 */
#ifndef UNDERSTUDY_LOGGERS_STORE_ROCKSDB_H
#define UNDERSTUDY_LOGGERS_STORE_ROCKSDB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/outcome.h"
#include "loggers/base_wire.h"

struct store;

/*
 * Opens dir, made if missing, for a run of a chain; what another run left is dropped, what a former
 * logger of this run wrote is there. Errors: IO, INVALID (the directory is another chain's, or no
 * logger's). error: one line.
 */
MUST_CHECK enum status store_open(struct store **store, const char *dir, const char *chain,
	uint64_t run, uint64_t segment_bytes, char *error);
void store_close(struct store *store);

/* Adds to the batch of writes that store_write carries out. number grows within each stage. */
void store_add(struct store *store, uint64_t number, uint32_t stage, const void *bytes,
	uint32_t count);

/* The last store_add was of bytes that changed meanwhile: it is not to be written. */
void store_take_back(struct store *store);
MUST_CHECK enum status store_write(struct store *store);
MUST_CHECK enum status store_sync(struct store *store);

/* Drops whole segments below `below`, oldest first, until at most keep_bytes are left. Returns one
 * past the highest number dropped, 0 if none. */
uint64_t store_trim(struct store *store, uint64_t keep_bytes, uint64_t below);
uint64_t store_bytes(const struct store *store);

/* The base values of a stage: a fold's images, then commit as one write. */
void store_fold_image(struct store *store, uint32_t stage, const struct fold_image *image,
	const uint8_t *key);
MUST_CHECK enum status store_fold_commit(struct store *store, uint32_t stage,
	const struct base_head *head, bool sync);

/* One past the highest number of a stage's that is there; 0: none is. Errors: IO. */
MUST_CHECK enum status store_next(struct store *store, uint32_t stage, uint64_t *next);

/* A named fact. */
MUST_CHECK enum status store_note(struct store *store, const char *name, const void *bytes,
	uint32_t count);

/* Exactly count bytes of it; left as they are where there is none. Errors: IO. */
MUST_CHECK enum status store_read_note(struct store *store, const char *name, void *bytes,
	uint32_t count);

/* Calls visit for each chunk: the base head, then blocks of images, from one snapshot. */
typedef bool (*store_visit)(void *context, const void *bytes, uint32_t count);
MUST_CHECK enum status store_read_base(struct store *store, uint32_t stage, store_visit visit,
	void *context);
MUST_CHECK enum status store_read_batches(struct store *store, uint64_t first, uint32_t stage,
	uint32_t count, store_visit visit, void *context);

#endif
