/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/variables.h"

#include <sched.h>
#include <stdlib.h>

#include "core/atomics.h"

#define SPINS 200 /* before the core is given away: who has the lock may wait for it */

/* A row's key: of a list, its members from the oldest on, and behind them how many there are. */
#define ROW(variable, index) ((uint64_t)(variable) << 32 | (index))

enum status variables_open(struct variables *variables, const struct variable_spec *specs,
	uint32_t count)
{
	if (count > VARIABLES_MAX)
		return STATUS_INVALID;
	*variables = (struct variables){.count = count};
	if (count == 0)
		return STATUS_OK;
	variables->told = malloc(TOLD_MAX * sizeof(*variables->told));
	if (variables->told == NULL)
		return STATUS_NO_MEMORY;
	for (uint32_t v = 0; v < count; v++) {
		uint32_t capacity = specs[v].list_capacity;

		if (capacity > VARIABLE_LIST_MAX)
			return STATUS_INVALID;
		variables->list[v].capacity = capacity;
		variables->list[v].values = calloc(capacity == 0 ? 1 : capacity, sizeof(uint64_t));
		if (variables->list[v].values == NULL)
			return STATUS_NO_MEMORY;
	}
	return STATUS_OK;
}

void variables_close(struct variables *variables)
{
	for (uint32_t v = 0; v < variables->count; v++)
		free(variables->list[v].values);
	free(variables->told);
	*variables = (struct variables){0};
}

struct table_spec variables_table(const struct variables *variables)
{
	uint32_t rows = 1;

	for (uint32_t v = 0; v < variables->count; v++)
		rows += 1 + variables->list[v].capacity;
	return (struct table_spec){.name = "variables",
		.key_bytes = sizeof(uint64_t),
		.value_bytes = sizeof(uint64_t),
		.capacity = rows,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER};
}

static void push(struct variable *list, uint64_t value)
{
	if (list->count == list->capacity) {
		list->first = (list->first + 1) % list->capacity;
		list->count--;
	}
	list->values[(list->first + list->count++) % list->capacity] = value;
}

/* 0 of an empty list. */
static uint64_t pop(struct variable *list)
{
	uint64_t value;

	if (list->count == 0)
		return 0;
	value = list->values[list->first];
	list->first = (list->first + 1) % list->capacity;
	list->count--;
	return value;
}

static uint64_t newest(const struct variable *list)
{
	return list->count == 0 ? 0
				: list->values[(list->first + list->count - 1) % list->capacity];
}

uint64_t variable_access(struct variable *variable, enum pad_kind kind, uint64_t *value)
{
	bool list = variable->capacity > 0;

	if (kind == PAD_GET)
		*value = list ? newest(variable) : variable->values[0];
	else if (kind == PAD_POP)
		*value = list ? pop(variable) : 0;
	else if (kind == PAD_PUSH && list)
		push(variable, *value);
	else if (kind == PAD_SET && !list)
		variable->values[0] = *value;
	return variable->sequence++;
}

void variable_lock(struct variable *variable)
{
	uint32_t free_word = 0, spins = 0;

	while (!atomic_swap_if(&variable->lock, &free_word, 1u)) {
		free_word = 0;
		if (++spins % SPINS == 0)
			sched_yield();
	}
}

void variable_unlock(struct variable *variable)
{
	atomic_write_release(&variable->lock, 0u);
}

bool variables_tell(struct variables *variables, const struct told_access *access)
{
	uint32_t at = atomic_add_relaxed(&variables->told_count, 1u);

	if (at >= TOLD_MAX)
		return false;
	variables->told[at] = *access;
	return true;
}

/* Shell sort (Knuth 5.2.1): in place, and near to sorted is near to done. */
static void sort_told(struct told_access *told, uint32_t count)
{
	for (uint32_t gap = 2047; gap > 0; gap /= 2)
		for (uint32_t i = gap; i < count; i++) {
			struct told_access moved = told[i];
			uint32_t at = i;

			for (; at >= gap && told[at - gap].sequence > moved.sequence; at -= gap)
				told[at] = told[at - gap];
			told[at] = moved;
		}
}

void variables_settle(struct variables *variables)
{
	uint32_t count = variables->told_count < TOLD_MAX ? variables->told_count : TOLD_MAX;

	sort_told(variables->told, count);
	for (uint32_t i = 0; i < count; i++) {
		struct told_access *access = &variables->told[i];
		struct variable *variable = &variables->list[access->variable];
		uint64_t value = access->value;

		variable->sequence = access->sequence;
		(void)variable_access(variable, (enum pad_kind)access->kind, &value);
	}
	variables->told_count = 0;
}

static void put_row(struct txn *txn, uint32_t table, uint64_t key, uint64_t value)
{
	uint64_t *row = txn_modify(txn, table, &key);

	if (row == NULL)
		row = txn_insert(txn, table, &key);
	if (row != NULL)
		*row = value;
}

/* All rows each time, as others who folded before may have had other ones. */
void variables_keep(const struct variables *variables, uint32_t number, struct txn *txn,
	uint32_t table)
{
	const struct variable *variable = &variables->list[number];

	if (variable->capacity == 0) {
		put_row(txn, table, ROW(number, 0), variable->values[0]);
		return;
	}
	for (uint32_t i = 0; i < variable->capacity; i++)
		put_row(txn, table, ROW(number, i),
			i < variable->count
				? variable->values[(variable->first + i) % variable->capacity]
				: 0);
	put_row(txn, table, ROW(number, variable->capacity), variable->count);
}

static uint64_t row_of(struct txn *txn, uint32_t table, uint64_t key)
{
	const uint64_t *row = txn_read(txn, table, &key);

	return row == NULL ? 0 : *row;
}

void variables_load(struct variables *variables, struct txn *txn, uint32_t table)
{
	for (uint32_t v = 0; v < variables->count; v++) {
		struct variable *variable = &variables->list[v];
		uint32_t members = variable->capacity == 0 ? 1 : variable->capacity;

		for (uint32_t i = 0; i < members; i++)
			variable->values[i] = row_of(txn, table, ROW(v, i));
		variable->first = variable->count = 0;
		if (variable->capacity > 0)
			variable->count = (uint32_t)row_of(txn, table, ROW(v, members));
	}
}
