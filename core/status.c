/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/status.h"

const char *status_text(enum status status)
{
	static const char *const texts[] = {
#define X(name, text) text,
		STATUS_MAP(X)
#undef X
	};

	if ((unsigned int)status >= sizeof(texts) / sizeof(texts[0]))
		return "unknown status";
	return texts[status];
}
