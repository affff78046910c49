/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The outcome: what a replica publishes for one base batch, one journal block each; and the fold,
 * the after-images that a replica publishes between outcomes for the base values. They come from
 * processes that run VNF code, so every reader checks them before use.
 *
 *   outcome: | header 64 | records 4 * count | deltas delta_bytes | pad to 8 | extras extra_bytes |
 *   extra:   | type 2 | record 2 | bytes 4 | content, padded to 8 |
 *   fold:    | header 64 | images: table 1, flags 1, key bytes 1, value bytes 1, home 2, zero 2,
 *                          deadline 8, version 8, key, value, padded to 8 | ...
 */
#ifndef UNDERSTUDY_CORE_OUTCOME_H
#define UNDERSTUDY_CORE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/batch.h"
#include "core/limits.h"
#include "core/status.h"

#define OUTCOME_MAGIC 0x000154554f444e55ull /* "UNDOUT", version 1 */
#define FOLD_MAGIC 0x00014c4f46444e55ull    /* "UNDFOL", version 1 */

enum verdict {
	VERDICT_NONE = 0,    /* a tick or the end: nothing to send */
	VERDICT_FORWARD = 1, /* where: the output port */
	VERDICT_DROP = 2,    /* where: VNF in the stage << 5 | the VNF's own cause */
};

#define VERDICT_STAGE_SHIFT 4

/*
 * A stage's outcome holds what all stages up to it made of the batch: the delta leads from the base
 * packet to the stage's version of it, a packet that an earlier stage dropped is dropped here too.
 */
struct outcome_record {
	uint8_t verdict; /* high 4 bits: with VERDICT_DROP, the stage that dropped it */
	uint8_t where;
	uint16_t delta_bytes;
};

struct outcome_header {
	uint64_t magic;
	uint64_t batch_no;
	uint64_t first_id;
	uint64_t digest;      /* verdicts, deltas, values read, entries changed; 0 unprotected */
	uint32_t bytes;	      /* of the whole outcome */
	uint32_t delta_bytes; /* of all records together */
	uint32_t extra_bytes;
	uint16_t count;	  /* of records: the base batch's */
	uint16_t aborted; /* transactions that aborted */
	uint64_t reserved[2];
};

enum extra_type {
	EXTRA_EMIT = 1,	       /* a packet of its own: port 2, zero 6, frame */
	EXTRA_ALARM = 2,       /* text, UTF-8 */
	EXTRA_DETERMINANT = 3, /* a recorded value, opaque */
};

struct outcome_extra {
	uint16_t type;
	uint16_t record; /* index into the batch */
	uint32_t bytes;	 /* of content, unpadded */
};

/*
 * The header of a fold block. A fold is one or more blocks, with outcomes between them; all images,
 * in order, make base values as of the last block, whose header is the fold's.
 */
struct fold_header {
	uint64_t magic;
	uint64_t batch_no;     /* the block's images are as of the end of this batch */
	uint64_t base_line;    /* where the base journal's next batch begins */
	uint64_t state_digest; /* of all state then */
	uint32_t bytes;
	uint32_t images;
	uint32_t part;	  /* from 0 */
	uint32_t last;	  /* 1 in the last block */
	uint64_t next_id; /* packet ID that follows the batch */
	uint64_t reserved;
};

#define IMAGE_TOMBSTONE 0x01

struct fold_image {
	uint8_t table;
	uint8_t flags;
	uint8_t key_bytes;
	uint8_t value_bytes;
	uint16_t home;
	uint16_t zero;
	uint64_t deadline_ns;
	uint64_t version; /* packet ID of the last change */
};

_Static_assert(sizeof(struct outcome_record) == 4, "layout");
_Static_assert(sizeof(struct outcome_header) == 64, "layout");
_Static_assert(64 + BATCH_PACKETS_MAX * (4 + HEADER_VIEW_BYTES * 3 / 2) + EXTRAS_BYTES_MAX +
			       DETERMINANTS_BYTES_MAX <=
		       OUTCOME_BYTES_MAX,
	"room");
_Static_assert(sizeof(struct outcome_extra) == 8, "layout");
_Static_assert(sizeof(struct fold_header) == 64, "layout");
_Static_assert(sizeof(struct fold_image) == 24, "layout");

/* A checked outcome: sums agree and everything lies within it. Points into its bytes. */
struct outcome_view {
	const struct outcome_header *header;
	const struct outcome_record *records;
	const uint8_t *deltas;
	const uint8_t *extras;
};

/* Survives any bytes, which must be 8-byte aligned. Errors: CORRUPT, VERSION. */
MUST_CHECK enum status outcome_open(struct outcome_view *view, const void *bytes,
	size_t bytes_count);

static inline enum verdict outcome_verdict(const struct outcome_record *record)
{
	return (enum verdict)(record->verdict & 15u);
}

static inline uint32_t outcome_stage(const struct outcome_record *record)
{
	return record->verdict >> VERDICT_STAGE_SHIFT;
}

/*
 * Whether an opened outcome is one of this batch, whole: every delta applies to its frame, every
 * port is below ports_count. Nothing of it may be used before that is known.
 */
bool outcome_fits(const struct outcome_view *outcome, const struct batch_view *batch,
	uint32_t ports_count);

/* The extra at *offset (0 to start), which moves on; NULL after the last. Checked by open. */
const struct outcome_extra *outcome_extra_next(const struct outcome_view *view, uint32_t *offset);

static inline const uint8_t *outcome_extra_content(const struct outcome_extra *extra)
{
	return (const uint8_t *)(extra + 1);
}

static inline uint32_t outcome_deltas_at(uint32_t count)
{
	return (uint32_t)(sizeof(struct outcome_header) + count * sizeof(struct outcome_record));
}

/* True for the magic of a fold block. */
int block_is_fold(const void *bytes, size_t bytes_count);

MUST_CHECK enum status fold_open(const struct fold_header **header, const void *bytes,
	size_t bytes_count);

/* The image at *offset (0 to start), with key and value; NULL after the last or where it is bad. */
const struct fold_image *fold_image_next(const struct fold_header *header, uint32_t *offset,
	const uint8_t **key, const uint8_t **value);

static inline uint32_t fold_image_bytes(uint32_t key_bytes, uint32_t value_bytes)
{
	return ((uint32_t)sizeof(struct fold_image) + key_bytes + value_bytes + 7u) & ~7u;
}

#endif
