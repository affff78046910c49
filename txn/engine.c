/* SPDX-License-Identifier: BSD-3-Clause */
#include "txn/engine.h"

#include <stdlib.h>
#include <string.h>

#include "core/atomics.h"
#include "core/digest.h"

enum undo_kind { UNDO_CHANGE, UNDO_INSERT, UNDO_ERASE };

#define DIRTY_START 65536
#define READ_ABSENT_SALT 0x9e3779b97f4a7c15ull
#define ERASE_SALT 0xc2b2ae3d27d4eb4full

/* Timer links name entries of all tables in 32 bits: table 4, entry 28. */
#define LINK_NONE UINT32_MAX
#define LINK(table, entry) ((uint32_t)(table) << 28 | (entry))
#define LINK_TABLE(link) ((link) >> 28)
#define LINK_ENTRY(link) ((link)&0x0fffffffu)

void engine_open(struct engine *engine, uint64_t hash_seed, bool tracks, engine_expire expire,
	void *expire_context)
{
	*engine = (struct engine){
		.hash_seed = hash_seed,
		.tracks = tracks,
		.expire = expire,
		.expire_context = expire_context,
	};
	engine->progress = &engine->own_progress;
}

void engine_close(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->tables_count; i++)
		table_close(&engine->tables[i]);
	free(engine->timer_heads);
	free(engine->expired);
	free(engine->dirty);
	free(engine->tombstones);
	*engine = (struct engine){0};
}

enum status engine_add_table(struct engine *engine, const struct table_spec *spec, const void *self)
{
	enum status status;

	if (engine->tables_count == TABLES_MAX)
		return STATUS_FULL;
	status = table_open(&engine->tables[engine->tables_count], spec, engine->tables_count, self,
		engine->hash_seed);
	if (status == STATUS_OK)
		engine->tables_count++;
	return status;
}

enum status engine_ready(struct engine *engine)
{
	uint64_t entries = 1;

	for (uint32_t i = 0; i < engine->tables_count; i++)
		entries += engine->tables[i].spec.capacity;
	engine->timer_heads = malloc(TIMER_QUANTA_MAX * sizeof(uint32_t));
	engine->expired = malloc(entries * sizeof(uint64_t));
	engine->dirty_capacity = engine->tombstones_capacity = DIRTY_START;
	engine->dirty = malloc(engine->dirty_capacity * sizeof(*engine->dirty));
	engine->tombstones = malloc(engine->tombstones_capacity * sizeof(*engine->tombstones));
	if (engine->timer_heads == NULL || engine->expired == NULL || engine->dirty == NULL ||
		engine->tombstones == NULL)
		return STATUS_NO_MEMORY;
	memset(engine->timer_heads, 0xff, TIMER_QUANTA_MAX * sizeof(uint32_t));
	return STATUS_OK;
}

static struct entry *linked(const struct engine *engine, uint32_t link)
{
	return table_entry(&engine->tables[LINK_TABLE(link)], LINK_ENTRY(link));
}

static void timer_unlink(struct engine *engine, struct entry *entry)
{
	if (entry->deadline_ns == 0)
		return;
	if (entry->timer_prev == LINK_NONE)
		engine->timer_heads[entry->deadline_ns / TIMER_QUANTUM_NS % TIMER_QUANTA_MAX] =
			entry->timer_next;
	else
		linked(engine, entry->timer_prev)->timer_next = entry->timer_next;
	if (entry->timer_next != LINK_NONE)
		linked(engine, entry->timer_next)->timer_prev = entry->timer_prev;
	entry->deadline_ns = 0;
	engine->timers_count--;
}

static void timer_link(struct engine *engine, uint32_t table, uint32_t number, uint64_t deadline_ns)
{
	struct entry *entry = table_entry(&engine->tables[table], number);
	uint32_t *head;

	timer_unlink(engine, entry);
	if (deadline_ns == 0)
		return;
	head = &engine->timer_heads[deadline_ns / TIMER_QUANTUM_NS % TIMER_QUANTA_MAX];
	entry->deadline_ns = deadline_ns;
	entry->timer_prev = LINK_NONE;
	entry->timer_next = *head;
	if (*head != LINK_NONE)
		linked(engine, *head)->timer_prev = LINK(table, number);
	*head = LINK(table, number);
	engine->timers_count++;
}

/* The change lists grow by doubling, rarely and only upwards. */
static void *grown(void *list, uint32_t count, uint32_t *capacity, size_t item_bytes)
{
	if (count < *capacity)
		return list;
	*capacity *= 2;
	list = realloc(list, *capacity * item_bytes);
	BUG_ON(list == NULL);
	return list;
}

