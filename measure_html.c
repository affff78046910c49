/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure.h"

#define WIDTH 900.0
#define HEIGHT 260.0
#define LEFT 60.0
#define ROW 22.0 /* of a drawing with a line for each component */
#define BOTTOM 40.0
#define STEPS 6	 /* of the histogram, for each power of ten */
#define POWERS 8 /* of microseconds: 0.1 us to 10 s */
#define BARS (STEPS * POWERS)

static double x_of_us(double us)
{
	double power = us <= 0.1 ? 0 : log10(us) + 1;

	return LEFT + power / POWERS * (WIDTH - LEFT - 10);
}

static uint32_t bar_of_us(double us)
{
	double at = us <= 0.1 ? 0 : (log10(us) + 1) * STEPS;

	return at >= BARS ? BARS - 1 : (uint32_t)at;
}

static void axis_of_us(FILE *out, double height)
{
	static const char *const names[] = {"0.1 us", "1 us", "10 us", "100 us", "1 ms", "10 ms",
		"100 ms", "1 s", "10 s"};

	for (int p = 0; p <= POWERS; p++) {
		double x = LEFT + (double)p / POWERS * (WIDTH - LEFT - 10);

		fprintf(out,
			"<line x1='%.1f' x2='%.1f' y1='10' y2='%.1f' class='grid'/>"
			"<text x='%.1f' y='%.1f' class='mid'>%s</text>\n",
			x, x, height - BOTTOM, x, height - BOTTOM + 18, names[p]);
	}
}

/* One row of bars, as shares of the whole; up or down from the middle line. */
static void draw_bars(FILE *out, const double *bars, const char *class, bool up)
{
	double total = 0, top = 0, middle = (HEIGHT - BOTTOM + 10) / 2;

	for (uint32_t i = 0; i < BARS; i++) {
		total += bars[i];
		top = bars[i] > top ? bars[i] : top;
	}
	for (uint32_t i = 0; i < BARS && total > 0; i++) {
		double height = bars[i] / top * (middle - 25);
		double x = LEFT + (double)i / BARS * (WIDTH - LEFT - 10);

		if (bars[i] > 0)
			fprintf(out,
				"<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' class='%s'>"
				"<title>%.3g%%</title></rect>\n",
				x, up ? middle - height : middle, (WIDTH - LEFT - 10) / BARS - 1,
				height < 1 ? 1 : height, class, bars[i] / total * 100);
	}
}

/* Outages of killed masters, and below them the gaps of a run without faults. */
static void draw_outages(FILE *out, const struct measure *measure)
{
	const json_t *gaps = json_object_get(measure->faultless, "release_gaps");
	const json_t *buckets = json_object_get(gaps, "buckets"), *one;
	double outages[BARS] = {0}, without[BARS] = {0};
	double most = json_number_value(json_object_get(gaps, "max_us"));
	size_t i;

	for (uint32_t k = 0; k < measure->records_count; k++)
		if (measure->records[k].failover.was_master)
			outages[bar_of_us(
				measure_figure_of(&measure->records[k], MEASURE_OUTAGE))]++;
	json_array_foreach(buckets, i, one)
		without[bar_of_us(json_number_value(json_array_get(one, 0)))] +=
		json_number_value(json_array_get(one, 1));
	fprintf(out, "<svg viewBox='0 0 %.0f %.0f'>\n", WIDTH, HEIGHT);
	axis_of_us(out, HEIGHT);
	draw_bars(out, outages, "kill", true);
	draw_bars(out, without, "calm", false);
	fprintf(out,
		"<line x1='%.1f' x2='%.1f' y1='10' y2='%.1f' class='mark'/>"
		"<text x='%.1f' y='%.1f' class='end'>longest without faults</text>\n"
		"<text x='%.1f' y='22' class='kill'>outage of each master's death or stop</text>"
		"<text x='%.1f' y='%.1f' class='calm'>release gaps without faults</text></svg>\n",
		x_of_us(most), x_of_us(most), HEIGHT - BOTTOM, x_of_us(most) - 4,
		HEIGHT - BOTTOM - 6, LEFT + 6, LEFT + 6, HEIGHT - BOTTOM - 6);
}

