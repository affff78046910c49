/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_txn [--json FILE] [--workers N] [--rounds N]: the transactional engine against locks, no
 * locks and serial execution, as in TransNFV section 5: the load balancer at 5% to 60% new
 * connections, its latency, and where the time goes; then key skew, transaction length, aborts and
 * compute cost swept, each strategy against what the decision model picks; then a function written
 * with recorded determinants and as transactions. Rounds go through all ways in turn, so that
 * ratios hold on a noisy machine; figures are medians. Prints figures; asserts nothing. See
 * docs/SPEED.md.
 */
#include <dlfcn.h>
#include <jansson.h>
#include <libgen.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/random.h"
#include "txn/baseline.h"
#include "vnf/replica.h"
#include "vnf/team_pthread.h"

#define BATCHES 120
#define FRAME_BYTES 64
#define ROUNDS_MAX 64
#define WARMING 3 /* rounds before those that count: caches, pages, what the model learns */
#define KEYS 10000
#define ZIPF_SAMPLES 65536
#define VIP 0xcb007107u /* 203.0.113.7 */

static void fail(const char *what)
{
	fprintf(stderr, "bench_txn: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* A stream of batches of one kind, made anew for each round. */
struct stream {
	uint8_t *memory;
	struct batch_view *batches;
	uint64_t next_id, random;
	uint32_t new_of_1000, connections;
};

static void stream_open(struct stream *stream)
{
	*stream =
		(struct stream){.memory = aligned_alloc(64, (size_t)BATCHES * BATCH_BYTES_MAX / 4),
			.batches = calloc(BATCHES, sizeof(*stream->batches)),
			.next_id = 1,
			.random = 88172645463325252ull};
	if (stream->memory == NULL || stream->batches == NULL)
		fail("out of memory");
}

static void stream_close(struct stream *stream)
{
	free(stream->memory);
	free(stream->batches);
}

/* A TCP segment from a client's endpoint to the virtual address. */
static void make_frame(uint8_t *frame, uint32_t client, uint8_t flags)
{
	memset(frame, 0, FRAME_BYTES);
	store_be16(frame + 12, 0x0800);
	frame[14] = 0x45;
	store_be16(frame + 16, FRAME_BYTES - 14);
	frame[22] = 64;
	frame[23] = 6;
	store_be32(frame + 26, 0x0a000000u + client / 50000);
	store_be32(frame + 30, VIP);
	store_be16(frame + 34, (uint16_t)(1024 + client % 50000));
	store_be16(frame + 36, 80);
	frame[46] = 0x50;
	frame[47] = flags;
}

static void stream_fill(struct stream *stream)
{
	for (uint32_t b = 0; b < BATCHES; b++) {
		struct batch_writer writer;
		struct batch_record *record;
		uint8_t *memory = stream->memory + (size_t)b * BATCH_BYTES_MAX / 4;

		batch_begin(&writer, memory, b, stream->next_id, stream->next_id);
		for (uint32_t i = 0; i < BATCH_PACKETS_MAX; i++) {
			uint32_t draw = (uint32_t)(random_next(&stream->random) >> 20);
			bool opens = stream->connections < 1000 ||
				     draw % 1000 < stream->new_of_1000;
			uint32_t span = stream->connections < 10000 ? stream->connections : 10000;
			uint32_t client = opens ? stream->connections++
						: stream->connections - 1 - draw / 1000 % span;

			make_frame(batch_add(&writer, RECORD_PACKET, FRAME_BYTES, &record), client,
				opens ? 0x02 : 0x10);
			record->clock_ns = 1000000000ull;
		}
		if (batch_open(&stream->batches[b], memory, batch_end(&writer)) != STATUS_OK)
			fail("a batch does not open");
		stream->next_id += BATCH_PACKETS_MAX;
	}
}

/* A VNF in a replica, run in one way, and what was measured of it. */
struct way {
	const char *name;
	uint32_t workers, forced;
	enum baseline baseline;
	struct replica *replica;
	struct pthread_team team;
	struct probes *probes; /* by worker */
	double packet_ns[ROUNDS_MAX];
	uint64_t *batch_ns; /* of all rounds */
	uint32_t batches;
	uint64_t determinant_bytes, packets;
};

static struct way way_of(const char *name, uint32_t workers, uint32_t forced, enum baseline kind)
{
	/* A baseline is the team's, whatever the model thinks; no graph is made for it. */
	return (struct way){.name = name,
		.workers = workers,
		.forced = kind == BASELINE_NONE ? forced : 1,
		.baseline = kind};
}

static bool measuring_ticks;

static void on_worker_start(void *context, uint32_t worker)
{
	struct way *way = context;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	if (measuring_ticks)
		probes = &way->probes[worker];
}

static const struct vnf_ops *load_vnf(const char *name)
{
	char path[512], folder[400];
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	const struct vnf_ops *ops;
	void *object;

	folder[length < 0 ? 0 : length] = 0;
	snprintf(path, sizeof(path), "%s/vnf/%s.so", dirname(folder), name);
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ops = object == NULL ? NULL : dlsym(object, "understudy_vnf");
	if (ops == NULL)
		fail(dlerror());
	return ops;
}

static void way_open(struct way *way, const struct vnf_ops *ops, const struct vnf_setting *settings,
	uint32_t settings_count, bool tracks)
{
	char error[256] = "";
	struct vnf_setup setup = {.settings = settings,
		.settings_count = settings_count,
		.homes = 64,
		.error = error,
		.error_bytes = sizeof(error)};

	way->replica = calloc(1, sizeof(*way->replica));
	way->probes = calloc(WORKERS_MAX, sizeof(*way->probes));
	way->batch_ns = calloc((size_t)ROUNDS_MAX * BATCHES, sizeof(uint64_t));
	if (way->replica == NULL || way->probes == NULL || way->batch_ns == NULL ||
		replica_open(way->replica, 0, 1, 1, tracks, 2, way->workers) != STATUS_OK ||
		replica_add_vnf(way->replica, ops, &setup) != STATUS_OK ||
		replica_ready(way->replica) != STATUS_OK ||
		team_pthread_start(&way->team, way->workers,
			way->workers > (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), on_worker_start,
			way) != STATUS_OK)
		fail(error[0] ? error : "cannot set up a replica");
	way->replica->team = &way->team.team;
	way->replica->access.clock_ns = now_ns;
	way->replica->access.decision.forced = way->forced;
}

static void way_close(struct way *way)
{
	team_pthread_stop(&way->team);
	replica_close(way->replica);
	free(way->replica);
	free(way->probes);
	free(way->batch_ns);
}

static uint64_t determinant_bytes(const uint8_t *out, uint32_t bytes)
{
	const struct outcome_extra *extra;
	struct outcome_view outcome;
	uint32_t offset = 0;
	uint64_t sum = 0;

	if (outcome_open(&outcome, out, bytes) != STATUS_OK)
		fail("an outcome does not open");
	while ((extra = outcome_extra_next(&outcome, &offset)) != NULL)
		if (extra->type == EXTRA_DETERMINANT)
			sum += sizeof(*extra) + ALIGN_UP(extra->bytes, 8u);
	return sum;
}

/* Time counts from now on, or no more. */
static void set_probes(struct way *way, uint64_t since)
{
	for (uint32_t w = 0; w < way->workers; w++)
		atomic_write_relaxed(&way->probes[w].since, since);
}

/* The stream once through. round ROUNDS_MAX: to warm up. */
static void way_run(struct way *way, const struct stream *stream, uint32_t round)
{
	static uint8_t out[OUTCOME_BYTES_MAX] __attribute__((aligned(64)));
	uint64_t began_ns, all_ns = 0;

	baseline = way->baseline;
	if (measuring_ticks)
		probes = &way->probes[0];
	set_probes(way, __rdtsc());
	for (uint32_t b = 0; b < BATCHES; b++) {
		const struct batch_view *batch = &stream->batches[b];
		uint32_t bytes;

		began_ns = now_ns();
		replica_begin(way->replica, batch, NULL, out);
		replica_execute(way->replica, batch, 0, batch->header->count);
		bytes = replica_end(way->replica, batch);
		began_ns = now_ns() - began_ns;
		all_ns += began_ns;
		if (round < ROUNDS_MAX) {
			way->batch_ns[way->batches++] = began_ns;
			way->determinant_bytes += determinant_bytes(out, bytes);
			way->packets += batch->header->count;
		}
	}
	(void)probe_enter(PROBE_OTHERS);
	set_probes(way, 0);
	probes = NULL;
	if (round < ROUNDS_MAX)
		way->packet_ns[round] = (double)all_ns / (BATCHES * BATCH_PACKETS_MAX);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int by_count(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *values, uint32_t count)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, values, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), by_value);
	return sorted[count / 2];
}