static void mark_dirty(struct engine *engine, uint32_t table, uint32_t number)
{
	struct entry *entry = table_entry(&engine->tables[table], number);

	if (entry->dirty)
		return;
	entry->dirty = 1;
	engine->dirty = grown(engine->dirty, engine->dirty_count, &engine->dirty_capacity,
		sizeof(*engine->dirty));
	engine->dirty[engine->dirty_count++] = (struct dirty){table, number};
}

static void mark_erased(struct engine *engine, uint32_t table, const uint8_t *key, uint64_t version)
{
	struct tombstone *tombstone;

	engine->tombstones = grown(engine->tombstones, engine->tombstones_count,
		&engine->tombstones_capacity, sizeof(*engine->tombstones));
	tombstone = &engine->tombstones[engine->tombstones_count++];
	*tombstone = (struct tombstone){.version = version, .table = table};
	memcpy(tombstone->key, key, engine->tables[table].spec.key_bytes);
}

void txn_begin(struct txn *txn, struct engine *engine, uint64_t id, uint64_t now_ns, uint16_t home)
{
	txn->engine = engine;
	txn->id = id;
	txn->now_ns = now_ns;
	txn->home = home;
	txn->shared = home == HOME_NONE;
	txn->table_base = 0;
	txn->aborted = false;
	txn->undo_count = 0;
	txn->read_digest = 0;
	txn->found_table = NULL;
}

static struct table *table_of(const struct txn *txn, uint32_t table)
{
	BUG_ON(txn->table_base + table >= txn->engine->tables_count);
	return &txn->engine->tables[txn->table_base + table];
}

/* The entry under key, if this transaction may touch it; access off home aborts. */
static struct entry *entry_of(struct txn *txn, struct table *table, const void *key,
	uint32_t *number)
{
	struct entry *entry;

	if (txn->aborted)
		return NULL;
	*number = table_find(table, key);
	if (*number == ENTRY_NONE) {
		if (txn->engine->tracks)
			txn->read_digest += digest_mix(
				digest_of_words(key, table->spec.key_bytes, table->number) ^
				READ_ABSENT_SALT);
		return NULL;
	}
	entry = table_entry(table, *number);
	txn->found_table = table;
	txn->found_entry = *number;
	if (table->spec.scope == TABLE_FLOW && !txn->shared && entry->home != txn->home) {
		txn->aborted = true;
		return NULL;
	}
	if (txn->engine->tracks)
		txn->read_digest += digest_of_words(entry_value(table, entry),
			table->spec.value_bytes, entry->deadline_ns ^ table->number);
	return entry;
}

const void *txn_read(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t number;
	struct entry *entry = entry_of(txn, table, key, &number);

	return entry == NULL ? NULL : entry_value(table, entry);
}

/* Notes how an entry was, once per transaction and entry; false aborts for want of room. */
static bool note_undo(struct txn *txn, const struct table *table, uint32_t number, uint8_t kind)
{
	struct entry *entry = table_entry(table, number);
	struct undo *undo;

	if (kind == UNDO_CHANGE)
		for (uint32_t i = 0; i < txn->undo_count; i++)
			if (txn->undo[i].table == table->number && txn->undo[i].entry == number &&
				txn->undo[i].kind != UNDO_ERASE)
				return true;
	if (txn->undo_count == TXN_WRITES_MAX) {
		txn->aborted = true;
		return false;
	}
	undo = &txn->undo[txn->undo_count++];
	undo->table = (uint8_t)table->number;
	undo->kind = kind;
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
	uint32_t number;
	struct entry *entry = entry_of(txn, table, key, &number);

	if (entry == NULL || !note_undo(txn, table, number, UNDO_CHANGE))
		return NULL;
	return entry_value(table, entry);
}

void *txn_insert(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t number;

	if (entry_of(txn, table, key, &number) != NULL || txn->aborted)
		return NULL;
	if (txn->undo_count == TXN_WRITES_MAX) {
		txn->aborted = true;
		return NULL;
	}
	number = table_add(table, key);
	if (number == ENTRY_NONE)
		return NULL;
	txn->found_table = table;
	txn->found_entry = number;
	table_entry(table, number)->home = txn->home;
	if (!note_undo(txn, table, number, UNDO_INSERT))
		return NULL;
	return entry_value(table, table_entry(table, number));
}

