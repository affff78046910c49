/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "core/batch.h"
#include "core/outcome.h"
#include "loggers/base.h"
#include "tests/sim/disk.h"
#include "tests/sim/input.h"
#include "tests/sim/ledger_model.h"
#include "tests/sim/platform.h"
#include "tests/sim/processes.h"

#define BATCHES_MAX 4096
#define EXPECTED_MAX 16384
#define SEQUENCE_MASK ((1ull << 48) - 1)
#define QUIET_NS 400000000 /* after a death, what it leaves is gone: a new egress reads it, too */

/* A base batch as it was published. */
struct seen_batch {
	uint8_t *bytes;
	uint32_t count;
	uint64_t first_id, position, end_position;
	uint8_t *outcomes[STAGES_MAX]; /* the first published of each stage */
	uint32_t outcome_bytes[STAGES_MAX];
	struct ledger_model *after; /* of each stage */
	/* Before it. */
	uint64_t ordinal, clock_ns, next_id;
	uint32_t outputs_count, alarms_count;
};

struct expected {
	uint8_t *bytes;
	uint32_t length;
	uint32_t batch;
};

static struct {
	struct seen_batch batches[BATCHES_MAX];
	uint32_t batches_count, modelled;
	uint64_t ordinal; /* of the next packet to be admitted */
	uint64_t clock_ns, next_id;
	struct ledger_model models[STAGES_MAX];
	struct expected outputs[EXPECTED_MAX];
	uint32_t outputs_count, sent;
	uint32_t skipped;    /* of the declared span: never sent */
	uint64_t open_below; /* batches whose outputs a device may have sent or not */
	char alarms[EXPECTED_MAX][64];
	uint32_t alarms_count, told;
	uint64_t base_batch[STAGES_MAX]; /* checked */
	uint64_t durable_seen;
} oracle;

static uint32_t crc_table[256];

static void make_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		crc_table[i] = i;
		for (uint32_t bit = 0; bit < 8; bit++)
			crc_table[i] = crc_table[i] >> 1 ^ (crc_table[i] & 1 ? 0x82f63b78u : 0);
	}
}

/* CRC-32C (RFC 3720, appendix B.4). */
static uint32_t crc_of(const uint8_t *bytes, size_t count)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < count; i++)
		crc = crc_table[(uint8_t)(crc ^ bytes[i])] ^ crc >> 8;
	return ~crc;
}

/* In memory that is zeroed: a process judges one run. */
void oracle_begin(void)
{
	make_crc_table();
	oracle.ordinal = 1;
	oracle.next_id = 1ull << 48 | world.plan->first_sequence;
}

static uint8_t *copy(const void *bytes, uint32_t count)
{
	uint8_t *made = aligned_alloc(8, (count + 15) & ~7u);

	memcpy(made, bytes, count);
	return made;
}

/* After a power loss: a batch is there again, as it was logged. */
static void take_again(struct seen_batch *batch, const uint8_t *payload, uint64_t position,
	uint64_t end_position)
{
	struct batch_header header = *(const struct batch_header *)payload;

	header.ingress_mono_ns = ((const struct batch_header *)batch->bytes)->ingress_mono_ns;
	if (memcmp(&header, batch->bytes, sizeof(header)) != 0 ||
		memcmp(payload + sizeof(header), batch->bytes + sizeof(header),
			batch->count - sizeof(header)) != 0)
		world_violated("I1", "batch %llu is another after a restart",
			(unsigned long long)header.batch_no);
	batch->position = position;
	batch->end_position = end_position;
}

