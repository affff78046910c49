/* SPDX-License-Identifier: BSD-3-Clause */
/* Journals as files: made whole or not at all, opened only if sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loggers/journal_shm.h"

#define RING_BYTES (1u << 16)

static struct shm_place place;

static int make_place(void **state)
{
	(void)state;
	memset(&place, 0, sizeof(place));
	snprintf(place.dir, sizeof(place.dir), "/dev/shm/understudy-shm.XXXXXX");
	return mkdtemp(place.dir) == NULL;
}

static int drop_place(void **state)
{
	(void)state;
	shm_place_remove(&place);
	return access(place.dir, F_OK) == 0;
}

static uint32_t files_in(const char *dir)
{
	DIR *opened = opendir(dir);
	struct dirent *entry;
	uint32_t count = 0;

	assert_non_null(opened);
	while ((entry = readdir(opened)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(opened);
	return count;
}

static void touch(const char *suffix, size_t bytes)
{
	char path[PATH_BYTES + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", place.dir, suffix);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static enum status create(struct journal *journal)
{
	return journal_shm_create(journal, &place, "j", RING_BYTES, 5, 9, true);
}

static void test_create_write_open_read(void **state)
{
	struct journal journal, mapped;
	struct journal_writer writer;
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes;
	struct stat stat_of;
	char path[PATH_BYTES + 64];
	void *room;

	(void)state;
	assert_int_equal(create(&journal), STATUS_OK);
	assert_int_equal(create(&mapped), STATUS_EXISTS);
	snprintf(path, sizeof(path), "%s/j.ring", place.dir);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
	assert_int_equal(stat_of.st_size, RING_BYTES);
	assert_int_equal(journal_writer_open(&writer, &journal, 1), STATUS_OK);
	assert_int_equal(journal_reserve(&writer, 5, &room), STATUS_OK);
	memcpy(room, "hello", 5);
	assert_int_equal(journal_publish(&writer, 5, 6), STATUS_OK);
	assert_int_equal(journal_shm_open(&mapped, &place, "j"), STATUS_OK);
	assert_int_equal(mapped.control->first_batch, 5);
	assert_int_equal(mapped.control->incarnation, 9);
	assert_int_equal(journal_attach(&reader, &mapped, GATE_REQUIRED, 0, "r", 0), STATUS_OK);
	assert_int_equal(journal_peek(&reader, &payload, &bytes), STATUS_OK);
	assert_int_equal(bytes, 5);
	assert_memory_equal(payload, "hello", 5);
	/* The files go; the mappings stay. */
	journal_shm_unlink(&place, "j");
	assert_int_equal(files_in(place.dir), 0);
	assert_int_equal(journal_shm_open(&(struct journal){0}, &place, "j"), STATUS_NOT_FOUND);
	assert_memory_equal(payload, "hello", 5);
	journal_detach(&reader);
	journal_give_back(&reader);
	owner_release(&journal.control->owner);
	journal_shm_close(&mapped);
	journal_shm_close(&journal);
	journal_shm_close(&journal); /* closed already: nothing */
}

/* Every error of create leaves what was there, and nothing new. */
static void test_exists_leaves_nothing(void **state)
{
	struct journal journal;

	(void)state;
	touch("j.ring", 0);
	assert_int_equal(create(&journal), STATUS_EXISTS);
	assert_int_equal(files_in(place.dir), 1);
	journal_shm_unlink(&place, "j");
	touch("j.ctl", 0);
	assert_int_equal(create(&journal), STATUS_EXISTS);
	assert_int_equal(files_in(place.dir), 1);
}

static void test_no_room_for_ring(void **state)
{
	struct journal journal;

	(void)state;
	assert_int_equal(journal_shm_create(&journal, &place, "j", 1ull << 46, 0, 1, true),
		STATUS_NO_ROOM);
	assert_int_equal(files_in(place.dir), 0);
	snprintf(place.dir + strlen(place.dir), 8, "/none");
	assert_int_equal(create(&journal), STATUS_NOT_FOUND);
	place.dir[strlen(place.dir) - 5] = 0;
}