bool txn_erase(struct txn *txn, uint32_t table_number, const void *key)
{
	struct table *table = table_of(txn, table_number);
	uint32_t number;
	struct entry *entry = entry_of(txn, table, key, &number);

	if (entry == NULL || !note_undo(txn, table, number, UNDO_ERASE))
		return false;
	timer_unlink(txn->engine, entry);
	table_remove(table, number);
	return true;
}

uint32_t txn_lowest_absent(struct txn *txn, uint32_t table_number, uint32_t first, uint32_t count)
{
	const struct table *table = table_of(txn, table_number);
	uint32_t end = first + count;

	BUG_ON(table->present == NULL || end > table->spec.ordinals);
	for (uint32_t at = first; at < end; at = (at / 64 + 1) * 64) {
		uint64_t absent = ~table->present[at / 64] & ~0ull << (at % 64);

		if (absent != 0) {
			uint32_t found = at / 64 * 64 + (uint32_t)__builtin_ctzll(absent);

			return found < end ? found : UINT32_MAX;
		}
	}
	return UINT32_MAX;
}

/* The entry under key, most often the one that was found last; ENTRY_NONE if there is none. */
static uint32_t entry_again(const struct txn *txn, const struct table *table, const void *key)
{
	if (txn->aborted)
		return ENTRY_NONE;
	if (txn->found_table == table && table_entry(table, txn->found_entry)->live &&
		table_keys_equal(table, table_entry(table, txn->found_entry)->key, key))
		return txn->found_entry;
	return table_find(table, key);
}

static void expire_at(struct txn *txn, struct table *table, uint32_t number, uint64_t deadline_ns)
{
	uint64_t quanta = (deadline_ns + TIMER_QUANTUM_NS - 1) / TIMER_QUANTUM_NS;
	uint64_t now = txn->now_ns / TIMER_QUANTUM_NS;

	if (deadline_ns != 0 && quanta <= now)
		quanta = now + 1;
	if (quanta > now + TIMER_QUANTA_MAX - 1)
		quanta = now + TIMER_QUANTA_MAX - 1;
	if (deadline_ns == 0)
		quanta = 0;
	if (quanta * TIMER_QUANTUM_NS == table_entry(table, number)->deadline_ns ||
		!note_undo(txn, table, number, UNDO_CHANGE))
		return;
	timer_link(txn->engine, table->number, number, quanta * TIMER_QUANTUM_NS);
}

void txn_expire_at(struct txn *txn, uint32_t table_number, const void *key, uint64_t deadline_ns)
{
	struct table *table = table_of(txn, table_number);
	uint32_t number = entry_again(txn, table, key);

	if (number != ENTRY_NONE)
		expire_at(txn, table, number, deadline_ns);
}

