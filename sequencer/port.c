/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/port.h"

#include <stdio.h>
#include <string.h>

enum status port_open(struct port *port, uint16_t number, const char *dev, enum port_use use,
	enum hugepages hugepages, char *error)
{
	*port = (struct port){.number = number, .waits = true};
	if (strncmp(dev, "pcap:", 5) == 0)
		return port_pcap_open(port, dev + 5, use, error);
	if (strncmp(dev, "gen:", 4) == 0) {
		if (use == PORT_SOURCE)
			return port_gen_open(port, dev + 4, error);
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: '%s' is a source: nothing can be sent to it", number, dev);
		return STATUS_INVALID;
	}
	if (strcmp(dev, "null:") == 0)
		return port_null_open(port, error);
	port->waits = false;
	return port_dpdk_open(port, dev, hugepages, error);
}
