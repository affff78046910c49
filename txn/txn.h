/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VNF sees of the transactional state engine (TransNFV section 3): tables, and transactions
 * on them that are executed as if one by one in packet-ID order, on however many workers. All or
 * nothing: an abort takes back every change, and is sticky: later calls return NULL or do nothing,
 * so the author need not check each.
 *
 * State has a scope. A flow table's entries belong to homes, shards of the traffic; a transaction
 * of that home gets at them without any synchronisation. A shared table's are everybody's, by one
 * of three ways, from the fastest to the most general:
 *
 * - declared operations: single entries, named before the transaction runs, each with a function.
 *   They may run beside those of other transactions, in the order that the task precedence graph
 *   leaves (operation, below);
 * - a prepare step: whole tables, by calls of this header, one transaction after the other;
 * - a shared transaction: everything, with no other transaction beside it.
 *
 * Which entries will be wanted may depend on data. An operation names its key before, so what is
 * looked up by a computed key is declared as the whole table, in a prepare step: a superset, as in
 * Calvin (Thomson et al., SIGMOD'12, 3.2.1). What a prepare step reads of flow tables is a look
 * ahead, checked again when the transaction's turn comes (Calvin's reconnaissance; Aria, Lu et al.,
 * VLDB'20); a wrong one, or one that was not made, costs time and changes no result.
 *
 * Values are fixed-size; a pointer to one is good until the step returns. Layout (slots, iteration
 * order, capacity of the structure) never shows; a table holds exactly its capacity.
 */
#ifndef UNDERSTUDY_TXN_TXN_H
#define UNDERSTUDY_TXN_TXN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

struct txn;

enum table_scope { TABLE_FLOW = 0, TABLE_SHARED = 1 };
enum table_writers { TABLE_SINGLE_WRITER = 0, TABLE_MULTI_WRITER = 1 };

/*
 * A table as its VNF declares it. Sizes are multiples of 8, keys are 8-byte aligned, and
 * unused bytes of a key must be 0.
 */
struct table_spec {
	const char *name;
	uint32_t key_bytes;
	uint32_t value_bytes;
	uint32_t capacity; /* entries, decided in ID order */
	enum table_scope scope;
	enum table_writers writers;
	uint32_t staleness_packets;		     /* that a reader tolerates; 0: none */
	void (*merge)(void *into, const void *from); /* of two writers' values; NULL: none */
	/* Of a flow table: the home that a key belongs to, a function of the key alone. */
	uint16_t (*home)(const void *self, const void *key);
	/* Optional: a number below ordinals for each key, one to one. Serves txn_lowest_absent. */
	uint32_t (*ordinal)(const void *self, const void *key);
	uint32_t ordinals;
};

/* The value under key, or NULL. */
const void *txn_read(struct txn *txn, uint32_t table, const void *key);

/* The value under key to change in place, or NULL. */
void *txn_modify(struct txn *txn, uint32_t table, const void *key);

/*
 * A new zeroed value under key; NULL if the key is there or the table is at capacity. A step that
 * adds more than TXN_INSERTS_MAX to one flow table, or changes more than TXN_WRITES_MAX entries,
 * aborts.
 */
void *txn_insert(struct txn *txn, uint32_t table, const void *key);

/* False if the key is not there. */
bool txn_erase(struct txn *txn, uint32_t table, const void *key);

/* The lowest ordinal in [first, first + count) without an entry; UINT32_MAX if all are there. */
uint32_t txn_lowest_absent(struct txn *txn, uint32_t table, uint32_t first, uint32_t count);

/*
 * The entry under key expires at the first packet at or past deadline_ns (rounded up to the timer
 * quantum, at most 16384 quanta ahead); 0: never. Costs a change only where the deadline changes.
 */
void txn_expire_at(struct txn *txn, uint32_t table, const void *key, uint64_t deadline_ns);

/*
 * The entry under key expires once it is idle: idle_ns from now, or up to a sixteenth of that
 * later, so that an entry in use is a change, and a base value to write, only now and then.
 */
void txn_keep(struct txn *txn, uint32_t table, const void *key, uint64_t idle_ns);

/* A prepare step: what a flow table of its home will have under key at its turn; NULL: nothing. */
const void *txn_foresee(struct txn *txn, uint32_t table, const void *key);

/*
 * A flow transaction finds that it needs shared tables after all. True: it may use them from here
 * on. False: it is taken back, and runs again when all before it are done. Costs much time: what
 * can be told before belongs into the prepare step.
 */
bool txn_widen(struct txn *txn);

/* Takes back everything the transaction did. */
void txn_abort(struct txn *txn);
bool txn_aborted(const struct txn *txn);

/* The packet clock. */
uint64_t txn_now_ns(const struct txn *txn);

/*
 * A declared operation on one entry of a shared table. Its function is called once its inputs are
 * there: the entry as the transactions before this one, and this one's operations before, have left
 * it, and so the sources (parametric dependencies). It may be called again if an input turns out
 * to be one of a transaction that aborted, so it depends on the call alone, and leaves nothing but
 * its effect and what it writes to the context. Those of one transaction may run in any order and
 * beside each other, unless one says `after`.
 */
enum operation_kind {
	OPERATION_READ,	       /* sees the entry */
	OPERATION_WRITE,       /* puts a value whatever there was */
	OPERATION_READ_MODIFY, /* both */
};

enum operation_effect {
	EFFECT_NONE,
	EFFECT_PUT,   /* the value as the function left it; a new entry where there was none */
	EFFECT_ERASE, /* no entry, whether there was one or not */
	EFFECT_ABORT, /* the transaction: only if the operation is declared so */
};

struct operation_call {
	void *context;	 /* the transaction's own memory: a packet's scratch */
	const void *old; /* the entry's value; NULL: there is none, or the kind is WRITE */
	const void *sources[OPERATION_SOURCES_MAX]; /* NULL: no entry */
	void *value;				    /* for EFFECT_PUT: at first as old, or zeroed */
	uint64_t deadline_ns; /* of the entry, 0: never; may be changed along with EFFECT_PUT */
	uint64_t id, now_ns;
};

struct operation_source {
	uint32_t table;
	uint64_t key[KEY_BYTES_MAX / 8];
};

struct operation {
	enum operation_kind kind;
	bool may_abort;
	bool after; /* it needs what the transaction's operations before it leave in the context */
	uint8_t sources_count;
	uint32_t table;
	enum operation_effect (*function)(struct operation_call *call);
	uint64_t key[KEY_BYTES_MAX / 8];
	struct operation_source sources[OPERATION_SOURCES_MAX];
};

#endif
