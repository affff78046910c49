/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ref (DESIGN section 10): a single-threaded, failure-free run over the same input, and the
 * comparison
 * of an output capture with it.
 */
#ifndef UNDERSTUDY_REFERENCE_H
#define UNDERSTUDY_REFERENCE_H

#include "core/config.h"
#include "loggers/page.h"

struct reference_verdict {
	bool judged; /* false: the input or output is no capture, or the clock is the wall's */
	uint64_t expected, found;
	uint64_t lost, duplicated, reordered;
	uint64_t unexpected; /* frames that Ref never sends: changed bytes */
};

/*
 * Runs Ref over config's input capture, less what the page says was set aside, and compares it with
 * its output capture. error: one line.
 */
MUST_CHECK enum status reference_judge(const struct config *config, const struct page *page,
	struct reference_verdict *verdict, char *error);

#endif
