/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vnf/stage.h"

static uint64_t page_dropped(const struct page *page)
{
	uint64_t dropped = page->egress.dropped_port;

	for (int i = 0; i < INGRESS_DROPS; i++)
		dropped += page->ingress.dropped[i];
	return dropped;
}

bool report_judgement(const struct report *report, uint64_t *lost, uint64_t *duplicated,
	uint64_t *reordered)
{
	const struct page_egress *egress = &report->page->egress;
	const struct page_ingress *ingress = &report->page->ingress;
	const struct gen_counts *sink = gen_judge_counts(&egress->sink);

	*lost = *duplicated = *reordered = 0;
	if (report->verdict.judged) {
		*lost = report->verdict.lost;
		*duplicated = report->verdict.duplicated;
		*reordered = report->verdict.reordered;
		return true;
	}
	if (sink->seen == 0 || !ingress->ended)
		return false;
	/* gen: each number is seen once, or its packet was dropped by a VNF. */
	*duplicated = sink->duplicated;
	*reordered = sink->reordered;
	*lost = ingress->packets - egress->dropped_by_vnf - (sink->seen - sink->duplicated);
	return true;
}

static double us(uint64_t to_ns, uint64_t from_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e3 : 0;
}

static const char *failover_fault(const struct page_failover *failover)
{
	switch (failover->action) {
	case FAULT_KILL:
		return "kill";
	case FAULT_STOP:
		return "stop";
	default:
		return failover->kind == FAILOVER_HANG	  ? "hang"
		       : failover->kind == FAILOVER_BAD	  ? "corrupt"
		       : failover->kind == FAILOVER_ASIDE ? "aside"
		       : failover->kind == FAILOVER_ASKED ? "asked"
		       : failover->kind == FAILOVER_DOUBT ? "doubt"
							  : "crash";
	}
}

/* Whether consumers had to wait for a new leader: active slaves need none. */
static bool failover_waits(const struct report *report, const struct page_failover *failover)
{
	return failover->role == ROLE_REPLICA && failover->was_master &&
	       report->config->stages[failover->stage].variant != VARIANT_ACTIVE;
}

static const char *failover_role(const struct page_failover *failover)
{
	static const char *const roles[] = {"", "sequencer", "", "logger", "manager"};

	if (failover->role != ROLE_REPLICA)
		return roles[failover->role % 5];
	return failover->was_master ? "master" : "slave";
}

/* "edge", of a service nothing. */
static const char *failover_stage(const struct report *report, const struct page_failover *failover)
{
	return failover->role == ROLE_REPLICA ? report->config->stages[failover->stage].name : "";
}

static json_t *failovers_json(const struct report *report)
{
	const struct page *page = report->page;
	json_t *list = json_array();

	for (uint32_t i = 0; i < page->failovers_count && i < FAILOVERS_MAX; i++) {
		const struct page_failover *f = &page->failovers[i];
		bool promoted = failover_waits(report, f);

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:i, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:f}",
				"fault", failover_fault(f), "stage", failover_stage(report, f),
				"replica", (int)f->replica, "role", failover_role(f), "incarnation",
				(json_int_t)f->incarnation, "at_packet", (json_int_t)f->at_packet,
				"detect_us", us(f->detected_ns, f->t0_ns), "promote_us",
				promoted ? us(f->promoted_ns, f->t0_ns) : 0.0, "first_release_us",
				us(f->first_release_ns, f->t0_ns), "outage_us",
				(double)f->gap_max_ns / 1e3, "replayed_batches",
				(json_int_t)f->replayed_batches, "restored_us",
				us(f->restored_ns, f->t0_ns)));
	}
	return list;
}

/* By "stage/vnf/cause"; of a single stage "vnf/cause". */
static void stage_drops(const struct report *report, uint32_t stage, json_t *drops)
{
	struct replica *replica = calloc(1, sizeof(*replica));
	char error[CONFIG_ERROR_BYTES], cause[NAME_BYTES], name[NAME_BYTES * 2];

	if (replica == NULL ||
		stage_open(replica, report->config, stage, 1, false, 0, error) != STATUS_OK) {
		free(replica);
		return;
	}
	for (uint32_t v = 0; v < VNFS_MAX; v++)
		for (uint32_t c = 0; c < DROP_CAUSES_MAX; c++) {
			uint64_t count = report->page->egress.drops[stage][v][c];

			if (count == 0 || !stage_drop_name(replica, v, c, cause, sizeof(cause)))
				continue;
			snprintf(name, sizeof(name), "%s%s%s",
				report->config->stages_count > 1
					? report->config->stages[stage].name
					: "",
				report->config->stages_count > 1 ? "/" : "", cause);
			json_object_set_new(drops, name, json_integer((json_int_t)count));
		}
	replica_close(replica);
	free(replica);
}

