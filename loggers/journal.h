/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal: an append-only, single-writer, many-reader log of blocks in a ring of shared memory
 * (DESIGN section 4). This file pair is the protocol over plain memory; journal_shm makes the
 * memory.
 *
 * head word:  | term 16 | sealed 1 | position 47 |, position in lines of 64 bytes, ever growing.
 * block:      | header 64 | payload, padded to a line |, never across the ring's end: a PAD block
 *             fills what is left there.
 *
 * The writer publishes by one compare-and-swap of the head word, so that a writer which dies in the
 * middle leaves nothing behind, and a sealed one can publish nothing more. Whoever takes over first
 * seals, then decides from the sealed position. A journal is never reopened for writing.
 *
 * A reader's block lies in the ring until the reader advances, if it gates; a reader that does not
 * gate copies first and then asks journal_reader_valid. Nothing here assumes that the peer maps the
 * same memory: a position names the same block wherever a copy of the ring lies.
 */
#ifndef UNDERSTUDY_LOGGERS_JOURNAL_H
#define UNDERSTUDY_LOGGERS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/atomics.h"
#include "core/limits.h"
#include "core/status.h"
#include "loggers/owner.h"

#define JOURNAL_MAGIC 0x00014e524a444e55ull /* "UNDJRN", version 1 */
#define JOURNAL_POSITION_BITS 47
#define JOURNAL_SEALED (1ull << JOURNAL_POSITION_BITS)
#define JOURNAL_POSITION_MASK (JOURNAL_SEALED - 1)
#define JOURNAL_TERM_SHIFT 48

enum journal_gate {
	GATE_NONE = 0,	   /* may be lapped */
	GATE_OPTIONAL = 1, /* holds the writer back until the writer detaches it */
	GATE_REPLICA = 2,  /* as optional, but the last attached one of its group is required */
	GATE_REQUIRED = 3, /* never detached, dead or alive */
};

/* Writer: the reader itself; reads: the journal's writer, the manager. A page each. */
struct journal_slot {
	struct owner owner;
	uint64_t cursor
		__attribute__((aligned(64))); /* position: all before it may be overwritten */
	uint32_t gate __attribute__((aligned(64)));
	uint32_t group;
	char name[NAME_BYTES];
} __attribute__((aligned(4096)));

/* The control file. Every participant maps it read-write. */
struct journal_control {
	/* Written once, before anybody else opens it. */
	uint64_t magic;
	uint64_t ring_bytes;  /* a power of two */
	uint64_t first_batch; /* the batch of the first block */
	uint64_t first_line;  /* where it begins: 0, or where the journal before it was sealed */
	uint64_t incarnation;
	uint32_t checked; /* payloads carry a CRC */
	uint32_t ready;
	char name[NAME_BYTES];
	struct owner owner; /* the writer's thread */
	/* Writer: the journal's writer; the sealed bit: the manager. Readers: all. */
	uint64_t head __attribute__((aligned(128)));
	uint64_t published_batch; /* one past the last published batch; a hint, after head */
	/* Writer: the journal's writer. All before tail may already be overwritten. */
	uint64_t tail __attribute__((aligned(128)));
	/* A bit for each slot. attached: set by readers. detached: set by the journal's writer. */
	uint64_t attached __attribute__((aligned(128)));
	uint64_t detached;
	/* For idle readers: sleepers counts them, wake changes when they should look again. */
	uint32_t sleepers __attribute__((aligned(128)));
	uint32_t wake;
	struct journal_slot slots[JOURNAL_READERS_MAX];
};

struct journal_block {
	uint32_t magic;
	uint32_t bytes;	   /* of payload */
	uint64_t position; /* its generation: where in the log it was written */
	uint32_t lines;	   /* header and padding included */
	uint32_t kind;
	uint32_t payload_crc;
	uint32_t header_crc; /* of the header with this field 0 */
	uint64_t reserved[4];
};

_Static_assert(sizeof(struct journal_block) == LINE_BYTES, "layout");

/* One mapping of one journal. Owned by the process that opened it. */
struct journal {
	struct journal_control *control;
	uint8_t *ring;
	uint64_t ring_lines;
};

struct journal_writer {
	struct journal *journal;
	uint64_t term;
	uint64_t position; /* next line to publish */
	uint64_t limit;	   /* first line that may not be written */
	uint64_t needed;   /* lines, up to where the last reserve wanted room */
	uint32_t pad_lines;
	bool wake_needed; /* after a publish: a reader sleeps, call idle_wake */
};

struct journal_reader {
	struct journal *journal;
	uint64_t position;
	uint32_t slot;
	uint32_t gate;
	uint32_t block_lines;
	bool lazy;  /* payloads are not checked by peek: ask journal_payload_sound before use */
	bool holds; /* what it has passed stays until journal_let_go: a successor may read it */
};

