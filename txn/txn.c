/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "core/atomics.h"
#include "core/digest.h"
#include "core/mutants.h"
#include "txn/baseline.h"
#include "txn/engine.h"

enum undo_kind { UNDO_CHANGE, UNDO_INSERT, UNDO_ERASE };

void txn_begin(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns, uint16_t home)
{
	txn->engine = engine;
	txn->shard = engine->shards;
	if (engine->workers > 1 && home != HOME_NONE)
		txn->shard += home % engine->workers;
	txn->home_shard = txn->shard->number;
	txn->id = id;
	txn->now_ns = now_ns;
	txn->home = home;
	txn->reach = home == HOME_NONE ? TXN_ALL : TXN_FLOW;
	txn->table_base = 0;
	txn->aborted = txn->widened = false;
	txn->may_widen = !engine->parallel;
	if (!engine->parallel)
		txn->shard->undo_count = 0;
	txn->undo_start = txn->step_start = txn->shard->undo_count;
	txn->read_digest = 0;
	txn->foresights = NULL;
	txn->found_table = NULL;
}

void txn_begin_prepare(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns,
	uint16_t home)
{
	txn_begin(txn, engine, id, now_ns, home);
	txn->reach = TXN_PREPARE;
	txn->shard = &engine->shards[0];
	if (!engine->parallel)
		txn->shard->undo_count = 0;
	txn->undo_start = txn->step_start = txn->shard->undo_count;
}

static struct table *table_of(const struct txn *txn, uint32_t table)
{
	BUG_ON(txn->table_base + table >= txn->engine->tables_count);
	return &txn->engine->tables[txn->table_base + table];
}

static uint16_t home_of(const struct table *table, const void *key)
{
	return table->spec.scope == TABLE_FLOW ? table->spec.home(table->self, key) : HOME_NONE;
}

/* Whether this transaction may touch the table at all; a touch out of reach aborts. */
static bool reaches(struct txn *txn, const struct table *table)
{
	enum txn_reach barred = table->spec.scope == TABLE_FLOW ? TXN_PREPARE : TXN_FLOW;

	if (txn->reach == barred)
		txn->aborted = true;
	return !txn->aborted;
}

/*
 * Where a key's entry is, if there is one. Access off home aborts, and is told by the entry, or by
 * the key where there is none in this home's shard.
 */
static inline __attribute__((always_inline)) uint32_t find(struct txn *txn,
	const struct table *table, const void *key, uint32_t *shard)
{
	uint32_t number;

	if (txn->aborted)
		return ENTRY_NONE;
	if (table->spec.scope == TABLE_FLOW && txn->reach == TXN_ALL) {
		*shard = table_shard_of(table, home_of(table, key));
		return table_find(table, *shard, key);
	}
	*shard = table->spec.scope == TABLE_FLOW ? txn->home_shard : 0;
	number = table_find(table, *shard, key);
	if (table->spec.scope == TABLE_FLOW &&
		(number == ENTRY_NONE ? home_of(table, key) : table_entry(table, number)->home) !=
			txn->home) {
		txn->aborted = true;
		return ENTRY_NONE;
	}
	return number;
}

/* The entry under key, read: it is in the digest. */
static struct entry *entry_of(struct txn *txn, struct table *table, const void *key,
	uint32_t *shard, uint32_t *number)
{
	struct entry *entry = NULL;

	if (!reaches(txn, table))
		return NULL;
	*number = find(txn, table, key, shard);
	if (txn->aborted)
		return NULL;
	if (*number != ENTRY_NONE) {
		entry = table_entry(table, *number);
		if (BASELINE() && table->spec.scope == TABLE_SHARED)
			baseline_touch(txn, entry);
		txn->found_table = table;
		txn->found_entry = *number;
	}
	if (txn->engine->tracks)
		txn->read_digest += read_digest_of(table, key,
			entry == NULL ? NULL : entry_value(table, entry),
			entry == NULL ? 0 : entry->deadline_ns);
	return entry;
}

const void *txn_read(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number;
	struct entry *entry = entry_of(txn, table, key, &shard, &number);

	return entry == NULL ? NULL : entry_value(table, entry);
}

/* Room for one more note; without it the transaction aborts. */
static struct undo *add_undo(struct txn *txn)
{
	if (txn->shard->undo_count - txn->step_start == TXN_WRITES_MAX) {
		txn->aborted = true;
		return NULL;
	}
	return &txn->shard->undo[txn->shard->undo_count++];
}