static json_t *drops_json(const struct report *report)
{
	json_t *drops = json_object();
	static const char *const ingress_names[] = {"ingress/runt", "ingress/oversize",
		"ingress/our_tag_type"};

	for (int i = 0; i < INGRESS_DROPS; i++)
		if (report->page->ingress.dropped[i] > 0)
			json_object_set_new(drops, ingress_names[i],
				json_integer((json_int_t)report->page->ingress.dropped[i]));
	if (report->page->egress.dropped_port > 0)
		json_object_set_new(drops, "egress/port",
			json_integer((json_int_t)report->page->egress.dropped_port));
	for (uint32_t s = 0; s < report->config->stages_count; s++)
		stage_drops(report, s, drops);
	return drops;
}

/* What a replica shows of its VNFs ("vnf/counter", "vnf/subject/name"), or of its engine. */
static json_t *figures_json(const struct figures *figures, bool engine)
{
	static const char prefix[] = "engine/";
	uint32_t count = atomic_read_acquire(&figures->count);
	json_t *shown = json_object();

	for (uint32_t i = 0; i < count && i < FIGURES_MAX; i++) {
		char name[FIGURE_NAME_BYTES];

		snprintf(name, sizeof(name), "%.*s", FIGURE_NAME_BYTES - 1, figures->list[i].name);
		if ((strncmp(name, prefix, strlen(prefix)) == 0) == engine)
			json_object_set_new(shown, engine ? name + strlen(prefix) : name,
				json_integer(
					(json_int_t)atomic_read_relaxed(&figures->list[i].value)));
	}
	return shown;
}

/* By stage, of its leader. */
static json_t *vnfs_json(const struct config *config, const struct page *page)
{
	json_t *stages = json_object();

	for (uint32_t s = 0; s < config->stages_count; s++) {
		const struct page_stage *stage = &page->stages[s];

		json_object_set_new(stages, config->stages[s].name,
			figures_json(&stage->replicas[page_leader(stage)->replica].figures, false));
	}
	return stages;
}

/* By "stage/replica": each picks its strategies for itself. */
static json_t *engines_json(const struct config *config, const struct page *page)
{
	json_t *engines = json_object();

	for (uint32_t s = 0; s < config->stages_count; s++)
		for (uint32_t r = 0; r < config_replicas(config, s); r++) {
			char name[NAME_BYTES + 16];

			snprintf(name, sizeof(name), "%s/%u", config->stages[s].name, r);
			json_object_set_new(engines, name,
				figures_json(&page->stages[s].replicas[r].figures, true));
		}
	return engines;
}

static double mpps(const struct page *page)
{
	uint64_t ns = page->egress.last_release_ns - page->ingress.started_ns;

	return page->egress.last_release_ns > page->ingress.started_ns
		       ? (double)page->egress.packets * 1e3 / (double)ns
		       : 0;
}

static json_t *roles_json(const struct report *report)
{
	json_t *roles = json_object();
	uint64_t packets = report->page->ingress.packets;

	for (uint32_t i = 0; i < report->roles_count; i++)
		json_object_set_new(roles, report->roles[i].name,
			json_real(packets == 0
					  ? 0
					  : (double)report->roles[i].cpu_ns / (double)packets));
	return roles;
}

static json_t *packets_json(const struct page *page)
{
	uint64_t in = page->ingress.seen > page->ingress.packets ? page->ingress.seen
								 : page->ingress.packets;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "in", (json_int_t)in,
		"admitted", (json_int_t)page->ingress.packets, "released",
		(json_int_t)page->egress.released, "generated", (json_int_t)page->egress.emitted,
		"dropped_by_vnf", (json_int_t)page->egress.dropped_by_vnf, "dropped",
		(json_int_t)page_dropped(page), "ambiguous", (json_int_t)page->egress.ambiguous,
		"in_flight", (json_int_t)(page->ingress.packets - page->egress.packets), "cut",
		(json_int_t)page->ingress.cut);
}

