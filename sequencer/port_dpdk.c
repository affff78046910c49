/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any DPDK ethdev by its devargs ("net_af_packet0,iface=eth1", "0000:01:00.0"): one receive and one
 * transmit queue, polled; frames are copied into the base journal once and composed into
 * mbufs once.
 */
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/packet_id.h"
#include "sequencer/netdev.h"
#include "sequencer/port.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define MBUFS 8191
#define MBUF_CACHE 256
#define RX_BURST 64
#define EAL_HUGEPAGES_MIN 128
#define LCORES_BYTES 4096
#define ETHERNET_BYTES_MAX 26 /* beside the MTU: addresses, type, three tags */

struct dpdk_port {
	uint16_t id;
	struct rte_mempool *pool;
	struct rte_mbuf *burst[RX_BURST]; /* received; those from burst_next on wait for room */
	uint16_t burst_next, burst_count;
};

static bool hugepages_suffice(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long pages = 0;

	if (file != NULL && fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file != NULL)
		fclose(file);
	return pages >= EAL_HUGEPAGES_MIN;
}

/* One lcore, on all cores that the process may run on: role_take_core places packet threads. */
static void name_lcores(char lcores[LCORES_BYTES])
{
	size_t used = (size_t)snprintf(lcores, LCORES_BYTES, "--lcores=0@(");
	cpu_set_t cores;

	if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
		CPU_SET(0, &cores);
	for (int core = 0; core < CPU_SETSIZE && used + 8 < LCORES_BYTES; core++)
		if (CPU_ISSET(core, &cores))
			used += (size_t)snprintf(lcores + used, LCORES_BYTES - used, "%d,", core);
	lcores[used - 1] = ')';
}

static bool is_pci(const char *devargs)
{
	unsigned int part;

	return sscanf(devargs, "%x:%x:%x.%x", &part, &part, &part, &part) == 4;
}

/*
 * Once in a process. Hugepages where there are any (see LESSONS for the pairs of options); of PCI
 * devices only the one that is asked for is touched: the others may be somebody's network.
 */
static bool eal_start(const char *devargs, enum hugepages hugepages, char *error)
{
	static bool started;
	char lcores[LCORES_BYTES], device[PATH_BYTES];
	char *arguments[12] = {"understudy", "--log-level=3", lcores, "--no-telemetry"};
	int count = 4;

	if (started)
		return true;
	if (hugepages != HUGEPAGES_NO && hugepages_suffice()) {
		arguments[count++] = "--in-memory";
	} else {
		arguments[count++] = "--no-huge";
		arguments[count++] = "--no-shconf";
		arguments[count++] = "-m";
		arguments[count++] = "256";
	}
	name_lcores(lcores);
	snprintf(device, sizeof(device), "%s", devargs);
	if (is_pci(devargs)) {
		arguments[count++] = "-a";
		arguments[count++] = device;
	} else {
		arguments[count++] = "--no-pci";
	}
	started = rte_eal_init(count, arguments) >= 0;
	if (!started)
		snprintf(error, CONFIG_ERROR_BYTES, "DPDK does not start: %s",
			rte_strerror(rte_errno));
	return started;
}

/* A PCI device is taken as the EAL starts, so that has to wait. */
bool port_dpdk_prepare(const char *const *devargs, uint32_t count, enum hugepages hugepages)
{
	char error[CONFIG_ERROR_BYTES];

	for (uint32_t i = 0; i < count; i++)
		if (is_pci(devargs[i]))
			return true;
	return count == 0 || eal_start(devargs[0], hugepages, error);
}

/* A received frame becomes a record, or a counted drop. */
static void take_frame(const struct port *port, struct rte_mbuf *mbuf, struct batch_writer *batch,
	struct page_ingress *counts)
{
	uint32_t length = rte_pktmbuf_pkt_len(mbuf);
	struct batch_record *record;
	const void *whole;
	uint8_t *frame;

