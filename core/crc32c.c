/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/crc32c.h"

#include <string.h>

#define POLYNOMIAL_REFLECTED 0x82f63b78u

static uint32_t crc32c_by_bit(uint32_t crc, const uint8_t *bytes, size_t bytes_count)
{
	for (size_t i = 0; i < bytes_count; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (POLYNOMIAL_REFLECTED & -(crc & 1));
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t crc,
	const uint8_t *bytes, size_t bytes_count)
{
	uint64_t wide = crc;

	for (; bytes_count >= 8; bytes += 8, bytes_count -= 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; bytes_count > 0; bytes++, bytes_count--)
		crc = __builtin_ia32_crc32qi(crc, *bytes);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t bytes_count)
{
	crc = ~crc;
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_by_instruction(crc, bytes, bytes_count);
#endif
	return ~crc32c_by_bit(crc, bytes, bytes_count);
}