/* Buckets: [upper edge in us, how many], those with any. */
static json_t *gaps_json(const struct histogram *gaps)
{
	json_t *buckets = json_array();

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (gaps->counts[i] > 0)
			json_array_append_new(buckets,
				json_pack("[f, I]", (double)histogram_bucket_top(i) / 1e3,
					(json_int_t)gaps->counts[i]));
	return json_pack("{s:f, s:f, s:f, s:o}", "p50_us",
		(double)histogram_quantile(gaps, 0.5) / 1e3, "p99_us",
		(double)histogram_quantile(gaps, 0.99) / 1e3, "max_us", (double)gaps->max_ns / 1e3,
		"buckets", buckets);
}

/* A successor became ready: also of one that ended while no manager was there. */
static uint64_t restarts_of(const struct page_service *service)
{
	return service->starts > 0 ? service->starts - 1 : 0;
}

static json_t *restarts_json(const struct page *page)
{
	json_t *restarts = json_object();

	for (uint32_t i = 0; i < SERVICES_COUNT; i++)
		json_object_set_new(restarts,
			i == SERVICE_SEQUENCER ? "sequencer" : logger_names[i],
			json_integer((json_int_t)restarts_of(&page->services[i])));
	return restarts;
}

static json_t *report_json(const struct report *report)
{
	const struct page *page = report->page;
	const struct histogram *latency = &page->egress.latency;
	uint64_t lost, duplicated, reordered;
	bool judged = report_judgement(report, &lost, &duplicated, &reordered);
	json_t *root = json_object();

	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "chain", json_string(report->config->chain));
	json_object_set_new(root, "result", json_string(report->error == NULL ? "ok" : "error"));
	json_object_set_new(root, "error",
		report->error == NULL ? json_null() : json_string(report->error));
	json_object_set_new(root, "protected", json_boolean(report->config->protect));
	json_object_set_new(root, "variant",
		json_string(report->config->stages[0].variant == VARIANT_ACTIVE ? "active"
										: "passive"));
	json_object_set_new(root, "durability",
		json_string(report->config->durability == DURABILITY_DISK ? "disk" : "process"));
	json_object_set_new(root, "packets", packets_json(page));
	json_object_set_new(root, "drops", drops_json(report));
	json_object_set_new(root, "judged_by",
		!judged ? json_null()
			: json_string(report->verdict.judged ? "reference" : "sequence numbers"));
	json_object_set_new(root, "lost", judged ? json_integer((json_int_t)lost) : json_null());
	json_object_set_new(root, "duplicated",
		judged ? json_integer((json_int_t)duplicated) : json_null());
	json_object_set_new(root, "reordered",
		judged ? json_integer((json_int_t)reordered) : json_null());
	json_object_set_new(root, "unexpected",
		report->verdict.judged ? json_integer((json_int_t)report->verdict.unexpected)
				       : json_null());
	json_object_set_new(root, "digest_mismatches",
		json_integer((json_int_t)page->egress.digest_mismatches));
	json_object_set_new(root, "digests_compared",
		json_integer((json_int_t)page->egress.digests_compared));
	json_object_set_new(root, "doubts", json_integer((json_int_t)page->doubt.raised));
	json_object_set_new(root, "released_wrong",
		json_integer((json_int_t)page->doubt.released_wrong));
	json_object_set_new(root, "alarms", json_integer((json_int_t)page->egress.alarms));
	json_object_set_new(root, "vnfs", vnfs_json(report->config, page));
	json_object_set_new(root, "engine", engines_json(report->config, page));
	json_object_set_new(root, "failovers", failovers_json(report));
	json_object_set_new(root, "log",
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "packet_bytes",
			(json_int_t)page->loggers[LOGGER_PACKETS].bytes, "determinant_bytes",
			(json_int_t)page->loggers[LOGGER_DETERMINANTS].determinant_bytes,
			"outcome_bytes", (json_int_t)page->loggers[LOGGER_DETERMINANTS].bytes,
			"folds", (json_int_t)page->folds, "base_batch",
			(json_int_t)page_base_batch(page, report->config->stages_count), "gaps",
			(json_int_t)(page->loggers[0].gaps + page->loggers[1].gaps +
				     page->loggers[2].gaps),
			"restarts", restarts_json(page)));
	json_object_set_new(root, "throughput_mpps", json_real(mpps(page)));
	json_object_set_new(root, "release_gap_max_us",
		json_real((double)page->egress.gaps.max_ns / 1e3));
	json_object_set_new(root, "release_gaps", gaps_json(&page->egress.gaps));
	json_object_set_new(root, "latency_us",
		json_pack("{s:f, s:f, s:f}", "p50", (double)histogram_quantile(latency, 0.5) / 1e3,
			"p99", (double)histogram_quantile(latency, 0.99) / 1e3, "max",
			(double)latency->max_ns / 1e3));
	json_object_set_new(root, "cpu_ns_per_packet", roles_json(report));
	json_object_set_new(root, "wall_s", json_real((double)report->wall_ns / 1e9));
	return root;
}

