/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ingress: reads the ports, gives each packet its ID and its clock, and appends batches to the base
 * journal. A core: time is an argument. One thread.
 */
#ifndef UNDERSTUDY_SEQUENCER_INGRESS_H
#define UNDERSTUDY_SEQUENCER_INGRESS_H

#include "loggers/journal.h"
#include "sequencer/port.h"

struct ingress {
	struct journal_writer writer;
	struct page_ingress *counts;
	const uint64_t
		*released; /* batches: of the page; who is far ahead of it fills its batches */
	struct port *ports;
	uint32_t ports_count;
	bool trace_clock;
	uint64_t patience_ns; /* how long a living reader may hold it back */
	uint64_t epoch;
	uint64_t next_sequence;
	uint64_t next_batch;
	uint64_t next_packet_no;
	uint64_t clock_ns; /* of the last record */
	uint64_t blocked_since_ns;
	uint32_t ports_ended; /* a bit each */
	bool ended;
	struct batch_writer batch;
	uint64_t gathers_since_ns; /* the batch has packets, and waits for more; or 0 */
	bool reserved;		   /* the batch has its room in the journal */
};

/* Once ports are open: goes on where a former gateway's input ended, or begins. */
void ingress_resume(struct ingress *ingress, const struct page_admitted *from);

/*
 * At a restart from disk: publishes the next batch once more, as it was logged. Then ports go on
 * behind it. Errors: BLOCKED (try again), SEALED, CORRUPT (not the next one).
 */
MUST_CHECK enum status ingress_repeat(struct ingress *ingress, const struct batch_view *batch,
	uint64_t now_ns);

/* After that, once: sources go on where they were. Errors: IO. */
MUST_CHECK enum status ingress_resume_ports(struct ingress *ingress);

/*
 * One batch at most. now_ns is monotonic, wall_ns the time of day. Returns records published.
 * Errors (in *status): BLOCKED, EMPTY (no input now), END (all is published), SEALED, IO.
 */
uint32_t ingress_work(struct ingress *ingress, uint64_t now_ns, uint64_t wall_ns,
	enum status *status);

#endif