/* Notes how an entry was, once per transaction and entry; false aborts for want of room. */
static bool note_undo(struct txn *txn, const struct table *table, uint32_t shard, uint32_t number,
	uint8_t kind)
{
	struct entry *entry = table_entry(table, number);
	struct undo *undo;

	if (kind == UNDO_CHANGE)
		for (uint32_t i = txn->undo_start; i < txn->shard->undo_count; i++) {
			undo = &txn->shard->undo[i];
			if (undo->table == table->number && undo->entry == number &&
				undo->kind != UNDO_ERASE)
				return true;
		}
	undo = add_undo(txn);
	if (undo == NULL)
		return false;
	undo->table = (uint8_t)table->number;
	undo->kind = kind;
	undo->shard = (uint8_t)shard;
	undo->entry = number;
	undo->image_hash = entry->image_hash;
	undo->home = entry->home;
	undo->version = entry->version;
	undo->deadline_ns = entry->deadline_ns;
	memcpy(undo->key, entry->key, table->spec.key_bytes);
	memcpy(undo->value, entry_value(table, entry), table->spec.value_bytes);
	return true;
}

void *txn_modify(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number;
	struct entry *entry = entry_of(txn, table, key, &shard, &number);

	if (entry == NULL || !note_undo(txn, table, shard, number, UNDO_CHANGE))
		return NULL;
	return entry_value(table, entry);
}

static bool may_insert(struct txn *txn, const struct table *table)
{
	uint32_t inserts = 0;

	for (uint32_t i = txn->step_start; i < txn->shard->undo_count; i++)
		inserts += txn->shard->undo[i].table == table->number &&
			   txn->shard->undo[i].kind == UNDO_INSERT;
	txn->aborted |= (inserts == TXN_INSERTS_MAX && table->spec.scope == TABLE_FLOW) ||
			txn->shard->undo_count - txn->step_start == TXN_WRITES_MAX;
	return !txn->aborted;
}

/* A key that is not there; NULL at capacity. */
static struct entry *insert(struct txn *txn, struct table *table, const void *key, uint32_t shard)
{
	uint32_t number = may_insert(txn, table) ? table_add(table, shard, key) : ENTRY_NONE;

	if (number == ENTRY_NONE)
		return NULL;
	txn->found_table = table;
	txn->found_entry = number;
	table_entry(table, number)->home = home_of(table, key);
	return note_undo(txn, table, shard, number, UNDO_INSERT) ? table_entry(table, number)
								 : NULL;
}

void *txn_insert(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number;
	struct entry *entry;

	if (entry_of(txn, table, key, &shard, &number) != NULL || txn->aborted)
		return NULL;
	entry = insert(txn, table, key, shard);
	return entry == NULL ? NULL : entry_value(table, entry);
}

static bool erase(struct txn *txn, struct table *table, uint32_t shard, uint32_t number)
{
	if (!note_undo(txn, table, shard, number, UNDO_ERASE))
		return false;
	timer_unlink(txn->engine, &txn->engine->shards[shard], table_entry(table, number));
	table_remove(table, shard, number);
	return true;
}

bool txn_erase(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number;

	return entry_of(txn, table, key, &shard, &number) != NULL &&
	       erase(txn, table, shard, number);
}

uint32_t txn_lowest_absent(struct txn *txn, uint32_t table_number, uint32_t first, uint32_t count)
{
	const struct table *table = table_of(txn, table_number);
	uint32_t end = first + count;

	BUG_ON(table->present == NULL || end > table->spec.ordinals);
	if (!reaches(txn, table))
		return UINT32_MAX;
	if (MUTANT(SEED_IN_RESULT))
		first = (uint32_t)(table->seed % count);
	for (uint32_t at = first; at < end; at = (at / 64 + 1) * 64) {
		uint64_t absent = ~atomic_read_relaxed(&table->present[at / 64]) &
				  ~0ull << (at % 64);

		if (absent != 0) {
			uint32_t found = at / 64 * 64 + (uint32_t)__builtin_ctzll(absent);

			return found < end ? found : UINT32_MAX;
		}
	}
	return UINT32_MAX;
}

/* The entry under key, most often the one that was found last; ENTRY_NONE if there is none. */
static uint32_t entry_again(struct txn *txn, const struct table *table, const void *key,
	uint32_t *shard)
{
	if (!reaches(txn, table))
		return ENTRY_NONE;
	if (txn->found_table == table && table_entry(table, txn->found_entry)->live &&
		table_keys_equal(table, table_entry(table, txn->found_entry)->key, key)) {
		*shard =
			table_shard_of(table, (uint32_t)table_entry(table, txn->found_entry)->home);
		return txn->found_entry;
	}
	return find(txn, table, key, shard);
}

static void expire_at(struct txn *txn, struct table *table, uint32_t shard, uint32_t number,
	uint64_t deadline_ns)
{
	deadline_ns = timer_deadline(txn->now_ns, deadline_ns);
	if (deadline_ns != table_entry(table, number)->deadline_ns &&
		note_undo(txn, table, shard, number, UNDO_CHANGE))
		timer_link(txn->engine, &txn->engine->shards[shard], table->number, number,
			deadline_ns);
}