/* I7: dense IDs, clocks that do not go back, frames as they came in. */
static void take_batch(const uint8_t *payload, uint64_t position, uint64_t end_position)
{
	const struct batch_header *header = (const struct batch_header *)payload;
	struct seen_batch *batch = &oracle.batches[oracle.batches_count];
	const uint8_t *at = payload + sizeof(*header);

	if (header->batch_no < oracle.batches_count) {
		take_again(&oracle.batches[header->batch_no], payload, position, end_position);
		return;
	}
	if (oracle.batches_count == BATCHES_MAX)
		world_violated("L1", "%u batches: the input never ends", BATCHES_MAX);
	/* Another gateway's IDs are of another epoch; sequences go on. */
	if (header->first_id >> 48 > oracle.next_id >> 48)
		oracle.next_id = (header->first_id >> 48 << 48) | (oracle.next_id & SEQUENCE_MASK);
	if (header->batch_no != oracle.batches_count || header->first_id != oracle.next_id)
		world_violated("I7", "batch %llu with first ID %llx follows batch %d, next ID %llx",
			(unsigned long long)header->batch_no, (unsigned long long)header->first_id,
			(int)oracle.batches_count - 1, (unsigned long long)oracle.next_id);
	*batch = (struct seen_batch){.bytes = copy(payload, header->bytes),
		.count = header->bytes,
		.first_id = header->first_id,
		.position = position,
		.end_position = end_position,
		.ordinal = oracle.ordinal,
		.clock_ns = oracle.clock_ns,
		.next_id = oracle.next_id};
	for (uint32_t i = 0; i < header->count; i++) {
		const struct batch_record *record = (const struct batch_record *)at;
		uint8_t frame[FRAME_BYTES_MAX];

		if (record->clock_ns < oracle.clock_ns)
			world_violated("I7", "the packet clock goes back in batch %u",
				oracle.batches_count);
		oracle.clock_ns = record->clock_ns;
		if (record->kind == RECORD_PACKET) {
			uint32_t length = input_frame(world.plan, oracle.ordinal, frame);

			if (record->length != length || memcmp(record + 1, frame, length) != 0)
				world_violated("I7", "packet %llu is not in batch %u as it came in",
					(unsigned long long)oracle.ordinal, oracle.batches_count);
			oracle.ordinal++;
		}
		at += sizeof(*record) + ((record->length + 7) & ~7u);
	}
	if ((oracle.next_id & 0xfffffff) + header->count > 0xfffffff)
		sometimes(SOMETIMES_SEQUENCE_WRAP);
	oracle.next_id += header->count;
	oracle.batches_count++;
	tally->batches++;
}

/* What the world answered a stage's packet; the leader's word, as first published. */
static const uint64_t *answer_in(const struct seen_batch *batch, uint32_t stage, uint32_t record)
{
	const struct outcome_header *header = (const struct outcome_header *)batch->outcomes[stage];
	const uint8_t *at =
		(const uint8_t *)(header + 1) + header->count * 4ul + header->delta_bytes;
	const uint8_t *end = (const uint8_t *)header + header->bytes;

	at = (const uint8_t *)header + ((uint64_t)(at - (const uint8_t *)header + 7) & ~7ull);
	while (at < end) {
		const struct outcome_extra *extra = (const struct outcome_extra *)at;

		if (extra->type == EXTRA_DETERMINANT && extra->record == record)
			return (const uint64_t *)(extra + 1);
		at += sizeof(*extra) + ((extra->bytes + 7) & ~7u);
	}
	return NULL;
}

static void expect(const uint8_t *frame, uint32_t length, uint32_t batch)
{
	BUG_ON(oracle.outputs_count == EXPECTED_MAX);
	oracle.outputs[oracle.outputs_count++] =
		(struct expected){copy(frame, length), length, batch};
}

static bool is_aside(uint32_t stage, uint64_t id)
{
	const struct page_stage *shown = &page->stages[stage];

	for (uint64_t i = 0; i < shown->asides_count; i++)
		if (shown->asides[i] == (id & SEQUENCE_MASK))
			return true;
	return false;
}

static void model_record(struct seen_batch *batch, uint32_t number, uint32_t index,
	const struct batch_record *record)
{
	static struct model_packet packet;
	const struct plan *plan = world.plan;
	static const uint64_t none;

	for (uint32_t s = 0; s < plan->stages; s++)
		model_advance(&oracle.models[s], record->clock_ns);
	if (record->kind != RECORD_PACKET)
		return;
	memset(&packet, 0, sizeof(packet));
	memcpy(packet.frame, record + 1, record->length);
	packet.length = record->length;
	for (uint32_t s = 0; s < plan->stages && !packet.dropped; s++) {
		uint64_t ordinal;
		const uint64_t *answer = NULL;

		memcpy(&ordinal, packet.frame + LEDGER_ORDINAL, 8);
		if (is_aside(s, batch->first_id + index)) {
			if (ordinal != plan->poison || s != plan->poison_stage)
				world_violated("COE", "packet %llu is set aside in stage %u",
					(unsigned long long)ordinal, s);
			sometimes(SOMETIMES_SET_ASIDE);
			packet.dropped = true;
			break;
		}
		if (plan->recorded[s] && ledger_asks(ordinal)) {
			answer = answer_in(batch, s, index);
			if (answer == NULL)
				world_violated("I2",
					"batch %u, record %u: stage %u's determinant is missing",
					number, index, s);
		}
		model_packet(&oracle.models[s], &packet, record->clock_ns,
			answer == NULL ? plan->recorded[s] ? &none : NULL : answer);
	}
	if (!packet.dropped)
		expect(packet.frame, packet.length, number);
	for (uint32_t i = 0; i < packet.emitted_count; i++)
		expect(packet.emitted[i], LEDGER_EMIT_BYTES, number);
	for (uint32_t i = 0; i < packet.alarms_count; i++)
		memcpy(oracle.alarms[oracle.alarms_count++], packet.alarms[i],
			sizeof(packet.alarms[i]));
}

