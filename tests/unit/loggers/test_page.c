/* SPDX-License-Identifier: BSD-3-Clause */
/* The control page's own rules: failovers counted up to their limit, names, the first error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "loggers/page.h"

static struct page page;

static int start(void **state)
{
	(void)state;
	memset(&page, 0, sizeof(page));
	return 0;
}

static void test_failovers_past_the_limit_are_not_kept(void **state)
{
	const struct failover_subject subject = {ROLE_REPLICA, 1, 2, 3};

	(void)state;
	for (uint32_t i = 0; i < FAILOVERS_MAX; i++)
		assert_ptr_equal(page_open_failover(&page, &subject, NULL, 1), &page.failovers[i]);
	for (int i = 0; i < 3; i++)
		assert_null(page_open_failover(&page, &subject, NULL, 1));
	assert_int_equal(page.failovers_count, FAILOVERS_MAX);
	assert_int_equal(page.failovers[7].stage, 1);
	assert_int_equal(page.failovers[7].replica, 2);
	assert_int_equal(page.failovers[7].incarnation, 3);
	assert_int_equal(page.open_failovers, FAILOVERS_MAX);
}

static void test_the_stage_furthest_behind_decides(void **state)
{
	(void)state;
	page.stages[0].base_batch = 30;
	page.stages[1].base_batch = 20;
	page.stages[2].base_batch = 25;
	page.stages[3].base_batch = 1; /* of no chain of three */
	assert_int_equal(page_base_batch(&page, 3), 20);
	assert_int_equal(page_base_batch(&page, 1), 30);
	assert_true(page_base_batch(&page, 0) == NO_BATCH);
}

static void test_a_journal_is_named_by_its_incarnation(void **state)
{
	char name[NAME_BYTES], stage[NAME_BYTES];

	(void)state;
	page_journal_name(name, "edge", 1, 12345678901ull);
	assert_string_equal(name, "edge-1.12345678901");
	memset(stage, 's', sizeof(stage) - 1);
	stage[sizeof(stage) - 1] = 0;
	page_journal_name(name, stage, REPLICAS_MAX - 1, UINT64_MAX);
	assert_string_equal(name + strlen(name) - 23, "-3.18446744073709551615");
	assert_true(strlen(name) < NAME_BYTES);
}

/* The leader is the last term's, whatever lies in the other places. */
static void test_terms_go_round(void **state)
{
	(void)state;
	for (uint64_t term = 1; term < 3 * TERMS_MAX; term++) {
		page.stages[0].terms[term % TERMS_MAX] =
			(struct page_term){term, (uint32_t)(term % 3), term * 2};
		page.stages[0].term = term;
		assert_int_equal(page_leader(&page.stages[0])->term, term);
		assert_int_equal(page_leader(&page.stages[0])->replica, term % 3);
	}
}

static void test_the_first_error_stays(void **state)
{
	char text[2 * PATH_BYTES];

	(void)state;
	page_fail(&page, "stage %s, packet %d", "edge", 5);
	assert_int_equal(page.failed, 2);
	page_fail(&page, "and another");
	assert_string_equal(page.error, "stage edge, packet 5");
	(void)start(NULL);
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	page_fail(&page, "%s", text);
	assert_int_equal(strlen(page.error), sizeof(page.error) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_failovers_past_the_limit_are_not_kept, start),
		cmocka_unit_test_setup(test_the_stage_furthest_behind_decides, start),
		cmocka_unit_test_setup(test_a_journal_is_named_by_its_incarnation, start),
		cmocka_unit_test_setup(test_terms_go_round, start),
		cmocka_unit_test_setup(test_the_first_error_stays, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
