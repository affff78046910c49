/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "core/fault_spec.h"

static void test_services(void **state)
{
	static const struct {
		const char *text;
		struct fault_spec wanted;
	} rows[] = {
		{"kill sequencer", {.service = SERVICE_SEQUENCER, .at_once = true}},
		{"stop sequencer @packet=5000",
			{.action = FAULT_STOP, .service = SERVICE_SEQUENCER, .at_packet = 5000}},
		{"kill sequencer @time=1.5",
			{.service = SERVICE_SEQUENCER, .at_time_ns = 1500000000}},
		{"kill manager", {.service = SERVICES_COUNT, .at_once = true}},
		{"stop manager @time=0", {.action = FAULT_STOP, .service = SERVICES_COUNT}},
		{"stop logger/packets @time=2",
			{.action = FAULT_STOP, .service = 0, .at_time_ns = 2000000000}},
		{"kill logger/determinants", {.service = 1, .at_once = true}},
		{"kill logger/progress @time=0.25", {.service = 2, .at_time_ns = 250000000}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault_spec spec;

		assert_int_equal(fault_spec_parse(&spec, rows[i].text), STATUS_OK);
		assert_true(spec.is_service);
		assert_false(spec.slave);
		assert_string_equal(spec.stage, "");
		assert_int_equal(spec.action == FAULT_STOP, rows[i].wanted.action == FAULT_STOP);
		assert_int_equal(spec.service, rows[i].wanted.service);
		assert_int_equal(spec.at_packet, rows[i].wanted.at_packet);
		assert_int_equal(spec.at_time_ns, rows[i].wanted.at_time_ns);
		assert_int_equal(spec.at_once, rows[i].wanted.at_once);
	}
}

/* A stage may be called as a service is: it is the role behind it that tells. */
static void test_replicas(void **state)
{
	static const struct {
		const char *text, *stage;
		bool slave;
	} rows[] = {
		{"kill edge/master", "edge", false},
		{"kill sequencer/slave @packet=7", "sequencer", true},
		{"kill manager/master @time=3", "manager", false},
		{"stop logger/slave @packet=7", "logger", true},
		{"flip edge/slave @packet=7", "edge", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault_spec spec;

		assert_int_equal(fault_spec_parse(&spec, rows[i].text), STATUS_OK);
		assert_false(spec.is_service);
		assert_int_equal(spec.slave, rows[i].slave);
		assert_string_equal(spec.stage, rows[i].stage);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"kill logger/packets @packet=1",
		"stop logger/determinants @packet=1",
		"kill logger/progress @packet=9",
		"kill manager @packet=1",
		"kill sequencer @packet=0",
		"kill sequencer @packet=",
		"kill sequencer @packet=-1",
		"kill sequencer @packet=5x",
		"kill sequencer @time=-1",
		"kill sequencer @time=nan",
		"kill sequencer @time=1e6",
		"kill sequencer @when=1",
		"kill sequencer @time=1 more",
		"kill sequencer/packets",
		"kill sequencers",
		"kill logger",
		"kill logger/",
		"kill logger/packet",
		"kill logger/packets/x",
		"kill /packets",
		"sequencer",
		"kick manager",
		"flip manager",
		"flip sequencer @packet=5",
		"flip edge/slave",
		"flip edge/master @time=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault_spec spec;

		if (fault_spec_parse(&spec, rows[i]) != STATUS_INVALID)
			fail_msg("'%s' is taken for a fault", rows[i]);
	}
}

static void test_every_service_has_a_name(void **state)
{
	(void)state;
	for (uint32_t i = 0; i <= SERVICES_COUNT; i++) {
		struct fault_spec spec;
		char text[NAME_BYTES + 8];

		snprintf(text, sizeof(text), "kill %s", service_names[i]);
		assert_int_equal(fault_spec_parse(&spec, text), STATUS_OK);
		assert_int_equal(spec.service, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_replicas),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_service_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
