/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is not there: whichever allocation fails, it is said, and all is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/txn/tables.h"
#include "txn/access.h"

/* The linker has the engine's calls come here. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t unit, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t unit, size_t bytes);
void __wrap_free(void *memory);

static uint32_t asked, fails_at; /* from 1 */
static int held;

static void *took(void *memory)
{
	held += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t bytes)
{
	return ++asked == fails_at ? NULL : took(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return ++asked == fails_at ? NULL : took(__real_calloc(count, bytes));
}

void *__wrap_aligned_alloc(size_t unit, size_t bytes)
{
	return ++asked == fails_at ? NULL : took(__real_aligned_alloc(unit, bytes));
}

void __wrap_free(void *memory)
{
	held -= memory != NULL;
	__real_free(memory);
}

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
	for (fails_at = 1; status != STATUS_OK; fails_at++) {
		asked = 0;
		held = 0;
		status = open_all(&engine, &access);
		/* Only where there were fewer allocations does it go well. */
		assert_int_equal(status, asked < fails_at ? STATUS_OK : STATUS_NO_MEMORY);
		if (status == STATUS_OK)
			assert_int_equal(held, asked);
		access_close(&access);
		engine_close(&engine);
		assert_int_equal(held, 0);
	}
	assert_in_range(fails_at, 20, 100);
	fails_at = 0; /* what runs at the exit has memory */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whichever_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
