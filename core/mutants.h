/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeded bugs, each of which a test must catch: those of the engine the model test, those of the
 * chain the simulator. They are in no program but these, which are built with UNDERSTUDY_MUTANTS.
 */
#ifndef UNDERSTUDY_CORE_MUTANTS_H
#define UNDERSTUDY_CORE_MUTANTS_H

#define ENGINE_MUTANTS(X)                                                                          \
	X(SKIP_TEMPORAL, "an operation does not wait for the write before it")                     \
	X(SKIP_PARAMETRIC, "nor for what last wrote its sources")                                  \
	X(SKIP_LOGICAL, "seen by others before its transaction is decided")                        \
	X(REORDER, "two neighbours in a chain change places")                                      \
	X(LEAK_VERSION, "an aborted transaction's version goes into the table")                    \
	X(FORGET_ROLLBACK, "an aborting transaction's other operations stay")                      \
	X(FORGET_REDO, "lazy: who depended on an aborted one is not run again")                    \
	X(FORGET_CONTEXT, "what an aborted transaction left in its context stays")                 \
	X(WRONG_VERSION, "a source is seen as it was before the batch")                            \
	X(LOSE_DEADLINE, "a version's deadline does not get into the table")                       \
	X(TRUST_FORESIGHT, "what was seen ahead is not looked at again")                           \
	X(IGNORE_CAPACITY, "the graph is used in a table that is nearly full")

#define CHAIN_MUTANTS(X)                                                                           \
	X(ACK_BEFORE_SYNC, "batches are acknowledged before they are synced")                      \
	X(ACK_AFTER_FAILURE, "batches are acknowledged though a write has failed")                 \
	X(FORGET_SEAL, "a lost replica's journal is not sealed")                                   \
	X(PUBLISH_SEALED, "a sealed writer publishes on")                                          \
	X(READ_UNPUBLISHED, "a reader goes on to what is written and not published")               \
	X(RELEASE_EARLY, "outputs leave before they are durable")                                  \
	X(RELEASE_TWICE, "at a takeover a batch leaves twice")                                     \
	X(TRIM_TOO_FAR, "a writer overwrites one block that a reader still needs")                 \
	X(TRIM_PAST_BASE, "the base journal goes on where one stage needs it still")               \
	X(REPLAY_TOO_FEW, "a restored replica begins one batch late")                              \
	X(STALE_FOLD, "base values are said to be as of one batch later")                          \
	X(HALF_FOLD, "base values are committed without the last block")                           \
	X(FOLD_UNRELEASED, "base values are committed before they are released")                   \
	X(FOLD_UNSOUND, "base values are taken from memory that has changed by itself")            \
	X(KEEP_REFUTED, "what refuted replicas have published is taken nevertheless")              \
	X(LOSE_TOMBSTONE, "what was erased stays in the base values")                              \
	X(LOSE_IMAGE, "a changed entry does not get into a fold")                                  \
	X(LIST_ONCE, "what changes again behind a fold's pass is not listed again")                \
	X(DROP_DETERMINANT, "a determinant is not recorded")                                       \
	X(ASK_AGAIN, "a slave asks for itself what its leader was told")                           \
	X(LEAD_EARLY, "a new leader does not read its predecessor's journal to the end")           \
	X(SLOT_IN_RESULT, "a table's slot number gets into a digest")                              \
	X(SEED_IN_RESULT, "an allocation depends on the hash seed")                                \
	X(CUT_IN_RESULT, "timers fire between batches, not between packets")                       \
	X(TRUST_CRC, "checksums are not looked at")                                                \
	X(ID_AGAIN, "ticks take no packet ID")                                                     \
	X(CLOCK_BACK, "the packet clock follows the day's clock back")                             \
	X(KEEP_BLOCKER, "dead readers are not detached")                                           \
	X(IGNORE_HANG, "hangs are not seen")                                                       \
	X(FORGET_NOTHING, "journals of the dead stay")                                             \
	X(MISCOUNT, "what leaves is counted in bursts, not in packets")                            \
	X(KEEP_SIDE_EFFECT, "an aborted transaction's change stays")

/* What the simulator found in the chain as it was: so that it stays found. */
#define FOUND_MUTANTS(X)                                                                           \
	X(FOUND_FORGOTTEN, "a former leader's journal goes before the new one has read it")        \
	X(FOUND_IDLE_LEADER, "a new leader is done with former ones only when input comes")        \
	X(FOUND_HALF_RING, "a dead reader less than half a ring behind is not detached")           \
	X(FOUND_UNSEEN, "the journal of a replica that died in its start stays")                   \
	X(FOUND_UNADOPTED, "a new manager does not know of journals that a former one had sealed") \
	X(FOUND_NOBODY, "a new manager takes a replica that was never ordered for the leader")     \
	X(FOUND_SEALED_END, "a journal is let go only when a later batch is looked for")           \
	X(FOUND_NOT_SAID, "a new manager does not say again what may not have been heard")         \
	X(FOUND_PASS_ON, "a fold's pass goes on when base values have come meanwhile")             \
	X(FOUND_CORRUPT_FOLD, "who publishes a corrupt fold stays")

enum mutant {
	MUTANT_NONE,
#define X(name, text) MUTANT_##name,
	ENGINE_MUTANTS(X) MUTANTS_ENGINE_LAST,
	CHAIN_MUTANTS(X) MUTANTS_CHAIN_LAST,
	FOUND_MUTANTS(X)
#undef X
		MUTANTS_COUNT
};

#ifdef UNDERSTUDY_MUTANTS
extern enum mutant mutant;
#define MUTANT(name) (mutant == MUTANT_##name)
#else
#define MUTANT(name) false
#endif

#endif
