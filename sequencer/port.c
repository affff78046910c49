/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/port.h"

#include <stdio.h>
#include <string.h>

/* Whether a dev is one of DPDK's. */
static bool is_device(const char *dev)
{
	return strncmp(dev, "pcap:", 5) != 0 && strncmp(dev, "gen:", 4) != 0 &&
	       strcmp(dev, "null:") != 0;
}

bool ports_prepare(const char *const *devs, uint32_t count, enum hugepages hugepages)
{
	const char *devices[PORTS_MAX];
	uint32_t devices_count = 0;

	for (uint32_t i = 0; i < count; i++)
		if (is_device(devs[i]))
			devices[devices_count++] = devs[i];
	return port_dpdk_prepare(devices, devices_count, hugepages);
}

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
