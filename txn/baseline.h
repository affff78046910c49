/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine is measured against, behind the same interface, and where the time goes. In no
 * program but benchmarks: built with UNDERSTUDY_BASELINES.
 *
 *   locks     each worker runs its packets' transactions as they come; a lock for each entry of a
 *             shared table, taken when it is touched and held to the transaction's end (the manner
 *             of CHC, Khalid and Akella, NSDI'19, with flow state where it is used); operations
 *             take theirs in one order. All or nothing, but in no order: replicas would differ
 *   no locks  the same without: the upper bound, wrong by design
 */
#ifndef UNDERSTUDY_TXN_BASELINE_H
#define UNDERSTUDY_TXN_BASELINE_H

#include <stdint.h>

enum baseline { BASELINE_NONE, BASELINE_LOCKS, BASELINE_NO_LOCKS };

/* Where a worker's time goes (TransNFV section 5). */
enum probe {
	PROBE_OTHERS,	 /* deciding, tables and digests at the end of a batch */
	PROBE_USEFUL,	 /* steps and functions */
	PROBE_SYNC,	 /* waiting for the team */
	PROBE_LOCK,	 /* waiting for a lock */
	PROBE_CONSTRUCT, /* the graph */
	PROBE_EXPLORE,	 /* looking for what is ready */
	PROBES
};

struct access;
struct entry;
struct team;
struct txn;

/* Instead of access_run. */
void baseline_run(struct access *access, struct team *team);

/* A shared entry is touched; a transaction ends. */
void baseline_touch(struct txn *txn, struct entry *entry);
void baseline_let_go(struct txn *txn);

#ifdef UNDERSTUDY_BASELINES

extern enum baseline baseline;

struct probes {
	uint64_t ticks[PROBES];
	uint64_t since; /* 0: not measured now */
	enum probe kind;
};

extern _Thread_local struct probes *probes; /* this thread's; NULL: not measured */

/* From here on the thread's time is of this kind; returns the kind before. */
enum probe probe_enter(enum probe kind);

#define PROBE(kind) probe_enter(kind)
#define BASELINE() (baseline != BASELINE_NONE)
#else
#define PROBE(kind) ((void)(kind), PROBE_OTHERS)
#define BASELINE() false
#endif

#endif
