/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Digests that replicas are compared by: hashes of what a transaction did, summed so that the order
 * of independent parts (home shards, table slots) does not matter. DESIGN section 5. XXH3-64 for
 * what is long; what every packet has a few words of is folded in place, in a third of the time.
 */
#ifndef UNDERSTUDY_CORE_DIGEST_H
#define UNDERSTUDY_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* One step of a hash of words: the two halves of a product (as in wyhash and XXH3). */
static inline uint64_t digest_fold(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define DIGEST_ODD 0x9e3779b97f4a7c15ull
#define DIGEST_ODD2 0xd6e8feb86659fd93ull

/* For keys and values, each packet's: whole words. */
static inline uint64_t digest_of_words(const void *bytes, size_t bytes_count, uint64_t seed)
{
	const uint64_t *words = bytes;
	uint64_t digest = seed ^ DIGEST_ODD;
	size_t left = bytes_count;

	for (; left > 16; left -= 16, words += 2)
		digest = digest_fold(words[0] ^ DIGEST_ODD2, words[1] ^ digest);
	if (left > 0)
		digest = digest_fold(words[0] ^ DIGEST_ODD2, (left > 8 ? words[1] : 0) ^ digest);
	return digest_fold(digest ^ DIGEST_ODD2, bytes_count ^ DIGEST_ODD);
}

#define DIGEST_SLACK_BYTES 15

static inline uint64_t digest_fold16(const uint8_t *bytes, uint64_t digest)
{
	uint64_t words[2];

	memcpy(words, bytes, sizeof(words));
	return digest_fold(words[0] ^ DIGEST_ODD2, words[1] ^ digest);
}

/* For what is short, of any length; DIGEST_SLACK_BYTES beyond it are touched, to no effect. */
static inline uint64_t digest_of_short(const uint8_t *bytes, size_t bytes_count, uint64_t seed)
{
	uint64_t digest = seed ^ DIGEST_ODD, words[2];

	if (bytes_count >= 16) {
		for (size_t at = 0; at + 16 < bytes_count; at += 16)
			digest = digest_fold16(bytes + at, digest);
		digest = digest_fold16(bytes + bytes_count - 16, digest);
	} else if (bytes_count > 0) {
		memcpy(words, bytes, sizeof(words));
		words[0] &= bytes_count >= 8 ? ~0ull : (1ull << bytes_count * 8) - 1;
		words[1] &= bytes_count <= 8 ? 0 : (1ull << (bytes_count - 8) * 8) - 1;
		digest = digest_fold(words[0] ^ DIGEST_ODD2, words[1] ^ digest);
	}
	return digest_fold(digest ^ DIGEST_ODD2, bytes_count ^ DIGEST_ODD);
}

#endif