	counts->seen++;
	if (length < FRAME_BYTES_MIN) {
		counts->dropped[INGRESS_RUNT]++;
		return;
	}
	if (length > FRAME_BYTES_MAX) {
		counts->dropped[INGRESS_OVERSIZE]++;
		return;
	}
	if (load_be16(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, 12)) == WIRE_TPID) {
		counts->dropped[INGRESS_OUR_TAG]++;
		return;
	}
	frame = batch_add(batch, RECORD_PACKET, length, &record);
	record->port = port->number;
	if (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		record->flags |= RECORD_VLAN_STRIPPED;
		record->vlan_tci = mbuf->vlan_tci;
	}
	if ((mbuf->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		record->flags |= RECORD_IP_CKSUM_BAD;
	if ((mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		record->flags |= RECORD_L4_CKSUM_BAD;
	whole = rte_pktmbuf_read(mbuf, 0, length, frame);
	if (whole != frame)
		memcpy(frame, whole, length);
	counts->bytes += length;
}

/* A burst that does not fit into this batch goes on in the next one. */
static enum status dpdk_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct dpdk_port *self = port->self;

	if (self->burst_next == self->burst_count) {
		self->burst_next = 0;
		self->burst_count = rte_eth_rx_burst(self->id, 0, self->burst, RX_BURST);
		if (self->burst_count == 0)
			return STATUS_EMPTY;
	}
	while (self->burst_next < self->burst_count && !batch_is_full(batch)) {
		struct rte_mbuf *mbuf = self->burst[self->burst_next++];

		take_frame(port, mbuf, batch, counts);
		rte_pktmbuf_free(mbuf);
	}
	return STATUS_OK;
}

static uint32_t dpdk_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct dpdk_port *self = port->self;
	struct rte_mbuf *mbufs[SEND_BURST];

	if (rte_pktmbuf_alloc_bulk(self->pool, mbufs, count) != 0)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct port_frame){
			.data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
			.capacity_bytes = rte_pktmbuf_tailroom(mbufs[i]),
			.handle = mbufs[i],
		};
	return count;
}

static uint32_t dpdk_send(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct dpdk_port *self = port->self;
	struct rte_mbuf *mbufs[SEND_BURST];

	for (uint32_t i = 0; i < count; i++) {
		mbufs[i] = frames[i].handle;
		mbufs[i]->data_len = (uint16_t)frames[i].length;
		mbufs[i]->pkt_len = frames[i].length;
	}
	return rte_eth_tx_burst(self->id, 0, mbufs, (uint16_t)count);
}

static void dpdk_cancel(struct port *port, struct port_frame *frames, uint32_t count)
{
	(void)port;
	for (uint32_t i = 0; i < count; i++)
		rte_pktmbuf_free(frames[i].handle);
}

static void dpdk_close(struct port *port)
{
	struct dpdk_port *self = port->self;

	while (self->burst_next < self->burst_count)
		rte_pktmbuf_free(self->burst[self->burst_next++]);
	rte_eth_dev_stop(self->id);
	rte_eth_dev_close(self->id);
	free(self);
}

static const struct port_ops dpdk_ops = {.receive = dpdk_receive,
	.reserve = dpdk_reserve,
	.send = dpdk_send,
	.cancel = dpdk_cancel,
	.close = dpdk_close};

static int start_device(struct dpdk_port *self)
{
	struct rte_eth_conf conf = {0};
	int result = rte_eth_dev_configure(self->id, 1, 1, &conf);

	if (result == 0)
		result = rte_eth_rx_queue_setup(self->id, 0, RX_DESCRIPTORS, SOCKET_ID_ANY, NULL,
			self->pool);
	if (result == 0)
		result = rte_eth_tx_queue_setup(self->id, 0, TX_DESCRIPTORS, SOCKET_ID_ANY, NULL);
	if (result == 0)
		result = rte_eth_dev_start(self->id);
	if (result == 0)
		(void)rte_eth_promiscuous_enable(self->id);
	return result;
}

