/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/fault_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_moment(struct fault_spec *spec, const char *moment)
{
	char *end;

	if (*moment == 0) {
		spec->at_once = true;
		return true;
	}
	if (strncmp(moment, "@packet=", 8) == 0) {
		spec->at_packet = strtoull(moment + 8, &end, 10);
		return moment[8] >= '0' && moment[8] <= '9' && *end == 0 && spec->at_packet > 0;
	}
	if (strncmp(moment, "@time=", 6) == 0) {
		double seconds = strtod(moment + 6, &end);

		if (end == moment + 6 || *end != 0 || !(seconds >= 0 && seconds < 1e6))
			return false;
		spec->at_time_ns = (uint64_t)(seconds * 1e9);
		return true;
	}
	return false;
}

const char *const service_names[SERVICES_COUNT + 1] = {"logger/packets", "logger/determinants",
	"logger/progress", "sequencer", "manager"};

static bool parse_action(struct fault_spec *spec, const char *action)
{
	static const char *const names[] =
		{[FAULT_KILL] = "kill", [FAULT_STOP] = "stop", [FAULT_FLIP] = "flip"};

	for (uint32_t i = FAULT_KILL; i <= FAULT_FLIP; i++)
		if (strcmp(action, names[i]) == 0)
			spec->action = (enum fault_action)i;
	return spec->action != 0;
}

static bool parse_service(struct fault_spec *spec, const char *target)
{
	for (uint32_t i = 0; i <= SERVICES_COUNT; i++)
		if (strcmp(target, service_names[i]) == 0) {
			spec->is_service = true;
			spec->service = i;
		}
	return spec->is_service;
}

enum status fault_spec_parse(struct fault_spec *spec, const char *text)
{
	char action[8], target[NAME_BYTES], moment[NAME_BYTES] = "", more[2], *slash;

	*spec = (struct fault_spec){0};
	if (sscanf(text, "%7s %63s %63s %1s", action, target, moment, more) < 2 ||
		sscanf(text, "%*s %*s %*s %1s", more) == 1)
		return STATUS_INVALID;
	if (!parse_action(spec, action) || !parse_moment(spec, moment))
		return STATUS_INVALID;
	if (parse_service(spec, target))
		return spec->action != FAULT_FLIP &&
				       (spec->at_packet == 0 || spec->service == SERVICE_SEQUENCER)
			       ? STATUS_OK
			       : STATUS_INVALID;
	/* Nobody but itself can change its state. */
	if (spec->action == FAULT_FLIP && spec->at_packet == 0)
		return STATUS_INVALID;
	slash = strchr(target, '/');
	if (slash == NULL || slash == target)
		return STATUS_INVALID;
	*slash = 0;
	snprintf(spec->stage, sizeof(spec->stage), "%s", target);
	if (strcmp(slash + 1, "slave") == 0)
		spec->slave = true;
	else if (strcmp(slash + 1, "master") != 0)
		return STATUS_INVALID;
	return STATUS_OK;
}