/* A line for each row, a dot for each of its faults. */
static void draw_rows(FILE *out, const struct measure *measure, enum measure_figure figure)
{
	double height = BOTTOM + 10, y = 10 + ROW / 2;
	char name[NAME_BYTES * 2];

	for (uint32_t row = 0; row < MEASURE_ROWS; row++)
		height += measure_row_count(measure, row) > 0 ? ROW : 0;
	fprintf(out, "<svg viewBox='0 0 %.0f %.0f'>\n", WIDTH, height);
	axis_of_us(out, height);
	for (uint32_t row = 0; row < MEASURE_ROWS; row++) {
		if (measure_row_count(measure, row) == 0)
			continue;
		measure_row_name(measure, row, name, sizeof(name));
		fprintf(out, "<text x='4' y='%.1f'>%s</text>\n", y - 4, name);
		for (uint32_t i = 0; i < measure->records_count; i++)
			if (measure->records[i].row == row)
				fprintf(out, "<circle cx='%.1f' cy='%.1f' r='2' class='dot'/>\n",
					x_of_us(measure_figure_of(&measure->records[i], figure)),
					y);
		y += ROW;
	}
	fprintf(out, "</svg>\n");
}

static void mark_time(FILE *out, double x, double y, const char *what)
{
	fprintf(out,
		"<line x1='%.1f' x2='%.1f' y1='10' y2='%.1f' class='mark'/>"
		"<text x='%.1f' y='%.1f'>%s</text>\n",
		x, x, HEIGHT - BOTTOM, x + 3, y, what);
}

/* Packets released, summed over time, around the kill whose outage is the median. */
static void draw_timeline(FILE *out, const struct measure *measure)
{
	const struct measure_record *kill = measure_median_kill(measure);
	double from, to, total = 0, sum = 0;

	if (kill == NULL || kill->timeline.count < 2)
		return;
	from = (double)kill->timeline.releases[0].at_ns;
	to = (double)kill->timeline.releases[kill->timeline.count - 1].at_ns;
	for (uint32_t i = 0; i < kill->timeline.count; i++)
		total += kill->timeline.releases[i].packets;
	if (to <= from || total == 0)
		return;
#define X(ns) (LEFT + ((double)(ns)-from) / (to - from) * (WIDTH - LEFT - 10))
	fprintf(out, "<svg viewBox='0 0 %.0f %.0f'>\n", WIDTH, HEIGHT);
	for (double ms = ceil((from - (double)kill->failover.t0_ns) / 1e6);
		(double)kill->failover.t0_ns + ms * 1e6 <= to; ms++)
		fprintf(out, "<text x='%.1f' y='%.1f' class='mid'>%+.0f ms</text>\n",
			X((double)kill->failover.t0_ns + ms * 1e6), HEIGHT - BOTTOM + 18, ms);
	for (uint32_t i = 0; i < kill->timeline.count; i++) {
		const struct page_release *release = &kill->timeline.releases[i];

		sum += release->packets;
		fprintf(out, "<circle cx='%.1f' cy='%.1f' r='1.6' class='r%u'/>\n",
			X(release->at_ns), HEIGHT - BOTTOM - sum / total * (HEIGHT - BOTTOM - 20),
			release->replica % 4);
	}
	mark_time(out, X(kill->failover.t0_ns), 22, "kill");
	if (kill->failover.detected_ns != 0)
		mark_time(out, X(kill->failover.detected_ns), 38, "detected");
	if (kill->failover.first_release_ns != 0)
		mark_time(out, X(kill->failover.first_release_ns), 54, "first release");
#undef X
	fprintf(out,
		"</svg>\n<p>Each dot is a batch, at the height of all packets released so far; "
		"its colour is the replica whose outcome was first. The kill: %s/master; outage "
		"%.1f us.</p>\n",
		measure->config->stages[kill->failover.stage].name,
		measure_figure_of(kill, MEASURE_OUTAGE));
}

