/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/audit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/plain_text.h"

#define HASH_FIELD ",\"hash\":\""
#define PREV_FIELD ",\"prev\":\""
#define LINE_END "\"}\n"
#define FIRST_PREV "0000000000000000000000000000000000000000000000000000000000000000"

static enum status bad(struct audit_verdict *verdict, uint64_t line, const char *what)
{
	verdict->bad_line = line;
	snprintf(verdict->what, sizeof(verdict->what), "%s", what);
	return STATUS_CORRUPT;
}

/* Checks one line against the chain so far, and moves the chain on. */
static enum status check_line(struct audit_verdict *verdict, const char *line, size_t bytes)
{
	uint64_t number = verdict->lines + 1;
	const char *hash_field = NULL, *prev_field = strstr(line, PREV_FIELD);
	char hash[AUDIT_HASH_BYTES];

	for (const char *at = line; (at = strstr(at, HASH_FIELD)) != NULL; at++)
		hash_field = at;
	if (bytes == 0 || line[bytes - 1] != '\n')
		return bad(verdict, number, "the line is cut off");
	if (hash_field == NULL || prev_field == NULL || prev_field > hash_field ||
		strlen(hash_field) != strlen(HASH_FIELD) + 64 + strlen(LINE_END) ||
		strcmp(hash_field + strlen(HASH_FIELD) + 64, LINE_END) != 0)
		return bad(verdict, number, "not an audit line");
	audit_hash(line, (size_t)(hash_field - line), hash);
	if (strncmp(hash_field + strlen(HASH_FIELD), hash, 64) != 0)
		return bad(verdict, number, "its hash does not match: the line was changed");
	if (strncmp(prev_field + strlen(PREV_FIELD), verdict->hash, 64) != 0)
		return bad(verdict, number,
			"it does not follow the line before: lines were removed or moved");
	if (strncmp(line, "{\"seq\":", 7) != 0 || strtoull(line + 7, NULL, 10) != number)
		return bad(verdict, number, "its sequence number is wrong");
	memcpy(verdict->hash, hash, sizeof(hash));
	verdict->lines = number;
	return STATUS_OK;
}

enum status audit_verify(FILE *file, struct audit_verdict *verdict)
{
	enum status status = STATUS_OK;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t bytes;

	*verdict = (struct audit_verdict){.hash = FIRST_PREV};
	while (status == STATUS_OK && (bytes = getline(&line, &capacity, file)) > 0)
		status = check_line(verdict, line, (size_t)bytes);
	free(line);
	return status == STATUS_OK && ferror(file) ? STATUS_IO : status;
}

enum status audit_open(struct audit *audit, const char *dir)
{
	struct audit_verdict verdict;
	char path[PATH_BYTES + 32];
	enum status status;

	snprintf(path, sizeof(path), "%s/%s", dir, AUDIT_FILE);
	audit->file = fopen(path, "a+e");
	if (audit->file == NULL)
		return STATUS_IO;
	rewind(audit->file);
	status = audit_verify(audit->file, &verdict);
	if (status != STATUS_OK) {
		fclose(audit->file);
		audit->file = NULL;
		return status;
	}
	audit->sequence = verdict.lines;
	memcpy(audit->hash, verdict.hash, sizeof(audit->hash));
	return STATUS_OK;
}

void audit_close(struct audit *audit)
{
	if (audit->file != NULL)
		fclose(audit->file);
	audit->file = NULL;
}

/* A line on the disk, or nothing of it: one that is full must not break the chain of hashes. */
static enum status write_whole(int fd, const char *line, size_t bytes)
{
	struct stat before;

	if (fstat(fd, &before) != 0)
		return STATUS_IO;
	if (write(fd, line, bytes) == (ssize_t)bytes && fdatasync(fd) == 0)
		return STATUS_OK;
	(void)!ftruncate(fd, before.st_size);
	return STATUS_IO;
}

enum status audit_append(struct audit *audit, uint64_t wall_ns, uint64_t mono_ns, const char *actor,
	const char *action, const char *object, uint64_t term, const char *detail)
{
	char line[AUDIT_LINE_BYTES], whole[AUDIT_LINE_BYTES + AUDIT_HASH_BYTES + 32],
		about[NAME_BYTES * 2], clean[256], when[32];
	char hash[AUDIT_HASH_BYTES];
	time_t seconds = (time_t)(wall_ns / 1000000000ull);
	struct tm utc;
	int bytes;

	if (audit->file == NULL)
		return STATUS_IO;
	plain_text(about, sizeof(about), object, SIZE_MAX);
	plain_text(clean, sizeof(clean), detail, SIZE_MAX);
	gmtime_r(&seconds, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	bytes = snprintf(line, sizeof(line),
		"{\"seq\":%llu,\"wall\":\"%s.%06lluZ\",\"mono_ns\":%llu,\"actor\":\"%s\","
		"\"action\":\"%s\",\"object\":\"%s\",\"term\":%llu,"
		"\"detail\":\"%s\"" PREV_FIELD "%s\"",
		(unsigned long long)audit->sequence + 1, when,
		(unsigned long long)(wall_ns % 1000000000ull / 1000), (unsigned long long)mono_ns,
		actor, action, about, (unsigned long long)term, clean, audit->hash);
	if (bytes < 0 || (size_t)bytes >= sizeof(line))
		return STATUS_TOO_BIG;
	audit_hash(line, (size_t)bytes, hash);
	bytes = snprintf(whole, sizeof(whole), "%s" HASH_FIELD "%s" LINE_END, line, hash);
	if (write_whole(fileno(audit->file), whole, (size_t)bytes) != STATUS_OK)
		return STATUS_IO;
	audit->sequence++;
	memcpy(audit->hash, hash, sizeof(hash));
	return STATUS_OK;
}
