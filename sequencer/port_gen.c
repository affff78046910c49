/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gen:flows=N,size=64|imix|BYTES,new=P%,count=N,rate=N,seed=S: UDP from inside hosts in 10.0.0.0/8
 * to one server, every frame numbered in its payload; rate, a second, or as fast as it goes. And
 * null:, the sink that takes all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/bytes.h"
#include "core/gen_judge.h"
#include "core/random.h"
#include "loggers/idle.h"
#include "sequencer/port.h"

#define HEADER_BYTES 42
#define GEN_MAGIC 0x55534551u /* "USEQ" */
#define GEN_BYTES_MIN (HEADER_BYTES + 12)
#define SERVER_ADDRESS 0xc6336401u /* 198.51.100.1 */
#define STEP_NS 1000u		   /* of its own clock, where clock: trace asks for it */

struct gen {
	uint64_t flows, count, sent, first_flow, random;
	uint64_t rate, started_ns; /* packets a second; 0: as many as there is room for */
	uint32_t size;		   /* 0: IMIX */
	uint32_t new_per_million;
	uint8_t template[FRAME_BYTES_MAX];
};

/* IMIX: 7 small to 4 middle to 1 large. */
static uint32_t imix_size(uint64_t random)
{
	uint32_t pick = (uint32_t)(random >> 40) % 12;

	return pick < 7 ? 64 : pick < 11 ? 570 : 1514;
}

static uint32_t fold_sum(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

static void make_frame(const struct gen *gen, uint8_t *frame, uint32_t size, uint64_t flow)
{
	uint32_t address = 0x0a000000u + (uint32_t)(flow >> 3) % 0xfffffeu + 1;
	uint16_t port = (uint16_t)(1024 + (flow & 7) * 8000 + (flow >> 24));
	uint16_t ip_length = (uint16_t)(size - 14), udp_length = (uint16_t)(size - 34);
	uint64_t sum;

	copy_frame(frame, gen->template, size);
	store_be16(frame + 16, ip_length);
	store_be32(frame + 26, address);
	sum = 0x4500u + ip_length + 0x4011u + (address >> 16) + (address & 0xffff) +
	      (SERVER_ADDRESS >> 16) + (SERVER_ADDRESS & 0xffff);
	store_be16(frame + 24, (uint16_t)~fold_sum(sum));
	store_be16(frame + 34, port);
	store_be16(frame + 38, udp_length);
	store_be64(frame + HEADER_BYTES + 4, gen->sent);
	sum = (address >> 16) + (address & 0xffff) + (SERVER_ADDRESS >> 16) +
	      (SERVER_ADDRESS & 0xffff) + 17u + udp_length * 2u + port + 53u + (GEN_MAGIC >> 16) +
	      (GEN_MAGIC & 0xffff) + (gen->sent >> 48) + (gen->sent >> 32 & 0xffff) +
	      (gen->sent >> 16 & 0xffff) + (gen->sent & 0xffff);
	sum = (uint16_t)~fold_sum(sum);
	store_be16(frame + 40, sum == 0 ? 0xffff : (uint16_t)sum);
}

/* How many are to have been sent by now. */
static uint64_t due_now(struct gen *gen)
{
	uint64_t now_ns, due;

	if (gen->rate == 0)
		return gen->count;
	now_ns = mono_ns();
	if (gen->started_ns == 0)
		gen->started_ns = now_ns;
	due = (uint64_t)((double)(now_ns - gen->started_ns) / 1e9 * (double)gen->rate);
	return due < gen->count ? due : gen->count;
}

/* The flow of the next frame, and its size. */
static uint64_t next_flow(struct gen *gen, uint32_t *size)
{
	uint64_t random = random_next(&gen->random);

	*size = gen->size != 0 ? gen->size : imix_size(random);
	if (gen->new_per_million > 0 && (random >> 44) % 1000000 < gen->new_per_million)
		return gen->flows + gen->first_flow++;
	return gen->first_flow + ((random & 0xffffffff) * gen->flows >> 32);
}

static enum status gen_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct gen *gen = port->self;
	uint64_t due = due_now(gen);

	if (gen->sent == gen->count)
		return STATUS_END;
	if (gen->sent >= due)
		return STATUS_EMPTY;
	while (gen->sent < due && !batch_is_full(batch)) {
		uint32_t size;
		uint64_t flow = next_flow(gen, &size);
		struct batch_record *record;
		uint8_t *frame = batch_add(batch, RECORD_PACKET, size, &record);

		record->port = port->number;
		record->clock_ns = gen->sent * STEP_NS + STEP_NS;
		make_frame(gen, frame, size, flow);
		gen->sent++;
		counts->bytes += size;
	}
	port->place.frames = gen->sent;
	return STATUS_OK;
}

