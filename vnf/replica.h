/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replica's core: runs batches through a stage's VNFs and writes outcomes. Master and slave are
 * this same code. One thread; no I/O, no clock, no allocation after replica_ready.
 */
#ifndef UNDERSTUDY_VNF_REPLICA_H
#define UNDERSTUDY_VNF_REPLICA_H

#include "core/batch.h"
#include "core/figures.h"
#include "core/outcome.h"
#include "txn/engine.h"
#include "vnf/understudy_vnf.h"

#define COUNTERS_PER_VNF 16

/* Where a VNF's extra output of a batch waits until the outcome is closed. */
struct replica_extras {
	uint8_t *bytes;
	uint32_t used;
};

/* A delta operation that the header view cannot hold: beyond it, or of another length. */
struct replica_edit {
	uint16_t next; /* of the same record: index + 1; 0: none */
	uint16_t bytes;
	uint32_t at;
};

#define EXTRAS_ROOM_BYTES (EXTRAS_BYTES_MAX + DETERMINANTS_BYTES_MAX)

enum determinant_mode { DETERMINANT_RECORD, DETERMINANT_REPLAY };

struct vnf_host {
	struct replica *replica;
	uint32_t number;       /* of the VNF in the stage */
	char name[NAME_BYTES]; /* as people see it: "nat", a second one "nat.2" */
	const struct vnf_ops *ops;
	void *self;
	uint32_t table_base;
	uint32_t table_count; /* its own; the counters' follows them */
	uint64_t counters[COUNTERS_PER_VNF];
};

struct replica {
	struct engine engine;
	struct vnf_host vnfs[VNFS_MAX];
	uint32_t vnfs_count;
	uint64_t seed;
	uint32_t stage;
	uint32_t
		vnfs_before; /* in the stages before: randomness is by a VNF's place in the chain */
	uint32_t ports_count;
	struct vnf_packet *packets;	       /* BATCH_PACKETS_MAX */
	uint8_t (*headers)[HEADER_VIEW_BYTES]; /* BATCH_PACKETS_MAX, and slack */
	uint8_t emits[BATCH_PACKETS_MAX];
	struct replica_extras extras;
	struct replica_extras edit_bytes;
	struct replica_edit edits[EDITS_MAX];
	uint32_t edits_count;
	/* What this stage's VNFs may still add: the rest is for what came before them. */
	uint32_t edits_left, edit_bytes_left;
	uint32_t record_edit_bytes[BATCH_PACKETS_MAX];
	uint32_t determinant_bytes;		 /* of extras */
	uint16_t edits_first[BATCH_PACKETS_MAX]; /* of each record: index + 1; 0: none */
	uint16_t edits_last[BATCH_PACKETS_MAX];
	uint32_t extras_next[EXTRAS_ROOM_BYTES / 8]; /* scratch: sorts extras by record */
	const struct outcome_view *before; /* what the stage before made of the batch, or NULL */
	const uint8_t *before_delta;	   /* of the next record to load */
	enum determinant_mode determinants;
	struct outcome_view leader;		   /* replayed from, in DETERMINANT_REPLAY */
	uint32_t leader_extras[BATCH_PACKETS_MAX]; /* where to look for each record's next one */
	uint8_t *out;	/* of the batch in work; NULL: no outcome is wanted */
	uint8_t *delta; /* where the next delta goes */
	bool diverged;	/* a recorded determinant was not there, or a delta is not one of ours */
	struct txn txn;
};

/* Takes memory for nothing but the shell; VNFs are added next. Errors: NO_MEMORY. */
MUST_CHECK enum status replica_open(struct replica *replica, uint32_t stage, uint64_t seed,
	uint64_t hash_seed, bool tracks, uint32_t ports_count);
void replica_close(struct replica *replica);

/*
 * Adds a VNF after those before it. Errors: INVALID (setup->error says what), NO_MEMORY, FULL,
 * VERSION (another ABI).
 */
MUST_CHECK enum status replica_add_vnf(struct replica *replica, const struct vnf_ops *ops,
	struct vnf_setup *setup);
MUST_CHECK enum status replica_ready(struct replica *replica);

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

/* Between batches: what the VNFs show. */
void replica_show(struct replica *replica, struct figures *figures);

/* The packet after a batch without an outcome in between, for runs to completion. */
static inline bool replica_forwards(const struct replica *replica, uint32_t record)
{
	return !replica->packets[record].dropped;
}

#endif