void txn_expire_at(struct txn *txn, uint32_t table_number, const void *key, uint64_t deadline_ns)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number = entry_again(txn, table, key, &shard);

	if (number != ENTRY_NONE)
		expire_at(txn, table, shard, number, deadline_ns);
}

void txn_keep(struct txn *txn, uint32_t table_number, const void *key, uint64_t idle_ns)
{
	struct table *table = table_of(txn, table_number);
	uint32_t shard, number = entry_again(txn, table, key, &shard);
	uint64_t soonest_ns = txn->now_ns + idle_ns, latest_ns = soonest_ns + idle_ns / 16,
		 deadline_ns;

	if (number == ENTRY_NONE)
		return;
	deadline_ns = table_entry(table, number)->deadline_ns;
	if (deadline_ns < soonest_ns || deadline_ns > latest_ns + TIMER_QUANTUM_NS)
		expire_at(txn, table, shard, number, latest_ns);
}

/* What a look ahead saw: the value alone, for deadlines do not decide anything. */
static uint64_t foresight_hash(const struct table *table, uint32_t number)
{
	if (number == ENTRY_NONE)
		return READ_ABSENT_SALT;
	return digest_of_words(entry_value(table, table_entry(table, number)),
		table->spec.value_bytes, 0);
}

const void *txn_foresee(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	struct foresights *seen = txn->foresights;
	uint32_t shard, number = find(txn, table, key, &shard);

	if (txn->aborted)
		return NULL;
	if (seen != NULL) {
		struct foresight *foresight = &seen->list[seen->count];

		if (seen->count == seen->capacity) {
			txn->widened = txn->aborted = true;
			return NULL;
		}
		seen->count++;
		foresight->table = table->number;
		memcpy(foresight->key, key, table->spec.key_bytes);
		foresight->hash = foresight_hash(table, number);
	}
	return number == ENTRY_NONE ? NULL : entry_value(table, table_entry(table, number));
}

bool txn_foresaw(struct txn *txn, const struct foresight *foresights, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct table *table = &txn->engine->tables[foresights[i].table];
		uint32_t shard, number = find(txn, table, foresights[i].key, &shard);

		if (foresight_hash(table, number) != foresights[i].hash)
			return false;
	}
	return true;
}

bool txn_widen(struct txn *txn)
{
	if (txn->aborted)
		return false;
	if (txn->may_widen) {
		txn->reach = TXN_ALL;
		return true;
	}
	txn->widened = txn->aborted = true;
	return false;
}

void txn_abort(struct txn *txn)
{
	txn->aborted = true;
}

bool txn_aborted(const struct txn *txn)
{
	return txn->aborted;
}

uint64_t txn_now_ns(const struct txn *txn)
{
	return txn->now_ns;
}

static void put(struct txn *txn, struct table *table, const struct operation_call *call,
	const void *key)
{
	uint32_t shard, number = find(txn, table, key, &shard);
	struct entry *entry;

	if (number == ENTRY_NONE) {
		entry = insert(txn, table, key, shard);
		txn->aborted |= entry == NULL; /* exhausted */
		number = txn->found_entry;
	} else {
		(void)note_undo(txn, table, shard, number, UNDO_CHANGE);
		entry = table_entry(table, number);
	}
	if (txn->aborted)
		return;
	memcpy(entry_value(table, entry), call->value, table->spec.value_bytes);
	expire_at(txn, table, shard, number, call->deadline_ns);
}

void txn_operate(struct txn *txn, const struct operation *operation, void *context)
{
	struct table *table = table_of(txn, operation->table);
	uint64_t value[VALUE_BYTES_MAX / 8] = {0};
	struct operation_call call = {.context = context,
		.value = value,
		.id = txn->id,
		.now_ns = txn->now_ns};
	enum operation_effect effect;
	uint32_t shard, number;
	struct entry *entry;

	for (uint32_t i = 0; i < operation->sources_count; i++)
		call.sources[i] =
			txn_read(txn, operation->sources[i].table, operation->sources[i].key);
	entry = operation->kind == OPERATION_WRITE
			? NULL
			: entry_of(txn, table, operation->key, &shard, &number);
	if (!reaches(txn, table))
		return;
	if (entry != NULL) {
		call.old = entry_value(table, entry);
		call.deadline_ns = entry->deadline_ns;
		memcpy(value, call.old, table->spec.value_bytes);
	}
	effect = operation->function(&call);
	if (effect == EFFECT_ABORT && operation->may_abort)
		txn->aborted = true;
	if (operation->kind == OPERATION_READ || txn->aborted)
		return;
	if (effect == EFFECT_PUT) {
		put(txn, table, &call, operation->key);
	} else if (effect == EFFECT_ERASE) {
		number = find(txn, table, operation->key, &shard);
		if (number != ENTRY_NONE)
			(void)erase(txn, table, shard, number);
	}
}

