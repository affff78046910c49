/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference for the engine: a stream of random transactions, and what serial execution in ID
 * order makes of them, in a plain array of entries. Shares nothing with the engine but the
 * transactions' own functions.
 */
#ifndef UNDERSTUDY_TESTS_UNIT_TXN_MODEL_H
#define UNDERSTUDY_TESTS_UNIT_TXN_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/limits.h"
#include "core/random.h"
#include "txn/txn.h"

#define TABLES 3 /* 0, 1: shared; 2: flow */
#define FLOW_TABLE 2
#define KEYS 48
#define HOMES 5
#define TXNS 600 /* of one program */
#define MODEL_SECOND_NS 1000000000ull

/* One transaction of a program, and what it leaves outside the tables. */
struct job {
	uint64_t id, now_ns;
	uint32_t home;
	bool prepares, flows, alone;
	uint32_t operations_count;
	struct operation operations[OPERATIONS_MAX];
	struct {
		uint32_t effect, constant, deadline_s;
		bool may_abort, after;
	} plan[OPERATIONS_MAX];
	uint32_t prepare_key, flow_key, shared_key, turn; /* what the steps do */
	bool aborted;
	uint64_t results[OPERATIONS_MAX + 2];
};

/* What steps do to tables, so that they run on the engine and on the model alike. */
struct store {
	const uint64_t *(*read)(void *self, uint32_t table, uint64_t key);
	/* False: no room. */
	bool (*put)(void *self, uint32_t table, uint64_t key, uint64_t value, uint64_t deadline_ns);
	void (*erase)(void *self, uint32_t table, uint64_t key);
	const uint64_t *(*foresee)(void *self, uint64_t key);
	bool (*widen)(void *self);
	void (*abort)(void *self);
	void *self;
};

static inline enum operation_effect job_function(struct operation_call *call, uint32_t i)
{
	struct job *job = call->context;
	const uint64_t *old = call->old;
	uint64_t sum = job->plan[i].constant + (old == NULL ? 1 : old[0] * 3), *value = call->value;

	for (uint32_t s = 0; s < OPERATION_SOURCES_MAX; s++) {
		const uint64_t *source = call->sources[s];

		sum += source == NULL ? 7 : source[0] * (s + 5);
	}
	for (uint32_t before = 0; job->plan[i].after && before < i; before++)
		sum = sum * 31 + job->results[before];
	sum ^= sum >> 7;
	job->results[i] = sum;
	if (job->plan[i].may_abort && sum % 4 == 0)
		return EFFECT_ABORT;
	if (job->plan[i].effect == EFFECT_PUT) {
		value[0] = sum;
		value[1]++;
		if (job->plan[i].deadline_s > 0)
			call->deadline_ns =
				call->now_ns + job->plan[i].deadline_s * MODEL_SECOND_NS;
	}
	return (enum operation_effect)job->plan[i].effect;
}

#define JOB_FUNCTION(i)                                                                            \
	static enum operation_effect job_function_##i(struct operation_call *call)                 \
	{                                                                                          \
		return job_function(call, i);                                                      \
	}
JOB_FUNCTION(0)
JOB_FUNCTION(1)
JOB_FUNCTION(2)
JOB_FUNCTION(3)
JOB_FUNCTION(4)
JOB_FUNCTION(5)
JOB_FUNCTION(6)
JOB_FUNCTION(7)

static enum operation_effect (*const job_functions[OPERATIONS_MAX])(
	struct operation_call *) = {job_function_0, job_function_1, job_function_2, job_function_3,
	job_function_4, job_function_5, job_function_6, job_function_7};

/* The prepare step: a count in a shared table, of those that find no flow entry yet. */
static inline void job_prepare(struct job *job, const struct store *store)
{
	const uint64_t *flow = store->foresee(store->self, job->flow_key);
	const uint64_t *count = store->read(store->self, 0, job->prepare_key);
	uint64_t next = (count == NULL ? 0 : count[0]) + (flow == NULL ? 1 : flow[0]);

	job->results[OPERATIONS_MAX] = next + 1;
	if (next % 11 == 0)
		store->abort(store->self);
	else if (!store->put(store->self, 0, job->prepare_key, next, 0))
		job->results[OPERATIONS_MAX] = 1;
}