static void write_table(FILE *out, const struct measure *measure)
{
	char name[NAME_BYTES * 2];

	fprintf(out,
		"<table><tr><th>milliseconds from the fault: p50, p99, max</th><th>times</th>");
	for (int f = 0; f < MEASURE_FIGURES; f++)
		fprintf(out, "<th>%s</th>", measure_figure_names[f]);
	fprintf(out, "</tr>\n");
	for (uint32_t row = 0; row < MEASURE_ROWS; row++) {
		if (measure_row_count(measure, row) == 0)
			continue;
		measure_row_name(measure, row, name, sizeof(name));
		fprintf(out, "<tr><td>%s</td><td>%u</td>", name, measure_row_count(measure, row));
		for (int f = 0; f < MEASURE_FIGURES; f++)
			fprintf(out, "<td>%.2f %.2f %.2f</td>",
				measure_quantile(measure, row, (enum measure_figure)f, 0.5) / 1e3,
				measure_quantile(measure, row, (enum measure_figure)f, 0.99) / 1e3,
				measure_quantile(measure, row, (enum measure_figure)f, 1) / 1e3);
		fprintf(out, "</tr>\n");
	}
	fprintf(out, "</table>\n");
}

enum status measure_html(const struct measure *measure, const char *path)
{
	FILE *out = fopen(path, "we");

	if (out == NULL)
		return STATUS_IO;
	fprintf(out,
		"<!doctype html><html lang='en'><meta charset='utf-8'>"
		"<title>%s: %u faults</title>\n"
		"<style>body{font:15px sans-serif;max-width:960px;margin:2em auto;padding:0 1em}"
		"svg{width:100%%;font-size:11px}.grid{stroke:#ddd}.mark{stroke:#888;"
		"stroke-dasharray:4 3}.mid{text-anchor:middle}.end{text-anchor:end}"
		"rect.kill,text.kill{fill:#c0392b}rect.calm,text.calm{fill:#2471a3}"
		".dot{fill:#c0392b;fill-opacity:.5}.r0{fill:#2471a3}.r1{fill:#c0392b}"
		".r2{fill:#1e8449}.r3{fill:#7d3c98}"
		"td,th{padding:.2em 1em .2em 0;font-size:13px;text-align:right}td:first-child,"
		"th:first-child{text-align:left}</style>\n"
		"<h1>%s: %u faults</h1>\n"
		"<p>Lost %.0f, duplicated %.0f, reordered %.0f of %.0f packets.</p>\n",
		measure->config->chain, measure->faults_count, measure->config->chain,
		measure->faults_count, json_number_value(json_object_get(measure->faulty, "lost")),
		json_number_value(json_object_get(measure->faulty, "duplicated")),
		json_number_value(json_object_get(measure->faulty, "reordered")),
		json_number_value(
			json_object_get(json_object_get(measure->faulty, "packets"), "released")));
	write_table(out, measure);
	fprintf(out, "<h2>Outage by component</h2>\n");
	draw_rows(out, measure, MEASURE_OUTAGE);
	fprintf(out, "<h2>Redundancy restored, by component</h2>\n");
	draw_rows(out, measure, MEASURE_RESTORED);
	fprintf(out, "<h2>Outages of masters, and release gaps of a run without faults</h2>\n");
	draw_outages(out, measure);
	fprintf(out, "<h2>Releases around one kill</h2>\n");
	draw_timeline(out, measure);
	fprintf(out, "</html>\n");
	return fclose(out) == 0 ? STATUS_OK : STATUS_IO;
}
