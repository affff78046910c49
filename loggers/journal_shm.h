/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Journals as files in shared memory: NAME.ctl (control, read-write to all) and NAME.ring (data,
 * read-write to its one writer). Memory is allocated and populated at creation, or refused; locked
 * where the limits permit; in huge pages where there are any.
 */
#ifndef UNDERSTUDY_LOGGERS_JOURNAL_SHM_H
#define UNDERSTUDY_LOGGERS_JOURNAL_SHM_H

#include "loggers/journal.h"

struct shm_place {
	char dir[PATH_BYTES]; /* private to its owner; control files and rings */
	char huge_dir
		[PATH_BYTES]; /* on a hugetlbfs mount, or empty: rings are then linked from dir */
};

/*
 * Creates a journal and maps it for writing. Errors: EXISTS (never reopened for writing), NO_ROOM,
 * IO. Nothing is left behind on an error.
 */
MUST_CHECK enum status journal_shm_create(struct journal *journal, const struct shm_place *place,
	const char *name, uint64_t ring_bytes, uint64_t first_batch, uint64_t incarnation,
	bool checked);

/* Maps a journal read-only (its control file read-write). Errors: NOT_FOUND, EMPTY (not yet ready),
 * VERSION, CORRUPT, IO. */
MUST_CHECK enum status journal_shm_open(struct journal *journal, const struct shm_place *place,
	const char *name);

void journal_shm_close(struct journal *journal);

/* Takes the files away; mappings stay valid until closed. */
void journal_shm_unlink(const struct shm_place *place, const char *name);

/* Any other shared page of bytes, zeroed, by name. Errors as above. */
MUST_CHECK enum status shm_page_create(void **page, const struct shm_place *place, const char *name,
	size_t bytes);
MUST_CHECK enum status shm_page_open(void **page, const struct shm_place *place, const char *name,
	size_t bytes);

/* Removes everything a former run left in the place, and the place. */
void shm_place_remove(const struct shm_place *place);

#endif