/* The reference run of the chain goes on by one batch. */
static void model_batch(uint32_t number)
{
	struct seen_batch *batch = &oracle.batches[number];
	const struct batch_header *header = (const struct batch_header *)batch->bytes;
	const uint8_t *at = batch->bytes + sizeof(*header);

	batch->outputs_count = oracle.outputs_count;
	batch->alarms_count = oracle.alarms_count;
	for (uint32_t i = 0; i < header->count; i++) {
		const struct batch_record *record = (const struct batch_record *)at;

		model_record(batch, number, i, record);
		at += sizeof(*record) + ((record->length + 7) & ~7u);
	}
	batch->after = (struct ledger_model *)copy(oracle.models,
		(uint32_t)(world.plan->stages * sizeof(*batch->after)));
	oracle.modelled = number + 1;
}

/* I2: what any replica makes of a batch is what the first one made of it, byte for byte. */
static void take_outcome(struct shared *journal, uint32_t stage, const uint8_t *payload)
{
	const struct outcome_header *header = (const struct outcome_header *)payload;
	uint64_t batch_no = header->batch_no;
	struct seen_batch *batch = &oracle.batches[batch_no];

	/* It was an outcome, not a fold, that was corrupt: nobody reads on. */
	journal->corrupt = journal->maker->corrupted && batch_no > journal->next_batch;
	if (journal->corrupt)
		return;
	if (batch_no != journal->next_batch || batch_no >= oracle.batches_count)
		world_violated("I2", "%s publishes batch %llu after %lld", journal->name,
			(unsigned long long)batch_no, (long long)journal->next_batch - 1);
	journal->next_batch++;
	if (batch->outcomes[stage] == NULL) {
		batch->outcomes[stage] = copy(payload, header->bytes);
		batch->outcome_bytes[stage] = header->bytes;
		if (stage == world.plan->stages - 1 && batch_no >= oracle.modelled)
			model_batch((uint32_t)batch_no);
	} else if (!world.plan->flips &&
		   (batch->outcome_bytes[stage] != header->bytes ||
			   memcmp(batch->outcomes[stage], payload, header->bytes) != 0)) {
		world_violated("I2", "%s publishes other bytes for batch %llu than before",
			journal->name, (unsigned long long)batch_no);
	}
}

static bool is_base(const struct shared *journal)
{
	return strncmp(journal->name, BASE_NAME_PREFIX, strlen(BASE_NAME_PREFIX)) == 0;
}

static void take_block(struct shared *journal, const struct journal_block *block, uint64_t end)
{
	const uint8_t *payload = (const uint8_t *)(block + 1);
	const uint64_t *magic = (const uint64_t *)payload;

	if (journal->control->checked && crc_of(payload, block->bytes) != block->payload_crc) {
		if (!journal->maker->corrupted)
			world_violated("I7", "%s: a block's checksum is wrong", journal->name);
		return;
	}
	if (journal->corrupt)
		return;
	if (is_base(journal))
		take_batch(payload, block->position, end);
	else if (*magic == OUTCOME_MAGIC)
		take_outcome(journal, journal_stage(journal->name), payload);
}

