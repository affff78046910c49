/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) over bytes; by instruction where the CPU has it. */
#ifndef UNDERSTUDY_CORE_CRC32C_H
#define UNDERSTUDY_CORE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Extends crc (0 to start) over bytes. Any thread; cannot fail. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t bytes_count);

#endif
