/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_pipeline [--json FILE] [--packets N]: chains on generated traffic in four ways, one after
 * another in one run, so that they can be compared: bare (run to completion on frames in one
 * thread), unprotected, protected at `process` and at `disk`. One thing is varied at a time: frame
 * size, flows, the chain. Beside them dpdk-testpmd between null ports and the disk's own sequential
 * rate. Prints figures; asserts nothing. See docs/SPEED.md.
 */
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config.h"
#include "loggers/idle.h"
#include "sequencer/port.h"
#include "tests/bench/bare.h"
#include "vnf/stage.h"

#define PACED_PPS 100000 /* of the runs whose latency is compared: the chain is never busy */
#define DISK_BYTES (256u << 20)
#define TESTPMD_SECONDS 5

struct point {
	const char *name;
	const char *size; /* of gen: */
	uint32_t flows;
	uint32_t vnfs; /* of the chain: NAT, load balancer, Trojan detector */
	bool stages;   /* each in a stage of its own */
};

static const struct point points[] = {
	{"64 B, 1 k flows, NAT", "64", 1000, 1, false},
	{"IMIX", "imix", 1000, 1, false},
	{"1500 B", "1500", 1000, 1, false},
	{"10 k flows", "64", 10000, 1, false},
	{"100 k flows", "64", 100000, 1, false},
	{"1 M flows", "64", 1000000, 1, false},
	{"chain of 2", "64", 1000, 2, false},
	{"chain of 3", "64", 1000, 3, false},
	{"3 stages", "64", 1000, 3, true},
};

enum mode { MODE_UNPROTECTED, MODE_PROCESS, MODE_DISK, MODES };

static const char *const mode_names[MODES] = {"unprotected", "process", "disk"};

struct bench {
	char dir[64], chain[96], report[96], program[PATH_BYTES];
	uint64_t packets;
	json_t *results;
};

static void fail(const char *error)
{
	fprintf(stderr, "bench_pipeline: %s\n", error);
	exit(1);
}

/* Writes the chain of a point, at a durability. */
static void write_chain(const struct bench *bench, const struct point *point,
	const char *durability)
{
	static const char *const names[] = {"nat", "load_balancer", "trojan_detector"};
	char settings[3][256];
	uint32_t capacity = point->flows < 50000 ? 65536 : point->flows * 2;
	FILE *out = fopen(bench->chain, "we");

	if (out == NULL)
		fail("the chain's file cannot be written");
	snprintf(settings[0], sizeof(settings[0]),
		"inside: [10.0.0.0/8], pool: [192.0.2.0/24], capacity: %u", capacity);
	snprintf(settings[1], sizeof(settings[1]),
		"inside: [10.0.0.0/8], vip: any, ports: [53], capacity: %u, "
		"servers: [198.51.100.11, 198.51.100.12, 198.51.100.13]",
		capacity);
	snprintf(settings[2], sizeof(settings[2]), "inside: [10.0.0.0/8]");
	fprintf(out, "chain: bench\ndurability: %s\njournal: %s\n", durability,
		strcmp(durability, "disk") == 0 || point->flows > 10000 ? "64MiB" : "4MiB");
	fprintf(out, "ports: [{id: 0, dev: \"null:\"}, {id: 1, dev: \"null:\"}]\nstages:\n");
	for (uint32_t i = 0; i < point->vnfs; i++) {
		if (i == 0 || point->stages)
			fprintf(out, "  - name: s%u\n    vnfs:\n", i);
		fprintf(out, "      - {name: %s, config: {%s}}\n", names[i], settings[i]);
	}
	fprintf(out, "loggers: {dir: %s/log}\n", bench->dir);
	if (fclose(out) != 0)
		fail("the chain's file cannot be written");
}

static void traffic_of(char *text, size_t bytes, const struct point *point, uint64_t packets)
{
	snprintf(text, bytes, "gen:flows=%u,size=%s,count=%llu", point->flows, point->size,
		(unsigned long long)packets);
}