/* I6: a sealed journal's head stands. Then what is newly published. */
static void look_at(struct shared *journal)
{
	uint64_t lines = journal->control->ring_bytes / LINE_BYTES;
	uint64_t head = journal->control->head, position = head & JOURNAL_POSITION_MASK;

	if (journal->control->detached != 0)
		sometimes(SOMETIMES_READER_DETACHED);
	if (journal->sealed && position != journal->sealed_at)
		world_violated("I6", "%s was sealed at %llu and is at %llu", journal->name,
			(unsigned long long)journal->sealed_at, (unsigned long long)position);
	if (journal->seen == 0 && position > 0) {
		journal->next_batch = journal->control->first_batch;
		journal->seen = journal->control->first_line;
	}
	while (journal->seen < position) {
		const struct journal_block *block =
			(const struct journal_block *)(journal->ring +
						       journal->seen % lines * LINE_BYTES);
		uint64_t end = journal->seen + block->lines;

		if (block->lines == 0 || block->position != journal->seen)
			world_violated("I7", "%s: no block at %llu", journal->name,
				(unsigned long long)journal->seen);
		if (block->bytes > 0)
			take_block(journal, block, end);
		journal->seen = end;
		if (journal->seen % lines < block->lines)
			sometimes(SOMETIMES_RING_WRAPPED);
	}
	if (!journal->sealed && (head & JOURNAL_SEALED) != 0) {
		journal->sealed = true;
		journal->sealed_at = position;
		if (journal->maker != NULL && journal->maker->alive)
			sometimes(SOMETIMES_SEALED_LIVE);
	}
}

/* I8: what restoring needs is there: the base journal from where each stage's base values end. */
static void check_base_journal(void)
{
	uint64_t first_line, tail = base_overwritten(&first_line);

	/* Before that it is in a former gateway's, which is written no more. */
	for (uint32_t s = 0; world.plan->protect && s < world.plan->stages; s++)
		if (page->stages[s].base_line >= first_line && page->stages[s].base_line < tail)
			world_violated("I8", "stage %u restores from line %llu, trimmed up to %llu",
				s, (unsigned long long)page->stages[s].base_line,
				(unsigned long long)tail);
	if (oracle.sent < oracle.outputs_count &&
		oracle.outputs[oracle.sent].batch >= oracle.open_below &&
		oracle.batches[oracle.outputs[oracle.sent].batch].position >= first_line &&
		oracle.batches[oracle.outputs[oracle.sent].batch].position < tail)
		world_violated("I8", "batch %u is not released and trimmed",
			oracle.outputs[oracle.sent].batch);
}

static uint32_t model_images(const struct ledger_model *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < LEDGER_FLOWS; i++)
		count += model->flows[i].there;
	for (uint32_t i = 0; i < LEDGER_NUMBERS; i++)
		count += model->numbers[i];
	for (uint32_t i = 0; i < LEDGER_TOTALS + LEDGER_SUMS; i++)
		count += model->totals[i].there;
	return count;
}

static bool image_is_right(const struct ledger_model *model, const struct disk_image *image)
{
	const struct fold_image *header = (const struct fold_image *)image->bytes;
	uint64_t key, value[2] = {0};

	memcpy(&key, header + 1, 8);
	memcpy(value, (const uint8_t *)(header + 1) + 8, header->value_bytes < 16 ? 8 : 16);
	if (header->table == LEDGER_TABLE_FLOWS)
		return key < LEDGER_FLOWS && model->flows[key].there &&
		       model->flows[key].count == value[0] &&
		       model->flows[key].number == value[1] &&
		       model->flows[key].deadline_ns == header->deadline_ns;
	if (header->table == LEDGER_TABLE_NUMBERS)
		return key < LEDGER_NUMBERS && model->numbers[key] &&
		       model->owners[key] == value[0];
	if (key >= LEDGER_SUM_KEY)
		key += LEDGER_TOTALS - LEDGER_SUM_KEY;
	return key < LEDGER_TOTALS + LEDGER_SUMS && model->totals[key].there &&
	       model->totals[key].sum == value[0] &&
	       model->totals[key].deadline_ns == header->deadline_ns;
}

/* I1: the base values are the state as of their batch, and that batch is released. */
static void check_base_values(uint32_t stage)
{
	const struct disk_stage *base = disk_stage(disks[LOGGER_DETERMINANTS], stage);
	uint64_t batch = base->head.batch;
	uint32_t count = 0;

	if (batch == oracle.base_batch[stage])
		return;
	oracle.base_batch[stage] = batch;
	tally->folds++;
	if (batch == 0 || batch > page->egress.batches)
		world_violated("I1", "stage %u's base values hold batch %llu, released are %llu",
			stage, (unsigned long long)batch - 1,
			(unsigned long long)page->egress.batches);
	for (uint32_t i = 0; i < base->images_count; i++) {
		const struct fold_image *image = (const struct fold_image *)base->images[i].bytes;

		if (image->table >= LEDGER_TABLES)
			continue; /* counters */
		count++;
		if (!image_is_right(&oracle.batches[batch - 1].after[stage], &base->images[i]))
			world_violated("I1",
				"stage %u's base values as of batch %llu: an entry of table %u is "
				"not as it was then",
				stage, (unsigned long long)batch - 1, image->table);
	}
	if (count != model_images(&oracle.batches[batch - 1].after[stage]))
		world_violated("I1", "stage %u's base values as of batch %llu: %u entries, not %u",
			stage, (unsigned long long)batch - 1, count,
			model_images(&oracle.batches[batch - 1].after[stage]));
}

