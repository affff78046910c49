/* SPDX-License-Identifier: BSD-3-Clause */
/* The `bare` way: VNFs run to completion on frames in one thread, without journals or replicas. */
#ifndef UNDERSTUDY_TESTS_BENCH_BARE_H
#define UNDERSTUDY_TESTS_BENCH_BARE_H

#include <stdlib.h>
#include <string.h>

#include "sequencer/port.h"
#include "vnf/replica.h"

/* Sends what the VNFs made of a batch: the header back into the frame, and to the sink. */
static inline void bare_send(struct replica *replica, const struct batch_view *batch,
	struct port *sink)
{
	struct port_frame frames[SEND_BURST];
	uint32_t filled = 0;

	(void)sink->ops->reserve(sink, frames, SEND_BURST);
	for (uint32_t i = 0; i < batch->header->count; i++) {
		if (!replica_forwards(replica, i))
			continue;
		memcpy(frames[filled].data, batch_frame(batch->records[i]),
			batch->records[i]->length);
		memcpy(frames[filled].data, replica->packets[i].current,
			replica->packets[i].header_bytes);
		frames[filled].length = batch->records[i]->length;
		if (++filled == SEND_BURST) {
			(void)sink->ops->send(sink, frames, filled);
			filled = 0;
		}
	}
	if (filled > 0)
		(void)sink->ops->send(sink, frames, filled);
}

/* To the end of the source; returns packets. */
static inline uint64_t bare_run(struct replica *replica, struct port *source, struct port *sink)
{
	static struct page_ingress counts;
	uint8_t *memory = aligned_alloc(64, BATCH_BYTES_MAX);
	struct batch_writer writer;
	struct batch_view batch;
	uint64_t packets = 0, batch_no = 0;

	BUG_ON(memory == NULL);
	for (;;) {
		batch_begin(&writer, memory, batch_no++, packets, packets + 1);
		if (source->ops->receive(source, &writer, &counts) != STATUS_OK)
			break;
		BUG_ON(batch_open(&batch, memory, batch_end(&writer)) != STATUS_OK);
		replica_begin(replica, &batch, NULL, NULL);
		replica_execute(replica, &batch, 0, batch.header->count);
		bare_send(replica, &batch, sink);
		packets += batch.header->count;
	}
	free(memory);
	return packets;
}

#endif