/* How much faster one way is than another: round by round, for the machine's pace changes. */
static double ratio(const struct way *other, const struct way *way, uint32_t rounds)
{
	double ratios[ROUNDS_MAX];

	for (uint32_t r = 0; r < rounds; r++)
		ratios[r] = other->packet_ns[r] / way->packet_ns[r];
	return median(ratios, rounds);
}

static double latency_us(struct way *way, double quantile)
{
	qsort(way->batch_ns, way->batches, sizeof(uint64_t), by_count);
	return (double)way->batch_ns[(uint32_t)(quantile * (way->batches - 1))] / 1e3;
}

/* All ways through the same streams, in turn. */
static void run_rounds(struct way *ways, uint32_t count, struct stream *stream, uint32_t rounds)
{
	for (uint32_t round = 0; round < WARMING + rounds; round++) {
		stream_fill(stream);
		for (uint32_t w = 0; w < count; w++)
			way_run(&ways[w], stream, round < WARMING ? ROUNDS_MAX : round - WARMING);
	}
}

enum { WAY_SERIAL, WAY_LOCKS, WAY_NO_LOCKS, WAY_ENGINE, WAYS };

static void open_ways(struct way ways[WAYS], uint32_t workers, const struct vnf_ops *ops,
	const struct vnf_setting *settings, uint32_t settings_count, bool tracks)
{
	ways[WAY_SERIAL] = way_of("serial", 1, STRATEGIES, BASELINE_NONE);
	ways[WAY_LOCKS] = way_of("locks", workers, STRATEGIES, BASELINE_LOCKS);
	ways[WAY_NO_LOCKS] = way_of("no locks", workers, STRATEGIES, BASELINE_NO_LOCKS);
	ways[WAY_ENGINE] = way_of("engine", workers, STRATEGIES, BASELINE_NONE);
	for (uint32_t w = 0; w < WAYS; w++)
		way_open(&ways[w], ops, settings, settings_count, tracks);
}

