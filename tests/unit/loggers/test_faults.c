/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults get from their text onto the page, and places whose fault is over are taken again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "loggers/faults.h"

static struct page page;
static struct config config;
static char error[CONFIG_ERROR_BYTES];

static int start(void **state)
{
	(void)state;
	memset(&page, 0, sizeof(page));
	memset(&config, 0, sizeof(config));
	memset(error, 0, sizeof(error));
	config.stages_count = 2;
	strncpy(config.stages[0].name, "edge", NAME_BYTES - 1);
	strncpy(config.stages[1].name, "core", NAME_BYTES - 1);
	return 0;
}

static void test_a_fault_is_armed_as_written(void **state)
{
	static const struct {
		const char *text;
		struct page_fault wanted;
	} rows[] = {
		{"kill edge/master", {.action = FAULT_KILL, .target = TARGET_MASTER, .stage = 0}},
		{"stop core/slave @packet=70", {.action = FAULT_STOP,
						       .target = TARGET_SLAVE,
						       .stage = 1,
						       .at_packet = 70}},
		{"kill core/master @time=0.5", {.action = FAULT_KILL,
						       .target = TARGET_MASTER,
						       .stage = 1,
						       .at_time_ns = 500000000}},
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct page_fault *fault = &page.faults[i];

		assert_int_equal(fault_arm(&page, &config, rows[i].text, error), STATUS_OK);
		assert_int_equal(page.faults_count, i + 1);
		assert_int_equal(fault->state, FAULT_ARMED);
		assert_int_equal(fault->action, rows[i].wanted.action);
		assert_int_equal(fault->target, rows[i].wanted.target);
		assert_int_equal(fault->stage, rows[i].wanted.stage);
		assert_int_equal(fault->at_packet, rows[i].wanted.at_packet);
		assert_int_equal(fault->at_time_ns, rows[i].wanted.at_time_ns);
	}
	assert_string_equal(error, "");
}

static void test_what_is_no_fault_is_refused_in_one_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"kill edge", "'kill edge' is not a fault"},
		{"kick edge/master", "use kill|stop STAGE/master|slave"},
		{"", "'' is not a fault"},
		{"kill nat/master", "'kill nat/master': the chain has no stage 'nat'"},
		{"kill edg/master", "no stage 'edg'"},
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(error, 0, sizeof(error));
		assert_int_equal(fault_arm(&page, &config, rows[i].text, error), STATUS_INVALID);
		if (strstr(error, rows[i].says) == NULL)
			fail_msg("'%s' does not say '%s'", error, rows[i].says);
		assert_null(strchr(error, '\n'));
		assert_int_equal(page.faults_count, 0);
		assert_int_equal(page.faults[0].state, FAULT_FREE);
	}
}

/* Only a fault that is over, and that no later packet can raise, gives up its place. */
static void test_places_are_taken_again(void **state)
{
	(void)state;
	assert_int_equal(fault_arm(&page, &config, "kill edge/master @packet=9", error), STATUS_OK);
	assert_int_equal(fault_arm(&page, &config, "kill edge/master", error), STATUS_OK);
	assert_int_equal(fault_arm(&page, &config, "kill edge/slave", error), STATUS_OK);
	page.faults[0].state = FAULT_RAISED;
	page.faults[1].state = FAULT_RAISED;
	page.faults[1].failover = 4;
	assert_int_equal(fault_arm(&page, &config, "stop core/slave", error), STATUS_OK);
	assert_int_equal(page.faults_count, 3);
	assert_int_equal(page.faults[0].at_packet, 9);
	assert_int_equal(page.faults[0].state, FAULT_RAISED);
	assert_int_equal(page.faults[1].state, FAULT_ARMED);
	assert_int_equal(page.faults[1].action, FAULT_STOP);
	assert_int_equal(page.faults[1].stage, 1);
	assert_int_equal(page.faults[1].failover, 0);
}

static void test_there_are_only_so_many(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < FAULTS_MAX; i++)
		assert_int_equal(fault_arm(&page, &config, "kill edge/master @packet=5", error),
			STATUS_OK);
	assert_int_equal(fault_arm(&page, &config, "kill edge/slave", error), STATUS_FULL);
	assert_non_null(strstr(error, "64 faults are armed already"));
	assert_int_equal(page.faults_count, FAULTS_MAX);
	for (uint32_t i = 0; i < FAULTS_MAX; i++)
		assert_int_equal(page.faults[i].target, TARGET_MASTER);
	/* Not a fault at all is said first. */
	assert_int_equal(fault_arm(&page, &config, "kill", error), STATUS_INVALID);
	page.faults[FAULTS_MAX - 1] = (struct page_fault){.state = FAULT_RAISED};
	assert_int_equal(fault_arm(&page, &config, "kill edge/slave", error), STATUS_OK);
	assert_int_equal(page.faults[FAULTS_MAX - 1].target, TARGET_SLAVE);
	assert_int_equal(page.faults_count, FAULTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_fault_is_armed_as_written, start),
		cmocka_unit_test_setup(test_what_is_no_fault_is_refused_in_one_line, start),
		cmocka_unit_test_setup(test_places_are_taken_again, start),
		cmocka_unit_test_setup(test_there_are_only_so_many, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
