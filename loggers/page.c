/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/page.h"

#include <stdarg.h>
#include <stdio.h>

const char *const logger_names[LOGGERS_COUNT] = {"packets", "determinants", "progress"};

struct page_failover *page_failover_of(struct page *page, const struct failover_subject *subject)
{
	for (uint32_t i = 0; i < page->failovers_count && i < FAILOVERS_MAX; i++) {
		struct page_failover *record = &page->failovers[i];

		if (record->t0_ns != 0 && record->role == subject->role &&
			record->replica == subject->number &&
			record->incarnation == subject->incarnation &&
			(record->role == ROLE_REPLICA || record->restored_ns == 0))
			return record;
	}
	return NULL;
}

struct page_failover *page_open_failover(struct page *page, const struct failover_subject *subject,
	const struct page_fault *fault, uint64_t now_ns)
{
	uint32_t index = atomic_add_seq_cst(&page->failovers_count, 1u);
	struct page_failover *record;

	if (index >= FAILOVERS_MAX) {
		(void)atomic_add_seq_cst(&page->failovers_count, (uint32_t)-1);
		return NULL;
	}
	(void)atomic_add_seq_cst(&page->open_failovers, 1u);
	record = &page->failovers[index];
	record->role = subject->role;
	record->stage = subject->stage;
	record->replica = subject->number;
	record->incarnation = subject->incarnation;
	record->was_master = subject->role == ROLE_REPLICA &&
			     page_leader(&page->stages[subject->stage])->incarnation ==
				     subject->incarnation;
	if (fault != NULL) {
		record->action = fault->action;
		record->at_packet = fault->at_packet;
	}
	record->open = 1;
	atomic_write_release(&record->t0_ns, now_ns);
	return record;
}

uint64_t page_base_batch(const struct page *page, uint32_t stages_count)
{
	uint64_t lowest = NO_BATCH;

	for (uint32_t s = 0; s < stages_count; s++) {
		uint64_t batch = atomic_read_acquire(&page->stages[s].base_batch);

		lowest = batch < lowest ? batch : lowest;
	}
	return lowest;
}

void page_journal_name(char *name, const char *stage, uint32_t replica, uint64_t incarnation)
{
	snprintf(name, NAME_BYTES, "%.32s-%u.%llu", stage, replica,
		(unsigned long long)incarnation);
}

void page_fail(struct page *page, const char *format, ...)
{
	uint64_t none = 0;
	va_list arguments;

	if (!atomic_swap_if(&page->failed, &none, 1ull))
		return;
	va_start(arguments, format);
	vsnprintf(page->error, sizeof(page->error), format, arguments);
	va_end(arguments);
	atomic_write_release(&page->failed, 2ull);
}