static void close_ways(struct way *ways, uint32_t count)
{
	for (uint32_t w = 0; w < count; w++)
		way_close(&ways[w]);
}

/* "where the time goes", of all workers' time, in percent. */
static json_t *shares(const struct way *way)
{
	static const char *const names[PROBES] = {"others", "useful", "sync", "lock", "construct",
		"explore"};
	json_t *json = json_object();
	uint64_t sum[PROBES] = {0}, all = 0;

	for (uint32_t w = 0; w < way->workers; w++)
		for (uint32_t p = 0; p < PROBES; p++) {
			sum[p] += way->probes[w].ticks[p];
			all += way->probes[w].ticks[p];
		}
	for (uint32_t p = 0; p < PROBES; p++) {
		double share = all == 0 ? 0 : 100.0 * (double)sum[p] / (double)all;

		json_object_set_new(json, names[p], json_real(share));
		printf("  %s %.0f%%", names[p], share);
	}
	printf("\n");
	return json;
}

static json_t *balancer_point(uint32_t percent, uint32_t workers, uint32_t rounds)
{
	static const char *const servers[] = {"198.51.100.11", "198.51.100.12", "198.51.100.13",
		"198.51.100.14", "198.51.100.15", "198.51.100.16", "198.51.100.17",
		"198.51.100.18"};
	static const char *const vip[] = {"203.0.113.7"}, *const ports[] = {"80"},
				 *const capacity[] = {"500000"};
	const struct vnf_setting settings[] = {{"vip", vip, 1, 0}, {"ports", ports, 1, 0},
		{"servers", servers, 8, 0}, {"capacity", capacity, 1, 0}};
	struct way ways[WAYS];
	struct stream stream;
	json_t *json = json_object();
	double mpps[WAYS];

	measuring_ticks = false;
	stream_open(&stream);
	stream.new_of_1000 = percent * 10;
	open_ways(ways, workers, load_vnf("load_balancer"), settings, 4, false);
	run_rounds(ways, WAYS, &stream, rounds);
	printf("%3u%%", percent);
	json_object_set_new(json, "new_percent", json_integer(percent));
	for (uint32_t w = 0; w < WAYS; w++) {
		mpps[w] = 1e3 / median(ways[w].packet_ns, rounds);
		printf(" %9.2f", mpps[w]);
		json_object_set_new(json, ways[w].name,
			json_pack("{s:f, s:f, s:f}", "mpps", mpps[w], "batch_p50_us",
				latency_us(&ways[w], 0.5), "batch_p99_us",
				latency_us(&ways[w], 0.99)));
	}
	printf("   %5.2f %5.2f %5.2f\n", ratio(&ways[WAY_NO_LOCKS], &ways[WAY_ENGINE], rounds),
		ratio(&ways[WAY_LOCKS], &ways[WAY_ENGINE], rounds),
		ratio(&ways[WAY_SERIAL], &ways[WAY_ENGINE], rounds));
	json_object_set_new(json, "engine_to",
		json_pack("{s:f, s:f, s:f}", "no locks",
			ratio(&ways[WAY_NO_LOCKS], &ways[WAY_ENGINE], rounds), "locks",
			ratio(&ways[WAY_LOCKS], &ways[WAY_ENGINE], rounds), "serial",
			ratio(&ways[WAY_SERIAL], &ways[WAY_ENGINE], rounds)));
	if (percent == 5 || percent == 60)
		for (uint32_t w = 0; w < WAYS; w++)
			printf("     %-9s batch of 256: p50 %6.1f us, p99 %6.1f us\n", ways[w].name,
				latency_us(&ways[w], 0.5), latency_us(&ways[w], 0.99));
	close_ways(ways, WAYS);
	measuring_ticks = true;
	open_ways(ways, workers, load_vnf("load_balancer"), settings, 4, false);
	run_rounds(ways, WAYS, &stream, rounds < 3 ? rounds : 3);
	for (uint32_t w = 0; w < WAYS && (percent == 5 || percent == 60); w++) {
		printf("     %-9s", ways[w].name);
		json_object_set_new(json_object_get(json, ways[w].name), "time_percent",
			shares(&ways[w]));
	}
	close_ways(ways, WAYS);
	measuring_ticks = false;
	stream_close(&stream);
	return json;
}