/* The size of frames that the af_packet driver has room for, its own header taken off. */
static uint32_t packet_ring_room(const char *devargs)
{
	const char *at = strstr(devargs, "framesz=");
	unsigned int bytes = 2048;

	if (at != NULL)
		(void)sscanf(at, "framesz=%u", &bytes);
	return bytes > 96 ? bytes - 96 : 0;
}

/* Whether an interface of the kernel's is up and hands us frames as they are on the wire. */
static bool check_interface(const struct port *port, const char *devargs, const char *name,
	char *error)
{
	uint32_t mtu = netdev_mtu(name);

	if (mtu == 0)
		return true; /* there is none: DPDK says so, or makes it */
	if (!netdev_is_up(name)) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: interface %s is down: 'ip link set dev %s up'", port->number,
			name, name);
		return false;
	}
	if (netdev_merges(name)) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: interface %s merges the frames that it receives, into longer "
			"ones than can be sent: 'ethtool -K %s gro off lro off'",
			port->number, name, name);
		return false;
	}
	if (strncmp(devargs, "net_af_packet", 13) == 0 &&
		mtu + ETHERNET_BYTES_MAX > packet_ring_room(devargs)) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: frames of interface %s (MTU %u) do not fit the driver's: add "
			"'framesz=16384,blocksz=65536' to '%.100s'",
			port->number, name, mtu, devargs);
		return false;
	}
	return true;
}

/* Bytes of an mbuf, so that a frame of the device fits one. */
static uint16_t mbuf_bytes(uint32_t mtu)
{
	uint32_t bytes = RTE_PKTMBUF_HEADROOM + mtu + ETHERNET_BYTES_MAX;

	if (bytes > UINT16_MAX)
		return UINT16_MAX;
	return bytes < RTE_MBUF_DEFAULT_BUF_SIZE ? RTE_MBUF_DEFAULT_BUF_SIZE : (uint16_t)bytes;
}

static uint32_t device_mtu(const struct dpdk_port *self, const char *interface)
{
	uint32_t of_interface = interface == NULL ? 0 : netdev_mtu(interface);
	uint16_t mtu = 0;

	(void)rte_eth_dev_get_mtu(self->id, &mtu);
	return of_interface != 0 ? of_interface : mtu;
}

enum status port_dpdk_open(struct port *port, const char *devargs, enum hugepages hugepages,
	char *error)
{
	struct dpdk_port *self = calloc(1, sizeof(*self));
	struct rte_dev_iterator iterator;
	char pool_name[32], name[NAME_BYTES];
	const char *interface = netdev_name(devargs, name) ? name : NULL;
	int result;

	if (self == NULL)
		return STATUS_NO_MEMORY;
	if ((interface != NULL && !check_interface(port, devargs, interface, error)) ||
		!eal_start(devargs, hugepages, error)) {
		free(self);
		return STATUS_INVALID;
	}
	result = rte_dev_probe(devargs);
	self->id = RTE_MAX_ETHPORTS;
	if (result == 0)
		RTE_ETH_FOREACH_MATCHING_DEV(self->id, devargs, &iterator)
		{
			rte_eth_iterator_cleanup(&iterator);
			break;
		}
	if (result == 0 && self->id != RTE_MAX_ETHPORTS) {
		snprintf(pool_name, sizeof(pool_name), "port%u", port->number);
		port->mtu = device_mtu(self, interface);
		self->pool = rte_pktmbuf_pool_create(pool_name, MBUFS, MBUF_CACHE, 0,
			mbuf_bytes(port->mtu), SOCKET_ID_ANY);
		result = self->pool == NULL ? -rte_errno : start_device(self);
	} else if (result == 0) {
		result = -ENODEV;
	}
	if (result != 0) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"port %u: '%.150s' does not open as pcap:, gen:, null: or a "
			"DPDK device: %s",
			port->number, devargs, rte_strerror(-result));
		free(self);
		return STATUS_INVALID;
	}
	port->ops = &dpdk_ops;
	port->self = self;
	return STATUS_OK;
}
