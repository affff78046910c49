/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_instructions CHAIN.yaml bare|unprotected|protected [PACKETS]: the cores of the packet path,
 * one after another in one thread, without clocks, so that `valgrind --tool=callgrind` counts the
 * same instructions each time; see instructions.sh. bare: generator, VNFs, sink. unprotected:
 * ingress, journal, one replica, journal, egress. protected: with digests, CRC and a slave. A chain
 * of one stage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/config.h"
#include "sequencer/egress.h"
#include "sequencer/ingress.h"
#include "tests/bench/bare.h"
#include "vnf/stage.h"

#define RING_BYTES (4u << 20)
#define REPLICAS 2

static struct journal base, outcomes[REPLICAS];
static struct journal_writer outputs[REPLICAS];
static struct journal_reader inputs[REPLICAS];
static struct replica replicas[REPLICAS];
static struct ingress ingress;
static struct egress egress;
static struct egress_stage stage;
static struct port ports[2];
static struct page *page;

static void fail(const char *error)
{
	fprintf(stderr, "bench_instructions: %s\n", error);
	exit(1);
}

static void must(enum status status, const char *what)
{
	if (status != STATUS_OK)
		fail(what);
}

static void open_journal(struct journal *journal, bool checked)
{
	size_t control_bytes = sizeof(struct journal_control);
	void *memory = mmap(NULL, control_bytes + RING_BYTES, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		fail("out of memory");
	*journal = (struct journal){memory, (uint8_t *)memory + control_bytes,
		RING_BYTES / LINE_BYTES};
	journal_format(journal->control, "bench", RING_BYTES, 0, 0, checked);
}

static void set_up(const struct config *config, const char *traffic, uint32_t count, bool protect)
{
	char error[CONFIG_ERROR_BYTES] = "out of memory";
	struct idle idle = {0};

	page = calloc(1, sizeof(*page));
	must(port_open(&ports[0], 0, traffic, PORT_SOURCE, HUGEPAGES_NO, error), error);
	must(port_open(&ports[1], 1, "null:", PORT_SINK, HUGEPAGES_NO, error), error);
	open_journal(&base, false);
	must(journal_writer_open(&ingress.writer, &base, 0), "base journal");
	ingress.counts = &page->ingress;
	ingress.released = &page->egress.batches;
	ingress.ports = ports;
	ingress.ports_count = 1;
	ingress.trace_clock = true;
	ingress.epoch = 1;
	ingress.next_packet_no = 1;
	egress_open(&egress, page, &stage, 1);
	egress.ports = ports;
	egress.ports_count = 2;
	egress.protect = protect;
	must(journal_attach(&egress.input, &base, GATE_REQUIRED, 0, "egress", 0), "base journal");
	for (uint32_t r = 0; r < count; r++) {
		struct journal_reader reader;

		must(stage_open(&replicas[r], config, 0, 1, protect, r + 1, error), error);
		must(journal_attach(&inputs[r], &base, GATE_REPLICA, 0, "replica", 0), "input");
		open_journal(&outcomes[r], protect);
		must(journal_writer_open(&outputs[r], &outcomes[r], 0), "outcomes");
		must(journal_attach(&reader, &outcomes[r], GATE_REQUIRED, 0, "egress", 0),
			"outcomes");
		must(outcomes_add(&stage.outcomes, &outcomes[r], &reader, r, r + 1, 0), "egress");
	}
	outcomes_poll(&stage.outcomes, &idle);
}

/* One batch through a replica. */
static void replicate(uint32_t r)
{
	struct batch_view batch;
	const void *payload;
	uint32_t bytes;
	void *out;

	must(journal_peek(&inputs[r], &payload, &bytes), "input");
	must(batch_open(&batch, payload, bytes), "batch");
	must(journal_reserve(&outputs[r], OUTCOME_BYTES_MAX, &out), "output");
	replica_begin(&replicas[r], &batch, NULL, out);
	replica_execute(&replicas[r], &batch, 0, batch.header->count);
	bytes = replica_end(&replicas[r], &batch);
	must(journal_publish(&outputs[r], bytes, batch.header->batch_no + 1), "publish");
	journal_advance(&inputs[r]);
}

/* callgrind counts from here: --toggle-collect=measured. */
__attribute__((noinline)) uint64_t measured(uint32_t count)
{
	enum status status = STATUS_OK;

	while (ingress_work(&ingress, 1, 0, &status) > 0) {
		for (uint32_t r = 0; r < count; r++)
			replicate(r);
		(void)egress_work(&egress, 1);
	}
	return page->egress.packets;
}

__attribute__((noinline)) uint64_t measured_bare(void)
{
	return bare_run(&replicas[0], &ports[0], &ports[1]);
}

int main(int argc, char **argv)
{
	char error[CONFIG_ERROR_BYTES], traffic[96];
	struct config *config;
	unsigned long long packets = argc > 3 ? strtoull(argv[3], NULL, 10) : 200000;
	bool bare, protect;
	uint64_t done;

	if (argc < 3)
		fail("use: bench_instructions CHAIN.yaml bare|unprotected|protected [PACKETS]");
	bare = strcmp(argv[2], "bare") == 0;
	protect = strcmp(argv[2], "protected") == 0;
	must(config_load(&config, argv[1], error), error);
	snprintf(traffic, sizeof(traffic), "gen:flows=1000,size=64,count=%llu", packets);
	set_up(config, traffic, protect ? REPLICAS : 1, protect);
	done = bare ? measured_bare() : measured(protect ? REPLICAS : 1);
	printf("%llu packets\n", (unsigned long long)done);
	return done == packets ? 0 : 1;
}