/* The swept workload: read-modify-writes, more or less skewed, long, costly, aborting. */
static struct {
	uint32_t length, abort_of_1000, cost;
	uint32_t zipf[ZIPF_SAMPLES];
} sweep;

static enum operation_effect sweep_function(struct operation_call *call)
{
	uint64_t *value = call->value, mixed = call->id + value[0];

	for (uint32_t i = 0; i < sweep.cost; i++)
		mixed = digest_mix(mixed + i);
	value[0] = mixed | 1;
	value[1]++;
	return mixed % 1000 < sweep.abort_of_1000 ? EFFECT_ABORT : EFFECT_PUT;
}

static bool sweep_open(struct vnf_setup *setup, void **self)
{
	setup->tables[0] = (struct table_spec){.name = "entries",
		.key_bytes = 8,
		.value_bytes = 16,
		.capacity = 4 * KEYS,
		.scope = TABLE_SHARED};
	setup->tables_count = 1;
	*self = NULL;
	return true;
}

static void sweep_close(void *self)
{
	(void)self;
}

static void sweep_pre(const void *self, struct vnf_packet *packet)
{
	uint64_t draw = digest_mix(packet->id);

	(void)self;
	packet->home = (uint16_t)(packet->id % 64);
	/* The first packets of all bring the entries into being. */
	for (uint32_t i = 0; i < sweep.length; i++) {
		struct operation operation = {.kind = OPERATION_READ_MODIFY,
			.may_abort = i == 0 && sweep.abort_of_1000 > 0,
			.table = 0,
			.key = {packet->id <= 2 * KEYS ? (packet->id + i) % KEYS
						       : sweep.zipf[draw % ZIPF_SAMPLES]},
			.function = sweep_function};

		vnf_operate(packet, &operation);
		draw = digest_mix(draw);
	}
}