void txn_keep(struct txn *txn, uint32_t table_number, const void *key, uint64_t idle_ns)
{
	struct table *table = table_of(txn, table_number);
	uint32_t number = entry_again(txn, table, key);
	uint64_t soonest_ns = txn->now_ns + idle_ns, latest_ns = soonest_ns + idle_ns / 16,
		 deadline_ns;

	if (number == ENTRY_NONE)
		return;
	deadline_ns = table_entry(table, number)->deadline_ns;
	if (deadline_ns < soonest_ns || deadline_ns > latest_ns + TIMER_QUANTUM_NS)
		expire_at(txn, table, number, latest_ns);
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

static void undo_one(struct engine *engine, const struct undo *undo)
{
	struct table *table = &engine->tables[undo->table];
	uint32_t number = undo->entry;
	struct entry *entry;

	if (undo->kind == UNDO_INSERT) {
		number = table_find(table, undo->key);
		timer_unlink(engine, table_entry(table, number));
		table_remove(table, number);
		return;
	}
	if (undo->kind == UNDO_ERASE) {
		number = table_add(table, undo->key);
		if (engine->tracks)
			mark_dirty(engine, undo->table, number);
	} else {
		number = table_find(table, undo->key);
	}
	entry = table_entry(table, number);
	timer_link(engine, undo->table, number, undo->deadline_ns);
	entry->image_hash = undo->image_hash;
	entry->home = undo->home;
	entry->version = undo->version;
	memcpy(entry_value(table, entry), undo->value, table->spec.value_bytes);
}

static void commit_one(struct txn *txn, const struct undo *undo)
{
	struct engine *engine = txn->engine;
	struct table *table = &engine->tables[undo->table];
	struct entry *entry = table_entry(table, undo->entry);

	if (undo->kind == UNDO_ERASE) {
		engine->state_digest -= undo->image_hash;
		engine->batch_digest += digest_mix(undo->image_hash ^ ERASE_SALT);
		mark_erased(engine, undo->table, undo->key, txn->id);
		return;
	}
	if (!entry->live)
		return; /* inserted or changed, then erased in the same transaction */
	entry->version = txn->id;
	engine->state_digest -= entry->image_hash;
	entry->image_hash = table_image_hash(table, entry);
	engine->state_digest += entry->image_hash;
	engine->batch_digest += digest_mix(entry->image_hash);
	mark_dirty(engine, undo->table, undo->entry);
}

bool txn_end(struct txn *txn)
{
	struct engine *engine = txn->engine;

	if (txn->aborted) {
		while (txn->undo_count > 0)
			undo_one(engine, &txn->undo[--txn->undo_count]);
		engine->batch_aborted++;
	} else if (engine->tracks) {
		for (uint32_t i = 0; i < txn->undo_count; i++)
			commit_one(txn, &txn->undo[i]);
	}
	engine->batch_digest += txn->read_digest;
	return !txn->aborted;
}

static void expire_one(struct engine *engine, uint32_t link, uint64_t now_ns, uint64_t id)
{
	struct table *table = &engine->tables[LINK_TABLE(link)];
	struct entry *entry = table_entry(table, LINK_ENTRY(link));
	uint8_t key[KEY_BYTES_MAX];
	struct txn txn;

	counter_add(engine->progress, 1);
	memcpy(key, entry->key, table->spec.key_bytes);
	txn_begin(&txn, engine, id, now_ns, (uint16_t)entry->home);
	if (engine->expire != NULL)
		engine->expire(engine->expire_context, table->number, &txn, key,
			entry_value(table, entry));
	txn.table_base = 0;
	(void)txn_erase(&txn, table->number, key);
	(void)txn_end(&txn);
}

static void sift_links(const struct engine *engine, uint64_t *links, uint32_t root, uint32_t count);

static int link_compare(const struct engine *engine, uint32_t a, uint32_t b)
{
	const struct table *table = &engine->tables[LINK_TABLE(a)];

	if (LINK_TABLE(a) != LINK_TABLE(b))
		return LINK_TABLE(a) < LINK_TABLE(b) ? -1 : 1;
	return memcmp(table_entry(table, LINK_ENTRY(a))->key,
		table_entry(table, LINK_ENTRY(b))->key, table->spec.key_bytes);
}

/* Heapsort: in place, no allocation, no recursion (qsort may allocate). */
static void sort_links(const struct engine *engine, uint64_t *links, uint32_t count)
{
	for (uint32_t root = count / 2; root-- > 0;)
		sift_links(engine, links, root, count);
	while (count > 1) {
		uint64_t top = links[0];

		counter_add(engine->progress, 1);
		links[0] = links[--count];
		links[count] = top;
		sift_links(engine, links, 0, count);
	}
}

static void sift_links(const struct engine *engine, uint64_t *links, uint32_t root, uint32_t count)
{
	for (;;) {
		uint32_t child = 2 * root + 1;
		uint64_t moved = links[root];

		if (child >= count)
			return;
		if (child + 1 < count && link_compare(engine, (uint32_t)links[child],
						 (uint32_t)links[child + 1]) < 0)
			child++;
		if (link_compare(engine, (uint32_t)moved, (uint32_t)links[child]) >= 0)
			return;
		links[root] = links[child];
		links[child] = moved;
		root = child;
	}
}

static void expire_bucket(struct engine *engine, uint64_t quantum, uint64_t id)
{
	uint32_t *head = &engine->timer_heads[quantum % TIMER_QUANTA_MAX];
	uint32_t count = 0;

	for (uint32_t link = *head; link != LINK_NONE; link = linked(engine, link)->timer_next)
		engine->expired[count++] = link;
	sort_links(engine, engine->expired, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t link = (uint32_t)engine->expired[i];
		const struct entry *entry = linked(engine, link);

		/* An earlier expiry of the same bucket may have erased or refreshed it. */
		if (entry->live && entry->deadline_ns == quantum * TIMER_QUANTUM_NS)
			expire_one(engine, link, quantum * TIMER_QUANTUM_NS, id);
	}
}

void engine_advance(struct engine *engine, uint64_t now_ns, uint64_t id)
{
	uint64_t now = now_ns / TIMER_QUANTUM_NS;

	while (engine->timer_now < now && engine->timers_count > 0) {
		engine->timer_now++;
		if (engine->timer_heads[engine->timer_now % TIMER_QUANTA_MAX] != LINK_NONE)
			expire_bucket(engine, engine->timer_now, id);
	}
	engine->timer_now = now;
}

void engine_base_advanced(struct engine *engine, uint64_t next_id)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < engine->dirty_count; i++) {
		struct dirty *dirty = &engine->dirty[i];
		struct entry *entry = table_entry(&engine->tables[dirty->table], dirty->entry);

		if (!entry->live || entry->version < next_id)
			entry->dirty = 0;
		else
			engine->dirty[kept++] = *dirty;
	}
	engine->dirty_count = kept;
	kept = 0;
	for (uint32_t i = 0; i < engine->tombstones_count; i++)
		if (engine->tombstones[i].version >= next_id)
			engine->tombstones[kept++] = engine->tombstones[i];
	engine->tombstones_count = kept;
}

