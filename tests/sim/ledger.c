/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/processes.h"
#include "vnf/understudy_vnf.h"

struct ledger {
	uint32_t homes;
	bool records;
};

struct work {
	uint64_t ordinal, flow, count, sum;
	uint8_t number, kind;
};

static const char *const causes[] = {"seventeenth"};

static uint16_t home_of(const void *self, const void *key)
{
	return (uint16_t)(*(const uint64_t *)key % ((const struct ledger *)self)->homes);
}

static uint32_t ordinal_of(const void *self, const void *key)
{
	(void)self;
	return (uint32_t) * (const uint64_t *)key;
}

static bool ledger_open(struct vnf_setup *setup, void **self)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	ledger->homes = setup->homes;
	ledger->records = setup->settings_count > 0;
	setup->records = ledger->records;
	setup->tables[LEDGER_TABLE_FLOWS] = (struct table_spec){.name = "flows",
		.key_bytes = 8,
		.value_bytes = sizeof(struct ledger_flow),
		.capacity = LEDGER_FLOWS_MAX,
		.scope = TABLE_FLOW,
		.home = home_of};
	setup->tables[LEDGER_TABLE_NUMBERS] = (struct table_spec){.name = "numbers",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = LEDGER_NUMBERS,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
		.ordinal = ordinal_of,
		.ordinals = LEDGER_NUMBERS};
	setup->tables[LEDGER_TABLE_TOTALS] = (struct table_spec){.name = "totals",
		.key_bytes = 8,
		.value_bytes = sizeof(struct ledger_total),
		.capacity = LEDGER_TOTALS_MAX,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER};
	setup->tables_count = LEDGER_TABLES;
	*self = ledger;
	return true;
}

static enum operation_effect add_total(struct operation_call *call)
{
	struct work *work = call->context;
	struct ledger_total *total = call->value;

	total->sum = total->sum * 31 + work->ordinal;
	work->sum = total->sum;
	call->deadline_ns = call->now_ns + LEDGER_TOTAL_NS;
	return ledger_refuses(work->ordinal) ? EFFECT_ABORT : EFFECT_PUT;
}

static enum operation_effect add_sum(struct operation_call *call)
{
	struct work *work = call->context;
	const struct ledger_total *source = call->sources[0];
	struct ledger_total *sum = call->value;

	sum->sum = sum->sum * 17 + work->sum + (source == NULL ? 5 : source->sum);
	work->sum ^= sum->sum;
	return sum->sum % 19 == 0 ? EFFECT_ERASE : EFFECT_PUT;
}

static void ledger_pre(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;
	struct operation total = {.kind = OPERATION_READ_MODIFY,
		.may_abort = true,
		.table = LEDGER_TABLE_TOTALS,
		.function = add_total};
	struct operation sum = {.kind = OPERATION_READ_MODIFY,
		.after = true,
		.table = LEDGER_TABLE_TOTALS,
		.sources_count = 1,
		.function = add_sum};

	memcpy(&work->ordinal, packet->current + LEDGER_ORDINAL, 8);
	if (work->ordinal == world.plan->poison)
		replica_poisoned();
	work->flow = packet->current[LEDGER_FLOW];
	work->kind = packet->current[LEDGER_KIND];
	packet->home = home_of(self, &work->flow);
	packet->wants_access = true;
	packet->prepares = ledger_wants_number(work->kind);
	packet->shared = ledger_is_shared(work->ordinal);
	total.key[0] = work->flow % LEDGER_TOTALS;
	sum.key[0] = LEDGER_SUM_KEY + work->flow % LEDGER_SUMS;
	sum.sources[0].table = LEDGER_TABLE_TOTALS;
	sum.sources[0].key[0] = (work->flow + 1) % LEDGER_TOTALS;
	vnf_expect(packet, LEDGER_TABLE_FLOWS, &work->flow);
	vnf_operate(packet, &total);
	vnf_operate(packet, &sum);
}