/* I11: what is said to be durable is; nothing more is said once a write has failed. */
static void check_durable(void)
{
	uint64_t durable = page->loggers[LOGGER_PACKETS].durable_batch;

	for (; oracle.durable_seen < durable; oracle.durable_seen++) {
		const struct seen_batch *batch = &oracle.batches[oracle.durable_seen];
		const uint8_t *bytes;
		uint32_t count;

		if (!disk_has_batch(disks[LOGGER_PACKETS], oracle.durable_seen, &bytes, &count) ||
			count != batch->count || memcmp(bytes, batch->bytes, count) != 0)
			world_violated("I11", "batch %llu is acknowledged and not on disk",
				(unsigned long long)oracle.durable_seen);
	}
}

void oracle_observe(void)
{
	for (uint32_t i = 0; i < shared_count; i++)
		if (shared[i].control->magic != 0)
			look_at(&shared[i]);
	check_base_journal();
	for (uint32_t s = 0; s < world.plan->stages; s++)
		check_base_values(s);
	check_durable();
}

static bool is_output(const uint8_t *frame, uint32_t length, uint32_t number)
{
	return oracle.outputs[number].length == length &&
	       memcmp(oracle.outputs[number].bytes, frame, length) == 0;
}

/* What nobody could tell of after a power loss may be left out. */
static void skip_open(void)
{
	for (; oracle.sent < oracle.outputs_count &&
		oracle.outputs[oracle.sent].batch < oracle.open_below;
		oracle.sent++)
		oracle.skipped++;
}

/* For people: where the output is not what it should be. */
static void tell_difference(const uint8_t *frame, uint32_t length)
{
	const struct expected *wanted = &oracle.outputs[oracle.sent];

	if (oracle.sent == oracle.outputs_count)
		return;
	world_trace("output %u of batch %u: %u bytes, wanted %u", oracle.sent, wanted->batch,
		length, wanted->length);
	for (uint32_t i = 0; i < length && i < wanted->length; i++)
		if (frame[i] != wanted->bytes[i])
			world_trace("  byte %u is %02x, wanted %02x", i, frame[i],
				wanted->bytes[i]);
}

/* COE, I3, I5; and output commit. */
void oracle_sent(const uint8_t *frame, uint32_t length)
{
	uint32_t batch;

	skip_open();
	if (oracle.sent == oracle.outputs_count || !is_output(frame, length, oracle.sent)) {
		for (uint32_t i = oracle.sent; i-- > 0;)
			if (is_output(frame, length, i))
				world_violated("I3",
					"output %u leaves a second time, in place of output %u", i,
					oracle.sent);
		for (uint32_t i = oracle.sent + 1; i < oracle.outputs_count; i++)
			if (is_output(frame, length, i))
				world_violated("I5", "output %u leaves in place of output %u", i,
					oracle.sent);
		tell_difference(frame, length);
		world_violated("COE", "output %u has other bytes than the reference's",
			oracle.sent);
	}
	batch = oracle.outputs[oracle.sent].batch;
	if (world.plan->disk && page->loggers[LOGGER_PACKETS].durable_batch <= batch)
		world_violated("I1", "batch %u is released and not durable", batch);
	if (world.plan->disk)
		check_durable();
	oracle.sent++;
	tally->packets++;
}

uint64_t oracle_sent_count(void)
{
	return oracle.sent;
}

uint64_t oracle_alarms_count(void)
{
	return oracle.told;
}

/* What a dead sequencer had handed to a device that cannot tell may have left or not. */
void oracle_resumed(uint64_t handed)
{
	if (handed <= oracle.sent && oracle.open_below > 0)
		return; /* it goes through what is open */
	if (handed < oracle.sent)
		world_violated("I3", "output %llu goes on, %u have left",
			(unsigned long long)handed, oracle.sent);
	oracle.skipped += (uint32_t)handed - oracle.sent;
	oracle.sent = (uint32_t)handed;
}