/* Runs the program on a chain and takes its report; NULL with a word if it fails. */
static json_t *run_chain(const struct bench *bench, const char *traffic, bool unprotected)
{
	char run_dir[96];
	const char *arguments[] = {"understudy", "run", bench->chain, "--run-dir", run_dir,
		"--report", bench->report, "--input", traffic, unprotected ? "--unprotected" : NULL,
		NULL};
	json_t *report;
	pid_t pid;

	snprintf(run_dir, sizeof(run_dir), "%s/run", bench->dir);
	unlink(bench->report);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execv(bench->program, (char *const *)arguments);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		fail("no process can be started");
	report = json_load_file(bench->report, 0, NULL);
	if (report == NULL ||
		strcmp(json_string_value(json_object_get(report, "result")), "ok") != 0)
		fprintf(stderr, "bench_pipeline: a run failed: %s\n", traffic);
	return report;
}

/* All VNFs of the chain in this thread: what a user has without a framework. */
static double bare_mpps(const struct bench *bench, const char *traffic)
{
	static struct replica replica;
	char error[CONFIG_ERROR_BYTES] = "out of memory";
	struct config *config;
	struct port source, sink;
	uint64_t packets, started_ns;
	double mpps;

	if (config_load(&config, bench->chain, error) != STATUS_OK ||
		stage_open(&replica, config, 0, 1, false, 1, error) != STATUS_OK ||
		port_open(&source, 0, traffic, PORT_SOURCE, config->hugepages, error) !=
			STATUS_OK ||
		port_open(&sink, 1, "null:", PORT_SINK, config->hugepages, error) != STATUS_OK)
		fail(error);
	started_ns = mono_ns();
	packets = bare_run(&replica, &source, &sink);
	mpps = (double)packets * 1e3 / (double)(mono_ns() - started_ns);
	source.ops->close(&source);
	sink.ops->close(&sink);
	replica_close(&replica);
	config_free(config);
	return mpps;
}

static double number(const json_t *report, const char *object, const char *key)
{
	const json_t *in = object == NULL ? report : json_object_get(report, object);

	return json_number_value(json_object_get(in, key));
}

/* CPU of the sequencer, the masters, the slaves, the loggers; ns a packet. */
struct cpu {
	double sequencer, masters, slaves, loggers, all;
};

static struct cpu cpu_of(const json_t *report)
{
	struct cpu cpu = {0};
	const char *role;
	json_t *value;

	json_object_foreach(json_object_get(report, "cpu_ns_per_packet"), role, value)
	{
		double ns = json_number_value(value);
		size_t length = strlen(role);

		cpu.all += ns;
		if (strcmp(role, "sequencer") == 0)
			cpu.sequencer += ns;
		else if (strncmp(role, "logger/", 7) == 0)
			cpu.loggers += ns;
		else if (strcmp(role + length - 2, "/0") == 0)
			cpu.masters += ns;
		else if (strcmp(role, "manager") != 0)
			cpu.slaves += ns;
	}
	return cpu;
}

static double log_bytes(const json_t *report)
{
	return number(report, "log", "packet_bytes") + number(report, "log", "outcome_bytes") +
	       number(report, "log", "determinant_bytes");
}

