/* SPDX-License-Identifier: BSD-3-Clause */
/* What the processes of a chain hold, as /proc tells it. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "measure.h"

static uint32_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	uint32_t count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

static pid_t parent_of(const char *pid)
{
	char path[PATH_BYTES], line[512], *end;
	FILE *file;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	end = fgets(line, sizeof(line), file) == NULL ? NULL : strrchr(line, ')');
	fclose(file);
	return end != NULL && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

void measure_resources(struct measure_held *held, pid_t supervisor, const struct shm_place *place)
{
	FILE *file = fopen("/proc/meminfo", "re");
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char line[PATH_BYTES];

	*held = (struct measure_held){.shm_files = count_entries(place->dir)};
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		(void)!sscanf(line, "HugePages_Free: %ld", &held->free_hugepages);
	if (file != NULL)
		fclose(file);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[PATH_BYTES];

		if (parent_of(entry->d_name) != supervisor)
			continue;
		held->processes++;
		snprintf(path, sizeof(path), "/proc/%.20s/fd", entry->d_name);
		held->descriptors += count_entries(path);
	}
	if (dir != NULL)
		closedir(dir);
}
