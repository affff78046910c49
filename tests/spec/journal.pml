/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The journal's publish, seal and read protocol (loggers/journal.c) under every interleaving of its
 * ordered steps, with store buffers: a plain or release store goes into its thread's buffer, and
 * from there to memory at any later time, in order (total store order, Sewell et al., CACM 2010);
 * a sequentially consistent store or a compare-and-swap empties the buffer first. Loads see the
 * thread's own buffer first.
 *
 * A ring of SLOTS blocks of one line each; the writer publishes BLOCKS. A gating reader attaches at
 * the oldest block while the writer goes round; somebody seals.
 *
 *   I6  the sealed position stands, and nobody reads past it
 *   I8  what a gating reader reads is the block that it wanted, while it reads it
 *   L1  the writer is not held back for ever, nor the reader
 *
 * -DTAIL_RELAXED: the tail is stored without emptying the buffer; -DCURSOR_RELAXED: so is the
 * cursor of a reader that attaches; -DHEAD_STORE: the head is stored, not swapped; -DDATA_AFTER:
 * the block is written after the head. Each must violate an assertion (tests/spec/run.sh).
 */
#define SLOTS 2
#define BLOCKS 4
#define NONE 255

/* Memory. A block is its generation: its position. Positions start at 1. */
byte ring[SLOTS];
byte head = 1; /* next position to publish */
bool sealed;
byte tail = 1; /* all before it may be overwritten */
byte cursor = NONE;
bool attached;

/* The store buffers: what is not yet in memory, oldest first. */
#define DEPTH 4
mtype = { RING, HEAD, TAIL, CURSOR };
chan writer_buffer = [DEPTH] of { mtype, byte, byte };
chan reader_buffer = [DEPTH] of { mtype, byte, byte };

byte sealed_at = NONE;

inline to_memory(buffer)
{
	if
	:: buffer ? RING, index, value -> ring[index] = value
	:: buffer ? HEAD, index, value ->
		assert(!sealed || value <= sealed_at); /* I6 */
		head = value
	:: buffer ? TAIL, index, value -> tail = value
	:: buffer ? CURSOR, index, value -> cursor = value
	fi
}

/* A thread's buffer goes to memory in its own time. */
proctype drain(bool of_writer)
{
	byte index, value;

end:	do
	:: atomic { of_writer && nempty(writer_buffer) -> to_memory(writer_buffer) }
	:: atomic { !of_writer && nempty(reader_buffer) -> to_memory(reader_buffer) }
	od
}

proctype writer()
{
	byte position = 1, lowest, new_tail, own_tail = 1;

	do
	:: position > BLOCKS -> break
	:: else ->
		/* make_room: the tail first, then who is there. */
		do
		:: position - own_tail < SLOTS -> break
		:: else ->
			new_tail = own_tail + 1;
#ifdef TAIL_RELAXED
			writer_buffer ! TAIL, 0, new_tail;
#else
			empty(writer_buffer);
			tail = new_tail;
#endif
			if
			:: attached && cursor < new_tail && cursor >= own_tail ->
				/* Held back: what it wanted to give up is taken back. */
#ifdef TAIL_RELAXED
				writer_buffer ! TAIL, 0, own_tail;
#else
				tail = own_tail;
#endif
				/* Until the reader has moved on, or the journal is sealed. */
				(cursor > own_tail || sealed);
				if
				:: sealed -> goto done
				:: else
				fi
			:: else -> own_tail = new_tail
			fi
		od;
#ifndef DATA_AFTER
		writer_buffer ! RING, position % SLOTS, position;
#endif
#ifdef HEAD_STORE
		if
		:: sealed -> goto done
		:: else -> writer_buffer ! HEAD, 0, position + 1
		fi;
#else
		empty(writer_buffer);
		atomic { /* compare and swap */
			if
			:: sealed -> goto done
			:: else -> head = position + 1
			fi
		}
#endif
#ifdef DATA_AFTER
		writer_buffer ! RING, position % SLOTS, position;
#endif
		position++
	od;
done:
	skip
}

proctype reader()
{
	byte at, until;
	bool was_sealed;

	/* Attaches at the tail: the cursor first, then it is to be seen, then the tail again. */
	do
	:: at = tail;
#ifdef CURSOR_RELAXED
	   reader_buffer ! CURSOR, 0, at;
	   attached = true;
#else
	   empty(reader_buffer);
	   cursor = at;
	   attached = true;
#endif
	   if
	   :: tail <= at && at <= head -> break
	   :: else -> attached = false
	   fi
	od;
	/* Reads to the sealed end. */
end:	do
	:: head > at || sealed ->
		atomic { until = head; was_sealed = sealed } /* one word */
		if
		:: at >= until && was_sealed -> break
		:: at >= until
		:: at < until ->
			assert(ring[at % SLOTS] == at); /* I8: as it begins to read, */
			assert(sealed_at == NONE || at < sealed_at); /* I6 */
			assert(ring[at % SLOTS] == at); /* and as it ends */
			at++;
			empty(reader_buffer);
			cursor = at
		fi
	od
}

proctype sealer()
{
	atomic { sealed = true; sealed_at = head }
}

init
{
	atomic {
		run drain(true);
		run drain(false);
		run writer();
		run reader();
		run sealer()
	}
}
