/* SPDX-License-Identifier: BSD-3-Clause */
#include <openssl/sha.h>

#include "loggers/audit.h"

void audit_hash(const char *text, size_t bytes, char hash[AUDIT_HASH_BYTES])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, bytes, digest);
	for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
		snprintf(hash + 2 * i, 3, "%02x", digest[i]);
}