void oracle_power_lost(uint64_t count)
{
	const struct seen_batch *first = &oracle.batches[count];

	if (oracle.sent > 0 && oracle.outputs[oracle.sent - 1].batch >= count)
		world_violated("I1", "batch %u was released and is lost",
			oracle.outputs[oracle.sent - 1].batch);
	if (!world.plan->port_tells)
		oracle.open_below = count;
	if (count >= oracle.batches_count)
		return;
	oracle.ordinal = first->ordinal;
	oracle.clock_ns = first->clock_ns;
	oracle.next_id = first->next_id;
	oracle.batches_count = (uint32_t)count;
	if (oracle.modelled <= count)
		return;
	oracle.modelled = (uint32_t)count;
	oracle.outputs_count = first->outputs_count;
	oracle.alarms_count = first->alarms_count;
	if (oracle.told > oracle.alarms_count)
		world_violated("I1", "alarm %u was told and is lost", oracle.told - 1);
	if (count == 0)
		memset(oracle.models, 0, sizeof(oracle.models));
	else
		memcpy(oracle.models, first[-1].after,
			world.plan->stages * sizeof(oracle.models[0]));
}

void oracle_alarm(const char *text, uint32_t bytes)
{
	if (oracle.told == oracle.alarms_count || strlen(oracle.alarms[oracle.told]) != bytes ||
		memcmp(oracle.alarms[oracle.told], text, bytes) != 0)
		world_violated("COE", "alarm %u is '%.*s', not the reference's", oracle.told,
			(int)bytes, text);
	oracle.told++;
}

/* I12: once quiet there are the journals of those who live, and no more. */
static void check_leftovers(void)
{
	for (uint32_t i = 0; i < shared_count; i++)
		if (shared[i].linked && shared[i].maker != NULL && !shared[i].maker->alive &&
			!shared[i].maker->ended_in_order &&
			shared[i].maker->ended_ns + QUIET_NS < world.now_ns && !is_base(&shared[i]))
			world_violated("I12", "%s is left behind", shared[i].name);
}

void oracle_end(void)
{
	const struct page_egress *egress = &page->egress;

	skip_open();
	if (page->failed != 0)
		world_violated("L1", "the run failed: %s", page->error);
	if (oracle.ordinal - 1 != world.plan->packets ||
		page->ingress.packets != world.plan->packets)
		world_violated("I4", "%llu of %u packets were admitted, %llu counted",
			(unsigned long long)oracle.ordinal - 1, world.plan->packets,
			(unsigned long long)page->ingress.packets);
	if (oracle.sent != oracle.outputs_count || oracle.modelled != oracle.batches_count)
		world_violated("COE", "%u of %u outputs left, %u of %u batches", oracle.sent,
			oracle.outputs_count, oracle.modelled, oracle.batches_count);
	if (oracle.told != oracle.alarms_count)
		world_violated("COE", "%u of %u alarms were raised", oracle.told,
			oracle.alarms_count);
	if (oracle.skipped > egress->ambiguous || (world.plan->port_tells && oracle.skipped > 0))
		world_violated("COE", "%u outputs are missing, %llu are declared", oracle.skipped,
			(unsigned long long)egress->ambiguous);
	if (egress->released + egress->ambiguous != oracle.sent ||
		page->ingress.packets + egress->emitted != egress->released + egress->ambiguous +
								   egress->dropped_by_vnf +
								   egress->dropped_port)
		world_violated("I4",
			"%llu in, %llu emitted; %llu released, %llu ambiguous, %llu and %llu "
			"dropped; %u left",
			(unsigned long long)page->ingress.packets,
			(unsigned long long)egress->emitted, (unsigned long long)egress->released,
			(unsigned long long)egress->ambiguous,
			(unsigned long long)egress->dropped_by_vnf,
			(unsigned long long)egress->dropped_port, oracle.sent);
	if (page->doubt.raised > 0)
		sometimes(SOMETIMES_DOUBT);
	if (page->doubt.verdict != DOUBT_OPEN)
		sometimes(SOMETIMES_JUDGED);
	if (page->doubt.released_wrong > 0)
		world_violated("I3", "%llu batches left that replicas disagree on",
			(unsigned long long)page->doubt.released_wrong);
	if (egress->digest_mismatches != 0 && !world.plan->flips)
		world_violated("I2", "%llu digests differ",
			(unsigned long long)egress->digest_mismatches);
	check_leftovers();
}
