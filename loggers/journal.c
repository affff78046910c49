/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/journal.h"

#include <string.h>

#include "core/bytes.h"
#include "core/crc32c.h"
#include "core/mutants.h"

#define SUCCEED_TRIES 1000

#define BLOCK_MAGIC 0x4b4c4255u
#define BLOCK_DATA 1u
#define BLOCK_PAD 2u

void journal_format(struct journal_control *control, const char *name, uint64_t ring_bytes,
	uint64_t first_batch, uint64_t incarnation, bool checked)
{
	control->ring_bytes = ring_bytes;
	control->first_batch = first_batch;
	control->published_batch = first_batch;
	control->incarnation = incarnation;
	control->checked = checked;
	strncpy(control->name, name, sizeof(control->name) - 1);
	owner_init(&control->owner);
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		owner_init(&control->slots[i].owner);
	control->magic = JOURNAL_MAGIC;
	atomic_write_release(&control->ready, 1u);
}

enum status journal_check(const struct journal_control *control, size_t control_bytes,
	size_t ring_bytes)
{
	if (control_bytes < sizeof(*control) || atomic_read_acquire(&control->ready) == 0)
		return STATUS_EMPTY;
	if (control->magic != JOURNAL_MAGIC)
		return STATUS_VERSION;
	if (control->ring_bytes != ring_bytes || ring_bytes < LINE_BYTES * 4 ||
		(ring_bytes & (ring_bytes - 1)) != 0)
		return STATUS_CORRUPT;
	return STATUS_OK;
}

enum status journal_writer_open(struct journal_writer *writer, struct journal *journal,
	uint16_t term)
{
	struct journal_control *control = journal->control;
	uint64_t expected = control->first_line;

	if (owner_is_claimed(&control->owner) || owner_claim(&control->owner) != STATUS_OK)
		return STATUS_EXISTS;
	if (!atomic_swap_if(&control->head, &expected,
		    (uint64_t)term << JOURNAL_TERM_SHIFT | control->first_line)) {
		owner_release(&control->owner);
		return (expected & JOURNAL_SEALED) != 0 ? STATUS_SEALED : STATUS_EXISTS;
	}
	*writer = (struct journal_writer){
		.journal = journal,
		.term = (uint64_t)term << JOURNAL_TERM_SHIFT,
		.position = control->first_line,
		.limit = control->first_line + journal->ring_lines,
	};
	return STATUS_OK;
}

/*
 * The lowest cursor of the gating readers, or position where there are none. One below floor is of
 * a reader that attached too late: what it asks for is gone, and it will see that (or it died).
 */
static uint64_t lowest_cursor(const struct journal_control *control, uint64_t floor,
	uint64_t position)
{
	uint64_t gating = atomic_read_seq_cst(&control->attached) &
			  ~atomic_read_seq_cst(&control->detached);
	uint64_t lowest = position;

	for (; gating != 0; gating &= gating - 1) {
		const struct journal_slot *slot = &control->slots[__builtin_ctzll(gating)];
		uint64_t cursor = atomic_read_acquire(&slot->cursor);

		if (atomic_read_relaxed(&slot->gate) != GATE_NONE && cursor >= floor &&
			cursor < lowest)
			lowest = cursor;
	}
	return lowest;
}

static struct journal_block *block_at(const struct journal *journal, uint64_t position)
{
	return (struct journal_block *)(journal->ring +
					(position & (journal->ring_lines - 1)) * LINE_BYTES);
}

/* The first block boundary at or after target, walking from the boundary at. */
static uint64_t block_boundary(const struct journal *journal, uint64_t at, uint64_t target)
{
	while (at < target)
		at += block_at(journal, at)->lines;
	return at;
}

/*
 * Moves tail up so that lines below `needed` become writable, as far as readers let it. The tail is
 * stored first and readers are looked at after it; an attaching reader stores its cursor first and
 * looks at the tail after it: one of the two sees the other. Lines once given up stay so.
 */
static bool make_room(struct journal_writer *writer, uint64_t needed)
{
	struct journal_control *control = writer->journal->control;
	uint64_t lines = writer->journal->ring_lines;
	uint64_t tail = needed > lines ? needed - lines : 0;
	uint64_t ahead = writer->position > lines / 8 * 7 ? writer->position - lines / 8 * 7 : 0;
	uint64_t lowest;

	if (ahead > tail)
		tail = ahead; /* a few blocks at a time, so that this is rare */
	if (tail > writer->position)
		tail = writer->position;
	tail = block_boundary(writer->journal, control->tail, tail);
	atomic_write_seq_cst(&control->tail, tail);
	lowest = lowest_cursor(control, writer->limit - lines, writer->position);
	if (lowest < tail) {
		if (!MUTANT(TRIM_TOO_FAR))
			tail = lowest;
		atomic_write_seq_cst(&control->tail, tail);
	}
	writer->limit = tail + lines;
	return needed <= writer->limit;
}