static void sweep_post(const void *self, struct vnf_packet *packet)
{
	(void)self;
	(void)packet;
}

static const struct vnf_ops sweep_vnf = {.abi = VNF_ABI,
	.name = "sweep",
	.open = sweep_open,
	.close = sweep_close,
	.pre = sweep_pre,
	.post = sweep_post};

/* Keys by Zipf's law; theta in hundredths, 0 is uniform. */
static void make_zipf(uint32_t theta)
{
	static double below[KEYS];
	double sum = 0;
	uint64_t random = 12345;

	for (uint32_t k = 0; k < KEYS; k++)
		below[k] = sum += 1 / pow(k + 1, theta / 100.0);
	for (uint32_t i = 0; i < ZIPF_SAMPLES; i++) {
		double draw = (double)(random_next(&random) >> 11) / 9007199254740992.0 * sum;
		uint32_t low = 0, high = KEYS - 1;

		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (below[middle] < draw)
				low = middle + 1;
			else
				high = middle;
		}
		sweep.zipf[i] = low;
	}
}

struct sweep_point {
	const char *what;
	uint32_t theta, length, abort_of_1000, cost;
};

static json_t *sweep_point(const struct sweep_point *point, uint32_t workers, uint32_t rounds)
{
	struct way ways[STRATEGIES + 3];
	uint32_t count = STRATEGIES + 3, best = 0;
	struct stream stream;
	json_t *json = json_object(), *all = json_object();
	double ns[STRATEGIES + 3], to_best, to_no_locks;

	sweep.length = point->length;
	sweep.abort_of_1000 = point->abort_of_1000;
	sweep.cost = point->cost;
	make_zipf(point->theta);
	stream_open(&stream);
	for (uint32_t s = 0; s <= STRATEGIES; s++)
		ways[s] = way_of(s == STRATEGIES ? "model" : strategy_name(s), workers, s,
			BASELINE_NONE);
	ways[STRATEGIES + 1] = way_of("locks", workers, STRATEGIES, BASELINE_LOCKS);
	ways[STRATEGIES + 2] = way_of("no locks", workers, STRATEGIES, BASELINE_NO_LOCKS);
	for (uint32_t w = 0; w < count; w++)
		way_open(&ways[w], &sweep_vnf, NULL, 0, false);
	run_rounds(ways, count, &stream, rounds);
	for (uint32_t w = 0; w < count; w++) {
		ns[w] = median(ways[w].packet_ns, rounds);
		json_object_set_new(all, ways[w].name, json_real(ns[w]));
		if (w < STRATEGIES && ns[w] < ns[best])
			best = w;
	}
	to_best = ratio(&ways[best], &ways[STRATEGIES], rounds);
	to_no_locks = ratio(&ways[STRATEGIES + 2], &ways[STRATEGIES], rounds);
	printf("%-26s %-29s %8.0f %8.0f %8.0f %8.0f %8.0f   %5.2f %5.2f\n", point->what,
		strategy_name(best), ns[best], ns[0], ns[STRATEGIES], ns[STRATEGIES + 1],
		ns[STRATEGIES + 2], to_best, to_no_locks);
	fflush(stdout);
	json_object_set_new(json, "to_best", json_real(to_best));
	json_object_set_new(json, "to_no_locks", json_real(to_no_locks));
	json_object_set_new(json, "what", json_string(point->what));
	json_object_set_new(json, "best", json_string(strategy_name(best)));
	json_object_set_new(json, "transaction_ns", all);
	close_ways(ways, count);
	stream_close(&stream);
	return json;
}

static const struct sweep_point sweep_points[] = {
	{"uniform keys", 0, 2, 0, 100},
	{"skew 0.6", 60, 2, 0, 100},
	{"skew 0.99", 99, 2, 0, 100},
	{"skew 1.4", 140, 2, 0, 100},
	{"1 operation", 60, 1, 0, 100},
	{"4 operations", 60, 4, 0, 100},
	{"8 operations", 60, 8, 0, 100},
	{"aborts 1%", 60, 2, 10, 100},
	{"aborts 10%", 60, 2, 100, 100},
	{"aborts 40%", 60, 2, 400, 100},
	{"no compute", 60, 2, 0, 0},
	{"compute x4", 60, 2, 0, 400},
	{"compute x20", 60, 2, 0, 2000},
};

