/* SPDX-License-Identifier: BSD-3-Clause */
/* Named numbers that a replica shows to people: counters of its VNFs, and what these say. */
#ifndef UNDERSTUDY_CORE_FIGURES_H
#define UNDERSTUDY_CORE_FIGURES_H

#include <stdint.h>

#include "core/limits.h"

struct figure {
	char name[FIGURE_NAME_BYTES]; /* "nat/outbound", "load_balancer/192.0.2.7/connections" */
	uint64_t value;
};

/* One writer; readers see each value whole, names stay once they are there. */
struct figures {
	uint32_t count;
	struct figure list[FIGURES_MAX];
};

#endif