enum status journal_reserve(struct journal_writer *writer, uint32_t bytes, void **payload)
{
	uint64_t lines = writer->journal->ring_lines;
	uint64_t needed = 1 + ALIGN_UP((uint64_t)bytes, LINE_BYTES) / LINE_BYTES;
	uint64_t to_end = lines - (writer->position & (lines - 1));

	if (needed > lines / 2)
		return STATUS_TOO_BIG;
	if ((atomic_read_relaxed(&writer->journal->control->head) & JOURNAL_SEALED) != 0)
		return STATUS_SEALED;
	writer->pad_lines = needed > to_end ? (uint32_t)to_end : 0;
	needed += writer->position + writer->pad_lines;
	writer->needed = needed;
	if (needed > writer->limit && !make_room(writer, needed))
		return STATUS_BLOCKED;
	*payload = block_at(writer->journal, writer->position + writer->pad_lines) + 1;
	return STATUS_OK;
}

static void block_seal_header(struct journal_block *block)
{
	block->header_crc = 0;
	block->header_crc = crc32c(0, block, sizeof(*block));
}

static uint32_t lines_of(uint32_t bytes)
{
	return 1 + (uint32_t)(ALIGN_UP((uint64_t)bytes, LINE_BYTES) / LINE_BYTES);
}

uint64_t journal_end_of(const struct journal_writer *writer, uint32_t bytes)
{
	return writer->position + writer->pad_lines + lines_of(bytes);
}

enum status journal_publish(struct journal_writer *writer, uint32_t bytes, uint64_t next_batch)
{
	struct journal_control *control = writer->journal->control;
	struct journal_block *block =
		block_at(writer->journal, writer->position + writer->pad_lines);
	uint32_t lines = lines_of(bytes);
	uint64_t expected = writer->term | writer->position;

	if (writer->pad_lines > 0) {
		struct journal_block *pad = block_at(writer->journal, writer->position);

		*pad = (struct journal_block){
			.magic = BLOCK_MAGIC,
			.position = writer->position,
			.lines = writer->pad_lines,
			.kind = BLOCK_PAD,
		};
		block_seal_header(pad);
	}
	*block = (struct journal_block){
		.magic = BLOCK_MAGIC,
		.bytes = bytes,
		.position = writer->position + writer->pad_lines,
		.lines = lines,
		.kind = BLOCK_DATA,
		.payload_crc = control->checked ? crc32c(0, block + 1, bytes) : 0,
	};
	block_seal_header(block);
	lines += writer->pad_lines;
	if (!atomic_swap_if(&control->head, &expected, writer->term | (writer->position + lines))) {
		if (!MUTANT(PUBLISH_SEALED))
			return STATUS_SEALED;
		atomic_write_release(&control->head, expected + lines);
	}
	writer->position += lines;
	writer->pad_lines = 0;
	atomic_write_release(&control->published_batch, next_batch);
	writer->wake_needed = atomic_read_seq_cst(&control->sleepers) != 0;
	return STATUS_OK;
}

static bool last_of_its_group(const struct journal_control *control, uint64_t gating, uint32_t slot)
{
	for (uint64_t others = gating & ~(1ull << slot); others != 0; others &= others - 1) {
		const struct journal_slot *other = &control->slots[__builtin_ctzll(others)];

		if (other->gate == GATE_REPLICA && other->group == control->slots[slot].group)
			return false;
	}
	return true;
}

/* What those hold who are never detached: letting others go does not free more. */
static uint64_t lowest_required(const struct journal_control *control, uint64_t gating)
{
	uint64_t lowest = UINT64_MAX;

	for (; gating != 0; gating &= gating - 1) {
		const struct journal_slot *slot = &control->slots[__builtin_ctzll(gating)];
		uint64_t cursor = atomic_read_acquire(&slot->cursor);

		if (slot->gate == GATE_REQUIRED && cursor < lowest)
			lowest = cursor;
	}
	return lowest;
}

