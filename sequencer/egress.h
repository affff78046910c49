/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Egress: follows the base journal and the outcome journals of every stage's replicas, takes for
 * each batch the last stage's first valid outcome (active) or its leader's (passive), composes base
 * + delta into the port's frames, and releases each output once, when output commit allows (DESIGN
 * section 6). Replicas' digests are compared batch by batch. A core: time is an argument. One
 * thread.
 */
#ifndef UNDERSTUDY_SEQUENCER_EGRESS_H
#define UNDERSTUDY_SEQUENCER_EGRESS_H

#include "core/outcome.h"
#include "loggers/base.h"
#include "loggers/outcomes.h"
#include "sequencer/port.h"

struct egress;

/* One stage, whose outcomes are read: the last one's are released. */
struct egress_stage {
	struct egress *egress;
	struct outcomes outcomes;
};

/* What a dead sequencer had done of the batch that it was at. */
struct egress_done {
	uint64_t outputs[PORTS_MAX]; /* handed to the port */
	uint64_t alarms, drops;	     /* told, counted */
};

struct egress {
	struct base base;
	struct journal_reader input; /* of it */
	struct page *page;
	struct page_egress *counts;
	struct egress_stage *stages; /* stages_count of them */
	uint32_t stages_count;
	struct port *ports;
	uint32_t ports_count;
	bool passive; /* the last stage */
	bool protect;
	bool wait_disk;		 /* durability: disk */
	bool agreed;		 /* waits until two replicas of every stage agree */
	struct batch_view batch; /* the next one to release, once it is open */
	bool batch_is_open;
	uint64_t next_batch;
	struct egress_done done; /* of the first batch, by a dead sequencer */
	bool resumes;		 /* until the first release */
	uint64_t open_below;	 /* batches that may have been released before a power loss */
	bool at_least_once;	 /* repeats what a dead sequencer may have sent */
	uint64_t alarms_told;	 /* before this one began: the shell's to say */
	uint64_t start;		 /* the how-manieth sequencer of the run, from 1 */
	uint64_t last_mark_ns;	 /* the last release, or the last time nothing was pending */
	struct port_frame frames[PORTS_MAX][SEND_BURST];
	uint32_t frames_reserved[PORTS_MAX];
	uint32_t frames_filled[PORTS_MAX];
	/* The shell's: an alarm to write out. */
	void (*alarm)(void *context, uint64_t packet_id, uint64_t clock_ns, const char *text,
		uint32_t bytes);
	/* The frame of a packet that a stage has set aside. */
	void (*aside)(void *context, const struct batch_record *record);
	void *context; /* of both */
	bool ended;
};

/* Before the first work; stages: zeroed, one for each of the page's. */
void egress_open(struct egress *egress, struct page *page, struct egress_stage *stages,
	uint32_t stages_count);

/*
 * By the thread that works, with ports open: attaches to the base journal; where a dead
 * sequencer's egress ended, it goes on. idle: the thread's, or NULL. Errors: those of base_succeed.
 */
MUST_CHECK enum status egress_attach(struct egress *egress, const struct shm_place *place,
	struct idle *idle);

/* One batch at most; returns batches released. now_ns is monotonic. */
uint32_t egress_work(struct egress *egress, uint64_t now_ns);

/* Sends what is composed and not yet sent; at the end, and when idle. */
void egress_flush(struct egress *egress);

#endif
