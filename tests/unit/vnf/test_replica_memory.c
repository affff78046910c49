/* SPDX-License-Identifier: BSD-3-Clause */
/* A replica that finds too little memory says so, and gives back all that it had taken. */
#include "tests/unit/vnf/batch_run.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t unit, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t unit, size_t bytes);
void __wrap_free(void *memory);

static bool counts;
static uint32_t taken, refused_at; /* the number of the one that is refused, from 1; 0: none */
static int32_t held;

static bool refuses(void)
{
	return counts && ++taken == refused_at;
}

static void *note(void *memory)
{
	held += counts && memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t bytes)
{
	return refuses() ? NULL : note(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return refuses() ? NULL : note(__real_calloc(count, bytes));
}

void *__wrap_aligned_alloc(size_t unit, size_t bytes)
{
	return refuses() ? NULL : note(__real_aligned_alloc(unit, bytes));
}

void __wrap_free(void *memory)
{
	held -= counts && memory != NULL;
	__real_free(memory);
}

static bool open_some(struct vnf_setup *setup, void **self)
{
	*self = NULL;
	setup->records = true;
	setup->tables[setup->tables_count++] = (struct table_spec){.name = "some",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 100,
		.scope = TABLE_SHARED};
	setup->variables[0] = (struct variable_spec){"value", 0};
	setup->variables[1] = (struct variable_spec){"list", 4};
	setup->variables_count = 2;
	return true;
}

/* As far as it gets. */
static enum status open_whole(struct replica *replica, const struct vnf_ops *ops)
{
	enum status status = replica_open(replica, 0, RUN_SEED, 5, true, 2, 2);

	if (status == STATUS_OK)
		status = add_vnf(replica, ops);
	if (status == STATUS_OK)
		status = replica_ready(replica);
	return status;
}

static void test_each_refusal_is_told_and_nothing_is_left(void **state)
{
	struct replica *replica = calloc(1, sizeof(*replica));
	struct vnf_ops ops = plain_ops();
	enum status status = STATUS_NO_MEMORY;
	uint32_t rounds = 0;

	(void)state;
	assert_non_null(replica);
	ops.open = open_some;
	while (status != STATUS_OK) {
		assert_true(rounds < 200);
		refused_at = ++rounds;
		taken = 0;
		held = 0;
		counts = true;
		status = open_whole(replica, &ops);
		replica_close(replica);
		counts = false;
		if (held != 0 || (status == STATUS_OK) != (taken < rounds))
			print_message("refused: the memory taken as number %u\n", rounds);
		assert_int_equal(held, 0);
		assert_int_equal(status, taken < rounds ? STATUS_OK : STATUS_NO_MEMORY);
	}
	assert_true(rounds > 20);
	free(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_refusal_is_told_and_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
