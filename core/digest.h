/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests that replicas are compared by: XXH3-64 of what a transaction did, summed so that the
 * order of independent parts (home shards, table slots) does not matter. DESIGN section 5.
 */
#ifndef UNDERSTUDY_CORE_DIGEST_H
#define UNDERSTUDY_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t digest_of(const void *bytes, size_t bytes_count, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes, bytes_count, seed);
}

/* One mixing step (Murmur3's finalizer) for values that are already words. */
static inline uint64_t digest_mix(uint64_t v)
{
	v ^= v >> 33;
	v *= 0xff51afd7ed558ccdull;
	v ^= v >> 33;
	v *= 0xc4ceb9fe1a85ec53ull;
	return v ^ (v >> 33);
}

/* As digest_of, of whole words; bytes are a multiple of 8. Short ones are mixed in place. */
static inline uint64_t digest_of_words(const void *bytes, size_t bytes_count, uint64_t seed)
{
	const uint64_t *words = bytes;
	uint64_t digest = seed;

	if (bytes_count > 16)
		return digest_of(bytes, bytes_count, seed);
	for (size_t i = 0; i < bytes_count / 8; i++)
		digest = digest_mix(digest_mix(digest) ^ words[i]);
	return digest;
}

#endif
