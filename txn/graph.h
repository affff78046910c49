/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The task precedence graph of a batch's declared operations, and the versions that they make
 * (TransNFV section 3.2; MorphStream, Mao et al., SIGMOD'23, sections 3 to 5).
 *
 * An operation is a node in the chain of the entry that it is for; chains are in packet-ID order.
 * Three kinds of dependency make it wait:
 *   temporal    the operation that last wrote its entry before it;
 *   parametric  what last wrote each of its sources before it, found by a proxy in the source's
 *               chain;
 *   logical     the transaction's other operations: those before it, if it says `after`; and all
 *               that may abort, before another transaction sees anything of this one (eager).
 *
 * A node's states, and who moves it on:
 *   BLOCKED  -> READY     the last of its dependencies is resolved
 *   READY    -> EXECUTED  its function ran; its version is there
 *   READY    -> ABORTED   its transaction has aborted, or its function says so
 *   EXECUTED -> ABORTED   its transaction aborts: the version is taken back
 *   ABORTED  -> READY     (lazy) an input was of a transaction that aborted: it runs again
 *   EXECUTED -> READY     (lazy) the same
 * An aborted node is passed over: who waits for it waits for what is before it in the chain.
 *
 * Abort handling. Eager: a transaction is seen by others once it cannot abort any more, so an abort
 * takes back its own operations and nobody else's. Lazy: it is seen at once; when all have run,
 * those that have aborted are taken back in packet-ID order, and all that depended on them run
 * again.
 *
 * Tables stay as they are until graph_install: versions are in the nodes, and are gone with the
 * next batch. Two phases: declare, by all workers side by side, into lists by partition of keys;
 * link, each worker its partition: chains sorted by packet ID, in whatever order they came. Then
 * schedule.h runs it.
 */
#ifndef UNDERSTUDY_TXN_GRAPH_H
#define UNDERSTUDY_TXN_GRAPH_H

#include "txn/engine.h"

enum abort_handling { ABORT_EAGER, ABORT_LAZY };

enum node_state { NODE_BLOCKED, NODE_READY, NODE_EXECUTED, NODE_ABORTED };

struct chain;
struct graph_txn;

/* A place in a chain: of an operation, or a proxy of a source. */
struct node {
	struct node *next, *prev;    /* in the chain */
	struct node *partition_next; /* as it was declared */
	struct chain *chain;
	struct operation_node *operation; /* that it is, or stands for */
	uint32_t order;			  /* slot, operation, proxies before the operation itself */
	bool is_proxy;
	bool writes; /* those after it wait for it */
};

struct operation_node {
	struct node node;
	struct graph_txn *txn;
	const struct operation *operation;
	struct node proxies[OPERATION_SOURCES_MAX];
	int32_t waits; /* dependencies not yet resolved; atomic */
	uint32_t state;
	uint32_t released; /* atomic: those of other transactions have been told */
	/* The version that it makes. */
	bool wrote, present;
	uint64_t deadline_ns;
	uint64_t read_digest;
	uint64_t value[VALUE_BYTES_MAX / 8];
};

struct chain {
	struct table *table;
	const uint64_t *key;
	struct node *head, *tail;
	struct node *cursor; /* those before it are done; the runner's */
	uint32_t hash;
	uint32_t entry; /* in the table, before the batch; ENTRY_NONE */
	uint32_t nodes;
	uint32_t run;	     /* atomic: see schedule.c */
	uint32_t dirty_from; /* lazy: order from which versions are not what was read */
};

enum txn_fate { FATE_OPEN, FATE_COMMITTED, FATE_ABORTED };

struct graph_txn {
	uint64_t id, now_ns;
	void *context;
	uint32_t slot; /* place in the batch, by packet ID */
	uint32_t count;
	uint32_t fate;	   /* atomic */
	int32_t undecided; /* atomic: operations that may still abort */
	struct operation_node *operations[OPERATIONS_MAX];
};

struct partition_list {
	struct node *head, **tail;
};

/* What one worker declares and links: its arenas, taken whole at start. */
struct graph_worker {
	struct operation_node *nodes;
	struct operation *operations;
	uint32_t count;
	uint32_t writes[TABLES_MAX];		  /* operations that may add an entry */
	struct partition_list lists[WORKERS_MAX]; /* by partition */
	struct chain *chains;			  /* of its partition */
	uint32_t chains_count;
	uint64_t *slots;  /* hash of its partition's chains: round 32, chain 32 */
	uint32_t longest; /* chain of its partition */
} __attribute__((aligned(64)));

struct graph {
	struct engine *engine;
	uint32_t workers;
	enum abort_handling aborts;
	uint32_t round;				      /* of the hashes: a new one empties them */
	void (*restore)(void *caller, uint32_t slot); /* a context, as it was when declared */
	void *caller;
	struct graph_txn *txns; /* BATCH_PACKETS_MAX, by slot */
	uint32_t first, end;	/* slots */
	bool plain;
	struct graph_worker worker[WORKERS_MAX];
	/* Told of each operation that becomes ready; by whom. */
	void (*on_ready)(void *schedule, uint32_t worker, struct operation_node *node);
	void *schedule;
};

MUST_CHECK enum status graph_open(struct graph *graph, struct engine *engine,
	void (*restore)(void *caller, uint32_t slot), void *caller);
void graph_close(struct graph *graph);

/* Serial: an empty graph for slots [first, end). */
void graph_begin(struct graph *graph, uint32_t first, uint32_t end, enum abort_handling aborts);

/* Serial: none at all; operations are only kept, for who runs them one by one. */
void graph_begin_plain(struct graph *graph);

/* The transaction of a slot; once. context stays until the batch is final. */
void graph_declare(struct graph *graph, uint32_t slot, uint64_t id, uint64_t now_ns, void *context);

/* Its next operation, which is copied; tables are counted from table_base. By one worker a slot. */
void graph_operate(struct graph *graph, uint32_t worker, uint32_t slot,
	const struct operation *operation, uint32_t table_base);

/* When all have declared: links the worker's partition. */
void graph_link(struct graph *graph, uint32_t worker);

/* Serial, linked: operations; of the longest chain. */
uint32_t graph_operations(const struct graph *graph);
uint32_t graph_longest(const struct graph *graph);

/* Serial, declared: operations that may add an entry to a table. */
uint32_t graph_writes(const struct graph *graph, uint32_t table);

/* Runs one that is ready. */
void graph_execute(struct graph *graph, uint32_t worker, struct operation_node *node);

/* Serial, when all have run: takes back and runs again, as lazy handling needs. */
void graph_repair(struct graph *graph);

/* Serial: puts the last versions into the tables, adds to the digests, counts aborts. */
void graph_install(struct graph *graph);

/* Whether the slot's transaction has aborted, once all have run. */
static inline bool graph_aborted(const struct graph *graph, uint32_t slot)
{
	return graph->txns[slot].fate == FATE_ABORTED;
}

#endif
