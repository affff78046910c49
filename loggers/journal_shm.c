/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/journal_shm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_PATH_BYTES (PATH_BYTES + NAME_BYTES + 16)

static void path_of(char *path, const char *dir, const char *name, const char *suffix)
{
	snprintf(path, FILE_PATH_BYTES, "%s/%s%s", dir, name, suffix);
}

static enum status status_of_errno(void)
{
	switch (errno) {
	case ENOSPC:
	case ENOMEM:
		return STATUS_NO_ROOM;
	case EEXIST:
		return STATUS_EXISTS;
	case ENOENT:
		return STATUS_NOT_FOUND;
	default:
		return STATUS_IO;
	}
}

static void *map_file(int fd, size_t bytes, int protection)
{
	return mmap(NULL, bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
}

static enum status create_file(void **memory, const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum status status = STATUS_OK;

	if (fd < 0)
		return status_of_errno();
	if (fallocate(fd, 0, 0, (off_t)bytes) != 0)
		status = status_of_errno();
	if (status == STATUS_OK) {
		*memory = map_file(fd, bytes, PROT_READ | PROT_WRITE);
		if (*memory == MAP_FAILED)
			status = status_of_errno();
	}
	if (status != STATUS_OK)
		unlink(path);
	close(fd);
	return status;
}

static enum status open_file(void **memory, size_t *bytes, const char *path, bool writable)
{
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	struct stat stat;

	if (fd < 0)
		return status_of_errno();
	if (fstat(fd, &stat) != 0 || stat.st_size == 0) {
		close(fd);
		return STATUS_EMPTY;
	}
	*bytes = (size_t)stat.st_size;
	*memory = map_file(fd, *bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ);
	close(fd);
	return *memory == MAP_FAILED ? status_of_errno() : STATUS_OK;
}

static void unlink_through(const char *path)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	if (length > 0) {
		target[length] = 0;
		unlink(target);
	}
	unlink(path);
}

/* In huge pages where they are and suffice, linked from the place; else an ordinary file. */
static enum status create_ring(void **ring, const struct shm_place *place, const char *name,
	size_t bytes)
{
	char path[FILE_PATH_BYTES], huge[FILE_PATH_BYTES];

	path_of(path, place->dir, name, ".ring");
	if (place->huge_dir[0] != 0) {
		path_of(huge, place->huge_dir, name, ".ring");
		if (create_file(ring, huge, bytes) == STATUS_OK) {
			if (symlink(huge, path) == 0)
				return STATUS_OK;
			munmap(*ring, bytes);
			unlink(huge);
		}
	}
	return create_file(ring, path, bytes);
}

enum status journal_shm_create(struct journal *journal, const struct shm_place *place,
	const char *name, uint64_t ring_bytes, uint64_t first_batch, uint64_t incarnation,
	bool checked)
{
	char path[FILE_PATH_BYTES];
	void *control, *ring;
	enum status status;

	status = create_ring(&ring, place, name, ring_bytes);
	if (status != STATUS_OK)
		return status;
	path_of(path, place->dir, name, ".ctl");
	status = create_file(&control, path, sizeof(struct journal_control));
	if (status != STATUS_OK) {
		munmap(ring, ring_bytes);
		path_of(path, place->dir, name, ".ring");
		unlink_through(path);
		return status;
	}
	*journal = (struct journal){control, ring, ring_bytes / LINE_BYTES};
	journal_format(control, name, ring_bytes, first_batch, incarnation, checked);
	return STATUS_OK;
}

enum status journal_shm_open(struct journal *journal, const struct shm_place *place,
	const char *name)
{
	char path[FILE_PATH_BYTES];
	void *control, *ring;
	size_t control_bytes = 0, ring_bytes = 0;
	enum status status;

	path_of(path, place->dir, name, ".ctl");
	status = open_file(&control, &control_bytes, path, true);
	if (status != STATUS_OK)
		return status;
	path_of(path, place->dir, name, ".ring");
	status = open_file(&ring, &ring_bytes, path, false);
	if (status != STATUS_OK) {
		munmap(control, control_bytes);
		return status;
	}
	status = journal_check(control, control_bytes, ring_bytes);
	if (status != STATUS_OK) {
		munmap(control, control_bytes);
		munmap(ring, ring_bytes);
		return status;
	}
	*journal = (struct journal){control, ring, ring_bytes / LINE_BYTES};
	return STATUS_OK;
}

void journal_shm_close(struct journal *journal)
{
	if (journal->control == NULL)
		return;
	munmap(journal->ring, journal->ring_lines * LINE_BYTES);
	munmap(journal->control, sizeof(struct journal_control));
	journal->control = NULL;
}

void journal_shm_unlink(const struct shm_place *place, const char *name)
{
	char path[FILE_PATH_BYTES];

	path_of(path, place->dir, name, ".ring");
	unlink_through(path);
	path_of(path, place->dir, name, ".ctl");
	unlink(path);
}

enum status shm_page_create(void **page, const struct shm_place *place, const char *name,
	size_t bytes)
{
	char path[FILE_PATH_BYTES];

	path_of(path, place->dir, name, ".page");
	return create_file(page, path, bytes);
}

enum status shm_page_open(void **page, const struct shm_place *place, const char *name,
	size_t bytes)
{
	char path[FILE_PATH_BYTES];
	size_t found_bytes = 0;
	enum status status;

	path_of(path, place->dir, name, ".page");
	status = open_file(page, &found_bytes, path, true);
	if (status == STATUS_OK && found_bytes != bytes) {
		munmap(*page, found_bytes);
		return STATUS_VERSION;
	}
	return status;
}

static void remove_dir(const char *dir)
{
	DIR *opened = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];

	if (opened == NULL)
		return;
	while ((entry = readdir(opened)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		unlink_through(path);
	}
	closedir(opened);
	rmdir(dir);
}

void shm_place_remove(const struct shm_place *place)
{
	if (place->huge_dir[0] != 0)
		remove_dir(place->huge_dir);
	remove_dir(place->dir);
}