uint32_t journal_detach_blockers(struct journal_writer *writer, bool patience_over)
{
	struct journal_control *control = writer->journal->control;
	uint64_t gating = control->attached & ~control->detached;
	uint64_t required = lowest_required(control, gating);
	uint32_t count = 0;

	for (uint64_t left = gating; left != 0; left &= left - 1) {
		uint32_t slot = (uint32_t)__builtin_ctzll(left);
		const struct journal_slot *reader = &control->slots[slot];

		if (reader->gate == GATE_NONE || reader->gate == GATE_REQUIRED ||
			atomic_read_acquire(&reader->cursor) >= required)
			continue;
		if (atomic_read_acquire(&reader->cursor) + writer->journal->ring_lines >=
			(MUTANT(FOUND_HALF_RING)
					? writer->position + writer->journal->ring_lines / 2
					: writer->needed))
			continue;
		if ((!owner_is_dead(&reader->owner) && !patience_over) || MUTANT(KEEP_BLOCKER))
			continue;
		if (reader->gate == GATE_REPLICA && last_of_its_group(control, gating, slot))
			continue;
		(void)atomic_or_seq_cst(&control->detached, 1ull << slot);
		gating &= ~(1ull << slot);
		count++;
	}
	return count;
}

uint64_t journal_seal(struct journal *journal)
{
	return atomic_or_seq_cst(&journal->control->head, JOURNAL_SEALED) & JOURNAL_POSITION_MASK;
}

bool journal_is_sealed(const struct journal *journal)
{
	return (atomic_read_acquire(&journal->control->head) & JOURNAL_SEALED) != 0;
}

uint64_t journal_head_position(const struct journal *journal)
{
	return atomic_read_acquire(&journal->control->head) & JOURNAL_POSITION_MASK;
}

/* An unattached slot whose owner word the calling thread now holds. */
static enum status slot_claim(struct journal_control *control, uint32_t *slot)
{
	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++) {
		if ((atomic_read_seq_cst(&control->attached) & 1ull << i) != 0)
			continue;
		if (owner_claim(&control->slots[i].owner) != STATUS_OK)
			continue;
		if ((atomic_read_seq_cst(&control->attached) & 1ull << i) == 0) {
			*slot = i;
			return STATUS_OK;
		}
		owner_release(&control->slots[i].owner);
	}
	return STATUS_FULL;
}

enum status journal_reattach(struct journal_reader *reader, uint64_t from)
{
	struct journal_control *control = reader->journal->control;
	uint64_t at, bit = 1ull << reader->slot;

	(void)atomic_and_seq_cst(&control->detached, ~bit);
	for (;;) {
		at = from == JOURNAL_FROM_TAIL ? atomic_read_seq_cst(&control->tail) : from;
		atomic_write_seq_cst(&control->slots[reader->slot].cursor, at);
		(void)atomic_or_seq_cst(&control->attached, bit);
		if (atomic_read_seq_cst(&control->tail) <= at &&
			at <= journal_head_position(reader->journal))
			break;
		(void)atomic_and_seq_cst(&control->attached, ~bit);
		if (from != JOURNAL_FROM_TAIL)
			return at > journal_head_position(reader->journal) ? STATUS_INVALID
									   : STATUS_LAPPED;
	}
	reader->position = at;
	reader->block_lines = 0;
	return STATUS_OK;
}

enum status journal_attach(struct journal_reader *reader, struct journal *journal,
	enum journal_gate gate, uint32_t group, const char *name, uint64_t from)
{
	struct journal_slot *slot;
	enum status status;

	*reader = (struct journal_reader){.journal = journal, .gate = gate};
	status = slot_claim(journal->control, &reader->slot);
	if (status != STATUS_OK)
		return status;
	slot = &journal->control->slots[reader->slot];
	slot->gate = gate;
	slot->group = group;
	memset(slot->name, 0, sizeof(slot->name));
	strncpy(slot->name, name, sizeof(slot->name) - 1);
	status = journal_reattach(reader, from);
	if (status != STATUS_OK)
		journal_give_back(reader);
	return status;
}

/* Kept for a reader that has not come yet; see journal_continue. */
static bool is_kept(const struct journal_slot *slot)
{
	return !owner_is_claimed(&slot->owner);
}

void journal_continue(struct journal *journal, struct journal *former)
{
	struct journal_control *control = journal->control, *old = former->control;
	uint64_t gating = atomic_read_seq_cst(&old->attached) &
			  ~atomic_read_seq_cst(&old->detached);
	uint64_t first_line = journal_seal(former);

	/* The dead writer may only have been trying whether it can have more room. */
	atomic_write_seq_cst(&old->tail, lowest_cursor(old, 0, atomic_read_seq_cst(&old->tail)));
	control->first_line = control->tail = control->head = first_line;
	for (; gating != 0; gating &= gating - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(gating);
		const struct journal_slot *slot = &old->slots[i];

		if (slot->gate == GATE_NONE ||
			(slot->gate != GATE_REQUIRED && owner_is_dead(&slot->owner)))
			continue;
		control->slots[i].cursor = first_line;
		control->slots[i].gate = slot->gate;
		control->slots[i].group = slot->group;
		memcpy(control->slots[i].name, slot->name, sizeof(slot->name));
		control->attached |= 1ull << i;
	}
}

