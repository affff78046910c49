/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is not there: whichever allocation fails, it is said, and all is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/refused_memory.h"
#include "tests/unit/txn/tables.h"
#include "txn/access.h"

static enum status open_all(struct engine *engine, struct access *access)
{
	static const struct access_steps steps;
	enum status status;

	memset(access, 0, sizeof(*access));
	engine_open(engine, 1, true, 2, NULL, NULL);
	status = tables_add(engine, 100);
	if (status == STATUS_OK)
		status = engine_ready(engine);
	return status == STATUS_OK ? access_open(access, engine, &steps, NULL) : status;
}

static void test_whichever_allocation_fails(void **state)
{
	static struct access access;
	static struct engine engine;
	enum status status = STATUS_NO_MEMORY;

	(void)state;
	memory_counts = true;
	for (memory_refused_at = 1; status != STATUS_OK; memory_refused_at++) {
		memory_asked = 0;
		memory_held = 0;
		status = open_all(&engine, &access);
		/* Only where there were fewer allocations does it go well. */
		assert_int_equal(status,
			memory_asked < memory_refused_at ? STATUS_OK : STATUS_NO_MEMORY);
		if (status == STATUS_OK)
			assert_int_equal(memory_held, memory_asked);
		access_close(&access);
		engine_close(&engine);
		assert_int_equal(memory_held, 0);
	}
	assert_in_range(memory_refused_at, 20, 100);
	memory_counts = false; /* what runs at the exit has memory */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whichever_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
