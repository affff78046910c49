/* SPDX-License-Identifier: BSD-3-Clause */
/* One status for every fallible call. Names come from one X-macro, so a status prints itself. */
#ifndef UNDERSTUDY_CORE_STATUS_H
#define UNDERSTUDY_CORE_STATUS_H

#define STATUS_MAP(X)                                                                              \
	X(OK, "ok")                                                                                \
	X(EMPTY, "nothing there yet")                                                              \
	X(BLOCKED, "held back by a reader")                                                        \
	X(SEALED, "sealed")                                                                        \
	X(LAPPED, "overwritten before it was read")                                                \
	X(DETACHED, "detached by the writer")                                                      \
	X(CORRUPT, "bytes are corrupt")                                                            \
	X(VERSION, "written by another version")                                                   \
	X(TOO_BIG, "larger than the limit")                                                        \
	X(FULL, "full")                                                                            \
	X(NOT_FOUND, "not found")                                                                  \
	X(EXISTS, "exists already")                                                                \
	X(INVALID, "not valid")                                                                    \
	X(ABORTED, "transaction aborted")                                                          \
	X(NO_MEMORY, "out of memory")                                                              \
	X(NO_ROOM, "no room in shared memory")                                                     \
	X(IO, "input/output error")                                                                \
	X(END, "end of input")

enum status {
#define X(name, text) STATUS_##name,
	STATUS_MAP(X)
#undef X
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The status in words; never NULL. Any thread. */
const char *status_text(enum status status);

/* A bug of ours (never of the input) ends the process; stays on in release builds. */
#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			__builtin_trap();                                                          \
	} while (0)

#endif