/* The same function twice: log bytes a packet, and the time that a batch takes. */
static json_t *determinism(uint32_t workers, uint32_t rounds)
{
	static const char *const recorded[] = {"recorded"}, *const plain[] = {"transactional"};
	const struct vnf_setting settings[2] = {{"determinism", recorded, 1, 0},
		{"determinism", plain, 1, 0}};
	struct way ways[4] = {
		way_of("recorded, 1 worker", 1, STRATEGIES, BASELINE_NONE),
		way_of("transactional, 1 worker", 1, STRATEGIES, BASELINE_NONE),
		way_of("recorded, team", workers, STRATEGIES, BASELINE_NONE),
		way_of("transactional, team", workers, STRATEGIES, BASELINE_NONE),
	};
	json_t *json = json_object();
	struct stream stream;

	stream_open(&stream);
	for (uint32_t w = 0; w < 4; w++)
		way_open(&ways[w], load_vnf("traffic_counter"), &settings[w % 2], 1, true);
	run_rounds(ways, 4, &stream, rounds);
	printf("\ntraffic counter           determinants a packet  ns a packet   batch p50    "
	       "p99\n");
	for (uint32_t w = 0; w < 4; w++) {
		double bytes = (double)ways[w].determinant_bytes / (double)ways[w].packets;
		double ns = median(ways[w].packet_ns, rounds);

		printf("%-26s %13.1f bytes %12.0f %8.1f us %6.1f us\n", ways[w].name, bytes, ns,
			latency_us(&ways[w], 0.5), latency_us(&ways[w], 0.99));
		json_object_set_new(json, ways[w].name,
			json_pack("{s:f, s:f, s:f, s:f}", "determinant_bytes", bytes, "packet_ns",
				ns, "batch_p50_us", latency_us(&ways[w], 0.5), "batch_p99_us",
				latency_us(&ways[w], 0.99)));
	}
	close_ways(ways, 4);
	stream_close(&stream);
	return json;
}

int main(int argc, char **argv)
{
	static const uint32_t percents[] = {5, 10, 20, 30, 40, 50, 60};
	const char *json_path = NULL;
	uint32_t workers = 2, rounds = 9;
	json_t *root = json_object(), *points = json_array(), *sweeps = json_array();

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--json") == 0)
			json_path = argv[i + 1];
		else if (strcmp(argv[i], "--workers") == 0)
			workers = (uint32_t)atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--rounds") == 0)
			rounds = (uint32_t)atoi(argv[i + 1]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc % 2 == 0 || workers < 1 || workers > WORKERS_MAX || rounds < 1 ||
		rounds > ROUNDS_MAX)
		fail("usage: bench_txn [--json FILE] [--workers 1-8] [--rounds 1-64]");
	on_worker_start(NULL, 0);
	printf("load balancer, %u workers, Mpps\n new    serial     locks  no locks    engine   "
	       "engine / no locks, locks, serial\n",
		workers);
	for (uint32_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		json_array_append_new(points, balancer_point(percents[i], workers, rounds));
		fflush(stdout);
	}
	printf("\nns a transaction           best strategy                     best   serial    "
	       "model    locks no locks   best / model, no locks / model\n");
	for (uint32_t i = 0; i < sizeof(sweep_points) / sizeof(sweep_points[0]); i++)
		json_array_append_new(sweeps, sweep_point(&sweep_points[i], workers, rounds));
	json_object_set_new(root, "workers", json_integer(workers));
	json_object_set_new(root, "load_balancer", points);
	json_object_set_new(root, "sweeps", sweeps);
	json_object_set_new(root, "determinism", determinism(workers, rounds));
	if (json_path != NULL && json_dump_file(root, json_path, JSON_INDENT(2)) != 0)
		fail("cannot write the JSON file");
	json_decref(root);
	return 0;
}
