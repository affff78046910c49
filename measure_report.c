/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "measure.h"

const char *const measure_figure_names[MEASURE_FIGURES] = {"detection", "promotion",
	"first release", "outage", "redundancy restored"};
static const char *const figure_keys[MEASURE_FIGURES] = {"detect_us", "promote_us",
	"first_release_us", "outage_us", "restored_us"};

double measure_figure_of(const struct measure_record *record, enum measure_figure figure)
{
	const struct page_failover *f = &record->failover;
	const uint64_t times_ns[MEASURE_FIGURES] = {f->detected_ns, f->promoted_ns,
		f->first_release_ns, 0, f->restored_ns};

	if (figure == MEASURE_OUTAGE)
		return (double)f->gap_max_ns / 1e3;
	return times_ns[figure] > f->t0_ns ? (double)(times_ns[figure] - f->t0_ns) / 1e3 : 0;
}

void measure_row_name(const struct measure *measure, uint32_t row, char *name, size_t bytes)
{
	if (row >= MEASURE_TWO)
		snprintf(name, bytes, row == MEASURE_TWO ? "two at once" : "not asked for");
	else
		snprintf(name, bytes, "%s%s", measure->components[row / 2].name,
			row % 2 == 0 ? "" : ", stopped");
}

uint32_t measure_row_count(const struct measure *measure, uint32_t row)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < measure->records_count; i++)
		count += measure->records[i].row == row;
	return count;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

double measure_quantile(const struct measure *measure, uint32_t row, enum measure_figure figure,
	double fraction)
{
	static double values[FAILOVERS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < measure->records_count; i++)
		if (measure->records[i].row == row)
			values[count++] = measure_figure_of(&measure->records[i], figure);
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(values[0]), by_value);
	return values[fraction >= 1 ? count - 1 : (uint32_t)(fraction * count)];
}

static bool is_killed_master(const struct measure_record *record)
{
	return record->row < MEASURE_TWO && record->row % 2 == 0 &&
	       record->failover.role == ROLE_REPLICA && record->failover.was_master;
}

static int by_gap(const void *a, const void *b)
{
	uint64_t x = (*(const struct measure_record *const *)a)->failover.gap_max_ns;
	uint64_t y = (*(const struct measure_record *const *)b)->failover.gap_max_ns;

	return x < y ? -1 : x > y;
}

const struct measure_record *measure_median_kill(const struct measure *measure)
{
	static const struct measure_record *masters[FAILOVERS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < measure->records_count; i++)
		if (is_killed_master(&measure->records[i]))
			masters[count++] = &measure->records[i];
	qsort(masters, count, sizeof(masters[0]), by_gap);
	return count == 0 ? NULL : masters[count / 2];
}

static double number_at(const json_t *report, const char *object, const char *key)
{
	const json_t *in = object == NULL ? report : json_object_get(report, object);

	return json_number_value(json_object_get(in, key));
}

static void print_held(const struct measure *measure, FILE *out)
{
	const struct measure_held *before = &measure->before, *after = &measure->after;

	fprintf(out,
		"  held before and after: processes %u, %u; descriptors %u, %u; shared memory "
		"files %u, %u; free hugepages %ld, %ld\n",
		before->processes, after->processes, before->descriptors, after->descriptors,
		before->shm_files, after->shm_files, before->free_hugepages, after->free_hugepages);
}