/* On from the frame where a former one was; what was due meanwhile is not caught up with. */
static enum status gen_resume(struct port *port)
{
	struct gen *gen = port->self;
	uint32_t size;

	for (; gen->sent < port->place.frames; gen->sent++)
		(void)next_flow(gen, &size);
	if (gen->rate > 0)
		gen->started_ns =
			mono_ns() - (uint64_t)((double)gen->sent / (double)gen->rate * 1e9);
	return STATUS_OK;
}

static void gen_close(struct port *port)
{
	free(port->self);
}

static const struct port_ops gen_ops = {.receive = gen_receive,
	.resume = gen_resume,
	.close = gen_close};

static void make_template(struct gen *gen)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0,
		0, 0, 0, 64, 17};

	memcpy(gen->template, head, sizeof(head));
	store_be32(gen->template + 30, SERVER_ADDRESS);
	store_be16(gen->template + 36, 53);
	store_be32(gen->template + HEADER_BYTES, GEN_MAGIC);
}

static bool take_option(struct gen *gen, const char *name, const char *value)
{
	char *end;
	double number;

	if (strcmp(name, "size") == 0 && strcmp(value, "imix") == 0) {
		gen->size = 0;
		return true;
	}
	number = strtod(value, &end);
	if (end == value || number < 0 || (*end != 0 && strcmp(name, "new") != 0))
		return false;
	if (strcmp(name, "flows") == 0 && number >= 1 && number <= 1e8)
		gen->flows = (uint64_t)number;
	else if (strcmp(name, "size") == 0 && number >= GEN_BYTES_MIN && number <= 9000)
		gen->size = (uint32_t)number;
	else if (strcmp(name, "new") == 0 && number <= 100 && (*end == 0 || strcmp(end, "%") == 0))
		gen->new_per_million = (uint32_t)(number * 10000);
	else if (strcmp(name, "count") == 0 && number >= 1 && number <= 1e15)
		gen->count = (uint64_t)number;
	else if (strcmp(name, "rate") == 0 && number >= 1 && number <= 1e9)
		gen->rate = (uint64_t)number;
	else if (strcmp(name, "seed") == 0 && number <= 1e15)
		gen->random = (uint64_t)number * 2654435761u + 88172645463325252ull;
	else
		return false;
	return true;
}

enum status port_gen_open(struct port *port, const char *text, char *error)
{
	struct gen *gen = calloc(1, sizeof(*gen));
	char copy[PATH_BYTES], *option, *rest = copy;

	if (gen == NULL)
		return STATUS_NO_MEMORY;
	*gen = (struct gen){.flows = 1000,
		.size = 64,
		.count = 1000000,
		.random = 88172645463325252ull};
	make_template(gen);
	snprintf(copy, sizeof(copy), "%s", text);
	while ((option = strsep(&rest, ",")) != NULL) {
		char *equals = strchr(option, '=');

		if (equals != NULL)
			*equals = 0;
		if (*option == 0 || (equals != NULL && take_option(gen, option, equals + 1)))
			continue;
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: gen: does not know '%s%s%s': use flows=N,size=64|imix|N,"
			"new=P%%,count=N,rate=N,seed=S",
			port->number, option, equals ? "=" : "", equals ? equals + 1 : "");
		free(gen);
		return STATUS_INVALID;
	}
	port->ops = &gen_ops;
	port->self = gen;
	return STATUS_OK;
}