/* Exit status of a child with a file system of its own, just too small for the control file. */
static int create_on_small_disk(size_t disk_bytes)
{
	struct journal journal;
	char options[64];
	enum status status;

	snprintf(options, sizeof(options), "size=%zu", disk_bytes);
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", place.dir, "tmpfs", 0, options) != 0)
		return 77;
	status = create(&journal);
	if (disk_bytes >= RING_BYTES + sizeof(struct journal_control))
		return status == STATUS_OK ? 0 : 1;
	if (status != STATUS_NO_ROOM)
		return 2;
	return files_in(place.dir) == 0 ? 0 : 3;
}

static void test_no_room_for_control(void **state)
{
	static const size_t disks[] = {RING_BYTES / 2, RING_BYTES, RING_BYTES + 4096,
		RING_BYTES + sizeof(struct journal_control) + 8192};

	(void)state;
	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(create_on_small_disk(disks[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void test_open_checks(void **state)
{
	struct journal journal, opened;

	(void)state;
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_NOT_FOUND);
	touch("j.ctl", 0);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_EMPTY);
	touch("j.ctl", sizeof(struct journal_control));
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_NOT_FOUND);
	touch("j.ring", RING_BYTES);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_EMPTY);
	touch("j.ctl", 100);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_EMPTY);
	journal_shm_unlink(&place, "j");
	assert_int_equal(create(&journal), STATUS_OK);
	journal.control->magic ^= 1;
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_VERSION);
	journal.control->magic ^= 1;
	touch("j.ring", RING_BYTES * 2);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_CORRUPT);
	touch("j.ring", RING_BYTES);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_OK);
	journal_shm_close(&opened);
	journal_shm_close(&journal);
}

/* Rings in another directory, as on a hugetlbfs mount; the place takes both away. */
static void test_huge_dir(void **state)
{
	struct journal journal, opened;

	(void)state;
	snprintf(place.huge_dir, sizeof(place.huge_dir), "%s.huge", place.dir);
	assert_int_equal(mkdir(place.huge_dir, 0700), 0);
	assert_int_equal(create(&journal), STATUS_OK);
	assert_int_equal(files_in(place.huge_dir), 1);
	assert_int_equal(journal_shm_open(&opened, &place, "j"), STATUS_OK);
	assert_int_equal(opened.ring_lines, RING_BYTES / LINE_BYTES);
	journal_shm_close(&opened);
	journal_shm_close(&journal);
	journal_shm_unlink(&place, "j");
	assert_int_equal(files_in(place.huge_dir), 0);
	assert_int_equal(files_in(place.dir), 0);
	assert_int_equal(create(&journal), STATUS_OK);
	journal_shm_close(&journal);
	shm_place_remove(&place);
	assert_int_not_equal(access(place.huge_dir, F_OK), 0);
}

static void test_pages(void **state)
{
	void *page, *same;

	(void)state;
	assert_int_equal(shm_page_open(&page, &place, "p", 8192), STATUS_NOT_FOUND);
	assert_int_equal(shm_page_create(&page, &place, "p", 8192), STATUS_OK);
	assert_int_equal(shm_page_create(&same, &place, "p", 8192), STATUS_EXISTS);
	assert_int_equal(shm_page_open(&same, &place, "p", 4096), STATUS_VERSION);
	assert_int_equal(shm_page_open(&same, &place, "p", 8192), STATUS_OK);
	assert_int_equal(((char *)same)[8191], 0);
	((char *)page)[8191] = 7;
	assert_int_equal(((char *)same)[8191], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create_write_open_read, make_place,
			drop_place),
		cmocka_unit_test_setup_teardown(test_exists_leaves_nothing, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_no_room_for_ring, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_no_room_for_control, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_open_checks, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_huge_dir, make_place, drop_place),
		cmocka_unit_test_setup_teardown(test_pages, make_place, drop_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
