/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains as people write them: whatever is in the file, an error is one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], error[CONFIG_ERROR_BYTES] = "";
	struct config *config = NULL;
	int fd = memfd_create("chain", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(&config, path, error) == STATUS_OK)
		config_free(config);
	else if (config != NULL || error[0] == 0 || strchr(error, '\n') != NULL)
		abort();
	close(fd);
	return 0;
}
