/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Egress: follows the base journal and the outcome journals of the last stage's replicas, takes for
 * each batch the first valid outcome (active) or the leader's (passive), composes base +
 * deltas into
 * the port's frames, and releases each output once, when output commit allows (DESIGN section 6).
 * Replicas' digests are compared batch by batch. A core: time is an argument. One thread.
 */
#ifndef UNDERSTUDY_SEQUENCER_EGRESS_H
#define UNDERSTUDY_SEQUENCER_EGRESS_H

#include "core/outcome.h"
#include "loggers/journal.h"
#include "sequencer/port.h"

#define DIGESTS_REMEMBERED 65536u
#define SOURCES_MAX (REPLICAS_MAX * 4)

/* One incarnation of a replica whose outcomes are read. */
struct egress_source {
	struct journal_reader reader;
	uint32_t replica;
	uint64_t incarnation;
	bool used;
	bool bad;	     /* published something corrupt; not read any more */
	uint64_t next_batch; /* after the last outcome read */
};

struct egress {
	struct journal_reader base;
	struct page *page;
	struct page_egress *counts;
	struct page_stage *stage;
	struct port *ports;
	uint32_t ports_count;
	bool passive;
	bool protect;
	bool wait_disk; /* durability: disk */
	struct egress_source sources[SOURCES_MAX];
	struct batch_view batch; /* the next one to release, once it is open */
	bool batch_is_open;
	uint64_t next_batch;
	uint64_t last_mark_ns; /* the last release, or the last time nothing was pending */
	uint64_t digests[DIGESTS_REMEMBERED];
	uint64_t digest_batches[DIGESTS_REMEMBERED]; /* batch + 1 */
	struct port_frame frames[PORTS_MAX][SEND_BURST];
	uint32_t frames_reserved[PORTS_MAX];
	uint32_t frames_filled[PORTS_MAX];
	/* The shell's: an alarm to write out. */
	void (*alarm)(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
		uint32_t bytes);
	void *alarm_context;
	bool ended;
};

/* One batch at most; returns batches released. now_ns is monotonic. */
uint32_t egress_work(struct egress *egress, uint64_t now_ns);

/* Adds a source, already attached. Errors: FULL. */
MUST_CHECK enum status egress_add_source(struct egress *egress, const struct journal_reader *reader,
	uint32_t replica, uint64_t incarnation);

/* Sends what is composed and not yet sent; at the end, and when idle. */
void egress_flush(struct egress *egress);

#endif
