/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/histogram.h"

static uint32_t bucket_of(uint64_t value)
{
	uint32_t power, bucket;

	if (value < HISTOGRAM_STEPS)
		return (uint32_t)value;
	power = 63 - (uint32_t)__builtin_clzll(value);
	bucket = (power - 3) * HISTOGRAM_STEPS + ((value >> (power - 4)) & (HISTOGRAM_STEPS - 1));
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

uint64_t histogram_bucket_top(uint32_t bucket)
{
	uint32_t power = bucket / HISTOGRAM_STEPS + 3;

	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	return ((uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS + 1) << (power - 4)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns, uint64_t times)
{
	histogram->counts[bucket_of(value_ns)] += times;
	histogram->total += times;
	if (value_ns > histogram->max_ns)
		histogram->max_ns = value_ns;
}

uint64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
	uint64_t rank = (uint64_t)(fraction * (double)histogram->total), seen = 0;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->counts[i];
		if (seen > rank || (seen == histogram->total && seen > 0))
			return histogram_bucket_top(i) < histogram->max_ns ? histogram_bucket_top(i)
									   : histogram->max_ns;
	}
	return 0;
}
