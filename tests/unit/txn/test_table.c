/* SPDX-License-Identifier: BSD-3-Clause */
/* One table: what a declaration may say, capacity over shards, keys that hash alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "txn/table.h"

static uint16_t home_zero(const void *self, const void *key)
{
	(void)self;
	(void)key;
	return 0;
}

static struct table_spec sound(void)
{
	return (struct table_spec){.name = "t",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 10,
		.home = home_zero};
}

static void test_declarations_that_break_a_rule_are_refused(void **state)
{
	struct table_spec specs[12];
	struct table table;
	uint32_t bad = 0;

	(void)state;
	for (int i = 0; i < 12; i++)
		specs[i] = sound();
	specs[bad++].name = NULL;
	specs[bad++].key_bytes = 0;
	specs[bad++].key_bytes = 12;
	specs[bad++].key_bytes = KEY_BYTES_MAX + 8;
	specs[bad++].value_bytes = 12;
	specs[bad++].value_bytes = VALUE_BYTES_MAX + 8;
	specs[bad++].capacity = 0;
	specs[bad++].capacity = (1u << 28) + 1;
	specs[bad++].home = NULL; /* of a flow table */
	for (uint32_t i = 0; i < bad; i++)
		assert_int_equal(table_open(&table, &specs[i], 0, NULL, 1, 1), STATUS_INVALID);
	specs[bad].key_bytes = KEY_BYTES_MAX;
	specs[bad].value_bytes = 0;
	specs[bad + 1].value_bytes = VALUE_BYTES_MAX;
	specs[bad + 1].scope = TABLE_SHARED;
	specs[bad + 1].home = NULL;
	for (; bad < 11; bad++) {
		assert_int_equal(table_open(&table, &specs[bad], TABLES_MAX, NULL, 1, 1),
			STATUS_INVALID);
		assert_int_equal(table_open(&table, &specs[bad], TABLES_MAX - 1, NULL, 1, 3),
			STATUS_OK);
		/* A shared one has one shard, whatever the number of workers. */
		assert_int_equal(table.shards_count, specs[bad].scope == TABLE_SHARED ? 1 : 3);
		table_close(&table);
	}
}

/* It holds exactly its capacity, in whichever shards the keys are. */
static void test_capacity_is_of_the_whole_table(void **state)
{
	struct table_spec spec = sound();
	struct table table;
	uint64_t key;

	(void)state;
	for (uint32_t pattern = 0; pattern < 3; pattern++) {
		uint32_t numbers[10], shard_of[10];

		assert_int_equal(table_open(&table, &spec, 0, NULL, 7, 4), STATUS_OK);
		for (key = 0; key < 10; key++) {
			shard_of[key] = pattern == 0 ? 3 : (uint32_t)(key * pattern % 4);
			numbers[key] = table_add(&table, shard_of[key], &key);
			assert_int_not_equal(numbers[key], ENTRY_NONE);
		}
		for (uint32_t shard = 0; shard < 4; shard++)
			assert_int_equal(table_add(&table, shard, &key), ENTRY_NONE);
		assert_int_equal(table_count(&table), 10);
		table_remove(&table, shard_of[4], numbers[4]);
		assert_int_equal(table_find(&table, shard_of[4], &(uint64_t){4}), ENTRY_NONE);
		/* The room that it leaves is everybody's. */
		assert_int_not_equal(table_add(&table, (shard_of[4] + 1) % 4, &key), ENTRY_NONE);
		assert_int_equal(table_add(&table, shard_of[4], &(uint64_t){11}), ENTRY_NONE);
		for (key = 0; key < 10; key++)
			if (key != 4)
				assert_int_equal(table_find(&table, shard_of[key], &key),
					numbers[key]);
		table_close(&table);
	}
}

