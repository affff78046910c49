/* SPDX-License-Identifier: BSD-3-Clause */
/* The report of a run: JSON for programs (stable, docs/REPORT.md), a page of text for people. */
#ifndef UNDERSTUDY_REPORT_H
#define UNDERSTUDY_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "loggers/page.h"
#include "reference.h"

#define REPORT_ROLES_MAX 64

/* CPU time of a role over all its processes. */
struct report_role {
	char name[NAME_BYTES];
	uint64_t cpu_ns;
};

struct report {
	const struct config *config;
	const struct page *page;
	struct reference_verdict verdict;
	struct report_role roles[REPORT_ROLES_MAX];
	uint32_t roles_count;
	uint64_t wall_ns;
	const char *error; /* NULL: the run succeeded */
};

/* Lost, duplicated, reordered as the sink sees them; false where nothing can judge. */
bool report_judgement(const struct report *report, uint64_t *lost, uint64_t *duplicated,
	uint64_t *reordered);

/* Errors: IO. */
MUST_CHECK enum status report_write(const struct report *report, const char *path);
void report_print(const struct report *report, FILE *out);

/* The state of a running chain; the caller owns the JSON. */
json_t *report_status_json(const struct config *config, const struct page *page);
void report_status(const struct config *config, const struct page *page, bool json, FILE *out);

#endif
