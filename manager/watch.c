/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/watch.h"

#include "core/mutants.h"

bool watch_step(struct watch *watch, const struct watch_sight *sight, uint64_t now_ns,
	uint64_t hang_ns)
{
	bool suspicious = sight->outstanding && (sight->stopped || !sight->waits_on_others);

	if (!suspicious || watch->since_ns == 0 || sight->progress != watch->progress) {
		watch->progress = sight->progress;
		watch->since_ns = suspicious ? now_ns : 0;
		watch->cpu_ns = sight->cpu_ns;
		return false;
	}
	if (now_ns - watch->since_ns < hang_ns || MUTANT(IGNORE_HANG))
		return false;
	return sight->stopped || sight->blocked || sight->cpu_ns - watch->cpu_ns >= hang_ns;
}