static uint32_t copy_tombstone(const struct engine *engine, const struct tombstone *tombstone,
	uint8_t *out)
{
	const struct table_spec *spec = &engine->tables[tombstone->table].spec;
	uint32_t bytes = fold_image_bytes(spec->key_bytes, 0);
	struct fold_image image = {
		.table = (uint8_t)tombstone->table,
		.flags = IMAGE_TOMBSTONE,
		.key_bytes = (uint8_t)spec->key_bytes,
		.version = tombstone->version,
	};

	memcpy(out, &image, sizeof(image));
	memcpy(out + sizeof(image), tombstone->key, spec->key_bytes);
	return bytes;
}

static uint32_t copy_entry(const struct engine *engine, const struct dirty *dirty, uint8_t *out)
{
	const struct table *table = &engine->tables[dirty->table];
	struct entry *entry = table_entry(table, dirty->entry);
	struct fold_image image = {
		.table = (uint8_t)dirty->table,
		.key_bytes = (uint8_t)table->spec.key_bytes,
		.value_bytes = (uint8_t)table->spec.value_bytes,
		.home = (uint16_t)entry->home,
		.deadline_ns = entry->deadline_ns,
		.version = entry->version,
	};

	if (!entry->live)
		return 0; /* its tombstone tells */
	memcpy(out, &image, sizeof(image));
	memcpy(out + sizeof(image), entry->key, table->spec.key_bytes + table->spec.value_bytes);
	return fold_image_bytes(table->spec.key_bytes, table->spec.value_bytes);
}

uint32_t engine_copy_changes(const struct engine *engine, uint32_t *at, uint8_t *out,
	uint32_t capacity_bytes, uint32_t *images)
{
	uint32_t bytes = 0, left = engine_changes_left(engine, *at);

	*images = 0;
	while (left-- > 0 &&
		capacity_bytes - bytes >= fold_image_bytes(KEY_BYTES_MAX, VALUE_BYTES_MAX)) {
		uint32_t copied;

		if (*at < engine->tombstones_count)
			copied = copy_tombstone(engine, &engine->tombstones[*at], out + bytes);
		else
			copied = copy_entry(engine, &engine->dirty[*at - engine->tombstones_count],
				out + bytes);
		*images += copied > 0;
		bytes += copied;
		(*at)++;
	}
	return bytes;
}

enum status engine_load(struct engine *engine, const struct fold_image *image, const uint8_t *key,
	const uint8_t *value)
{
	struct table *table;
	struct entry *entry;
	uint32_t number;

	if (image->table >= engine->tables_count)
		return STATUS_CORRUPT;
	table = &engine->tables[image->table];
	if (image->key_bytes != table->spec.key_bytes ||
		image->value_bytes != table->spec.value_bytes || image->flags != 0 ||
		table_find(table, key) != ENTRY_NONE)
		return STATUS_CORRUPT;
	number = table_add(table, key);
	if (number == ENTRY_NONE)
		return STATUS_FULL;
	entry = table_entry(table, number);
	entry->home = image->home;
	entry->version = image->version;
	memcpy(entry_value(table, entry), value, image->value_bytes);
	if (image->deadline_ns / TIMER_QUANTUM_NS > 0 &&
		(engine->timers_count == 0 ||
			image->deadline_ns / TIMER_QUANTUM_NS <= engine->timer_now))
		engine->timer_now = image->deadline_ns / TIMER_QUANTUM_NS - 1;
	timer_link(engine, image->table, number, image->deadline_ns);
	entry->image_hash = table_image_hash(table, entry);
	engine->state_digest += entry->image_hash;
	return STATUS_OK;
}
