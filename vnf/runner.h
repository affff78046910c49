/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet loop of a replica: follows the base journal and the stage before, executes, publishes,
 * folds; and before all that restores its state. It touches journals and the control page; what
 * ends processes, reads the loggers' sockets or starts threads is its shell's (vnf_role.c, or the
 * simulator).
 */
#ifndef UNDERSTUDY_VNF_RUNNER_H
#define UNDERSTUDY_VNF_RUNNER_H

#include "loggers/base.h"
#include "loggers/base_wire.h"
#include "loggers/outcomes.h"
#include "loggers/role.h"
#include "vnf/leader.h"
#include "vnf/replica.h"

struct runner;

struct runner_shell {
	/*
	 * Reads the stage's base values: gives images to runner_load_images, and *head. Errors:
	 * IO, CORRUPT, those of runner_load_images.
	 */
	enum status (*read_base)(struct runner *runner, struct base_head *head);
	/* Ends or stops this process; comes back only from a stop that was continued. */
	void (*raise)(struct runner *runner, enum fault_action action);
};

struct runner {
	const struct runner_shell *shell;
	struct role role;
	struct replica replica;
	struct base base;
	struct journal outcomes;
	struct journal_reader input;
	struct outcomes before; /* what the stage before publishes; unused in the first stage */
	struct leader leader;	/* a passive slave's */
	struct journal_writer output;
	struct page_stage *stage;
	struct page_replica *self;
	struct idle idle;
	struct batch_view batch; /* the input's next one, once it is open */
	bool batch_is_open;
	uint64_t next_batch;
	/* The pass over what changed, or the last one; who folds publishes what it copies. */
	bool passing, publishing;
	uint32_t fold_part;
	uint64_t pass_left;	/* changes, when it went on last */
	uint64_t fold_batch;	/* the last pass ended there: all below it */
	uint64_t fold_position; /* of the base, there */
	/* The last fold of its own, and when, and for the how-manieth logger, it was published. */
	uint64_t published_batch, published_position, published_ns, published_for;
	uint64_t next_id;   /* of the first packet not yet executed */
	bool ended;	    /* the end of the input is executed */
	uint64_t base_seen; /* of the page, already forgotten */
	uint64_t blocked_since_ns;
	enum replica_wait waits_for; /* where the last work ended in vain */
	bool passive;
	bool determines; /* it leads, and has executed all that former leaders published */
};

/* After role is open: finds its places on the page. */
void runner_open(struct runner *runner, const struct runner_shell *shell);

/*
 * With replica ready: restores its state, attaches to its input and makes its journal, which nobody
 * reads yet. Errors: those of the journals and of read_base; CORRUPT: the base values' digest is
 * not that of what they hold.
 */
MUST_CHECK enum status runner_start(struct runner *runner);

/* For read_base: a block of images, of whose header only bytes is set. Errors: engine_load's. */
MUST_CHECK enum status runner_load_images(struct runner *runner, const struct fold_header *fold);

/* Control thread: reads a journal of the stage before from now on. Errors: outcomes_attach's. */
MUST_CHECK enum status runner_attach(struct runner *runner, const struct message *message);

/* Until the page says stop, OK; or its journal is sealed, SEALED; or why it cannot go on. */
MUST_CHECK enum status runner_serve(struct runner *runner);

/*
 * Whether its failure to start is the run's: only at the beginning, and of one that was not
 * replaced meanwhile; later the others carry on.
 */
bool runner_is_needed(const struct runner *runner);

/* A fault of the process's own ends it, in whatever it executes. Safe in a signal handler. */
void runner_crashes(struct runner *runner);

/* Of all that it holds back, before it waits. */
void runner_let_go(struct runner *runner);

/* Whom a fault meets that meets this process. */
struct failover_subject runner_as_subject(const struct runner *runner);

bool runner_leads(const struct runner *runner);
bool runner_is_first(const struct runner *runner);

#endif
