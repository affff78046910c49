/* SPDX-License-Identifier: BSD-3-Clause */
/* audit ls|show|verify: of a log that was, or is being, written. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "loggers/audit.h"

/* The log file itself, or the one in a directory of logs. */
static FILE *open_log(const char *where, char *path, size_t bytes)
{
	struct stat stat_of;
	FILE *file;

	if (stat(where, &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
		snprintf(path, bytes, "%s/%s", where, AUDIT_FILE);
	else
		snprintf(path, bytes, "%s", where);
	file = fopen(path, "re");
	if (file == NULL)
		fprintf(stderr, "understudy: %s: cannot be read: %s\n", path, strerror(errno));
	return file;
}

static int show(FILE *file, const char *path, bool brief, bool json)
{
	char *line = NULL;
	size_t capacity = 0;
	uint64_t count = 0;
	char first[32] = "", last[32] = "";

	while (getline(&line, &capacity, file) > 0) {
		json_t *root = json_loads(line, 0, NULL);
		const char *wall = json_string_value(json_object_get(root, "wall"));

		if (root == NULL) {
			fprintf(stderr,
				"understudy: %s:%llu: not an audit line: see 'audit verify'\n",
				path, (unsigned long long)count + 1);
			free(line);
			return 1;
		}
		snprintf(count++ == 0 ? first : last, sizeof(first), "%s",
			wall == NULL ? "" : wall);
		if (!brief && json)
			fputs(line, stdout);
		else if (!brief)
			printf("%6lld  %s  %-8s %-18s %-16s term %lld  %s\n",
				(long long)json_integer_value(json_object_get(root, "seq")), wall,
				json_string_value(json_object_get(root, "actor")),
				json_string_value(json_object_get(root, "action")),
				json_string_value(json_object_get(root, "object")),
				(long long)json_integer_value(json_object_get(root, "term")),
				json_string_value(json_object_get(root, "detail")));
		json_decref(root);
	}
	if (brief)
		printf("%s: %llu events, %s to %s\n", path, (unsigned long long)count, first,
			count > 1 ? last : first);
	free(line);
	return 0;
}

static int verify(FILE *file, const char *path, bool json)
{
	struct audit_verdict verdict;
	enum status status = audit_verify(file, &verdict);

	if (json)
		printf("{\"valid\": %s, \"events\": %llu, \"bad_line\": %llu, \"head\": \"%s\"}\n",
			status == STATUS_OK ? "true" : "false", (unsigned long long)verdict.lines,
			(unsigned long long)verdict.bad_line, verdict.hash);
	else if (status == STATUS_OK)
		printf("%s: %llu events, the chain of hashes is whole; head %s\n", path,
			(unsigned long long)verdict.lines, verdict.hash);
	if (status != STATUS_OK)
		fprintf(stderr, "understudy: %s:%llu: %s\n", path,
			(unsigned long long)verdict.bad_line, verdict.what);
	return status == STATUS_OK ? 0 : 1;
}

int command_audit(const struct options *options)
{
	const char *what = options->words_count > 0 ? options->words[0] : "";
	char path[PATH_BYTES * 2];
	FILE *file;
	int result;

	if (options->words_count != 2 || (strcmp(what, "ls") != 0 && strcmp(what, "show") != 0 &&
						 strcmp(what, "verify") != 0)) {
		fprintf(stderr, "understudy: use audit ls|show|verify FILE-OR-DIR\n");
		return 2;
	}
	file = open_log(options->words[1], path, sizeof(path));
	if (file == NULL)
		return 1;
	if (strcmp(what, "verify") == 0)
		result = verify(file, path, options->json);
	else
		result = show(file, path, strcmp(what, "ls") == 0, options->json);
	fclose(file);
	return result;
}