/* The place that is kept for this reader, now its own. */
static enum status take_kept(const struct journal_reader *reader, struct journal_control *control,
	uint32_t *slot)
{
	const struct journal_slot *own = &reader->journal->control->slots[reader->slot];
	uint64_t attached = atomic_read_seq_cst(&control->attached);

	for (; attached != 0; attached &= attached - 1) {
		struct journal_slot *kept;

		*slot = (uint32_t)__builtin_ctzll(attached);
		kept = &control->slots[*slot];
		if (is_kept(kept) && kept->group == own->group && kept->gate == own->gate &&
			strcmp(kept->name, own->name) == 0 &&
			owner_claim(&kept->owner) == STATUS_OK)
			return STATUS_OK;
	}
	return STATUS_NOT_FOUND;
}

/*
 * There is one required reader of a name: other places kept for it are of one that it was just
 * succeeding as the journal was made, and nobody will come for them.
 */
static void release_kept(struct journal *journal, const char *name)
{
	uint64_t attached = atomic_read_seq_cst(&journal->control->attached);

	for (; attached != 0; attached &= attached - 1) {
		uint32_t slot = (uint32_t)__builtin_ctzll(attached);
		const struct journal_slot *kept = &journal->control->slots[slot];

		if (is_kept(kept) && kept->gate == GATE_REQUIRED && strcmp(kept->name, name) == 0)
			journal_release_slot(journal, slot);
	}
}

enum status journal_follow(struct journal_reader *reader, struct journal *next)
{
	const struct journal_slot *own = &reader->journal->control->slots[reader->slot];
	struct journal_reader followed = *reader;
	enum status status = take_kept(reader, next->control, &followed.slot);

	followed.journal = next;
	/* One that only holds a place may have left out what lies between. */
	if (followed.position < next->control->first_line)
		followed.position = next->control->first_line;
	if (status != STATUS_OK) {
		status = journal_attach(&followed, next, (enum journal_gate)reader->gate,
			own->group, own->name, followed.position);
		followed.lazy = reader->lazy;
		followed.holds = reader->holds;
	}
	if (status != STATUS_OK)
		return status;
	if (reader->gate == GATE_REQUIRED)
		release_kept(next, own->name);
	journal_detach(reader);
	journal_give_back(reader);
	*reader = followed;
	return STATUS_OK;
}

/* The lowest place that dead readers of that name hold, or JOURNAL_FROM_TAIL. */
static uint64_t held_by_dead(const struct journal_control *control, const char *name,
	uint64_t *slots)
{
	uint64_t attached = atomic_read_seq_cst(&control->attached);
	uint64_t from = JOURNAL_FROM_TAIL;

	*slots = 0;
	for (; attached != 0; attached &= attached - 1) {
		uint32_t slot = (uint32_t)__builtin_ctzll(attached);
		const struct journal_slot *dead = &control->slots[slot];
		uint64_t cursor = atomic_read_acquire(&dead->cursor);

		if (strcmp(dead->name, name) != 0 ||
			(!owner_is_dead(&dead->owner) && !is_kept(dead)))
			continue;
		*slots |= 1ull << slot;
		if ((atomic_read_seq_cst(&control->detached) & 1ull << slot) == 0 && cursor < from)
			from = cursor;
	}
	return from;
}

bool journal_awaits(const struct journal *journal, const char *name)
{
	uint64_t slots;

	(void)held_by_dead(journal->control, name, &slots);
	return slots != 0;
}

enum status journal_succeed(struct journal_reader *reader, struct journal *journal,
	enum journal_gate gate, const char *name)
{
	uint64_t slots, from;
	enum status status = STATUS_LAPPED;

	/*
	 * While a dead one holds it, it is not gone: a writer may only be trying to make room. But
	 * one that died as it attached may never have had its place.
	 */
	for (int tries = 0; status == STATUS_LAPPED; tries++) {
		from = held_by_dead(journal->control, name, &slots);
		status = journal_attach(reader, journal, gate, 0, name,
			tries < SUCCEED_TRIES ? from : JOURNAL_FROM_TAIL);
	}
	for (; status == STATUS_OK && slots != 0; slots &= slots - 1)
		journal_release_slot(journal, (uint32_t)__builtin_ctzll(slots));
	return status;
}

