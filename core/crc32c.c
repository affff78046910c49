/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/crc32c.h"

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *bytes, size_t bytes_count)
{
	/* The library takes and gives the register, not the value; it does not write. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)bytes_count, ~crc);
}
