/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/batch.h"

#include <stdbool.h>
#include <string.h>

#include "core/bytes.h"

#define PREFETCH_BYTES (16 * LINE_BYTES)

void batch_begin(struct batch_writer *writer, void *memory, uint64_t batch_no, uint64_t first_id,
	uint64_t first_packet_no)
{
	writer->header = memory;
	*writer->header = (struct batch_header){
		.magic = BATCH_MAGIC,
		.batch_no = batch_no,
		.first_id = first_id,
		.first_packet_no = first_packet_no,
	};
	writer->end = (uint8_t *)memory + sizeof(struct batch_header);
}

uint8_t *batch_add(struct batch_writer *writer, enum record_kind kind, uint32_t length,
	struct batch_record **record)
{
	struct batch_record *added = (struct batch_record *)writer->end;
	uint32_t padded = ALIGN_UP(length, 8u);

	/* What lies here was last read on other cores: it takes long to become ours. */
	__builtin_prefetch(writer->end + PREFETCH_BYTES, 1);
	__builtin_prefetch(writer->end + PREFETCH_BYTES + LINE_BYTES, 1);

	BUG_ON(batch_is_full(writer) || length > FRAME_BYTES_MAX);
	if (padded > length)
		memset(writer->end + sizeof(*added) + padded - 8, 0, 8);
	*added = (struct batch_record){.length = length, .wire_length = length, .kind = kind};
	writer->end += sizeof(*added) + padded;
	writer->header->count++;
	writer->header->packets += kind == RECORD_PACKET;
	*record = added;
	return (uint8_t *)(added + 1);
}

uint32_t batch_end(struct batch_writer *writer)
{
	writer->header->bytes = batch_writer_bytes(writer);
	return writer->header->bytes;
}

static bool record_is_sound(const struct batch_record *record)
{
	if (record->flags & ~RECORD_FLAGS_KNOWN ||
		(record->whole_length != 0 && record->whole_length <= record->length))
		return false;
	switch (record->kind) {
	case RECORD_PACKET:
		return record->length >= FRAME_BYTES_MIN && record->length <= FRAME_BYTES_MAX &&
		       record->port < PORTS_MAX;
	case RECORD_TICK:
	case RECORD_END:
		return record->length == 0;
	default:
		return false;
	}
}

enum status batch_open(struct batch_view *view, const void *bytes, size_t bytes_count)
{
	const struct batch_header *header = bytes;
	const uint8_t *at = (const uint8_t *)bytes + sizeof(*header);
	uint32_t packets = 0;

	if (bytes_count < sizeof(*header))
		return STATUS_CORRUPT;
	if (header->magic != BATCH_MAGIC)
		return STATUS_VERSION;
	if (header->bytes > bytes_count || header->bytes < sizeof(*header) ||
		header->count > BATCH_PACKETS_MAX)
		return STATUS_CORRUPT;
	for (uint32_t i = 0; i < header->count; i++) {
		const struct batch_record *record = (const struct batch_record *)at;
		size_t left = header->bytes - (size_t)(at - (const uint8_t *)bytes);

		/*
		 * The bytes were written on another core, and each record tells where the
		 * next is.
		 */
		__builtin_prefetch(at + PREFETCH_BYTES);
		__builtin_prefetch(at + PREFETCH_BYTES + LINE_BYTES);

		if (left < sizeof(*record) || !record_is_sound(record) ||
			left - sizeof(*record) < ALIGN_UP(record->length, 8u))
			return STATUS_CORRUPT;
		packets += record->kind == RECORD_PACKET;
		view->records[i] = record;
		at += sizeof(*record) + ALIGN_UP(record->length, 8u);
	}
	if (packets != header->packets || at != (const uint8_t *)bytes + header->bytes)
		return STATUS_CORRUPT;
	view->header = header;
	return STATUS_OK;
}

uint32_t batch_cut(const struct batch_view *view, void *memory, uint32_t frame_bytes)
{
	const struct batch_header *header = view->header;
	struct batch_writer writer;

	batch_begin(&writer, memory, header->batch_no, header->first_id, header->first_packet_no);
	writer.header->ingress_mono_ns = header->ingress_mono_ns;
	for (uint32_t i = 0; i < header->count; i++) {
		const struct batch_record *from = view->records[i];
		uint32_t length = from->length < frame_bytes ? from->length : frame_bytes;
		struct batch_record *record;
		uint8_t *frame = batch_add(&writer, from->kind, length, &record);

		*record = *from;
		record->length = length;
		if (length < from->length)
			record->whole_length = (uint16_t)from->length;
		if (length > 0)
			memcpy(frame, batch_frame(from), length);
	}
	return batch_end(&writer);
}
