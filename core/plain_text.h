/* SPDX-License-Identifier: BSD-3-Clause */
/* Text from anywhere as the inside of a JSON string. */
#ifndef UNDERSTUDY_CORE_PLAIN_TEXT_H
#define UNDERSTUDY_CORE_PLAIN_TEXT_H

#include <stddef.h>

/* Copies up to text_bytes, or to a NUL; cuts at out_bytes; what JSON would escape becomes '?'. */
static inline void plain_text(char *out, size_t out_bytes, const char *text, size_t text_bytes)
{
	size_t i = 0;

	for (; i < text_bytes && text[i] != 0 && i + 1 < out_bytes; i++)
		out[i] = (unsigned char)text[i] < 32 || text[i] == '"' || text[i] == '\\' ? '?'
											  : text[i];
	out[i] = 0;
}

#endif
