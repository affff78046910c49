/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches made by hand, for replicas of VNFs that a test makes of steps of its own. */
#ifndef UNDERSTUDY_TESTS_UNIT_VNF_BATCH_RUN_H
#define UNDERSTUDY_TESTS_UNIT_VNF_BATCH_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/delta.h"
#include "vnf/replica.h"

#define SECOND_NS 1000000000ull
#define RUN_SEED 77

/* One batch, and what a replica made of it. */
struct batch_run {
	uint8_t *memory, *out;
	struct batch_writer writer;
	struct batch_view batch;
	struct outcome_view outcome;
};

static inline bool open_nothing(struct vnf_setup *setup, void **self)
{
	(void)setup;
	*self = NULL;
	return true;
}

static inline void close_nothing(void *self)
{
	(void)self;
}

static inline void pre_nothing(const void *self, struct vnf_packet *packet)
{
	(void)self;
	(void)packet;
}

static inline void access_nothing(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	(void)self;
	(void)packet;
	(void)txn;
}

/* A VNF that lets all through; a test puts its own steps in. */
static inline struct vnf_ops plain_ops(void)
{
	return (struct vnf_ops){.abi = VNF_ABI,
		.name = "plain",
		.reads_payload = true,
		.open = open_nothing,
		.close = close_nothing,
		.pre = pre_nothing,
		.access = access_nothing,
		.post = pre_nothing};
}

static inline enum status add_vnf(struct replica *replica, const struct vnf_ops *ops)
{
	char error[256] = "";
	struct vnf_setup setup = {.homes = 8, .error = error, .error_bytes = sizeof(error)};

	return replica_add_vnf(replica, ops, &setup);
}

static inline struct replica *open_replica(const struct vnf_ops *ops, uint32_t count,
	uint32_t workers)
{
	struct replica *replica = calloc(1, sizeof(*replica));

	assert_non_null(replica);
	assert_int_equal(replica_open(replica, 0, RUN_SEED, 5, true, 2, workers), STATUS_OK);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(add_vnf(replica, &ops[i]), STATUS_OK);
	assert_int_equal(replica_ready(replica), STATUS_OK);
	return replica;
}

static inline void close_replica(struct replica *replica)
{
	replica_close(replica);
	free(replica);
}

static inline void begin_batch(struct batch_run *run, uint64_t first_id)
{
	run->memory = aligned_alloc(64, BATCH_BYTES_MAX);
	run->out = aligned_alloc(64, OUTCOME_BYTES_MAX);
	assert_true(run->memory != NULL && run->out != NULL);
	batch_begin(&run->writer, run->memory, 3, first_id, 1);
}

static inline void free_batch(struct batch_run *run)
{
	free(run->memory);
	free(run->out);
}

/* Byte i of the frame is i, from its start on. */
static inline struct batch_record *put_packet(struct batch_run *run, uint32_t length,
	uint64_t clock_ns)
{
	struct batch_record *record;
	uint8_t *frame = batch_add(&run->writer, RECORD_PACKET, length, &record);

	for (uint32_t i = 0; i < length; i++)
		frame[i] = (uint8_t)i;
	record->clock_ns = clock_ns;
	return record;
}

static inline void put_tick(struct batch_run *run, uint64_t clock_ns)
{
	struct batch_record *record;

	(void)batch_add(&run->writer, RECORD_TICK, 0, &record);
	record->clock_ns = clock_ns;
}

static inline void close_batch(struct batch_run *run)
{
	assert_int_equal(batch_open(&run->batch, run->memory, batch_end(&run->writer)), STATUS_OK);
}

/* By a replica that comes after the stage whose outcome is before; NULL: it is the first. */
static inline void run_batch(struct batch_run *run, struct replica *replica,
	const struct outcome_view *before)
{
	close_batch(run);
	replica_begin(replica, &run->batch, before, run->out);
	replica_execute(replica, &run->batch, 0, run->batch.header->count);
	assert_int_equal(outcome_open(&run->outcome, run->out, replica_end(replica, &run->batch)),
		STATUS_OK);
	assert_true(outcome_fits(&run->outcome, &run->batch, replica->ports_count));
}

/* The packet as it leaves; returns its length. */
static inline size_t apply_delta(const struct batch_run *run, uint32_t record, uint8_t *frame,
	size_t capacity)
{
	const struct batch_record *base = run->batch.records[record];
	const uint8_t *delta = run->outcome.deltas;
	size_t length = base->length;

	for (uint32_t i = 0; i < record; i++)
		delta += run->outcome.records[i].delta_bytes;
	assert_true(length <= capacity);
	memcpy(frame, batch_frame(base), length);
	assert_int_equal(delta_apply(frame, &length, capacity, delta,
				 run->outcome.records[record].delta_bytes),
		STATUS_OK);
	return length;
}

static inline uint32_t count_extras(const struct batch_run *run, enum extra_type type)
{
	const struct outcome_extra *extra;
	uint32_t offset = 0, count = 0;

	while ((extra = outcome_extra_next(&run->outcome, &offset)) != NULL)
		count += extra->type == type;
	return count;
}

/* The nth extra of a type, from 0. */
static inline const struct outcome_extra *find_extra(const struct batch_run *run,
	enum extra_type type, uint32_t nth)
{
	const struct outcome_extra *extra;
	uint32_t offset = 0;

	while ((extra = outcome_extra_next(&run->outcome, &offset)) != NULL)
		if (extra->type == type && nth-- == 0)
			return extra;
	return NULL;
}

/* What it shows; good until the next time. */
static inline const struct figures *figures_of(struct replica *replica)
{
	static struct figures figures;

	memset(&figures, 0, sizeof(figures));
	replica_show(replica, &figures);
	return &figures;
}

/* A figure's value; UINT64_MAX: there is none of that name. */
static inline uint64_t figure_of(struct replica *replica, const char *name)
{
	const struct figures *figures = figures_of(replica);

	for (uint32_t i = 0; i < figures->count; i++)
		if (strcmp(figures->list[i].name, name) == 0)
			return figures->list[i].value;
	return UINT64_MAX;
}

#endif
