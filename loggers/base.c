/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/base.h"

#include <stdio.h>

void base_name(char name[NAME_BYTES], uint64_t epoch)
{
	snprintf(name, NAME_BYTES, BASE_NAME_PREFIX "%llu", (unsigned long long)epoch);
}

static const struct page_epoch *epoch_of(const struct page *page, uint64_t epoch)
{
	return &page->epochs[epoch % EPOCHS_MAX];
}

static enum status open_epoch(struct base *base, uint64_t epoch)
{
	char name[NAME_BYTES];

	base_name(name, epoch);
	base->epoch = epoch;
	return journal_shm_open(&base->journal, base->place, name);
}

/* The input as of the journal's end. */
static enum status find_admitted(const struct page *page, uint64_t end_line,
	struct page_admitted *from)
{
	*from = (struct page_admitted){0};
	if (end_line == 0)
		return STATUS_OK; /* nothing was ever published */
	for (uint32_t i = 0; i < 2; i++)
		if (page->ingress.admitted[i].line == end_line) {
			*from = page->ingress.admitted[i];
			return STATUS_OK;
		}
	return STATUS_CORRUPT;
}

uint64_t base_restart_batch(const struct page *page, uint32_t stages_count)
{
	uint64_t lowest = page_base_batch(page, stages_count);

	/* The last one tells from where the input goes on. */
	return page->restart.durable_batch == 0		  ? 0
	       : lowest < page->restart.durable_batch - 1 ? lowest
							  : page->restart.durable_batch - 1;
}

enum status base_create(struct base *base, uint64_t ring_bytes, uint64_t first_batch,
	struct page_admitted *from)
{
	struct base former = {.place = base->place};
	char name[NAME_BYTES];
	enum status status = STATUS_OK;

	*from = (struct page_admitted){0};
	base->epoch = base->page->epoch + 1;
	base_name(name, base->epoch);
	journal_shm_unlink(base->place, name); /* of one that died before it announced it */
	if (base->epoch > 1) {
		status = open_epoch(&former, base->epoch - 1);
		if (status == STATUS_OK)
			status = find_admitted(base->page, journal_seal(&former.journal), from);
	}
	if (from->line == 0)
		from->next_batch = first_batch;
	if (status == STATUS_OK)
		status = journal_shm_create(&base->journal, base->place, name, ring_bytes,
			from->next_batch, base->epoch, false);
	if (status == STATUS_OK && base->epoch > 1)
		journal_continue(&base->journal, &former.journal);
	journal_shm_close(&former.journal);
	return status;
}

void base_announce(struct base *base)
{
	base->page->epochs[base->epoch % EPOCHS_MAX] =
		(struct page_epoch){base->journal.control->first_batch,
			base->journal.control->first_line};
	atomic_write_release(&base->page->epoch, base->epoch);
}

enum status base_open(struct base *base, uint64_t line)
{
	uint64_t epoch = atomic_read_acquire(&base->page->epoch);

	while (epoch > 1 && epoch_of(base->page, epoch)->first_line > line)
		epoch--;
	return epoch == 0 ? STATUS_NOT_FOUND : open_epoch(base, epoch);
}

enum status base_succeed(struct base *base, struct journal_reader *reader, enum journal_gate gate,
	const char *name)
{
	uint64_t newest = atomic_read_acquire(&base->page->epoch);
	uint64_t epoch = atomic_read_acquire(&base->page->forgotten_epoch) + 1;
	enum status status = STATUS_NOT_FOUND;

	for (; epoch <= newest; epoch++) {
		status = open_epoch(base, epoch);
		if (status != STATUS_OK && epoch < newest)
			continue; /* forgotten just now */
		if (status != STATUS_OK)
			break;
		if (epoch == newest || journal_awaits(&base->journal, name))
			return journal_succeed(reader, &base->journal, gate, name);
		journal_shm_close(&base->journal);
	}
	return status;
}

/* Maps another epoch's in place of the present one, with the reader. */
static enum status go_on(struct base *base, struct journal_reader *reader, struct base *next)
{
	enum status status = journal_follow(reader, &next->journal);

	if (status != STATUS_OK) {
		journal_shm_close(&next->journal);
		return status;
	}
	if (base->idle != NULL)
		idle_reset(base->idle); /* it may be armed on the journal that goes */
	journal_shm_close(&base->journal);
	base->journal = next->journal;
	base->epoch = next->epoch;
	reader->journal = &base->journal;
	return STATUS_OK;
}

enum status base_follow(struct base *base, struct journal_reader *reader)
{
	struct base next = {.page = base->page, .place = base->place};
	uint64_t forgotten = atomic_read_acquire(&base->page->forgotten_epoch);
	enum status status;

	if (atomic_read_acquire(&base->page->epoch) == base->epoch)
		return STATUS_EMPTY;
	/* Those whose gateways published nothing may be gone before their readers came by. */
	status = open_epoch(&next, (forgotten > base->epoch ? forgotten : base->epoch) + 1);
	if (status == STATUS_OK && next.journal.control->first_line > reader->position) {
		journal_shm_close(&next.journal);
		status = STATUS_LAPPED;
	}
	return status == STATUS_OK ? go_on(base, reader, &next) : status;
}

enum status base_move_to(struct base *base, struct journal_reader *reader, uint64_t line)
{
	struct base next = {.page = base->page, .place = base->place};
	enum status status = STATUS_OK;

	if (line >= base_end(base)) {
		status = base_open(&next, line);
		if (status == STATUS_OK)
			status = go_on(base, reader, &next);
	}
	if (status == STATUS_OK && line > reader->position)
		journal_move_to(reader, line);
	return status;
}

uint64_t base_end(const struct base *base)
{
	return atomic_read_acquire(&base->page->epoch) == base->epoch
		       ? UINT64_MAX
		       : epoch_of(base->page, base->epoch + 1)->first_line;
}

void base_forget(struct page *page, const struct shm_place *place, uint64_t line, uint64_t batch)
{
	uint64_t newest = atomic_read_acquire(&page->epoch);
	char name[NAME_BYTES];

	while (page->forgotten_epoch + 1 < newest) {
		const struct page_epoch *next = epoch_of(page, page->forgotten_epoch + 2);

		if (next->first_line > line || next->first_batch > batch)
			return;
		atomic_write_release(&page->forgotten_epoch, page->forgotten_epoch + 1);
		base_name(name, page->forgotten_epoch);
		journal_shm_unlink(place, name);
	}
}