static inline void job_flow(struct job *job, const struct store *store)
{
	const uint64_t *flow = store->read(store->self, FLOW_TABLE, job->flow_key);
	uint64_t sum = (flow == NULL ? 5 : flow[0]) + job->results[OPERATIONS_MAX];

	for (uint32_t i = 0; i < job->operations_count; i++)
		sum = sum * 17 + job->results[i];
	sum ^= sum >> 9;
	job->results[OPERATIONS_MAX + 1] = sum;
	if (job->turn % 8 == 1 && sum % 3 == 0) {
		store->abort(store->self);
	} else if (job->turn % 8 == 2 && sum % 2 == 0) {
		store->erase(store->self, FLOW_TABLE, job->flow_key);
	} else if (!store->put(store->self, FLOW_TABLE, job->flow_key, sum,
			   job->turn % 4 == 0 ? job->now_ns + (2 + sum % 5) * MODEL_SECOND_NS
					      : 0)) {
		job->results[OPERATIONS_MAX + 1] = 3;
	}
	/* Some find that they need more, some may have it all along. */
	if ((job->turn % 16 == 3 && sum % 4 == 0 && store->widen(store->self)) || job->alone) {
		const uint64_t *shared = store->read(store->self, 1, job->shared_key);

		(void)store->put(store->self, 1, job->shared_key,
			sum + (shared == NULL ? 0 : shared[0]), 0);
	}
}

/* A random program. Skewed keys; aborts, capacity, deadlines more often in some than in others. */
static inline void program_make(struct job *jobs, uint64_t *random)
{
	uint32_t kind = (uint32_t)(random_next(random) >> 20), operations_of_10 = kind % 11;
	uint32_t steps_of_10 = kind / 16 % 3 == 0 ? 0 : kind / 64 % 11,
		 longest = 1 + kind / 256 % 8;
	uint64_t now_ns = 5 * MODEL_SECOND_NS;

	memset(jobs, 0, TXNS * sizeof(*jobs));
	for (uint32_t t = 0; t < TXNS; t++) {
		struct job *job = &jobs[t];
#define PICK(n) ((uint32_t)(random_next(random) >> 16) % (n))
#define KEY() (PICK(3) == 0 ? PICK(3) : PICK(KEYS))

		job->id = 100 + t;
		now_ns += PICK(40) == 0 ? MODEL_SECOND_NS * PICK(4) : 1000;
		job->now_ns = now_ns;
		if (PICK(10) < operations_of_10)
			job->operations_count = 1 + PICK(longest);
		job->prepares = PICK(10) < steps_of_10 && PICK(3) == 0;
		job->flows = PICK(10) < steps_of_10 || PICK(10) < 3;
		job->alone = job->flows && steps_of_10 > 0 && PICK(60) == 0;
		job->flow_key = KEY();
		job->home = job->flow_key % HOMES;
		if (PICK(50) == 0)
			job->flow_key++; /* off home */
		job->prepare_key = KEY();
		job->shared_key = KEY();
		job->turn = PICK(1024);
		for (uint32_t i = 0; i < job->operations_count; i++) {
			struct operation *operation = &job->operations[i];

			operation->kind = (enum operation_kind)PICK(3);
			operation->table = PICK(2);
			operation->key[0] = KEY();
			operation->sources_count = (uint8_t)PICK(OPERATION_SOURCES_MAX + 1);
			for (uint32_t s = 0; s < operation->sources_count; s++) {
				operation->sources[s].table = PICK(2);
				operation->sources[s].key[0] = KEY();
			}
			job->plan[i].may_abort = operation->may_abort = PICK(6) == 0;
			job->plan[i].after = operation->after = PICK(3) == 0;
			job->plan[i].effect = PICK(4) == 0   ? EFFECT_ERASE
					      : PICK(5) == 0 ? EFFECT_NONE
							     : EFFECT_PUT;
			job->plan[i].constant = PICK(1000);
			job->plan[i].deadline_s = PICK(8) == 0 ? 1 + PICK(6) : 0;
			operation->function = job_functions[i];
			if (PICK(400) == 0)
				operation->table = FLOW_TABLE; /* out of reach */
		}
#undef PICK
#undef KEY
	}
}

/* The reference's state: entries by key. */
struct model_entry {
	bool there;
	uint64_t value[2];
	uint64_t deadline_ns; /* whole seconds */
};

struct model {
	struct model_entry entries[TABLES][KEYS + 1];
	uint32_t capacity[TABLES];
	struct job *job; /* in work */
	bool aborted, flow_barred, shared_barred;
	uint32_t inserts;
};

static inline uint64_t model_deadline(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t second = (deadline_ns + MODEL_SECOND_NS - 1) / MODEL_SECOND_NS;

	if (deadline_ns == 0)
		return 0;
	return (second <= now_ns / MODEL_SECOND_NS ? now_ns / MODEL_SECOND_NS + 1 : second) *
	       MODEL_SECOND_NS;
}

