/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/faults.h"

#include <stdio.h>
#include <string.h>

#include "core/fault_spec.h"

/* A place that was never used, or whose fault is over. NULL: all are armed. */
static struct page_fault *free_place(struct page *page)
{
	for (uint32_t i = 0; i < page->faults_count; i++)
		if (atomic_read_acquire(&page->faults[i].state) == FAULT_RAISED &&
			page->faults[i].at_packet == 0)
			return &page->faults[i];
	return page->faults_count < FAULTS_MAX ? &page->faults[page->faults_count] : NULL;
}

enum status fault_arm(struct page *page, const struct config *config, const char *text, char *error)
{
	struct fault_spec spec;
	struct page_fault *fault = free_place(page);
	uint32_t stage = 0;

	if (fault_spec_parse(&spec, text) != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"'%.100s' is not a fault: use kill|stop STAGE/master|slave "
			"[@packet=K|@time=S], or flip STAGE/master|slave @packet=K, or kill|stop "
			"sequencer [@packet=K|@time=S], or kill|stop manager|logger/NAME "
			"[@time=S]",
			text);
		return STATUS_INVALID;
	}
	if (spec.is_service && !config->protect) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"'%.100s': nothing protects it in an unprotected run", text);
		return STATUS_INVALID;
	}
	while (!spec.is_service && stage < config->stages_count &&
		strcmp(config->stages[stage].name, spec.stage) != 0)
		stage++;
	if (stage == config->stages_count) {
		snprintf(error, CONFIG_ERROR_BYTES, "'%.100s': the chain has no stage '%s'", text,
			spec.stage);
		return STATUS_INVALID;
	}
	if (fault == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "'%.100s': %d faults are armed already", text,
			FAULTS_MAX);
		return STATUS_FULL;
	}
	*fault = (struct page_fault){
		.state = FAULT_FREE,
		.action = spec.action,
		.target = spec.is_service ? TARGET_SERVICE
			  : spec.slave	  ? TARGET_SLAVE
					  : TARGET_MASTER,
		.stage = spec.is_service ? spec.service : stage,
		.at_packet = spec.at_packet,
		.at_time_ns = spec.at_time_ns,
	};
	atomic_write_release(&fault->state, (uint32_t)FAULT_ARMED);
	if (fault == &page->faults[page->faults_count])
		(void)atomic_add_seq_cst(&page->faults_count, 1u);
	return STATUS_OK;
}
