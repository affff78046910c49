/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures: read to their end or to the damage, in batches that decode. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sequencer/port.h"

#define BATCHES 64 /* at most */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct port *port)
{
	static uint64_t room[(BATCH_BYTES_MAX + 7) / 8];
	static struct page_ingress counts;
	enum status status = STATUS_OK;

	for (uint32_t i = 0; i < BATCHES && status == STATUS_OK; i++) {
		struct batch_writer batch;
		struct batch_view view;

		batch_begin(&batch, room, i, 1, 1);
		status = port->ops->receive(port, &batch, &counts);
		if (batch_end(&batch) > BATCH_BYTES_MAX ||
			batch_open(&view, room, batch.header->bytes) != STATUS_OK)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], error[CONFIG_ERROR_BYTES] = "";
	struct port port = {.trace_clock = true};
	int fd = memfd_create("capture", 0);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (port_pcap_open(&port, path, PORT_SOURCE, error) == STATUS_OK) {
		read_all(&port);
		port.ops->close(&port);
	} else if (error[0] == 0) {
		abort();
	}
	close(fd);
	return 0;
}