/* Formats control memory (zeroed) for a ring of ring_bytes. Before anybody else sees it. */
void journal_format(struct journal_control *control, const char *name, uint64_t ring_bytes,
	uint64_t first_batch, uint64_t incarnation, bool checked);

/*
 * Right after that: it goes on where a former journal was sealed, whose writer is dead. The places
 * of that one's living and required gating readers are kept for them, at its beginning, until they
 * come (journal_follow) or a successor does. Puts right what the dead writer left half done.
 */
void journal_continue(struct journal *journal, struct journal *former);

/* Checks a mapping before use. Errors: VERSION, CORRUPT (sizes disagree), EMPTY (not ready yet). */
MUST_CHECK enum status journal_check(const struct journal_control *control, size_t control_bytes,
	size_t ring_bytes);

/* Makes the calling thread the writer, once in a journal's life. Errors: EXISTS, SEALED. */
MUST_CHECK enum status journal_writer_open(struct journal_writer *writer, struct journal *journal,
	uint16_t term);

/*
 * Room for a payload of up to bytes. *payload stays the writer's until the publish.
 * Errors: BLOCKED (a gating reader holds it back), SEALED, TOO_BIG (never fits).
 */
MUST_CHECK enum status journal_reserve(struct journal_writer *writer, uint32_t bytes,
	void **payload);

/* Where the journal will end once the reserved room's first bytes are published. */
uint64_t journal_end_of(const struct journal_writer *writer, uint32_t bytes);

/* Publishes the reserved room's first bytes; next_batch is one past the last batch in it. */
MUST_CHECK enum status journal_publish(struct journal_writer *writer, uint32_t bytes,
	uint64_t next_batch);

/*
 * The blocked writer detaches who holds its last reserve back: dead readers at once, and with
 * `patience_over` living ones too, but never a required one nor the last replica of a group, nor
 * those at or behind a required one's place, who hold back nothing.
 * Returns slots detached.
 */
uint32_t journal_detach_blockers(struct journal_writer *writer, bool patience_over);

/* Seals; returns the sealed position. Idempotent. Any process. */
uint64_t journal_seal(struct journal *journal);
bool journal_is_sealed(const struct journal *journal);
uint64_t journal_head_position(const struct journal *journal);

#define JOURNAL_FROM_TAIL UINT64_MAX

/*
 * Attaches the calling thread as a reader at position `from`, or at the oldest block.
 * Errors: LAPPED (from is gone), FULL (no slot), INVALID (from is beyond the head).
 */
MUST_CHECK enum status journal_attach(struct journal_reader *reader, struct journal *journal,
	enum journal_gate gate, uint32_t group, const char *name, uint64_t from);

/*
 * Attaches where a dead reader of that name was, whose slots go, or at the oldest block. Errors:
 * FULL.
 */
MUST_CHECK enum status journal_succeed(struct journal_reader *reader, struct journal *journal,
	enum journal_gate gate, const char *name);

/*
 * At the sealed end of its journal, by the thread that attached: takes its place in the journal
 * that goes on there; the former one's goes. Errors: those of journal_attach, and then the reader
 * is where it was.
 */
MUST_CHECK enum status journal_follow(struct journal_reader *reader, struct journal *next);

/* Whether a dead reader of that name, or one that never came, has a place. */
bool journal_awaits(const struct journal *journal, const char *name);

/*
 * Lets go of the writer; any thread of the reader's process. The slot stays the attaching thread's,
 * which either attaches it again or gives it back, before the journal is unmapped: owner words of a
 * thread are linked through memory.
 */
void journal_detach(struct journal_reader *reader);
MUST_CHECK enum status journal_reattach(struct journal_reader *reader, uint64_t from);
void journal_give_back(struct journal_reader *reader);

/* Frees the slot of a dead reader, whatever its gate. */
void journal_release_slot(struct journal *journal, uint32_t slot);

/* The manager frees the slots of dead replicas: the writer would only when they hold it back. */
void journal_release_dead(struct journal *journal);

/*
 * The next block's payload. Errors: EMPTY, SEALED (at the sealed end: nothing will follow), LAPPED,
 * DETACHED, CORRUPT.
 */
MUST_CHECK enum status journal_peek(struct journal_reader *reader, const void **payload,
	uint32_t *bytes);
void journal_advance(struct journal_reader *reader);

/* A reader that holds: what it has passed may go. */
void journal_let_go(struct journal_reader *reader);

/* Checks the peeked block's payload, for lazy readers. */
bool journal_payload_sound(const struct journal_reader *reader);

/* For a reader that only holds a place: lets go of all before the block boundary at position. */
void journal_move_to(struct journal_reader *reader, uint64_t position);

/* False if what was peeked may have been overwritten since: discard what was made of it. */
bool journal_reader_valid(const struct journal_reader *reader);

/* Where the block after the peeked one begins. */
static inline uint64_t journal_next_position(const struct journal_reader *reader)
{
	return reader->position + reader->block_lines;
}

#endif