/* Takes back one note; what is noted is never read again. */
static void undo_one(struct engine *engine, const struct undo *undo)
{
	struct table *table = &engine->tables[undo->table];
	struct engine_shard *shard = &engine->shards[undo->shard];
	uint32_t number;
	struct entry *entry;

	if (undo->kind == UNDO_ERASE) {
		number = table_add(table, undo->shard, undo->key);
		if (engine->tracks)
			change_mark(engine, shard, undo->table, number);
	} else {
		number = table_find(table, undo->shard, undo->key);
	}
	entry = table_entry(table, number);
	if (undo->kind == UNDO_INSERT) {
		timer_unlink(engine, shard, entry);
		table_remove(table, undo->shard, number);
		return;
	}
	timer_link(engine, shard, undo->table, number, undo->deadline_ns);
	entry->image_hash = undo->image_hash;
	entry->home = undo->home;
	entry->version = undo->version;
	memcpy(entry_value(table, entry), undo->value, table->spec.value_bytes);
}

static void take_back(struct engine *engine, struct engine_shard *shard, uint32_t to_count)
{
	while (shard->undo_count > to_count)
		undo_one(engine, &shard->undo[--shard->undo_count]);
}

static void commit_one(struct txn *txn, const struct undo *undo)
{
	struct engine *engine = txn->engine;
	struct engine_shard *shard = &engine->shards[undo->shard];
	struct table *table = &engine->tables[undo->table];
	struct entry *entry = table_entry(table, undo->entry);

	if (undo->kind == UNDO_ERASE) {
		shard->sums.state_digest -= undo->image_hash;
		shard->sums.batch_digest += digest_mix(undo->image_hash ^ ERASE_SALT);
		change_erased(engine, shard, undo->table, undo->key, txn->id);
		return;
	}
	/* Gone again, or another key in its place, or done with: once per entry. */
	if (!entry->live || entry->noted || !table_keys_equal(table, entry->key, undo->key))
		return;
	entry->noted = 1;
	entry->version = txn->id;
	shard->sums.state_digest -= entry->image_hash;
	entry->image_hash = table_image_hash(table, entry);
	shard->sums.state_digest += entry->image_hash;
	shard->sums.batch_digest +=
		digest_mix(entry->image_hash) + (MUTANT(SLOT_IN_RESULT) ? undo->entry : 0);
	change_mark(engine, shard, undo->table, undo->entry);
}

static bool end(struct txn *txn)
{
	struct engine *engine = txn->engine;
	struct engine_shard *shard = txn->shard;

	if (txn->aborted) {
		take_back(engine, shard,
			txn->undo_start +
				(MUTANT(KEEP_SIDE_EFFECT) && shard->undo_count > txn->undo_start));
		shard->sums.batch_aborted++;
		if (engine->tracks)
			shard->sums.batch_digest += digest_mix(txn->id ^ ABORT_SALT);
		return false;
	}
	if (engine->tracks) {
		for (uint32_t i = txn->undo_start; i < shard->undo_count; i++)
			commit_one(txn, &shard->undo[i]);
		for (uint32_t i = txn->undo_start; i < shard->undo_count; i++)
			table_entry(&engine->tables[shard->undo[i].table], shard->undo[i].entry)
				->noted = 0;
	}
	shard->sums.batch_digest += txn->read_digest;
	return true;
}

bool txn_end(struct txn *txn)
{
	bool committed = end(txn);

	if (BASELINE())
		baseline_let_go(txn);
	return committed;
}

bool engine_begin_parallel(struct engine *engine, uint32_t transactions)
{
	for (uint32_t i = 0; i < engine->tables_count; i++)
		if (engine->tables[i].spec.scope == TABLE_FLOW &&
			!table_reserve(&engine->tables[i], transactions * TXN_INSERTS_MAX))
			return false;
	for (uint32_t w = 0; w < engine->workers; w++) {
		engine->shards[w].undo_count = 0;
		engine->shards[w].saved = engine->shards[w].sums;
	}
	engine->parallel = true;
	return true;
}

void engine_end_parallel(struct engine *engine)
{
	engine->parallel = false;
}

void engine_undo_parallel(struct engine *engine)
{
	engine->parallel = false;
	for (uint32_t w = 0; w < engine->workers; w++) {
		take_back(engine, &engine->shards[w], 0);
		engine->shards[w].sums = engine->shards[w].saved;
	}
}
