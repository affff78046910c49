/* SPDX-License-Identifier: BSD-3-Clause */
/* The Internet checksum (RFC 1071), as the tests reckon it. */
#ifndef UNDERSTUDY_TESTS_UNIT_VNF_CHECKSUM_H
#define UNDERSTUDY_TESTS_UNIT_VNF_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

/* Of big-endian words, odd bytes padded, folded and not inverted; start: of what comes before. */
static inline uint16_t sum_of(const uint8_t *at, size_t bytes, uint32_t start)
{
	uint64_t sum = start;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += load_be16(at + i);
	if (bytes % 2 != 0)
		sum += (uint32_t)at[bytes - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
