/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of a VNF: what is right is taken, what is wrong is refused in one line that says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vnf/settings.h"

static char error[128];

static struct vnf_setup setup_of(const struct vnf_setting *settings, uint32_t count)
{
	error[0] = 0;
	return (struct vnf_setup){.settings = settings,
		.settings_count = count,
		.error = error,
		.error_bytes = sizeof(error)};
}

static void test_unknown_keys_are_refused(void **state)
{
	static const char *const known[] = {"pool", "inside", NULL};
	static const char *const one[] = {"1"};
	struct vnf_setting settings[] = {{"inside", one, 1, 4}, {"pool", one, 1, 5},
		{"pools", one, 1, 6}};
	struct vnf_setup setup = setup_of(settings, 2);

	(void)state;
	assert_true(settings_known(&setup, known));
	assert_string_equal(error, "");
	setup.settings_count = 3;
	assert_false(settings_known(&setup, known));
	assert_string_equal(error, "unknown key 'pools'");
	assert_int_equal(setup.error_line, 6);
	setup.settings_count = 0;
	assert_true(settings_known(&setup, known));
	assert_null(settings_find(&setup, "pool"));
	setup.settings_count = 2;
	assert_ptr_equal(settings_find(&setup, "pool"), &settings[1]);
}

static const struct number_case {
	const char *text;
	bool good;
	uint32_t value;
} numbers[] = {
	{"10", true, 10},
	{"4294967295", true, UINT32_MAX},
	{"0015", true, 15},
	{"9", false, 0},
	{"4294967296", false, 0},
	{"18446744073709551626", false, 0}, /* 10 more than 64 bits hold */
	{"-18446744073709551606", false, 0},
	{"+10", false, 0},
	{" 10", false, 0},
	{":10", false, 0},
	{"10s", false, 0},
	{"", false, 0},
	{"ten", false, 0},
};

static void test_a_number_is_digits_within_its_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct vnf_setting setting = {"n", &numbers[i].text, 1, 3};
		struct vnf_setup setup = setup_of(&setting, 1);
		uint32_t value = 7;

		print_message("'%s'\n", numbers[i].text);
		assert_int_equal(settings_number(&setup, "n", 10, UINT32_MAX, &value),
			numbers[i].good);
		assert_int_equal(value, numbers[i].good ? numbers[i].value : 7);
		assert_int_equal(setup.error_line, numbers[i].good ? 0 : 3);
		assert_int_equal(error[0] == 0, numbers[i].good);
	}
}

static void test_a_number_is_one_value_or_stays(void **state)
{
	static const char *const two[] = {"12", "13"};
	struct vnf_setting setting = {"n", two, 2, 8};
	struct vnf_setup setup = setup_of(&setting, 1);
	uint32_t value = 7;

	(void)state;
	assert_true(settings_number(&setup, "m", 1, 20, &value));
	assert_int_equal(value, 7);
	assert_false(settings_number(&setup, "n", 1, 20, &value));
	assert_string_equal(error, "'n' takes one number");
	assert_int_equal(setup.error_line, 8);
	setting.values_count = 0;
	assert_false(settings_number(&setup, "n", 1, 20, &value));
	setting.values_count = 1;
	assert_false(settings_number(&setup, "n", 13, 20, &value));
	assert_string_equal(error, "'n' is '12': use a number from 13 to 20");
	assert_false(settings_number(&setup, "n", 1, 11, &value));
	assert_int_equal(value, 7);
	assert_true(settings_number(&setup, "n", 12, 12, &value));
	assert_int_equal(value, 12);
}

static void test_a_choice_is_one_of_two(void **state)
{
	static const char *const texts[] = {"accept", "drop", "drops"};
	struct vnf_setting setting = {"rest", texts, 1, 2};
	struct vnf_setup setup = setup_of(&setting, 1);
	bool value = false;

	(void)state;
	assert_true(settings_choice(&setup, "rest", "accept", "drop", &value));
	assert_true(value);
	assert_true(settings_choice(&setup, "other", "drop", "accept", &value));
	assert_true(value);
	setting.values = &texts[1];
	assert_true(settings_choice(&setup, "rest", "accept", "drop", &value));
	assert_false(value);
	setting.values = &texts[2];
	assert_false(settings_choice(&setup, "rest", "accept", "drop", &value));
	assert_string_equal(error, "'rest' is accept or drop");
	assert_int_equal(setup.error_line, 2);
	setting.values = texts;
	setting.values_count = 2;
	assert_false(settings_choice(&setup, "rest", "accept", "drop", &value));
	setting.values = &texts[1];
	assert_false(settings_choice(&setup, "rest", "accept", "drop", &value));
	assert_false(value);
}