enum status report_write(const struct report *report, const char *path)
{
	json_t *root = report_json(report);
	int written = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

	json_decref(root);
	return written == 0 ? STATUS_OK : STATUS_IO;
}

/* A line for each service that was started again. */
static void print_restarts(const struct page *page, FILE *out)
{
	for (uint32_t i = 0; i < SERVICES_COUNT; i++)
		if (restarts_of(&page->services[i]) > 0)
			fprintf(out, "  the %s%s was started again %llu times\n",
				i == SERVICE_SEQUENCER ? "sequencer" : logger_names[i],
				i == SERVICE_SEQUENCER ? "" : " logger",
				(unsigned long long)restarts_of(&page->services[i]));
	if (page->egress.ambiguous > 0)
		fprintf(out,
			"  %llu outputs may have left or not when a sequencer died (redelivery)\n",
			(unsigned long long)page->egress.ambiguous);
}

static void print_failovers(const struct report *report, FILE *out)
{
	const struct page *page = report->page;

	for (uint32_t i = 0; i < page->failovers_count && i < FAILOVERS_MAX && i < 16; i++) {
		const struct page_failover *f = &page->failovers[i];

		fprintf(out, "  %-5s %s%s%-6s at packet %-8llu detected %9.1f us",
			failover_fault(f), failover_stage(report, f),
			f->role == ROLE_REPLICA ? "/" : "", failover_role(f),
			(unsigned long long)f->at_packet, us(f->detected_ns, f->t0_ns));
		if (failover_waits(report, f))
			fprintf(out, ", promoted %9.1f us", us(f->promoted_ns, f->t0_ns));
		fprintf(out,
			", first release %9.1f us, outage %9.1f us, redundant again %9.1f ms\n",
			us(f->first_release_ns, f->t0_ns), (double)f->gap_max_ns / 1e3,
			us(f->restored_ns, f->t0_ns) / 1e3);
	}
}

void report_print(const struct report *report, FILE *out)
{
	const struct page *page = report->page;
	uint64_t lost, duplicated, reordered;
	bool judged = report_judgement(report, &lost, &duplicated, &reordered);

	fprintf(out,
		"%s, %s: %llu packets in, %llu released, %llu dropped by VNFs, "
		"%llu dropped otherwise\n",
		report->config->chain, report->config->protect ? "protected" : "unprotected",
		(unsigned long long)page->ingress.packets,
		(unsigned long long)page->egress.released,
		(unsigned long long)page->egress.dropped_by_vnf,
		(unsigned long long)page_dropped(page));
	if (judged)
		fprintf(out,
			"  judged at the sink by %s: lost %llu, duplicated %llu, reordered %llu, "
			"unexpected %llu\n",
			report->verdict.judged ? "comparison with an uninterrupted run"
					       : "sequence numbers",
			(unsigned long long)lost, (unsigned long long)duplicated,
			(unsigned long long)reordered,
			(unsigned long long)report->verdict.unexpected);
	if (report->config->protect)
		fprintf(out,
			"  replicas: %llu batch digests compared, %llu differ; "
			"%llu folds of base values\n",
			(unsigned long long)page->egress.digests_compared,
			(unsigned long long)page->egress.digest_mismatches,
			(unsigned long long)page->folds);
	print_failovers(report, out);
	print_restarts(page, out);
	fprintf(out,
		"  %.2f Mpps; latency p50 %.1f us, p99 %.1f us, max %.1f us; "
		"longest release gap %.1f us\n",
		mpps(page), (double)histogram_quantile(&page->egress.latency, 0.5) / 1e3,
		(double)histogram_quantile(&page->egress.latency, 0.99) / 1e3,
		(double)page->egress.latency.max_ns / 1e3, (double)page->egress.gaps.max_ns / 1e3);
	fprintf(out, "  CPU ns a packet:");
	for (uint32_t i = 0; i < report->roles_count; i++)
		fprintf(out, " %s %.0f", report->roles[i].name,
			page->ingress.packets == 0
				? 0
				: (double)report->roles[i].cpu_ns / (double)page->ingress.packets);
	fprintf(out, "\n");
	if (report->error != NULL)
		fprintf(out, "  ERROR: %s\n", report->error);
}