/* One mode of a point: at full speed, and paced for its latency. */
static json_t *measure_mode(const struct bench *bench, const struct point *point, enum mode mode,
	uint64_t packets)
{
	char traffic[128];
	json_t *full, *paced, *result;
	struct cpu cpu;
	double admitted, bytes;

	write_chain(bench, point, mode == MODE_DISK ? "disk" : "process");
	traffic_of(traffic, sizeof(traffic), point, packets);
	full = run_chain(bench, traffic, mode == MODE_UNPROTECTED);
	snprintf(traffic + strlen(traffic), sizeof(traffic) - strlen(traffic), ",rate=%d,count=%d",
		PACED_PPS, PACED_PPS);
	paced = run_chain(bench, traffic, mode == MODE_UNPROTECTED);
	cpu = cpu_of(full);
	admitted = number(full, "packets", "admitted");
	bytes = log_bytes(full);
	printf("  %-12s %7.2f %9.0f %8.0f %8.0f %8.0f %8.0f %10.1f %10.1f %8.1f\n",
		mode_names[mode], number(full, NULL, "throughput_mpps"), cpu.sequencer, cpu.masters,
		cpu.slaves, cpu.loggers, cpu.all, number(paced, "latency_us", "p50"),
		number(paced, "latency_us", "p99"), admitted > 0 ? bytes / admitted : 0);
	fflush(stdout);
	result = json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "mpps",
		number(full, NULL, "throughput_mpps"), "sequencer_ns", cpu.sequencer, "masters_ns",
		cpu.masters, "slaves_ns", cpu.slaves, "loggers_ns", cpu.loggers, "cpu_ns", cpu.all,
		"latency_p50_us", number(paced, "latency_us", "p50"), "latency_p99_us",
		number(paced, "latency_us", "p99"), "log_bytes_per_packet",
		admitted > 0 ? bytes / admitted : 0, "log_bytes_per_s",
		admitted > 0 ? bytes / admitted * number(full, NULL, "throughput_mpps") * 1e6 : 0);
	json_decref(full);
	json_decref(paced);
	return result;
}

static void measure_point(struct bench *bench, const struct point *point)
{
	struct point in_one = *point;
	uint64_t packets = bench->packets;
	char traffic[128];
	json_t *result = json_object();
	double bare;

	if (strcmp(point->size, "64") != 0)
		packets /= 4;
	printf("%s\n", point->name);
	in_one.stages = false;
	write_chain(bench, &in_one, "process");
	traffic_of(traffic, sizeof(traffic), point, packets);
	bare = bare_mpps(bench, traffic);
	printf("  %-12s %7.2f %9s %8.0f %8s %8s %8.0f\n", "bare", bare, "", 1e3 / bare, "", "",
		1e3 / bare);
	fflush(stdout);
	json_object_set_new(result, "bare",
		json_pack("{s:f, s:f}", "mpps", bare, "cpu_ns", 1e3 / bare));
	for (int mode = 0; mode < MODES; mode++)
		json_object_set_new(result, mode_names[mode],
			measure_mode(bench, point, (enum mode)mode, packets));
	json_object_set_new(bench->results, point->name, result);
}

/* Frames from one null device to the other, a second; 0 if there is no testpmd. */
static double testpmd_mpps(void)
{
	char line[256];
	double most = 0;
	FILE *output;

	if (system("command -v dpdk-testpmd >/dev/null") != 0) {
		printf("dpdk-testpmd: not here (package dpdk-dev)\n");
		return 0;
	}
	snprintf(line, sizeof(line),
		"timeout -s INT %d dpdk-testpmd --no-huge -m 256 --no-pci --no-telemetry "
		"--no-shconf --log-level=3 --vdev=net_null0,size=64,copy=1 "
		"--vdev=net_null1,size=64,copy=1 -- --forward-mode=io --tx-first "
		"--stats-period 1 --total-num-mbufs=16384 2>&1",
		TESTPMD_SECONDS);
	output = popen(line, "r");
	while (output != NULL && fgets(line, sizeof(line), output) != NULL) {
		char *at = strstr(line, "Tx-pps:");
		double pps = at == NULL ? 0 : strtod(at + strlen("Tx-pps:"), NULL);

		most = 2 * pps > most ? 2 * pps : most; /* of two ports, alike */
	}
	if (output != NULL)
		(void)pclose(output);
	printf("dpdk-testpmd, io between null ports that copy 64 bytes: %.1f Mpps\n", most / 1e6);
	return most / 1e6;
}