static void ledger_prepare(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;
	uint64_t number, *owner;

	(void)self;
	if (txn_foresee(txn, LEDGER_TABLE_FLOWS, &work->flow) != NULL)
		return;
	number = txn_lowest_absent(txn, LEDGER_TABLE_NUMBERS, 0, LEDGER_NUMBERS);
	if (number == UINT32_MAX)
		return;
	owner = txn_insert(txn, LEDGER_TABLE_NUMBERS, &number);
	if (owner == NULL)
		return;
	*owner = work->flow;
	work->number = (uint8_t)(number + 1);
}

static void ledger_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;
	struct ledger_flow *flow = txn_modify(txn, LEDGER_TABLE_FLOWS, &work->flow);
	uint64_t number;

	(void)self;
	if (flow == NULL) {
		flow = txn_insert(txn, LEDGER_TABLE_FLOWS, &work->flow);
		if (flow == NULL && work->number != 0)
			txn_abort(txn); /* the number has no flow */
		if (flow == NULL)
			return;
		flow->number = work->number;
	}
	work->count = ++flow->count;
	work->number = (uint8_t)flow->number;
	txn_expire_at(txn, LEDGER_TABLE_FLOWS, &work->flow, txn_now_ns(txn) + LEDGER_FLOW_NS);
	if (!ledger_ends_flow(work->ordinal))
		return;
	number = flow->number;
	if (number != 0 && txn_widen(txn)) {
		number--;
		(void)txn_erase(txn, LEDGER_TABLE_NUMBERS, &number);
	}
	(void)txn_erase(txn, LEDGER_TABLE_FLOWS, &work->flow);
}

static void ledger_expire(const void *self, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	const struct ledger_flow *flow = value;
	uint64_t number;

	(void)self;
	(void)key;
	if (table != LEDGER_TABLE_FLOWS || flow->number == 0)
		return;
	number = flow->number - 1;
	(void)txn_erase(txn, LEDGER_TABLE_NUMBERS, &number);
}

static void ask(void *value, uint32_t value_bytes, void *context)
{
	(void)context;
	(void)value_bytes;
	*(uint64_t *)value = answer_of_the_world();
}

static void ledger_post(const void *self, struct vnf_packet *packet)
{
	const struct ledger *ledger = self;
	struct work *work = (struct work *)packet->scratch;
	uint64_t answer = 0;
	uint8_t last;
	char text[64];

	if (packet->aborted) /* what steps left in the scratch is not to be seen */
		work->count = work->sum = work->number = 0;
	last = (uint8_t)work->count;
	memcpy(packet->current + LEDGER_COUNT, &work->count, 8);
	memcpy(packet->current + LEDGER_SUM, &work->sum, 8);
	packet->current[LEDGER_NUMBER] = work->number;
	packet->current[LEDGER_ABORTED] = packet->aborted;
	if (ledger->records && ledger_asks(work->ordinal)) {
		vnf_determinant(packet, &answer, sizeof(answer), ask, NULL);
		memcpy(packet->current + LEDGER_ANSWER, &answer, 8);
	}
	if (work->count == 0)
		return;
	if (work->count % 5 == 0)
		(void)vnf_edit(packet, (uint16_t)(packet->length - 1), &last, 1);
	if (work->count % 7 == 0) {
		snprintf(text, sizeof(text), "flow %llu, packet %llu",
			(unsigned long long)work->flow, (unsigned long long)work->count);
		vnf_alarm(packet, text);
	}
	if (work->count % 11 == 0)
		(void)vnf_emit(packet, packet->output_port, packet->current, LEDGER_EMIT_BYTES);
	if (work->count % 6 == 0 && packet->length >= LEDGER_BYTES_MIN + LEDGER_CUT)
		(void)vnf_resize(packet, (uint16_t)(packet->length - LEDGER_CUT));
	if (work->count % 17 == 0)
		vnf_drop(packet, 0);
}

const struct vnf_ops ledger_vnf = {
	.abi = VNF_ABI,
	.name = "ledger",
	.drop_causes = causes,
	.drop_causes_count = 1,
	.open = ledger_open,
	.close = free,
	.pre = ledger_pre,
	.prepare = ledger_prepare,
	.access = ledger_access,
	.post = ledger_post,
	.expire = ledger_expire,
};
