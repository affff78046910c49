/* SPDX-License-Identifier: BSD-3-Clause */
/* A replica that finds too little memory says so, and gives back all that it had memory_asked. */
#include "tests/unit/refused_memory.h"
#include "tests/unit/vnf/batch_run.h"

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
		memory_refused_at = ++rounds;
		memory_asked = 0;
		memory_held = 0;
		memory_counts = true;
		status = open_whole(replica, &ops);
		replica_close(replica);
		memory_counts = false;
		if (memory_held != 0 || (status == STATUS_OK) != (memory_asked < rounds))
			print_message("refused: what was asked for as number %u\n", rounds);
		assert_int_equal(memory_held, 0);
		assert_int_equal(status, memory_asked < rounds ? STATUS_OK : STATUS_NO_MEMORY);
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