/* Marks a number as seen; bits of numbers skipped on the way are cleared. */
static void mark(struct gen_judge *judge, struct gen_counts *counts, uint64_t sequence)
{
	for (; counts->marked <= sequence; counts->marked++) {
		if (counts->marked + GEN_WINDOW < sequence)
			counts->marked = sequence - GEN_WINDOW;
		judge->window[counts->marked % GEN_WINDOW / 64] &= ~(1ull << counts->marked % 64);
	}
	judge->window[sequence % GEN_WINDOW / 64] |= 1ull << sequence % 64;
}

static bool is_marked(const struct gen_judge *judge, uint64_t sequence)
{
	return (judge->window[sequence % GEN_WINDOW / 64] & 1ull << sequence % 64) != 0;
}

static void judge_number(struct gen_judge *judge, struct gen_counts *counts)
{
	uint64_t sequence = counts->sequence;

	counts->seen++;
	if (sequence == counts->next) {
		counts->next++;
	} else if (sequence > counts->next) {
		counts->missing += sequence - counts->next;
		counts->next = sequence + 1;
	} else if (counts->next - sequence <= GEN_WINDOW && !counts->was_marked) {
		counts->missing--;
		counts->reordered++;
	} else {
		counts->duplicated++;
	}
	if (counts->next - sequence <= GEN_WINDOW)
		mark(judge, counts, sequence);
}

void gen_judge_frame(struct gen_judge *judge, const uint8_t *frame, uint32_t length)
{
	struct gen_counts *counts = &judge->counts[(judge->frames + 1) % 2];
	bool numbered = length >= GEN_BYTES_MIN && load_be32(frame + HEADER_BYTES) == GEN_MAGIC;
	uint64_t sequence = numbered ? load_be64(frame + HEADER_BYTES + 4) : 0;
	/* A process may have died while it judged this very frame. */
	bool again = counts->frame == judge->frames + 1 && counts->sequence == sequence;
	uint64_t was_marked = again ? counts->was_marked : is_marked(judge, sequence);

	*counts = *gen_judge_counts(judge);
	counts->sequence = sequence;
	counts->was_marked = was_marked;
	atomic_write_release(&counts->frame, judge->frames + 1);
	atomic_fence_release();
	if (numbered)
		judge_number(judge, counts);
	atomic_write_release(&judge->frames, judge->frames + 1);
}

struct null_sink {
	uint8_t *frames;
	struct gen_judge own; /* where the port is given none */
};

static enum status null_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	(void)port;
	(void)batch;
	(void)counts;
	return STATUS_END;
}

/* Small frames close together stay in the caches; a large one gets the whole room of a burst. */
static uint32_t null_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct null_sink *sink = port->self;

	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct port_frame){
			.data = sink->frames + (size_t)i * FRAME_STRIDE_BYTES,
			.capacity_bytes = FRAME_BYTES_MAX,
		};
	return count;
}

static struct gen_judge *judge_of(struct port *port)
{
	struct null_sink *sink = port->self;

	return port->judge == NULL ? &sink->own : port->judge;
}

static uint64_t null_sent(struct port *port)
{
	return judge_of(port)->frames;
}

static uint32_t null_send(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct gen_judge *judge = judge_of(port);

	for (uint32_t i = 0; i < count; i++)
		gen_judge_frame(judge, frames[i].data, frames[i].length);
	return count;
}

static void null_close(struct port *port)
{
	struct null_sink *sink = port->self;

	free(sink->frames);
	free(sink);
}

static const struct port_ops null_ops = {.receive = null_receive,
	.reserve = null_reserve,
	.send = null_send,
	.sent = null_sent,
	.close = null_close};

enum status port_null_open(struct port *port, char *error)
{
	struct null_sink *sink = calloc(1, sizeof(*sink));

	(void)error;
	if (sink == NULL)
		return STATUS_NO_MEMORY;
	sink->frames = malloc((size_t)FRAME_STRIDE_BYTES * SEND_BURST);
	if (sink->frames == NULL) {
		free(sink);
		return STATUS_NO_MEMORY;
	}
	port->ops = &null_ops;
	port->self = sink;
	return STATUS_OK;
}
