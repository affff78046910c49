/* SPDX-License-Identifier: BSD-3-Clause */
/* Unaligned little-endian and network-order loads and stores; all records are little-endian. */
#ifndef UNDERSTUDY_CORE_BYTES_H
#define UNDERSTUDY_CORE_BYTES_H

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are copied as little-endian");

static inline uint16_t load_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline void store_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void store_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static inline uint64_t load_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

#define ALIGN_UP(v, to) (((v) + (to)-1) / (to) * (to))

/* A frame's bytes: the first 64, often all, by a copy of fixed size, which needs no call. */
static inline void copy_frame(uint8_t *to, const uint8_t *from, size_t bytes)
{
	if (bytes < 64) {
		memcpy(to, from, bytes);
		return;
	}
	memcpy(to, from, 64);
	if (bytes > 64)
		memcpy(to + 64, from + 64, bytes - 64);
}

#endif
