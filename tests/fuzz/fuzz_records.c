/* SPDX-License-Identifier: BSD-3-Clause */
/* The decoders of what processes tell each other through memory: batches, outcomes, folds. */
#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/delta.h"
#include "core/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_outcome(const uint8_t *bytes, size_t size, const struct batch_view *batch)
{
	static uint8_t frame[FRAME_BYTES_MAX];
	struct outcome_view outcome;
	const struct outcome_extra *extra;
	const uint8_t *delta;
	uint32_t offset = 0;

	if (outcome_open(&outcome, bytes, size) != STATUS_OK)
		return;
	delta = outcome.deltas;
	for (uint32_t i = 0; i < outcome.header->count; i++) {
		size_t length = 64;

		(void)!delta_apply(frame, &length, sizeof(frame), delta,
			outcome.records[i].delta_bytes);
		delta += outcome.records[i].delta_bytes;
	}
	while ((extra = outcome_extra_next(&outcome, &offset)) != NULL)
		frame[0] ^= outcome_extra_content(extra)[extra->bytes > 0 ? extra->bytes - 1 : 0];
	if (batch != NULL)
		(void)outcome_fits(&outcome, batch, 2);
}

static void open_fold(const uint8_t *bytes, size_t size)
{
	static volatile uint8_t sum;
	const struct fold_header *fold;
	const struct fold_image *image;
	const uint8_t *key, *value;
	uint32_t offset = 0;

	if (fold_open(&fold, bytes, size) != STATUS_OK)
		return;
	while ((image = fold_image_next(fold, &offset, &key, &value)) != NULL) {
		for (uint32_t i = 0; i < image->key_bytes; i++)
			sum = (uint8_t)(sum + key[i]);
		for (uint32_t i = 0; i < image->value_bytes; i++)
			sum = (uint8_t)(sum + value[i]);
	}
}

/* A batch and an outcome, of equal halves: in memory of exactly their size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t cut[BATCH_BYTES_MAX + 64] __attribute__((aligned(64)));
	size_t half = size / 2 & ~7ul;
	uint8_t *first = malloc(half + 1), *second = malloc(size - half + 1);
	struct batch_view batch;
	bool opened;

	memcpy(first, data, half);
	memcpy(second, data + half, size - half);
	opened = batch_open(&batch, first, half) == STATUS_OK;
	if (opened && half <= BATCH_BYTES_MAX)
		(void)batch_cut(&batch, cut, HEADER_VIEW_BYTES);
	open_outcome(second, size - half, opened ? &batch : NULL);
	open_fold(second, size - half);
	free(first);
	free(second);
	return 0;
}
