/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "manager/sight.h"

char sight_thread(uint32_t pid, uint32_t tid, uint64_t *cpu_ns)
{
	char path[64], text[512], *after, state = 'X';
	unsigned long long user = 0, system = 0;
	FILE *file;

	*cpu_ns = 0;
	snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", pid, tid);
	file = fopen(path, "re");
	if (file == NULL)
		return state;
	if (fgets(text, sizeof(text), file) != NULL && (after = strrchr(text, ')')) != NULL &&
		sscanf(after + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state,
			&user, &system) == 3)
		*cpu_ns = (user + system) *
			  (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
	fclose(file);
	return state;
}
