/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Named places where a crash is most telling: every durable or externally visible step. Built with
 * UNDERSTUDY_STEPS the simulator is told of each, and may end the process there; else they are
 * nothing.
 */
#ifndef UNDERSTUDY_CORE_FAULT_POINTS_H
#define UNDERSTUDY_CORE_FAULT_POINTS_H

#define FAULT_POINT_LIST(X)                                                                        \
	X(ID_ASSIGNED, "packet IDs assigned, batch not published")                                 \
	X(BATCH_PUBLISHED, "batch published")                                                      \
	X(MID_TRANSACTION, "within a batch, state partly changed")                                 \
	X(OUTCOME_READY, "outcome complete, not published")                                        \
	X(OUTCOME_PUBLISHED, "outcome published, input not let go")                                \
	X(LOG_APPENDED, "log written, not synced")                                                 \
	X(LOG_SYNCED, "log synced, not acknowledged")                                              \
	X(LOG_ACKNOWLEDGED, "log acknowledged, not released")                                      \
	X(OUTPUT_HANDED, "outputs handed to the port, not completed")                              \
	X(OUTPUT_RELEASED, "outputs completed, base not let go")                                   \
	X(CATCHING_UP, "a new replica executes old batches")                                       \
	X(FOLD_BLOCK, "a fold partly published")                                                   \
	X(FOLD_PUBLISHED, "a fold published, not base values yet")                                 \
	X(FOLD_COMMITTED, "base values written, not told")                                         \
	X(JOURNAL_SEALED, "old leader sealed, none promoted")                                      \
	X(TERM_WRITTEN, "new leader written")                                                      \
	X(RESTORE_ATTACHED, "a new replica holds its input, has no state")                         \
	X(RESTORE_LOADED, "a new replica has its state, no journal")                               \
	X(CONSUMER_ATTACHED, "a consumer reads a new journal")                                     \
	X(TRIMMED, "a log trimmed")                                                                \
	X(GATEWAY_ANNOUNCED, "a gateway's journal made, nothing in it")                            \
	X(GATEWAY_ATTACHED, "a gateway's egress where the former one's was")

enum fault_point {
#define X(name, text) POINT_##name,
	FAULT_POINT_LIST(X)
#undef X
		FAULT_POINTS
};

#ifdef UNDERSTUDY_STEPS
void fault_point(enum fault_point point);
#define FAULT_POINT(name) fault_point(POINT_##name)
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
