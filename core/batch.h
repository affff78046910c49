/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The base batch: what the sequencer publishes, one journal block each. Up to BATCH_PACKETS_MAX
 * records with consecutive IDs; a record is a packet, a tick (time passed without packets) or the
 * end of the input. Batch boundaries never reach a result.
 *
 *   0       8          16         24                32             40      44      46
 *   | magic | batch_no | first_id | first_packet_no | ingress_mono | bytes | count | packets |
 *   48
 *   | place 16 |
 *   then per record, 8-byte aligned:
 *   | length 4 | wire_length 4 | clock_ns 8 | port 2 | kind 1 | flags 1 | vlan_tci 2 |
 *   | whole_length 2 | frame
 */
#ifndef UNDERSTUDY_CORE_BATCH_H
#define UNDERSTUDY_CORE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/status.h"

#define BATCH_MAGIC 0x0001544142444e55ull /* "UNDBAT", version 1 */

enum record_kind { RECORD_PACKET = 1, RECORD_TICK = 2, RECORD_END = 3 };

#define RECORD_VLAN_STRIPPED 0x01 /* the port took the outer 802.1Q tag off: see vlan_tci */
#define RECORD_IP_CKSUM_BAD 0x02
#define RECORD_L4_CKSUM_BAD 0x04
#define RECORD_FLAGS_KNOWN 0x07

struct batch_header {
	uint64_t magic;
	uint64_t batch_no;	  /* dense from 0 within a chain */
	uint64_t first_id;	  /* packet ID of the first record; record i has first_id + i */
	uint64_t first_packet_no; /* ordinal, from 1, of the first packet at or after this batch */
	uint64_t ingress_mono_ns; /* for latency only; no result sees it */
	uint32_t bytes;		  /* of the whole batch, this header included */
	uint16_t count;		  /* of records */
	uint16_t packets;	  /* of RECORD_PACKET among them */
	/* How far the first port has been read once this batch is in, for a restart from disk. */
	uint64_t place_frames;
	uint64_t place_clock_ns;
};

struct batch_record {
	uint32_t length;      /* bytes of the frame that follows, 0 unless a packet */
	uint32_t wire_length; /* bytes on the wire; larger than length for a cut capture */
	uint64_t clock_ns;    /* the packet clock: monotone within the chain */
	uint16_t port;
	uint8_t kind;
	uint8_t flags;
	uint16_t vlan_tci;
	uint16_t whole_length; /* of a frame whose payload is not logged; else 0 */
};

_Static_assert(sizeof(struct batch_header) == 64, "layout");
_Static_assert(sizeof(struct batch_record) == 24, "layout");

/* Builds a batch in place, in memory of at least BATCH_BYTES_MAX. One thread. */
struct batch_writer {
	struct batch_header *header;
	uint8_t *end;
};

void batch_begin(struct batch_writer *writer, void *memory, uint64_t batch_no, uint64_t first_id,
	uint64_t first_packet_no);

static inline uint32_t batch_writer_bytes(const struct batch_writer *writer)
{
	return (uint32_t)(writer->end - (uint8_t *)writer->header);
}

static inline int batch_is_full(const struct batch_writer *writer)
{
	return writer->header->count == BATCH_PACKETS_MAX ||
	       batch_writer_bytes(writer) >= BATCH_BYTES_SOFT;
}

/*
 * Adds a record; the caller fills *record but for kind and whole_length, and length bytes at the
 * result.
 */
uint8_t *batch_add(struct batch_writer *writer, enum record_kind kind, uint32_t length,
	struct batch_record **record);

/* Closes the batch and returns its bytes, a multiple of 8. */
uint32_t batch_end(struct batch_writer *writer);

/* A checked batch: every record lies within it. Points into the bytes it was opened on. */
struct batch_view {
	const struct batch_header *header;
	const struct batch_record *records[BATCH_PACKETS_MAX];
};

static inline const uint8_t *batch_frame(const struct batch_record *record)
{
	return (const uint8_t *)(record + 1);
}

/*
 * Writes the batch again with at most frame_bytes of each frame, for a log without payloads, to
 * memory of at least BATCH_BYTES_MAX. Returns its bytes.
 */
uint32_t batch_cut(const struct batch_view *view, void *memory, uint32_t frame_bytes);

/* Survives any bytes. bytes must be 8-byte aligned. Errors: CORRUPT, VERSION. */
MUST_CHECK enum status batch_open(struct batch_view *view, const void *bytes, size_t bytes_count);

#endif
