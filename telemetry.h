/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A running chain's state over DPDK's telemetry protocol (version 2: a SOCK_SEQPACKET socket, a
 * command a message, JSON back), for dpdk-telemetry.py and what collects from it:
 *
 *	RUNTIME_DIRECTORY=RUN_DIR dpdk-telemetry.py -f understudy
 *
 * Commands: /, /info, /help,COMMAND, /understudy/status, /understudy/engine, /understudy/vnfs.
 * Served by a thread of the supervisor: ten clients at most, and one that does
 * not read is let go.
 */
#ifndef UNDERSTUDY_TELEMETRY_H
#define UNDERSTUDY_TELEMETRY_H

#include <pthread.h>

#include "core/config.h"
#include "loggers/page.h"

struct telemetry {
	const struct config *config;
	const struct page *page;
	const char *run_dir;
	int listener, wake; /* wake: an eventfd, readable once it is to stop */
	pthread_t thread;
	bool runs;
};

/* config and page stay. False: there is none; *error says why, in one line. */
bool telemetry_start(struct telemetry *telemetry, const struct config *config,
	const struct page *page, const char *run_dir, char *error);

/* Leaves nothing in the run directory; does nothing to a zeroed one. */
void telemetry_stop(struct telemetry *telemetry);

#endif
