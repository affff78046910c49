/* SPDX-License-Identifier: BSD-3-Clause */
#include "sequencer/netdev.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool netdev_name(const char *devargs, char name[NAME_BYTES])
{
	const char *at = strstr(devargs, "iface=");
	size_t length;

	if (at == NULL)
		return false;
	at += strlen("iface=");
	length = strcspn(at, ",");
	if (length == 0 || length >= IFNAMSIZ)
		return false;
	memcpy(name, at, length);
	name[length] = 0;
	return true;
}

/* One question to the kernel about an interface. */
static bool ask(const char *name, unsigned long question, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool answered;

	snprintf(request->ifr_name, sizeof(request->ifr_name), "%s", name);
	answered = fd >= 0 && ioctl(fd, question, request) == 0;
	if (fd >= 0)
		close(fd);
	return answered;
}

uint32_t netdev_mtu(const char *name)
{
	struct ifreq request = {0};

	return ask(name, SIOCGIFMTU, &request) ? (uint32_t)request.ifr_mtu : 0;
}

bool netdev_is_up(const char *name)
{
	struct ifreq request = {0};

	return ask(name, SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_UP) != 0;
}

bool netdev_merges(const char *name)
{
	struct ethtool_value gro = {.cmd = ETHTOOL_GGRO}, flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq request = {0};
	bool merges;

	request.ifr_data = (char *)&gro;
	merges = ask(name, SIOCETHTOOL, &request) && gro.data != 0;
	request.ifr_data = (char *)&flags;
	return merges || (ask(name, SIOCETHTOOL, &request) && (flags.data & ETH_FLAG_LRO) != 0);
}
