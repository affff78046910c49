/* SPDX-License-Identifier: BSD-3-Clause */
/* What Linux says of the network interface behind a device such as net_af_packet0,iface=eth1. */
#ifndef UNDERSTUDY_SEQUENCER_NETDEV_H
#define UNDERSTUDY_SEQUENCER_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"

/* The interface that devargs name; false if they name none. */
bool netdev_name(const char *devargs, char name[NAME_BYTES]);

/* Its MTU in bytes; 0 if there is no such interface. */
uint32_t netdev_mtu(const char *name);

bool netdev_is_up(const char *name);

/* True if it merges received frames (GRO, LRO): what arrives is then longer than the MTU. */
bool netdev_merges(const char *name);

#endif
