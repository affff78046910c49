/* SPDX-License-Identifier: BSD-3-Clause */
/* A log-linear histogram of nanoseconds (16 steps per power of two, error under 6.3%), fixed size,
 * zeroed to start; one writer, any reader. */
#ifndef UNDERSTUDY_CORE_HISTOGRAM_H
#define UNDERSTUDY_CORE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 16
#define HISTOGRAM_BUCKETS (44 * HISTOGRAM_STEPS)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t total;
	uint64_t max_ns;
};

void histogram_add(struct histogram *histogram, uint64_t value_ns, uint64_t times);

/* The largest value of a bucket. */
uint64_t histogram_bucket_top(uint32_t bucket);

/* The upper edge of the bucket that holds the given fraction (0 to 1); 0 if empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double fraction);

#endif
