/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/settings.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool settings_fail(struct vnf_setup *setup, uint32_t line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(setup->error, setup->error_bytes, format, arguments);
	va_end(arguments);
	setup->error_line = line;
	return false;
}

bool settings_known(struct vnf_setup *setup, const char *const *known)
{
	for (uint32_t i = 0; i < setup->settings_count; i++) {
		const struct vnf_setting *setting = &setup->settings[i];
		uint32_t k = 0;

		while (known[k] != NULL && strcmp(known[k], setting->key) != 0)
			k++;
		if (known[k] == NULL)
			return settings_fail(setup, setting->line, "unknown key '%s'",
				setting->key);
	}
	return true;
}

const struct vnf_setting *settings_find(const struct vnf_setup *setup, const char *key)
{
	for (uint32_t i = 0; i < setup->settings_count; i++)
		if (strcmp(setup->settings[i].key, key) == 0)
			return &setup->settings[i];
	return NULL;
}

bool settings_number(struct vnf_setup *setup, const char *key, uint32_t min, uint32_t max,
	uint32_t *value)
{
	const struct vnf_setting *setting = settings_find(setup, key);
	unsigned long long number;
	char *end;

	if (setting == NULL)
		return true;
	if (setting->values_count != 1)
		return settings_fail(setup, setting->line, "'%s' takes one number", key);
	number = strtoull(setting->values[0], &end, 10);
	if (setting->values[0][0] < '0' || setting->values[0][0] > '9' || *end != 0 ||
		number < min || number > max)
		return settings_fail(setup, setting->line,
			"'%s' is '%s': use a number from %u to %u", key, setting->values[0], min,
			max);
	*value = (uint32_t)number;
	return true;
}

bool settings_choice(struct vnf_setup *setup, const char *key, const char *yes, const char *no,
	bool *value)
{
	const struct vnf_setting *setting = settings_find(setup, key);

	if (setting == NULL)
		return true;
	if (setting->values_count == 1 && strcmp(setting->values[0], yes) == 0)
		*value = true;
	else if (setting->values_count == 1 && strcmp(setting->values[0], no) == 0)
		*value = false;
	else
		return settings_fail(setup, setting->line, "'%s' is %s or %s", key, yes, no);
	return true;
}

static bool parse_prefix(const char *text, struct settings_prefix *prefix)
{
	char address[32];
	const char *slash = strchr(text, '/');
	size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
	struct in_addr parsed;
	char *end;
	long bits = 32;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = 0;
	if (inet_pton(AF_INET, address, &parsed) != 1)
		return false;
	if (slash != NULL) {
		bits = strtol(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end != 0 || bits > 32)
			return false;
	}
	prefix->mask = bits == 0 ? 0 : ~0u << (32 - bits);
	prefix->address = ntohl(parsed.s_addr);
	return (prefix->address & ~prefix->mask) == 0;
}

bool settings_prefixes(struct vnf_setup *setup, const char *key, struct settings_prefix *prefixes,
	uint32_t max, uint32_t *count)
{
	const struct vnf_setting *setting = settings_find(setup, key);

	*count = 0;
	if (setting == NULL || setting->values_count == 0)
		return settings_fail(setup, 0, "'%s' is missing: give IPv4 addresses or prefixes",
			key);
	if (setting->values_count > max)
		return settings_fail(setup, setting->line, "'%s' has more than %u entries", key,
			max);
	for (uint32_t i = 0; i < setting->values_count; i++)
		if (!parse_prefix(setting->values[i], &prefixes[(*count)++]))
			return settings_fail(setup, setting->line,
				"'%s' has '%s': use an IPv4 address or prefix such as 10.0.0.0/8",
				key, setting->values[i]);
	return true;
}
