/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replica's core: runs batches through a stage's VNFs and writes outcomes. Master and slave are
 * this same code. Packet phases (pre, post) go by slices of the batch, state access phases by
 * txn/access.h; by one worker, or by the whole team, whose threads are the caller's. No I/O, no
 * clock, no allocation after replica_ready.
 */
#ifndef UNDERSTUDY_VNF_REPLICA_H
#define UNDERSTUDY_VNF_REPLICA_H

#include "core/batch.h"
#include "core/figures.h"
#include "core/outcome.h"
#include "txn/access.h"
#include "vnf/edits.h"
#include "vnf/understudy_vnf.h"
#include "vnf/variables.h"

#define COUNTERS_PER_VNF 16

enum determinant_mode { DETERMINANT_RECORD, DETERMINANT_REPLAY };

struct vnf_host {
	struct replica *replica;
	uint32_t number;       /* of the VNF in the stage */
	char name[NAME_BYTES]; /* as people see it: "nat", a second one "nat.2" */
	const struct vnf_ops *ops;
	void *self;
	uint32_t table_base;
	uint32_t table_count; /* its own; the counters' and the variables' follow them */
	bool records;
	struct variables variables;
};

/* What a worker makes of its packets, until the outcome is closed. */
struct replica_worker {
	struct edits edits;
	uint8_t *extras; /* what VNFs emit besides, and alarms, and determinants */
	uint32_t extras_used;
	uint8_t *deltas; /* of the packets that it finishes for the team */
	uint32_t deltas_used;
	uint64_t digest;
	uint64_t counters[VNFS_MAX][COUNTERS_PER_VNF];
	/* Of the packet in its pre step: they count if it is not dropped there. */
	struct operation declared[OPERATIONS_MAX];
	uint32_t declared_count;
} __attribute__((aligned(64)));

/* Where an extra is, and its successor of the same record (index + 1), while they are sorted. */
struct extra_place {
	const uint8_t *at;
	uint16_t next;
};

/* More than anybody's room and determinants allow for, each at its least. */
#define EXTRAS_COUNT_MAX                                                                           \
	((EXTRAS_BYTES_MAX + DETERMINANTS_BYTES_MAX) / sizeof(struct outcome_extra))

/* A packet as its pre step left it, for an access that runs again. */
struct replica_saved {
	uint8_t scratch[VNF_SCRATCH_BYTES];
	uint16_t output_port;
	uint16_t counted;
	bool dropped;
	uint8_t drop_cause;
};

struct replica {
	struct engine engine;
	struct access access;
	struct team *team; /* as many workers as the engine has; NULL: there is one */
	struct vnf_host vnfs[VNFS_MAX];
	uint32_t vnfs_count;
	uint64_t seed;
	uint32_t stage;
	uint32_t
		vnfs_before; /* in the stages before: randomness is by a VNF's place in the chain */
	uint32_t ports_count;
	struct vnf_packet *packets;	       /* BATCH_PACKETS_MAX */
	uint8_t (*headers)[HEADER_VIEW_BYTES]; /* BATCH_PACKETS_MAX, and slack */
	struct replica_saved *saved;	       /* BATCH_PACKETS_MAX */
	struct replica_worker workers[WORKERS_MAX];
	/* Of each record, over all stages: what it may still take, has emitted, was told. */
	uint32_t room[BATCH_PACKETS_MAX];
	uint16_t determinant_bytes[BATCH_PACKETS_MAX];
	uint8_t emits[BATCH_PACKETS_MAX];
	struct extra_place places[EXTRAS_COUNT_MAX];
	/* Of the shell: sequences of packet IDs that the stage drops unseen. */
	const uint64_t *asides;
	uint64_t asides_count;
	/* Of the shell: with care, packet by packet, where the ID in execution is told; or NULL. */
	uint64_t *careful;
	const struct outcome_view *before; /* what the stage before made of the batch, or NULL */
	uint32_t before_delta[BATCH_PACKETS_MAX]; /* where each record's delta begins there */
	enum determinant_mode determinants;
	struct outcome_view leader;		   /* replayed from, in DETERMINANT_REPLAY */
	uint32_t leader_extras[BATCH_PACKETS_MAX]; /* where to look for each record's next one */
	uint8_t *out;	   /* of the batch in work; NULL: no outcome is wanted */
	uint8_t *delta;	   /* where the next delta goes */
	uint32_t diverged; /* atomic: a determinant was not there, or a delta is not one of ours */
	/* In work by the team. */
	uint8_t owners[BATCH_PACKETS_MAX];    /* of each record: the worker that finishes it */
	uint32_t delta_at[BATCH_PACKETS_MAX]; /* in its owner's deltas */
	const struct batch_view *batch;
	struct vnf_host *vnf;
	uint32_t from, to;
	struct txn txn;
};

/*
 * Takes memory for nothing but the shell; VNFs are added next. workers: of whom a team is given in
 * replica->team, unless it is one. Errors: NO_MEMORY.
 */
MUST_CHECK enum status replica_open(struct replica *replica, uint32_t stage, uint64_t seed,
	uint64_t hash_seed, bool tracks, uint32_t ports_count, uint32_t workers);
void replica_close(struct replica *replica);

/*
 * Adds a VNF after those before it. Errors: INVALID (setup->error says what), NO_MEMORY, FULL,
 * VERSION (another ABI).
 */
MUST_CHECK enum status replica_add_vnf(struct replica *replica, const struct vnf_ops *ops,
	struct vnf_setup *setup);
MUST_CHECK enum status replica_ready(struct replica *replica);

/* True if one of its VNFs records determinants. */
bool replica_records(const struct replica *replica);

/*
 * Starts a batch whose outcome goes to out (OUTCOME_BYTES_MAX), or nowhere. before: the outcome of
 * the stage before, which fits the batch and stays until replica_end; NULL: this is the first.
 */
void replica_begin(struct replica *replica, const struct batch_view *batch,
	const struct outcome_view *before, void *out);

/* Executes records [from, to), in order, all of them once between begin and end. */
void replica_execute(struct replica *replica, const struct batch_view *batch, uint32_t from,
	uint32_t to);

/* Closes the outcome; returns its bytes. */
uint32_t replica_end(struct replica *replica, const struct batch_view *batch);

/*
 * Between batches. Counters go into a table of their own before a fold, as of the packet before
 * next_id, and come from it after base values are loaded.
 */
void replica_keep_counters(struct replica *replica, uint64_t next_id);
void replica_load_counters(struct replica *replica);

/* Between batches: what the VNFs show, and the engine. */
void replica_show(struct replica *replica, struct figures *figures);

/* The packet after a batch without an outcome in between, for runs to completion. */
static inline bool replica_forwards(const struct replica *replica, uint32_t record)
{
	return !replica->packets[record].dropped;
}

static inline struct replica_worker *replica_worker_of(const struct vnf_packet *packet)
{
	return &packet->host->replica->workers[packet->worker];
}

#endif