/* One line; of a replica with one worker and nothing forced there is nothing to tell. */
static void print_engine(const json_t *engine, FILE *out)
{
	const char *name;
	json_t *value;

	if (json_object_size(engine) < 2)
		return;
	fprintf(out, "    engine:");
	json_object_foreach((json_t *)engine, name, value)
		fprintf(out, " %s %lld", name, (long long)json_integer_value(value));
	fprintf(out, "\n");
}

static void print_status(const struct config *config, const struct page *page, const json_t *root,
	FILE *out)
{
	size_t index;
	json_t *one;

	fprintf(out, "%s: %llu packets in, %llu released, %u failovers, %llu digest differences\n",
		config->chain, (unsigned long long)page->ingress.packets,
		(unsigned long long)page->egress.released, page->failovers_count,
		(unsigned long long)page->egress.digest_mismatches);
	json_array_foreach(json_object_get(root, "replicas"), index, one)
	{
		const char *stage = json_string_value(json_object_get(one, "stage"));
		long long number = json_integer_value(json_object_get(one, "replica"));
		char name[NAME_BYTES + 24];

		fprintf(out, "  %s/%lld %-6s %-9s lag %lld batches, pid %lld\n", stage, number,
			json_string_value(json_object_get(one, "role")),
			json_string_value(json_object_get(one, "state")),
			(long long)json_integer_value(json_object_get(one, "lag_batches")),
			(long long)json_integer_value(json_object_get(one, "pid")));
		snprintf(name, sizeof(name), "%s/%lld", stage, number);
		print_engine(json_object_get(json_object_get(root, "engine"), name), out);
	}
	print_restarts(page, out);
	if (page->maintenance)
		fprintf(out,
			"  MAINTENANCE: replicas that go are not replaced, hangs are let be\n");
}

json_t *report_status_json(const struct config *config, const struct page *page)
{
	static const char *const states[] = {"absent", "starting", "restoring", "ready", "failed"};
	json_t *root = json_object(), *replicas = json_array();

	for (uint32_t s = 0; s < config->stages_count; s++)
		for (uint32_t r = 0; r < config_replicas(config, s); r++) {
			const struct page_replica *replica = &page->stages[s].replicas[r];
			uint32_t state = replica->state < 5 ? replica->state : 0;

			json_array_append_new(replicas,
				json_pack("{s:s, s:i, s:s, s:s, s:I, s:I, s:i}", "stage",
					config->stages[s].name, "replica", (int)r, "role",
					page_leader(&page->stages[s])->incarnation ==
							replica->incarnation
						? "master"
						: "slave",
					"state", states[state], "incarnation",
					(json_int_t)replica->incarnation, "lag_batches",
					(json_int_t)(page->ingress.batches - replica->next_batch),
					"pid", (int)replica->pid));
		}
	json_object_set_new(root, "chain", json_string(config->chain));
	json_object_set_new(root, "packets", packets_json(page));
	json_object_set_new(root, "replicas", replicas);
	json_object_set_new(root, "vnfs", vnfs_json(config, page));
	json_object_set_new(root, "engine", engines_json(config, page));
	json_object_set_new(root, "failovers", json_integer(page->failovers_count));
	json_object_set_new(root, "maintenance", json_boolean(page->maintenance));
	json_object_set_new(root, "digest_mismatches",
		json_integer((json_int_t)page->egress.digest_mismatches));
	json_object_set_new(root, "throughput_mpps", json_real(mpps(page)));
	return root;
}

void report_status(const struct config *config, const struct page *page, bool json, FILE *out)
{
	json_t *root = report_status_json(config, page);

	if (json) {
		json_dumpf(root, out, JSON_INDENT(2));
		fprintf(out, "\n");
	} else {
		print_status(config, page, root, out);
	}
	json_decref(root);
}