void journal_detach(struct journal_reader *reader)
{
	(void)atomic_and_seq_cst(&reader->journal->control->attached, ~(1ull << reader->slot));
}

void journal_give_back(struct journal_reader *reader)
{
	owner_release(&reader->journal->control->slots[reader->slot].owner);
	reader->journal = NULL;
}

void journal_release_slot(struct journal *journal, uint32_t slot)
{
	(void)atomic_and_seq_cst(&journal->control->attached, ~(1ull << slot));
}

void journal_release_dead(struct journal *journal)
{
	struct journal_control *control = journal->control;

	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		if ((atomic_read_seq_cst(&control->attached) & 1ull << i) != 0 &&
			control->slots[i].gate == GATE_REPLICA &&
			owner_is_dead(&control->slots[i].owner))
			journal_release_slot(journal, i);
}

bool journal_reader_valid(const struct journal_reader *reader)
{
	const struct journal_control *control = reader->journal->control;

	atomic_fence_acquire();
	if ((atomic_read_acquire(&control->detached) & 1ull << reader->slot) != 0)
		return false;
	return reader->gate != GATE_NONE || atomic_read_acquire(&control->tail) <= reader->position;
}

static enum status block_check(const struct journal *journal, uint64_t position, uint64_t head,
	struct journal_block *copy)
{
	uint32_t crc;

	memcpy(copy, block_at(journal, position), sizeof(*copy));
	crc = copy->header_crc;
	copy->header_crc = 0;
	if (copy->magic != BLOCK_MAGIC || copy->position != position ||
		crc32c(0, copy, sizeof(*copy)) != crc)
		return STATUS_CORRUPT;
	if (copy->lines == 0 || copy->lines > head - position ||
		(position & (journal->ring_lines - 1)) + copy->lines > journal->ring_lines ||
		copy->bytes > ((uint64_t)copy->lines - 1) * LINE_BYTES)
		return STATUS_CORRUPT;
	return STATUS_OK;
}

enum status journal_peek(struct journal_reader *reader, const void **payload, uint32_t *bytes)
{
	struct journal *journal = reader->journal;
	struct journal_block block;

	for (;;) {
		uint64_t head = atomic_read_acquire(&journal->control->head);
		uint64_t position = head & JOURNAL_POSITION_MASK;
		enum status status;

		if ((atomic_read_acquire(&journal->control->detached) & 1ull << reader->slot) != 0)
			return STATUS_DETACHED;
		if (MUTANT(READ_UNPUBLISHED) && reader->position == position &&
			block_check(journal, position, position + journal->ring_lines, &block) ==
				STATUS_OK)
			position += block.lines;
		if (reader->position >= position)
			return (head & JOURNAL_SEALED) != 0 ? STATUS_SEALED : STATUS_EMPTY;
		status = block_check(journal, reader->position, position, &block);
		if (!journal_reader_valid(reader))
			return reader->gate == GATE_NONE ? STATUS_LAPPED : STATUS_DETACHED;
		if (status != STATUS_OK)
			return status;
		reader->block_lines = block.lines;
		if (block.kind == BLOCK_DATA)
			break;
		journal_advance(reader);
	}
	*payload = block_at(journal, reader->position) + 1;
	*bytes = block.bytes;
	if (!reader->lazy && !journal_payload_sound(reader))
		return journal_reader_valid(reader) ? STATUS_CORRUPT : STATUS_LAPPED;
	return STATUS_OK;
}

bool journal_payload_sound(const struct journal_reader *reader)
{
	const struct journal_block *block = block_at(reader->journal, reader->position);
	/* Once: a writer may be lapping a reader that does not gate. */
	uint32_t bytes = atomic_read_relaxed(&block->bytes);

	return !reader->journal->control->checked || MUTANT(TRUST_CRC) ||
	       (bytes <= (reader->block_lines - 1) * LINE_BYTES &&
		       crc32c(0, block + 1, bytes) == block->payload_crc);
}

void journal_advance(struct journal_reader *reader)
{
	reader->position += reader->block_lines;
	reader->block_lines = 0;
	if (!reader->holds)
		journal_let_go(reader);
}

void journal_let_go(struct journal_reader *reader)
{
	atomic_write_release(&reader->journal->control->slots[reader->slot].cursor,
		reader->position);
}

void journal_move_to(struct journal_reader *reader, uint64_t position)
{
	BUG_ON(position < reader->position);
	reader->position = position;
	journal_let_go(reader);
}
