/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VNF with a fault: it crashes on a frame whose UDP payload begins with CRASH, and loops for ever
 * on one with LOOP. With the setting `worn: N` its state is at fault: it crashes on every packet
 * after N of them. Else it counts packets, and leaves the count in each.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vnf/understudy_vnf.h"

#define PAYLOAD 42
#define COUNT 6 /* in the source address */

struct poison {
	uint64_t worn; /* 0: never */
};

static bool poison_open(struct vnf_setup *setup, void **self)
{
	struct poison *poison = calloc(1, sizeof(*poison));

	if (poison == NULL)
		return false;
	if (setup->settings_count > 0)
		poison->worn = strtoull(setup->settings[0].values[0], NULL, 10);
	setup->tables[0] = (struct table_spec){.name = "counts",
		.key_bytes = 8,
		.value_bytes = 8,
		.capacity = 16,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER};
	setup->tables_count = 1;
	*self = poison;
	return true;
}

static void poison_pre(const void *self, struct vnf_packet *packet)
{
	const uint8_t *payload = packet->current + PAYLOAD;
	volatile uint64_t rounds = 0;

	(void)self;
	if (packet->header_bytes >= PAYLOAD + 5) {
		if (memcmp(payload, "CRASH", 5) == 0)
			raise(SIGSEGV);
		while (memcmp(payload, "LOOP", 4) == 0)
			rounds++;
	}
	packet->wants_access = true;
	packet->shared = true;
}

static void poison_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	const struct poison *poison = self;
	uint64_t key = 1, *count = txn_modify(txn, 0, &key);

	if (count == NULL)
		count = txn_insert(txn, 0, &key);
	if (count == NULL)
		return;
	++*count;
	if (poison->worn > 0 && *count > poison->worn)
		raise(SIGSEGV);
	memcpy(packet->scratch, count, sizeof(*count));
}

static void poison_post(const void *self, struct vnf_packet *packet)
{
	(void)self;
	memcpy(packet->current + COUNT, packet->scratch, 6);
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "poison",
	.open = poison_open,
	.close = free,
	.pre = poison_pre,
	.access = poison_access,
	.post = poison_post,
};
