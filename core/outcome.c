/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/outcome.h"

#include "core/bytes.h"
#include "core/delta.h"

static uint32_t extras_at(const struct outcome_header *header)
{
	return ALIGN_UP(outcome_deltas_at(header->count) + header->delta_bytes, 8u);
}

static enum status extras_check(const struct outcome_view *view)
{
	uint32_t offset = 0;

	while (offset < view->header->extra_bytes) {
		const struct outcome_extra *extra =
			(const struct outcome_extra *)(view->extras + offset);
		uint32_t left = view->header->extra_bytes - offset;

		if (left < sizeof(*extra) || extra->bytes > left - sizeof(*extra) ||
			ALIGN_UP(extra->bytes, 8u) > left - sizeof(*extra) ||
			extra->record >= view->header->count || extra->type < EXTRA_EMIT ||
			extra->type > EXTRA_DETERMINANT)
			return STATUS_CORRUPT;
		if (extra->type == EXTRA_EMIT &&
			(extra->bytes < 8 + FRAME_BYTES_MIN || extra->bytes > 8 + FRAME_BYTES_MAX))
			return STATUS_CORRUPT;
		offset += (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
	}
	return STATUS_OK;
}

enum status outcome_open(struct outcome_view *view, const void *bytes, size_t bytes_count)
{
	const struct outcome_header *header = bytes;
	uint64_t delta_bytes = 0;

	if (bytes_count < sizeof(*header))
		return STATUS_CORRUPT;
	if (header->magic != OUTCOME_MAGIC)
		return STATUS_VERSION;
	if (header->bytes > bytes_count || header->count > BATCH_PACKETS_MAX ||
		header->delta_bytes > OUTCOME_BYTES_MAX ||
		header->extra_bytes > OUTCOME_BYTES_MAX ||
		header->bytes != extras_at(header) + header->extra_bytes)
		return STATUS_CORRUPT;
	view->header = header;
	view->records = (const struct outcome_record *)(header + 1);
	view->deltas = (const uint8_t *)bytes + outcome_deltas_at(header->count);
	view->extras = (const uint8_t *)bytes + extras_at(header);
	for (uint32_t i = 0; i < header->count; i++) {
		const struct outcome_record *record = &view->records[i];

		if (outcome_verdict(record) > VERDICT_DROP || outcome_stage(record) >= STAGES_MAX ||
			(outcome_verdict(record) == VERDICT_FORWARD && record->where >= PORTS_MAX))
			return STATUS_CORRUPT;
		delta_bytes += view->records[i].delta_bytes;
	}
	if (delta_bytes != header->delta_bytes)
		return STATUS_CORRUPT;
	return header->extra_bytes > 0 ? extras_check(view) : STATUS_OK;
}

bool outcome_fits(const struct outcome_view *outcome, const struct batch_view *batch,
	uint32_t ports_count)
{
	const uint8_t *delta = outcome->deltas;

	if (outcome->header->count != batch->header->count ||
		outcome->header->first_id != batch->header->first_id)
		return false;
	for (uint32_t i = 0; i < batch->header->count; i++) {
		const struct outcome_record *record = &outcome->records[i];
		enum verdict verdict = outcome_verdict(record);

		if ((batch->records[i]->kind == RECORD_PACKET) != (verdict != VERDICT_NONE))
			return false;
		if (verdict == VERDICT_FORWARD &&
			(record->where >= ports_count ||
				delta_check(batch->records[i]->length, delta,
					record->delta_bytes) != STATUS_OK))
			return false;
		delta += record->delta_bytes;
	}
	return true;
}

const struct outcome_extra *outcome_extra_next(const struct outcome_view *view, uint32_t *offset)
{
	const struct outcome_extra *extra = (const struct outcome_extra *)(view->extras + *offset);

	if (*offset >= view->header->extra_bytes)
		return NULL;
	*offset += (uint32_t)sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
	return extra;
}

int block_is_fold(const void *bytes, size_t bytes_count)
{
	return bytes_count >= sizeof(struct fold_header) && *(const uint64_t *)bytes == FOLD_MAGIC;
}

enum status fold_open(const struct fold_header **header, const void *bytes, size_t bytes_count)
{
	const struct fold_header *fold = bytes;
	const uint8_t *key, *value;
	uint32_t offset = 0, images = 0;

	if (bytes_count < sizeof(*fold))
		return STATUS_CORRUPT;
	if (fold->magic != FOLD_MAGIC)
		return STATUS_VERSION;
	if (fold->bytes > bytes_count || fold->bytes < sizeof(*fold) || fold->last > 1)
		return STATUS_CORRUPT;
	while (fold_image_next(fold, &offset, &key, &value) != NULL)
		images++;
	if (images != fold->images || offset != fold->bytes - sizeof(*fold))
		return STATUS_CORRUPT;
	*header = fold;
	return STATUS_OK;
}

const struct fold_image *fold_image_next(const struct fold_header *header, uint32_t *offset,
	const uint8_t **key, const uint8_t **value)
{
	const uint8_t *at = (const uint8_t *)(header + 1) + *offset;
	const struct fold_image *image = (const struct fold_image *)at;
	uint32_t left = header->bytes - (uint32_t)sizeof(*header) - *offset;

	if (left < sizeof(*image) || image->table >= TABLES_MAX || image->key_bytes == 0 ||
		image->key_bytes > KEY_BYTES_MAX || image->value_bytes > VALUE_BYTES_MAX ||
		left < fold_image_bytes(image->key_bytes, image->value_bytes))
		return NULL;
	*key = at + sizeof(*image);
	*value = *key + image->key_bytes;
	*offset += fold_image_bytes(image->key_bytes, image->value_bytes);
	return image;
}