static void test_reserved_room_is_in_every_shard(void **state)
{
	struct table_spec spec = sound();
	struct table table;

	(void)state;
	for (uint32_t used = 0; used <= 10; used++) {
		assert_int_equal(table_open(&table, &spec, 0, NULL, 7, 3), STATUS_OK);
		for (uint64_t key = 0; key < used; key++)
			assert_int_not_equal(table_add(&table, key % 2, &key), ENTRY_NONE);
		for (uint32_t want = 1; want <= 4; want++) {
			uint32_t free_count = 0;
			bool reserved = table_reserve(&table, want);

			assert_int_equal(reserved, 10 - used >= want * 3);
			for (uint32_t shard = 0; shard < 3; shard++) {
				free_count += table.shards[shard].free_count;
				if (reserved)
					assert_in_range(table.shards[shard].free_count, want, 10);
			}
			assert_int_equal(free_count, 10 - used); /* none is lost */
		}
		table_close(&table);
	}
}

/* The key whose hash, before its halves are mixed, is high and low: see table_hash. */
static uint64_t key_of_hash(const struct table *table, uint32_t high, uint32_t low)
{
	uint64_t odd = 0x9e3779b97f4a7c15ull, inverse = odd;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - odd * inverse; /* Newton's */
	return (((uint64_t)high << 32 | low) * inverse) ^ table->seed;
}

static void test_keys_that_hash_alike_are_told_apart(void **state)
{
	struct table_spec spec = sound();
	uint64_t keys[8];
	uint32_t numbers[8];
	struct table table;

	(void)state;
	assert_int_equal(table_open(&table, &spec, 0, NULL, 99, 1), STATUS_OK);
	for (uint32_t i = 0; i < 8; i++) {
		keys[i] = key_of_hash(&table, i, 0xabcdef ^ i);
		assert_int_equal(table_hash(&table, &keys[i]), 0xabcdef);
		assert_int_equal(table_find(&table, 0, &keys[i]), ENTRY_NONE);
		numbers[i] = table_add(&table, 0, &keys[i]);
	}
	for (uint32_t gone = 0; gone < 8; gone += 2)
		table_remove(&table, 0, numbers[gone]);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(table_find(&table, 0, &keys[i]),
			i % 2 == 0 ? ENTRY_NONE : numbers[i]);
	table_close(&table);
}

/* Keys of two words differ if either word does. */
static void test_all_words_of_a_key_count(void **state)
{
	struct table_spec spec = sound();
	uint64_t keys[4][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}};
	struct table table;

	(void)state;
	spec.key_bytes = 16;
	assert_int_equal(table_open(&table, &spec, 0, NULL, 3, 1), STATUS_OK);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(table_find(&table, 0, keys[i]), ENTRY_NONE);
		assert_int_not_equal(table_add(&table, 0, keys[i]), ENTRY_NONE);
		for (uint32_t j = 0; j < 4; j++)
			assert_int_equal(table_keys_equal(&table, keys[i], keys[j]), i == j);
	}
	assert_int_equal(table_count(&table), 4);
	table_close(&table);
}

/* A large one is in whole huge pages, and as zeroed as a small one. */
static void test_large_tables_are_in_huge_pages(void **state)
{
	struct table_spec spec = sound();
	struct table table;

	(void)state;
	spec.capacity = 40000;
	assert_int_equal(table_open(&table, &spec, 0, NULL, 3, 1), STATUS_OK);
	assert_int_equal((uintptr_t)table.entries % (2u << 20), 0);
	for (uint64_t key = 0; key < spec.capacity; key++)
		assert_int_not_equal(table_add(&table, 0, &key), ENTRY_NONE);
	for (uint64_t key = 0; key < spec.capacity; key++) {
		struct entry *entry = table_entry(&table, table_find(&table, 0, &key));

		assert_int_equal(*(uint64_t *)entry->key, key);
		assert_int_equal(*(uint64_t *)entry_value(&table, entry), 0);
	}
	table_close(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declarations_that_break_a_rule_are_refused),
		cmocka_unit_test(test_capacity_is_of_the_whole_table),
		cmocka_unit_test(test_reserved_room_is_in_every_shard),
		cmocka_unit_test(test_keys_that_hash_alike_are_told_apart),
		cmocka_unit_test(test_all_words_of_a_key_count),
		cmocka_unit_test(test_large_tables_are_in_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
