/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port seam: where packets come from and go to. Live ports are DPDK ethdevs; pcap:, gen: and
 * null: are sources and sinks of our own, which wait instead of dropping. A port is used by one
 * thread to receive and one to send.
 */
#ifndef UNDERSTUDY_SEQUENCER_PORT_H
#define UNDERSTUDY_SEQUENCER_PORT_H

#include "core/batch.h"
#include "core/config.h"
#include "core/gen_judge.h"
#include "loggers/page.h"

#define SEND_BURST 64
/* Frames of a sink lie this far apart: not a power of two, or all would share one cache set. */
#define FRAME_STRIDE_BYTES (FRAME_BYTES_MAX + 1 + 3 * LINE_BYTES)

/* Room for an output, given by the port that will send it. */
struct port_frame {
	uint8_t *data;
	uint32_t capacity_bytes;
	uint32_t length;
	uint32_t wire_length;
	uint64_t clock_ns;
	void *handle; /* the port's: an mbuf */
};

struct port;

struct port_ops {
	/*
	 * Adds records to the batch until it is full or nothing is there; clock_ns is the source's
	 * own time, or 0. Drops with a cause are counted. Errors: EMPTY, END, IO (port->error).
	 */
	enum status (*receive)(struct port *port, struct batch_writer *batch,
		struct page_ingress *counts);
	/* Room for up to count outputs; returns how many. */
	uint32_t (*reserve)(struct port *port, struct port_frame *frames, uint32_t count);
	/*
	 * Sends in order what was reserved; returns how many were taken. The rest is the
	 * caller's.
	 */
	uint32_t (*send)(struct port *port, struct port_frame *frames, uint32_t count);
	void (*cancel)(struct port *port, struct port_frame *frames, uint32_t count);
	/* A successor's source goes on at port->place; NULL: what comes now. Errors: IO. */
	enum status (*resume)(struct port *port);
	/* How many outputs a sink that can tell really has; NULL: nobody can. */
	uint64_t (*sent)(struct port *port);
	void (*close)(struct port *port);
};

struct port {
	const struct port_ops *ops;
	void *self;
	uint16_t number;
	bool waits;   /* a full one is waited for; else what it does not take is dropped, counted */
	uint32_t mtu; /* of a live port; 0: none */
	bool trace_clock;	 /* adds a tick in each gap of a second or more */
	struct page_place place; /* how far it is read */
	char error[PATH_BYTES];
	struct gen_judge *judge; /* null: judges the generator's sequences here; or NULL */
};

/* What a capture is opened for; a sink that is gone on with keeps what a dead one wrote. */
enum port_use { PORT_SINK = 0, PORT_SOURCE = 1, PORT_SINK_GOES_ON = 2 };

/* Opens by its dev text. error: one line. */
MUST_CHECK enum status port_open(struct port *port, uint16_t number, const char *dev,
	enum port_use use, enum hugepages hugepages, char *error);

/*
 * What can be done of that before the former sequencer has let go of the devices. False: it was
 * tried and cannot be done in this process any more.
 */
MUST_CHECK bool ports_prepare(const char *const *devs, uint32_t count, enum hugepages hugepages);

/* Each of these recognises and opens its own dev texts. */
MUST_CHECK enum status port_pcap_open(struct port *port, const char *file, enum port_use use,
	char *error);
MUST_CHECK enum status port_gen_open(struct port *port, const char *text, char *error);
MUST_CHECK enum status port_null_open(struct port *port, char *error);
MUST_CHECK enum status port_dpdk_open(struct port *port, const char *devargs,
	enum hugepages hugepages, char *error);

MUST_CHECK bool port_dpdk_prepare(const char *const *devargs, uint32_t count,
	enum hugepages hugepages);

/* Judges the generator's sequence number in a frame, if it has one. */
void gen_judge_frame(struct gen_judge *judge, const uint8_t *frame, uint32_t length);

#endif
