/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fault as people write it: "kill edge/master @packet=5000", "stop edge/slave @time=1.5",
 * or now; "kill sequencer @packet=5000"; and others by time: "stop logger/packets @time=2", "kill
 * manager". "flip edge/slave @packet=5000" changes a bit of its state, as bad memory does.
 */
#ifndef UNDERSTUDY_CORE_FAULT_SPEC_H
#define UNDERSTUDY_CORE_FAULT_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/status.h"

/* By number; the last is the manager's, which is none. */
extern const char *const service_names[SERVICES_COUNT + 1];

enum fault_action { FAULT_KILL = 1, FAULT_STOP = 2, FAULT_FLIP = 3 };

struct fault_spec {
	enum fault_action action;
	bool slave; /* a slave instead of the master */
	bool is_service;
	uint32_t service; /* by number; SERVICES_COUNT: the manager */
	char stage[NAME_BYTES];
	uint64_t at_packet;  /* the K-th admitted, from 1; 0: not by packet */
	uint64_t at_time_ns; /* after the first packet */
	bool at_once;
};

/* Errors: INVALID. */
MUST_CHECK enum status fault_spec_parse(struct fault_spec *spec, const char *text);

#endif