void measure_print(const struct measure *measure, FILE *out)
{
	char name[NAME_BYTES * 2];

	fprintf(out, "%s: %u faults, %.0f packets released\n", measure->config->chain,
		measure->faults_count, number_at(measure->faulty, "packets", "released"));
	if (json_is_null(json_object_get(measure->faulty, "lost")))
		fprintf(out,
			"  lost, duplicated, reordered: not judged, there is no gen: traffic\n");
	else
		fprintf(out, "  lost %.0f, duplicated %.0f, reordered %.0f\n",
			number_at(measure->faulty, NULL, "lost"),
			number_at(measure->faulty, NULL, "duplicated"),
			number_at(measure->faulty, NULL, "reordered"));
	fprintf(out, "  ambiguous %.0f; digests compared %.0f, different %.0f\n",
		number_at(measure->faulty, "packets", "ambiguous"),
		number_at(measure->faulty, NULL, "digests_compared"),
		number_at(measure->faulty, NULL, "digest_mismatches"));
	print_held(measure, out);
	for (uint32_t row = 0; row < MEASURE_ROWS; row++) {
		uint32_t count = measure_row_count(measure, row);

		if (count == 0)
			continue;
		measure_row_name(measure, row, name, sizeof(name));
		fprintf(out, "  %-28s %5u times %9s %11s %11s\n", name, count, "p50", "p99", "max");
		for (int f = 0; f < MEASURE_FIGURES; f++)
			fprintf(out, "    %-26s %11.1f us %8.1f us %8.1f us\n",
				measure_figure_names[f],
				measure_quantile(measure, row, (enum measure_figure)f, 0.5),
				measure_quantile(measure, row, (enum measure_figure)f, 0.99),
				measure_quantile(measure, row, (enum measure_figure)f, 1));
	}
	fprintf(out,
		"  release gaps of a run without faults of the same length:\n"
		"    %-26s %11.1f us %8.1f us %8.1f us\n",
		"", number_at(measure->faultless, "release_gaps", "p50_us"),
		number_at(measure->faultless, "release_gaps", "p99_us"),
		number_at(measure->faultless, "release_gaps", "max_us"));
	fprintf(out, "  %.2f Mpps with the faults, %.2f without\n",
		number_at(measure->faulty, NULL, "throughput_mpps"),
		number_at(measure->faultless, NULL, "throughput_mpps"));
}

static json_t *figures_json(const struct measure *measure, uint32_t row)
{
	json_t *figures = json_object();

	json_object_set_new(figures, "count", json_integer(measure_row_count(measure, row)));
	for (int f = 0; f < MEASURE_FIGURES; f++)
		json_object_set_new(figures, figure_keys[f],
			json_pack("{s:f, s:f, s:f}", "p50",
				measure_quantile(measure, row, (enum measure_figure)f, 0.5), "p99",
				measure_quantile(measure, row, (enum measure_figure)f, 0.99), "max",
				measure_quantile(measure, row, (enum measure_figure)f, 1)));
	return figures;
}

static json_t *held_json(const struct measure_held *held)
{
	return json_pack("{s:i, s:i, s:i, s:i}", "processes", (int)held->processes, "descriptors",
		(int)held->descriptors, "shm_files", (int)held->shm_files, "free_hugepages",
		(int)held->free_hugepages);
}

enum status measure_write(const struct measure *measure, const char *path)
{
	json_t *root = json_pack("{s:i, s:s, s:i, s:i, s:I, s:o, s:o, s:O, s:O}", "version", 2,
		"chain", measure->config->chain, "faults", (int)measure->faults_count, "unasked",
		(int)measure->unasked, "seed", (json_int_t)measure->seed, "held_before",
		held_json(&measure->before), "held_after", held_json(&measure->after), "run",
		measure->faulty, "run_without_faults", measure->faultless);
	json_t *rows = json_object();
	char name[NAME_BYTES * 2];
	bool written;

	for (uint32_t row = 0; row < MEASURE_ROWS; row++) {
		if (measure_row_count(measure, row) == 0)
			continue;
		measure_row_name(measure, row, name, sizeof(name));
		json_object_set_new(rows, name, figures_json(measure, row));
	}
	json_object_set_new(root, "components", rows);
	for (int i = 0; i < 4; i++) {
		static const char *const keys[] = {"lost", "duplicated", "reordered",
			"digest_mismatches"};

		json_object_set(root, keys[i], json_object_get(measure->faulty, keys[i]));
	}
	written = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0;
	json_decref(root);
	return written ? STATUS_OK : STATUS_IO;
}
