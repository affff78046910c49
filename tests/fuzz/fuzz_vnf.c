/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets through the VNF that this program is linked with. The input is packets, each: two bytes
 * of length, one of port and clock, and the frame. Run twice, with other hash seeds and batch cuts:
 * the outcomes are whole, fit, and are the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/delta.h"
#include "vnf/replica.h"

#define PACKETS_MAX 64

extern const struct vnf_ops understudy_vnf;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct packet {
	const uint8_t *frame;
	uint32_t length;
	uint16_t port;
	uint64_t clock_ns;
};

static uint32_t split(const uint8_t *data, size_t size, struct packet *packets)
{
	uint64_t clock_ns = 1000000000000ull;
	uint32_t count = 0;

	while (size >= 3 && count < PACKETS_MAX) {
		uint32_t length = (uint32_t)(data[0] | data[1] << 8) % 2048;
		uint8_t kind = data[2];

		data += 3;
		size -= 3;
		if (length > size)
			length = (uint32_t)size;
		clock_ns += (uint64_t)(kind >> 1) * (kind & 128 ? 1000000000ull : 1000);
		if (length >= FRAME_BYTES_MIN)
			packets[count++] = (struct packet){data, length, kind & 1, clock_ns};
		data += length;
		size -= length;
	}
	return count;
}

#ifndef FUZZ_COUNTER
static const char *const inside[] = {"10.0.0.0/8"};
#endif
#ifdef FUZZ_NAT
static const char *const pool[] = {"192.0.2.1"}, *const high[] = {"1151"},
			 *const capacity[] = {"100"};
static const struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"pool", pool, 1, 2},
	{"port_high", high, 1, 3}, {"capacity", capacity, 1, 4}};
#elif defined(FUZZ_BALANCER)
static const char *const vip[] = {"any"}, *const ports[] = {"80", "443"},
			 *const capacity[] = {"40"},
			 *const servers[] = {"198.51.100.11", "198.51.100.12"};
static const struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"vip", vip, 1, 2},
	{"ports", ports, 2, 3}, {"servers", servers, 2, 4}, {"capacity", capacity, 1, 5}};
#elif defined(FUZZ_DETECTOR)
static const struct vnf_setting settings[] = {{"inside", inside, 1, 1}};
#elif defined(FUZZ_COUNTER)
static const char *const every[] = {"2"};
static const struct vnf_setting settings[] = {{"every", every, 1, 1}};
#endif

static struct replica *open_replica(uint64_t hash_seed)
{
	char error[256] = "";
	struct vnf_setup setup = {.settings = settings,
		.settings_count = sizeof(settings) / sizeof(settings[0]),
		.homes = 4,
		.error = error,
		.error_bytes = sizeof(error)};
	struct replica *replica = aligned_alloc(64, (sizeof(*replica) + 63) & ~63ul);

	memset(replica, 0, sizeof(*replica));
	if (replica_open(replica, 0, 1, hash_seed, true, 2, 1) != STATUS_OK ||
		replica_add_vnf(replica, &understudy_vnf, &setup) != STATUS_OK ||
		replica_ready(replica) != STATUS_OK) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	return replica;
}

/* One batch's outcome is whole and fits; what becomes of each packet is added to the sum. */
static void run_batch(struct replica *replica, const struct packet *packets, uint32_t first,
	uint32_t count, uint64_t *sum)
{
	static uint64_t room[BATCH_BYTES_MAX / 8 + 8], out[OUTCOME_BYTES_MAX / 8];
	static uint8_t frame[FRAME_BYTES_MAX];
	struct batch_writer writer;
	struct batch_view batch;
	struct outcome_view outcome;
	const uint8_t *delta;

	batch_begin(&writer, room, first, 1000 + first, 1 + first);
	for (uint32_t i = first; i < first + count; i++) {
		struct batch_record *record;

		memcpy(batch_add(&writer, RECORD_PACKET, packets[i].length, &record),
			packets[i].frame, packets[i].length);
		record->port = packets[i].port;
		record->clock_ns = packets[i].clock_ns;
	}
	if (batch_open(&batch, room, batch_end(&writer)) != STATUS_OK)
		abort();
	replica_begin(replica, &batch, NULL, out);
	replica_execute(replica, &batch, 0, count);
	if (outcome_open(&outcome, out, replica_end(replica, &batch)) != STATUS_OK ||
		!outcome_fits(&outcome, &batch, 2))
		abort();
	delta = outcome.deltas;
	for (uint32_t i = 0; i < count; i++) {
		size_t length = packets[first + i].length;

		memcpy(frame, packets[first + i].frame, length);
		if (delta_apply(frame, &length, sizeof(frame), delta,
			    outcome.records[i].delta_bytes) != STATUS_OK)
			abort();
		delta += outcome.records[i].delta_bytes;
		*sum = digest_of(frame, length, *sum ^ outcome.records[i].verdict);
	}
}

/* All packets, in batches of at most cut; returns what came of them. */
static uint64_t run(const struct packet *packets, uint32_t count, uint64_t hash_seed, uint32_t cut)
{
	struct replica *replica = open_replica(hash_seed);
	uint64_t sum = 0;

	for (uint32_t first = 0; first < count; first += cut)
		run_batch(replica, packets, first, count - first < cut ? count - first : cut, &sum);
	sum ^= engine_state_digest(&replica->engine);
	replica_close(replica);
	free(replica);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packet packets[PACKETS_MAX];
	uint32_t count = split(data, size, packets);

	if (run(packets, count, 1, PACKETS_MAX) != run(packets, count, 2, 3))
		abort();
	return 0;
}
