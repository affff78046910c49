/* SPDX-License-Identifier: BSD-3-Clause */
/* Histograms: every value in a bucket that bounds it, quantiles, the ends of the range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/histogram.h"

/* The bucket of a value, as a histogram of it alone has it. */
static uint32_t bucket_of(uint64_t value)
{
	struct histogram histogram = {0};
	uint32_t bucket = 0;

	histogram_add(&histogram, value, 1);
	while (bucket < HISTOGRAM_BUCKETS && histogram.counts[bucket] == 0)
		bucket++;
	return bucket;
}

static void test_a_bucket_bounds_its_values(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (uint64_t value = 0; value < 1ull << 46; value += value / 7 + 1) {
		uint32_t bucket = bucket_of(value);

		assert_in_range(bucket, before, HISTOGRAM_BUCKETS - 1);
		before = bucket;
		assert_true(histogram_bucket_top(bucket) >= value);
		assert_true(bucket == 0 || histogram_bucket_top(bucket - 1) < value);
		/* 16 steps a power of two */
		assert_true(histogram_bucket_top(bucket) - value <= value / 16);
	}
}

static void test_tops_are_the_last_of_their_buckets(void **state)
{
	(void)state;
	for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
		uint64_t top = histogram_bucket_top(bucket);

		assert_int_equal(bucket_of(top), bucket);
		assert_int_equal(bucket_of(top + 1), bucket + 1);
	}
}

/* What is past the range is in the last bucket, and the largest is known. */
static void test_the_last_bucket_takes_the_rest(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	histogram_add(&histogram, UINT64_MAX, 2);
	histogram_add(&histogram, histogram_bucket_top(HISTOGRAM_BUCKETS - 1) + 1, 1);
	assert_int_equal(histogram.counts[HISTOGRAM_BUCKETS - 1], 3);
	assert_int_equal(histogram.total, 3);
	assert_true(histogram.max_ns == UINT64_MAX);
	assert_true(
		histogram_quantile(&histogram, 0.5) == histogram_bucket_top(HISTOGRAM_BUCKETS - 1));
}

static void test_quantiles(void **state)
{
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 0.5), 0); /* of nothing */
	histogram_add(&histogram, 3, 50);
	histogram_add(&histogram, 1000, 49);
	histogram_add(&histogram, 5000, 1);
	assert_int_equal(histogram_quantile(&histogram, 0), 3);
	assert_int_equal(histogram_quantile(&histogram, 0.49), 3);
	assert_in_range(histogram_quantile(&histogram, 0.5), 1000, 1062);
	assert_in_range(histogram_quantile(&histogram, 0.98), 1000, 1062);
	/* Never more than the largest value, the last one also at 1. */
	assert_int_equal(histogram_quantile(&histogram, 0.99), 5000);
	assert_int_equal(histogram_quantile(&histogram, 1), 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bucket_bounds_its_values),
		cmocka_unit_test(test_tops_are_the_last_of_their_buckets),
		cmocka_unit_test(test_the_last_bucket_takes_the_rest),
		cmocka_unit_test(test_quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
