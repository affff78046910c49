/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/ledger_model.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/world.h"

static uint64_t rounded(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t second = (deadline_ns + SECOND_NS - 1) / SECOND_NS, now = now_ns / SECOND_NS;

	return (second <= now ? now + 1 : second) * SECOND_NS;
}

static bool is_over(uint64_t deadline_ns, uint64_t now_ns)
{
	return deadline_ns != 0 && deadline_ns / SECOND_NS <= now_ns / SECOND_NS;
}

static void end_flow(struct ledger_model *model, struct model_flow *flow)
{
	flow->there = false;
	if (flow->number != 0)
		model->numbers[flow->number - 1] = false;
}

void model_advance(struct ledger_model *model, uint64_t now_ns)
{
	for (uint32_t i = 0; i < LEDGER_FLOWS; i++)
		if (model->flows[i].there && is_over(model->flows[i].deadline_ns, now_ns)) {
			end_flow(model, &model->flows[i]);
			sometimes(SOMETIMES_EXPIRY);
		}
	for (uint32_t i = 0; i < LEDGER_TOTALS + LEDGER_SUMS; i++)
		if (model->totals[i].there && is_over(model->totals[i].deadline_ns, now_ns))
			model->totals[i].there = false;
}

static uint32_t totals_count(const struct ledger_model *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < LEDGER_TOTALS + LEDGER_SUMS; i++)
		count += model->totals[i].there;
	return count;
}

static uint32_t flows_count(const struct ledger_model *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < LEDGER_FLOWS; i++)
		count += model->flows[i].there;
	return count;
}

/* False: the table is full. */
static bool put_total(struct ledger_model *model, struct model_total *total, uint64_t sum,
	uint64_t deadline_ns)
{
	if (!total->there && totals_count(model) == LEDGER_TOTALS_MAX) {
		sometimes(SOMETIMES_CAPACITY);
		return false;
	}
	*total = (struct model_total){true, sum, deadline_ns};
	return true;
}

struct result {
	uint64_t count, sum, number;
};

/* False: aborted. */
static bool add(struct ledger_model *model, uint64_t ordinal, uint64_t flow, uint64_t now_ns,
	struct result *result)
{
	struct model_total *total = &model->totals[flow % LEDGER_TOTALS];
	struct model_total *sum = &model->totals[LEDGER_TOTALS + flow % LEDGER_SUMS];
	const struct model_total *source = &model->totals[(flow + 1) % LEDGER_TOTALS];
	uint64_t added = (total->there ? total->sum : 0) * 31 + ordinal, next;

	if (ledger_refuses(ordinal) ||
		!put_total(model, total, added, rounded(now_ns, now_ns + LEDGER_TOTAL_NS)))
		return false;
	next = (sum->there ? sum->sum : 0) * 17 + added + (source->there ? source->sum : 5);
	result->sum = added ^ next;
	if (next % 19 == 0) {
		sum->there = false;
		return true;
	}
	return put_total(model, sum, next, sum->there ? sum->deadline_ns : 0);
}

static bool account(struct ledger_model *model, uint64_t ordinal, uint64_t number_of_flow,
	bool wants_number, uint64_t now_ns, struct result *result)
{
	struct model_flow *flow = &model->flows[number_of_flow];
	uint32_t number = 0;

	if (wants_number && !flow->there) {
		while (number < LEDGER_NUMBERS && model->numbers[number])
			number++;
		if (number < LEDGER_NUMBERS) {
			model->numbers[number] = true;
			model->owners[number] = number_of_flow;
			result->number = number + 1;
		}
	}
	if (!flow->there && flows_count(model) == LEDGER_FLOWS_MAX) {
		sometimes(SOMETIMES_CAPACITY);
		return result->number == 0;
	}
	if (!flow->there)
		*flow = (struct model_flow){.there = true, .number = result->number};
	result->count = ++flow->count;
	result->number = flow->number;
	flow->deadline_ns = rounded(now_ns, now_ns + LEDGER_FLOW_NS);
	if (ledger_ends_flow(ordinal))
		end_flow(model, flow);
	return true;
}

void model_packet(struct ledger_model *model, struct model_packet *packet, uint64_t now_ns,
	const uint64_t *answer)
{
	struct ledger_model before = *model;
	struct result result = {0};
	uint64_t ordinal, flow = packet->frame[LEDGER_FLOW];
	uint32_t length = packet->length;
	bool committed;

	memcpy(&ordinal, packet->frame + LEDGER_ORDINAL, 8);
	committed = add(model, ordinal, flow, now_ns, &result) &&
		    account(model, ordinal, flow, ledger_wants_number(packet->frame[LEDGER_KIND]),
			    now_ns, &result);
	if (!committed) {
		*model = before;
		result = (struct result){0};
		sometimes(SOMETIMES_ABORT);
	}
	memcpy(packet->frame + LEDGER_COUNT, &result.count, 8);
	memcpy(packet->frame + LEDGER_SUM, &result.sum, 8);
	packet->frame[LEDGER_NUMBER] = (uint8_t)result.number;
	packet->frame[LEDGER_ABORTED] = !committed;
	if (answer != NULL && ledger_asks(ordinal))
		memcpy(packet->frame + LEDGER_ANSWER, answer, 8);
	if (result.count == 0)
		return;
	if (result.count % 5 == 0)
		packet->frame[length - 1] = (uint8_t)result.count;
	if (result.count % 7 == 0)
		snprintf(packet->alarms[packet->alarms_count++], sizeof(packet->alarms[0]),
			"flow %llu, packet %llu", (unsigned long long)flow,
			(unsigned long long)result.count);
	if (result.count % 11 == 0)
		memcpy(packet->emitted[packet->emitted_count++], packet->frame, LEDGER_EMIT_BYTES);
	if (result.count % 6 == 0 && length >= LEDGER_BYTES_MIN + LEDGER_CUT)
		packet->length -= LEDGER_CUT;
	packet->dropped = result.count % 17 == 0;
}
