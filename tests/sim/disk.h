/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store as the loggers write it (loggers/store_rocksdb.h), in memory: what was added and is not
 * written dies with the process; what is written and not synced dies with the machine.
 */
#ifndef UNDERSTUDY_TESTS_SIM_DISK_H
#define UNDERSTUDY_TESTS_SIM_DISK_H

#include "loggers/store_rocksdb.h"

/* One write of base values: a fold. */
struct disk_image {
	uint8_t *bytes; /* struct fold_image, key, value */
	uint32_t count;
	bool tombstone;
};

struct disk_stage {
	struct base_head head;
	struct disk_image *images; /* by table and key */
	uint32_t images_count, images_capacity;
};

/* What survives the machine, as far as it is asked after. */
bool disk_has_batch(const struct store *store, uint64_t batch_no, const uint8_t **bytes,
	uint32_t *count);
const struct disk_stage *disk_stage(const struct store *store, uint32_t stage);

struct store *disk_open(void);

/* What was added and is not written is gone; what failed may be tried again. */
void disk_reopen(struct store *store);

/* What is not synced is gone. */
void disk_lose_power(struct store *store);

/* Of a packet log: one past the last that is synced. */
uint64_t disk_batches(const struct store *store);

#endif
