/* SPDX-License-Identifier: BSD-3-Clause */
/* What a measurement found: the faults of one run, and a run of the same length without any. */
#ifndef UNDERSTUDY_MEASURE_H
#define UNDERSTUDY_MEASURE_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/config.h"
#include "loggers/page.h"

#define KILLS_MAX (FAILOVERS_MAX / 2)
#define TIMELINE_MAX 2048
#define COMPONENTS_MAX (STAGES_MAX * 2 + SERVICES_COUNT + 1)

/* Rows of the result: two for each component, killed and stopped; and these. */
#define MEASURE_TWO (COMPONENTS_MAX * 2)	 /* two components at once */
#define MEASURE_UNASKED (COMPONENTS_MAX * 2 + 1) /* nobody asked for these */
#define MEASURE_ROWS (COMPONENTS_MAX * 2 + 2)

/* Whom faults meet, as `inject` calls it. */
struct measure_component {
	char name[NAME_BYTES + 8];
};

/* Releases around a fault. */
struct measure_timeline {
	struct page_release *releases; /* TIMELINE_MAX */
	uint32_t count;
};

struct measure_record {
	uint32_t row;
	struct page_failover failover;
	struct measure_timeline timeline;
};

/* What the chain's processes hold. */
struct measure_held {
	uint32_t processes, descriptors, shm_files;
	long free_hugepages;
};

struct measure {
	const struct config *config;
	uint64_t seed;
	struct measure_component components[COMPONENTS_MAX];
	uint32_t components_count;
	struct measure_record records[FAILOVERS_MAX];
	uint32_t records_count;
	uint32_t faults_count; /* raised */
	uint32_t unasked;
	struct measure_held before, after; /* the faults */
	json_t *faulty, *faultless;	   /* the reports of the two runs */
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

/* A row's name, and how many records it has. */
void measure_row_name(const struct measure *measure, uint32_t row, char *name, size_t bytes);
uint32_t measure_row_count(const struct measure *measure, uint32_t row);

/* In microseconds from the fault. */
double measure_figure_of(const struct measure_record *record, enum measure_figure figure);

/* Of a row's records, the fraction's quantile; 0 if there are none. */
double measure_quantile(const struct measure *measure, uint32_t row, enum measure_figure figure,
	double fraction);

/* The killed master whose outage is the median of all such; NULL if there is none. */
const struct measure_record *measure_median_kill(const struct measure *measure);

/* Counts what a supervisor's children hold, and what lies in the chain's shared memory. */
void measure_resources(struct measure_held *held, pid_t supervisor, const struct shm_place *place);

void measure_print(const struct measure *measure, FILE *out);

/* Errors: IO. */
MUST_CHECK enum status measure_write(const struct measure *measure, const char *path);

/* A page of its own, drawn. Errors: IO. */
MUST_CHECK enum status measure_html(const struct measure *measure, const char *path);

#endif