/* NULL and aborted, if the transaction may not touch it. */
static inline struct model_entry *model_touch(struct model *model, uint32_t table, uint64_t key)
{
	bool off_home = table == FLOW_TABLE && !model->job->alone &&
			key % HOMES != model->job->home && !model->shared_barred;

	model->aborted |= table == FLOW_TABLE ? model->flow_barred : model->shared_barred;
	if (off_home ||
		(table == FLOW_TABLE && !model->job->alone && key % HOMES != model->job->home))
		model->aborted = true;
	return model->aborted ? NULL : &model->entries[table][key];
}

static inline const uint64_t *model_read(void *self, uint32_t table, uint64_t key)
{
	struct model_entry *entry = model_touch(self, table, key);

	return entry != NULL && entry->there ? entry->value : NULL;
}

static inline bool model_put(void *self, uint32_t table, uint64_t key, uint64_t value,
	uint64_t deadline_ns)
{
	struct model *model = self;
	struct model_entry *entry = model_touch(model, table, key);
	uint32_t count = 0;

	if (entry == NULL)
		return false;
	for (uint32_t i = 0; i <= KEYS; i++)
		count += model->entries[table][i].there;
	if (!entry->there && count == model->capacity[table])
		return false;
	if (!entry->there)
		*entry = (struct model_entry){.there = true};
	entry->value[0] = value;
	entry->value[1]++;
	entry->deadline_ns = model_deadline(model->job->now_ns, deadline_ns);
	return true;
}

static inline void model_erase(void *self, uint32_t table, uint64_t key)
{
	struct model_entry *entry = model_touch(self, table, key);

	if (entry != NULL)
		entry->there = false;
}

static inline const uint64_t *model_foresee(void *self, uint64_t key)
{
	struct model *model = self;

	if (key % HOMES != model->job->home)
		model->aborted = true;
	return model->aborted || !model->entries[FLOW_TABLE][key].there
		       ? NULL
		       : model->entries[FLOW_TABLE][key].value;
}

static inline bool model_widen(void *self)
{
	struct model *model = self;

	model->shared_barred = false;
	return !model->aborted;
}

static inline void model_abort(void *self)
{
	((struct model *)self)->aborted = true;
}

static inline void model_operate(struct model *model, struct job *job, uint32_t i)
{
	const struct operation *operation = &job->operations[i];
	uint64_t value[2] = {0}, sources[OPERATION_SOURCES_MAX];
	struct operation_call call = {.context = job,
		.value = value,
		.id = job->id,
		.now_ns = job->now_ns};
	struct model_entry *entry;
	enum operation_effect effect;

	for (uint32_t s = 0; s < operation->sources_count; s++) {
		const uint64_t *source = model_read(model, operation->sources[s].table,
			operation->sources[s].key[0]);

		sources[s] = source == NULL ? 0 : source[0];
		call.sources[s] = source == NULL ? NULL : &sources[s];
	}
	entry = model_touch(model, operation->table, operation->key[0]);
	if (entry == NULL)
		return;
	if (operation->kind != OPERATION_WRITE && entry->there) {
		memcpy(value, entry->value, sizeof(value));
		call.old = entry->value;
		call.deadline_ns = entry->deadline_ns;
	}
	effect = operation->function(&call);
	model->aborted |= effect == EFFECT_ABORT;
	if (model->aborted || operation->kind == OPERATION_READ)
		return;
	if (effect == EFFECT_ERASE)
		entry->there = false;
	if (effect != EFFECT_PUT)
		return;
	if (!model_put(model, operation->table, operation->key[0], 0, 0)) {
		model->aborted = true;
		return;
	}
	memcpy(entry->value, value, sizeof(value));
	entry->deadline_ns = model_deadline(job->now_ns, call.deadline_ns);
}

/* Timers, then the transaction: all or nothing. */
static inline void model_run(struct model *model, struct job *job)
{
	const struct store store = {model_read, model_put, model_erase, model_foresee, model_widen,
		model_abort, model};
	struct model before;

	for (uint32_t i = 0; i < TABLES * (KEYS + 1); i++) {
		struct model_entry *entry = &model->entries[0][0] + i;

		if (entry->there && entry->deadline_ns != 0 &&
			entry->deadline_ns / MODEL_SECOND_NS <= job->now_ns / MODEL_SECOND_NS)
			entry->there = false;
	}
	before = *model;
	model->job = job;
	model->aborted = false;
	model->flow_barred = true;
	model->shared_barred = false;
	for (uint32_t i = 0; i < job->operations_count && !model->aborted; i++)
		model_operate(model, job, i);
	if (model->aborted)
		memset(job->results, 0, sizeof(job->results));
	else if (job->prepares)
		job_prepare(job, &store);
	model->flow_barred = false;
	model->shared_barred = !job->alone;
	if (job->flows && !model->aborted)
		job_flow(job, &store);
	job->aborted = model->aborted;
	if (job->aborted)
		*model = before;
}

#endif
