/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The audit log: control events (start, role change, fault seen, seal, term, promotion,
 * restore, trim,
 * digest difference), append-only, one JSON object a line, chained by SHA-256: "prev" is the
 * hash of
 * the line before, "hash" that of this line up to the comma before "hash". Never payloads.
 */
#ifndef UNDERSTUDY_LOGGERS_AUDIT_H
#define UNDERSTUDY_LOGGERS_AUDIT_H

#include <stdint.h>
#include <stdio.h>

#include "core/limits.h"
#include "core/status.h"

#define AUDIT_FILE "audit.jsonl"
#define AUDIT_HASH_BYTES 65 /* hex, with the NUL */
#define AUDIT_LINE_BYTES 1024

struct audit {
	FILE *file;
	uint64_t sequence; /* of the last line */
	char hash[AUDIT_HASH_BYTES];
};

/* What verify found. */
struct audit_verdict {
	uint64_t lines;
	uint64_t bad_line;	     /* from 1; 0: none */
	char what[128];		     /* is wrong with it */
	char hash[AUDIT_HASH_BYTES]; /* of the last good line: keep it elsewhere to notice a cut */
};

/* Opens the log in dir and carries its chain on. Errors: IO, CORRUPT (it does not verify). */
MUST_CHECK enum status audit_open(struct audit *audit, const char *dir);
void audit_close(struct audit *audit);

/* Appends and syncs one event; times are the caller's. Errors: IO. */
enum status audit_append(struct audit *audit, uint64_t wall_ns, uint64_t mono_ns, const char *actor,
	const char *action, const char *object, uint64_t term, const char *detail);

/* Reads a whole log and checks its chain. Errors: IO, CORRUPT (see verdict). */
MUST_CHECK enum status audit_verify(FILE *file, struct audit_verdict *verdict);

/* SHA-256 in hex. */
void audit_hash(const char *text, size_t bytes, char hash[AUDIT_HASH_BYTES]);

#endif
