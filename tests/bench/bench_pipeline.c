/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_pipeline CHAIN.yaml [PACKETS]: the chain's VNFs on the same generated traffic three ways in
 * one run: bare (run to completion in one thread of one process), unprotected, and protected, also
 * with the master killed in the middle. Prints figures; asserts nothing.
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "loggers/idle.h"
#include "sequencer/port.h"
#include "vnf/stage.h"

static void fail(const char *error)
{
	fprintf(stderr, "bench_pipeline: %s\n", error);
	exit(1);
}

/* Sends what the VNFs made of a batch: the header back into the frame, and to the sink. */
static void send_batch(struct replica *replica, const struct batch_view *batch, struct port *sink)
{
	struct port_frame frames[SEND_BURST];
	uint32_t filled = 0;

	sink->ops->reserve(sink, frames, SEND_BURST);
	for (uint32_t i = 0; i < batch->header->count; i++) {
		if (!replica_forwards(replica, i))
			continue;
		memcpy(frames[filled].data, batch_frame(batch->records[i]),
			batch->records[i]->length);
		memcpy(frames[filled].data, replica->packets[i].current,
			replica->packets[i].header_bytes);
		frames[filled].length = batch->records[i]->length;
		if (++filled == SEND_BURST) {
			sink->ops->send(sink, frames, filled);
			filled = 0;
		}
	}
	if (filled > 0)
		sink->ops->send(sink, frames, filled);
}

static double bare_mpps(const struct config *config, const char *traffic)
{
	static struct replica replica;
	static struct page_ingress counts;
	void *memory = aligned_alloc(64, BATCH_BYTES_MAX);
	char error[CONFIG_ERROR_BYTES] = "out of memory";
	struct port source, sink;
	struct batch_writer writer;
	struct batch_view batch;
	uint64_t packets = 0, batch_no = 0, started_ns;

	if (memory == NULL || stage_open(&replica, config, 0, false, 1, error) != STATUS_OK ||
		port_open(&source, 0, traffic, true, config->hugepages, error) != STATUS_OK ||
		port_open(&sink, 1, "null:", false, config->hugepages, error) != STATUS_OK)
		fail(error);
	started_ns = mono_ns();
	for (;;) {
		batch_begin(&writer, memory, batch_no++, packets, packets + 1);
		if (source.ops->receive(&source, &writer, &counts) != STATUS_OK)
			break;
		(void)batch_end(&writer);
		if (batch_open(&batch, memory, BATCH_BYTES_MAX) != STATUS_OK)
			fail("a batch of the generator does not open");
		replica_begin(&replica, &batch, NULL, NULL);
		replica_execute(&replica, &batch, 0, batch.header->count);
		send_batch(&replica, &batch, &sink);
		packets += batch.header->count;
	}
	return (double)packets * 1e3 / (double)(mono_ns() - started_ns);
}

int main(int argc, char **argv)
{
	unsigned long long packets = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000000;
	char error[CONFIG_ERROR_BYTES], traffic[128], command[2048],
		run_dir[] = "/tmp/bench-XXXXXX";
	char program[PATH_BYTES];
	struct config *config;
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (argc < 2 || packets == 0 || length <= 0 || mkdtemp(run_dir) == NULL)
		fail("use: bench_pipeline CHAIN.yaml [PACKETS]");
	program[length] = 0;
	if (config_load(&config, argv[1], error) != STATUS_OK)
		fail(error);
	snprintf(traffic, sizeof(traffic), "gen:flows=1000,size=64,count=%llu", packets);
	printf("bare: one thread, %.2f Mpps\n\n", bare_mpps(config, traffic));
	fflush(stdout);
	snprintf(command, sizeof(command),
		"u='%s/understudy'; c='%s'; t='%s'; d='%s'; "
		"$u run $c --run-dir $d --input $t --output null: --unprotected; "
		"$u run $c --run-dir $d --input $t --output null:; "
		"$u run $c --run-dir $d --input $t --output null: "
		"--fault 'kill edge/master @packet=%llu'; "
		"rm -rf $d",
		dirname(program), argv[1], traffic, run_dir, packets / 2);
	config_free(config);
	return system(command) == 0 ? 0 : 1;
}
