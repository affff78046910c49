/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a VNF's settings: every mistake becomes one line in setup->error. */
#ifndef UNDERSTUDY_VNF_SETTINGS_H
#define UNDERSTUDY_VNF_SETTINGS_H

#include "vnf/understudy_vnf.h"

struct settings_prefix {
	uint32_t address; /* host order */
	uint32_t mask;
};

static inline bool settings_within(const struct settings_prefix *prefixes, uint32_t count,
	uint32_t address)
{
	for (uint32_t i = 0; i < count; i++)
		if ((address & prefixes[i].mask) == prefixes[i].address)
			return true;
	return false;
}

/* False with setup->error if a key is not among known (NULL-terminated). */
bool settings_known(struct vnf_setup *setup, const char *const *known);

const struct vnf_setting *settings_find(const struct vnf_setup *setup, const char *key);

/* *value stays as it is where the key is absent. */
bool settings_number(struct vnf_setup *setup, const char *key, uint32_t min, uint32_t max,
	uint32_t *value);
bool settings_choice(struct vnf_setup *setup, const char *key, const char *yes, const char *no,
	bool *value);

/* IPv4 addresses and prefixes; false if absent, malformed or more than max. */
bool settings_prefixes(struct vnf_setup *setup, const char *key, struct settings_prefix *prefixes,
	uint32_t max, uint32_t *count);

/* Sets the error line; always false. */
bool settings_fail(struct vnf_setup *setup, uint32_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