static const struct prefix_case {
	const char *text;
	bool good;
	uint32_t address, mask;
} prefixes[] = {
	{"10.0.0.0/8", true, 0x0a000000, 0xff000000},
	{"192.0.2.7", true, 0xc0000207, 0xffffffff},
	{"192.0.2.7/32", true, 0xc0000207, 0xffffffff},
	{"128.0.0.0/1", true, 0x80000000, 0x80000000},
	{"0.0.0.0/0", true, 0, 0},
	{"10.0.0.1/8", false, 0, 0}, /* bits beyond the mask */
	{"192.0.2.7/0", false, 0, 0},
	{"10.0.0.0/33", false, 0, 0},
	{"10.0.0.0/-1", false, 0, 0},
	{"10.0.0.0/:", false, 0, 0},
	{"10.0.0.0/8x", false, 0, 0},
	{"10.0.0.0/", false, 0, 0},
	{"10.0.0.0/ 8", false, 0, 0},
	{"10.0.0.0/99999999999999999999", false, 0, 0},
	{"10.0.0", false, 0, 0},
	{"10.0.0.256", false, 0, 0},
	{"2001:db8::1", false, 0, 0},
	{"/8", false, 0, 0},
	{"", false, 0, 0},
	{"10.0.0.0000000000000000000000000000000000/8", false, 0, 0},
};

static void test_prefixes_are_addresses_and_masks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct vnf_setting setting = {"inside", &prefixes[i].text, 1, 9};
		struct vnf_setup setup = setup_of(&setting, 1);
		struct settings_prefix prefix;
		uint32_t count = 5;
		bool good = settings_prefixes(&setup, "inside", &prefix, 1, &count);

		print_message("'%s'\n", prefixes[i].text);
		assert_int_equal(good, prefixes[i].good);
		assert_int_equal(setup.error_line, good ? 0 : 9);
		if (!good) {
			assert_non_null(strstr(error, "such as 10.0.0.0/8"));
			continue;
		}
		assert_int_equal(count, 1);
		assert_int_equal(prefix.address, prefixes[i].address);
		assert_int_equal(prefix.mask, prefixes[i].mask);
	}
}

static void test_prefixes_are_some_and_not_too_many(void **state)
{
	static const char *const texts[] = {"10.0.0.0/8", "192.0.2.0/24", "198.51.100.1"};
	struct vnf_setting setting = {"inside", texts, 3, 9};
	struct vnf_setup setup = setup_of(&setting, 1);
	struct settings_prefix list[3];
	uint32_t count = 0;

	(void)state;
	assert_true(settings_prefixes(&setup, "inside", list, 3, &count));
	assert_int_equal(count, 3);
	assert_true(settings_within(list, count, 0x0a123456));
	assert_true(settings_within(list, count, 0xc00002ff));
	assert_true(settings_within(list, count, 0xc6336401));
	assert_false(settings_within(list, count, 0xc6336402));
	assert_false(settings_within(list, count, 0xc0000300));
	assert_false(settings_within(list, 0, 0x0a123456));
	assert_false(settings_prefixes(&setup, "inside", list, 2, &count));
	assert_string_equal(error, "'inside' has more than 2 entries");
	assert_int_equal(count, 0);
	assert_false(settings_prefixes(&setup, "outside", list, 3, &count));
	assert_non_null(strstr(error, "'outside' is missing"));
	assert_int_equal(count, 0);
	setting.values_count = 0;
	assert_false(settings_prefixes(&setup, "inside", list, 3, &count));
	assert_non_null(strstr(error, "'inside' is missing"));
}

static void test_an_error_is_cut_to_its_room(void **state)
{
	char text[12];
	struct vnf_setup setup = {.error = text, .error_bytes = sizeof(text)};

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_false(settings_fail(&setup, 21, "%s is %d", "everything", 12345));
	assert_string_equal(text, "everything ");
	assert_int_equal(setup.error_line, 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_keys_are_refused),
		cmocka_unit_test(test_a_number_is_digits_within_its_bounds),
		cmocka_unit_test(test_a_number_is_one_value_or_stays),
		cmocka_unit_test(test_a_choice_is_one_of_two),
		cmocka_unit_test(test_prefixes_are_addresses_and_masks),
		cmocka_unit_test(test_prefixes_are_some_and_not_too_many),
		cmocka_unit_test(test_an_error_is_cut_to_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
