/* SPDX-License-Identifier: BSD-3-Clause */
/* What a measurement found: a kill of a master each, and a run of the same length without any. */
#ifndef UNDERSTUDY_MEASURE_H
#define UNDERSTUDY_MEASURE_H

#include <jansson.h>

#include "core/config.h"
#include "loggers/page.h"

#define KILLS_MAX FAILOVERS_MAX
#define TIMELINE_MAX 2048

/* Releases around a kill. */
struct measure_timeline {
	struct page_release *releases; /* TIMELINE_MAX */
	uint32_t count;
};

struct measure_kill {
	uint32_t stage;
	double detect_us, promote_us, first_release_us, outage_us, restored_us;
	struct page_failover failover; /* its absolute times, for the timeline */
	struct measure_timeline timeline;
};

struct measure {
	const struct config *config;
	uint64_t seed;
	struct measure_kill kills[KILLS_MAX];
	uint32_t kills_count;
	json_t *faulty, *faultless; /* the reports of the two runs */
};

enum measure_figure {
	MEASURE_DETECT,
	MEASURE_PROMOTE,
	MEASURE_FIRST_RELEASE,
	MEASURE_OUTAGE,
	MEASURE_RESTORED,
	MEASURE_FIGURES
};

extern const char *const measure_figure_names[MEASURE_FIGURES];

/* Of the kills of one stage, or of all (stage UINT32_MAX): the fraction's quantile, 0 if none. */
double measure_quantile(const struct measure *measure, uint32_t stage, enum measure_figure figure,
	double fraction);

/* The kill whose outage is the median; NULL if there is none. */
const struct measure_kill *measure_median_kill(const struct measure *measure);

/* A page of its own, drawn. Errors: IO. */
MUST_CHECK enum status measure_html(const struct measure *measure, const char *path);

#endif
