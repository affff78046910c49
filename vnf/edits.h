/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes to packets that the header view cannot hold: beyond it, or of another length. Each worker
 * has its own, of the records in its slice. What a record may take is bounded by its room.
 */
#ifndef UNDERSTUDY_VNF_EDITS_H
#define UNDERSTUDY_VNF_EDITS_H

#include "core/batch.h"
#include "core/limits.h"
#include "vnf/understudy_vnf.h"

/* A delta operation. */
struct edit {
	uint16_t next; /* of the same record: index + 1; 0: none */
	uint16_t bytes;
	uint32_t at;
};

struct edits {
	uint8_t *bytes; /* EXTRAS_BYTES_MAX */
	uint32_t used;
	uint32_t count;
	struct edit list[EDITS_MAX];
	uint16_t first[BATCH_PACKETS_MAX]; /* of each record: index + 1; 0: none */
	uint16_t last[BATCH_PACKETS_MAX];
	uint8_t counts[BATCH_PACKETS_MAX];
};

static inline void edits_forget(struct edits *edits, uint32_t record)
{
	edits->first[record] = edits->last[record] = 0;
	edits->counts[record] = 0;
}

/* What is in view is changed there; the rest is noted, off *room. False: out of room. */
bool edits_edit(struct edits *edits, struct vnf_packet *packet, uint32_t *room, uint16_t offset,
	const uint8_t *bytes, uint16_t bytes_count);
bool edits_resize(struct edits *edits, struct vnf_packet *packet, uint32_t *room, uint16_t length);

/* Applies a delta to a packet as it came. False: it is not one of ours. */
bool edits_load(struct edits *edits, struct vnf_packet *packet, uint32_t *room,
	const uint8_t *delta, uint32_t delta_bytes);

/* The packet's delta: what changed in view, then the edits in the order in which they were made. */
uint32_t edits_delta(const struct edits *edits, const struct vnf_packet *packet, uint8_t *out);

/* Copies bytes of the packet as it is now; they lie within it. */
void edits_read(const struct edits *edits, const struct vnf_packet *packet, uint32_t offset,
	void *bytes, uint32_t bytes_count);

#endif