/* How fast the disk under the logs takes one file, fsync included; MB a second. */
static double disk_mbps(const struct bench *bench)
{
	static char block[1 << 20];
	char path[96];
	uint64_t started_ns;
	double mbps;
	int fd;

	snprintf(path, sizeof(path), "%s/sequential", bench->dir);
	memset(block, 'x', sizeof(block));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	started_ns = mono_ns();
	for (uint32_t written = 0; fd >= 0 && written < DISK_BYTES; written += sizeof(block))
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			fail("the disk takes no file");
	(void)fdatasync(fd);
	mbps = DISK_BYTES * 1e3 / (double)(mono_ns() - started_ns);
	close(fd);
	unlink(path);
	printf("the disk takes %.0f MB/s, one file, fsync at its end\n\n", mbps);
	return mbps;
}

static void print_ratios(const struct bench *bench, double testpmd, double disk)
{
	const json_t *base = json_object_get(bench->results, points[0].name);
	const json_t *large = json_object_get(bench->results, "1500 B");
	double before = number(base, "unprotected", "sequencer_ns") +
			number(base, "unprotected", "masters_ns");
	double after =
		number(base, "process", "sequencer_ns") + number(base, "process", "masters_ns");

	printf("\n%s:\n", points[0].name);
	printf("  CPU of sequencer and master, protected / unprotected: %.2f\n", after / before);
	printf("  CPU unprotected / bare: %.2f\n",
		number(base, "unprotected", "cpu_ns") / number(base, "bare", "cpu_ns"));
	printf("  median latency at %d packets/s, protected - unprotected: %.1f us\n", PACED_PPS,
		number(base, "process", "latency_p50_us") -
			number(base, "unprotected", "latency_p50_us"));
	if (testpmd > 0)
		printf("  protected / testpmd: %.2f\n", number(base, "process", "mpps") / testpmd);
	printf("1500 B: log at disk / the disk's own rate: %.2f\n",
		number(large, "disk", "log_bytes_per_s") / 1e6 / disk);
}

int main(int argc, char **argv)
{
	struct bench bench = {.packets = 6000000, .results = json_object()};
	const char *json = NULL;
	char command[160];
	double testpmd, disk;
	ssize_t length;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--json") == 0)
			json = argv[i + 1];
		else if (strcmp(argv[i], "--packets") == 0)
			bench.packets = strtoull(argv[i + 1], NULL, 10);
		else
			fail("use: bench_pipeline [--json FILE] [--packets N]");
	}
	length = readlink("/proc/self/exe", bench.program, sizeof(bench.program) - 1);
	snprintf(bench.dir, sizeof(bench.dir), "/tmp/bench-pipeline.XXXXXX");
	if (argc % 2 == 0 || bench.packets < 1000 || length <= 0 || mkdtemp(bench.dir) == NULL)
		fail("use: bench_pipeline [--json FILE] [--packets N]");
	snprintf(strrchr(bench.program, '/'), 16, "/understudy");
	snprintf(bench.chain, sizeof(bench.chain), "%s/chain.yaml", bench.dir);
	snprintf(bench.report, sizeof(bench.report), "%s/report.json", bench.dir);
	testpmd = testpmd_mpps();
	disk = disk_mbps(&bench);
	printf("CPU in ns a packet; latency of %d packets/s, in us; log in bytes a packet\n"
	       "  %-12s %7s %9s %8s %8s %8s %8s %10s %10s %8s\n",
		PACED_PPS, "", "Mpps", "sequencer", "masters", "slaves", "loggers", "all", "p50",
		"p99", "log");
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		measure_point(&bench, &points[i]);
	print_ratios(&bench, testpmd, disk);
	json_object_set_new(bench.results, "testpmd_mpps", json_real(testpmd));
	json_object_set_new(bench.results, "disk_mb_per_s", json_real(disk));
	if (json != NULL && json_dump_file(bench.results, json, JSON_INDENT(2)) != 0)
		fail("the JSON file cannot be written");
	json_decref(bench.results);
	snprintf(command, sizeof(command), "rm -rf '%s'", bench.dir);
	return system(command) == 0 ? 0 : 1;
}
