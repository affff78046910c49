/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT: endpoint-independent mapping and filtering (RFC 4787 REQ-1, REQ-8) for TCP, UDP and
 * ICMP echo
 * (RFC 5508), paired pooling (REQ-2). A mapping's home shard is a hash of its inside
 * endpoint; every
 * home owns a slice of the ports of every pool address, and takes the lowest free one. So both
 * directions share a home, and which ports are free is a function of table nat_in alone.
 */
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/digest.h"
#include "core/limits.h"
#include "vnf/packet.h"
#include "vnf/settings.h"

#define INSIDE_MAX 16
#define POOL_PREFIXES_MAX 16
#define POOL_ADDRESSES_MAX 256
#define PORTS 65536u
#define FRAGMENT_TIMEOUT_NS 30000000000ull
#define SECOND_NS 1000000000ull

enum { TABLE_OUT, TABLE_IN, TABLE_FRAGMENTS };
enum {
	CAUSE_MALFORMED,
	CAUSE_PORTS_EXHAUSTED,
	CAUSE_BINDINGS_FULL,
	CAUSE_NO_BINDING,
	CAUSE_FRAGMENT_BEFORE_FIRST,
	CAUSE_UNSUPPORTED,
	CAUSE_IPV6,
	CAUSE_NON_IP
};
enum {
	COUNT_OUTBOUND,
	COUNT_INBOUND,
	COUNT_ADDRESSES_INSIDE,
	COUNT_TRANSIT,
	COUNT_LOCAL,
	COUNT_PASSED,
	COUNT_FRAGMENTS
};
enum { PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTOS };

static const char *const causes[] = {"malformed", "ports_exhausted", "bindings_full", "no_binding",
	"fragment_before_first", "unsupported_protocol", "ipv6", "non_ip"};
static const char *const counters[] = {"outbound", "inbound", "addresses_inside", "transit",
	"local", "passed_by_policy", "fragments"};

struct nat {
	struct settings_prefix inside[INSIDE_MAX];
	uint32_t inside_count;
	uint32_t pool[POOL_ADDRESSES_MAX]; /* host order */
	uint32_t pool_count;
	uint32_t port_low;
	uint32_t slice; /* ports of one home at one address */
	uint32_t homes;
	uint32_t capacity;
	uint64_t timeout_ns[PROTOS];
	bool pass_ipv6, pass_non_ip, pass_other;
};

/* An address and a port (or ICMP identifier), host order. Key and value of both tables. */
struct endpoint {
	uint32_t address;
	uint16_t port;
	uint8_t proto;
	uint8_t zero;
};

/* Put together in a register: the key is soon read as one word, which must not wait for parts. */
static inline struct endpoint endpoint_make(uint32_t address, uint16_t port, uint8_t proto)
{
	uint64_t word = (uint64_t)proto << 48 | (uint64_t)port << 32 | address;
	struct endpoint endpoint;

	memcpy(&endpoint, &word, sizeof(endpoint));
	return endpoint;
}

struct fragment_key {
	uint32_t source, destination;
	uint16_t id;
	uint8_t protocol;
	uint8_t zero;
	uint32_t zero2;
};

_Static_assert(sizeof(struct endpoint) == 8 && sizeof(struct fragment_key) == 16, "table keys");

enum work_kind { WORK_OUTBOUND = 1, WORK_INBOUND, WORK_LATER_FRAGMENT };

/* From pre to post, in the packet's scratch. */
struct nat_work {
	struct packet_headers headers;
	struct endpoint from __attribute__((
		aligned(8))); /* the key: inside endpoint outbound, outside endpoint inbound */
	struct endpoint to __attribute__((aligned(8))); /* what replaces it */
	struct fragment_key fragment __attribute__((aligned(8)));
	uint8_t kind;
	bool is_outbound; /* of a later fragment, from its first */
};

_Static_assert(sizeof(struct nat_work) <= VNF_SCRATCH_BYTES, "scratch");

static bool is_inside(const struct nat *nat, uint32_t address)
{
	for (uint32_t i = 0; i < nat->inside_count; i++)
		if ((address & nat->inside[i].mask) == nat->inside[i].address)
			return true;
	return false;
}

/* The pool address's index, or pool_count. */
static uint32_t pool_index(const struct nat *nat, uint32_t address)
{
	uint32_t i = 0;

	while (i < nat->pool_count && nat->pool[i] != address)
		i++;
	return i;
}

static uint32_t ordinal_of(const void *self, const void *key)
{
	const struct nat *nat = self;
	const struct endpoint *outside = key;

	return (outside->proto * nat->pool_count + pool_index(nat, outside->address)) * PORTS +
	       outside->port;
}

static bool read_pool(struct vnf_setup *setup, struct nat *nat)
{
	struct settings_prefix prefixes[POOL_PREFIXES_MAX];
	uint32_t count;

	if (!settings_prefixes(setup, "pool", prefixes, POOL_PREFIXES_MAX, &count))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		for (uint64_t host = 0; host <= (uint32_t)~prefixes[i].mask; host++) {
			uint32_t address = prefixes[i].address + (uint32_t)host;

			if (nat->pool_count == POOL_ADDRESSES_MAX)
				return settings_fail(setup, settings_find(setup, "pool")->line,
					"'pool' has more than %d addresses", POOL_ADDRESSES_MAX);
			if (pool_index(nat, address) < nat->pool_count || is_inside(nat, address))
				return settings_fail(setup, settings_find(setup, "pool")->line,
					"'pool' has an address twice, or one that is inside");
			nat->pool[nat->pool_count++] = address;
		}
	}
	return true;
}

static bool read_settings(struct vnf_setup *setup, struct nat *nat)
{
	static const char *const known[] = {"inside", "pool", "port_low", "port_high", "capacity",
		"tcp_timeout_s", "udp_timeout_s", "icmp_timeout_s", "ipv6", "non_ip", "other_ipv4",
		NULL};
	uint32_t high = PORTS - 1, seconds[PROTOS] = {7440, 300, 60}; /* RFC 5382, 4787, 5508 */

	nat->port_low = 1024;
	nat->pass_ipv6 = nat->pass_non_ip = true;
	if (!settings_known(setup, known) ||
		!settings_prefixes(setup, "inside", nat->inside, INSIDE_MAX, &nat->inside_count) ||
		!read_pool(setup, nat) ||
		!settings_number(setup, "port_low", 1, PORTS - 1, &nat->port_low) ||
		!settings_number(setup, "port_high", nat->port_low, PORTS - 1, &high) ||
		!settings_number(setup, "tcp_timeout_s", 1, TIMER_QUANTA_MAX - 2,
			&seconds[PROTO_TCP]) ||
		!settings_number(setup, "udp_timeout_s", 1, TIMER_QUANTA_MAX - 2,
			&seconds[PROTO_UDP]) ||
		!settings_number(setup, "icmp_timeout_s", 1, TIMER_QUANTA_MAX - 2,
			&seconds[PROTO_ICMP]) ||
		!settings_choice(setup, "ipv6", "pass", "drop", &nat->pass_ipv6) ||
		!settings_choice(setup, "non_ip", "pass", "drop", &nat->pass_non_ip) ||
		!settings_choice(setup, "other_ipv4", "pass", "drop", &nat->pass_other))
		return false;
	nat->homes = setup->homes;
	nat->slice = (high - nat->port_low + 1) / nat->homes;
	if (nat->slice == 0)
		return settings_fail(setup, 0,
			"port_low to port_high has fewer ports than the stage's %u homes",
			nat->homes);
	nat->capacity = nat->slice * nat->homes * nat->pool_count * PROTOS;
	if (nat->capacity > 1u << 22)
		nat->capacity = 1u << 22;
	if (!settings_number(setup, "capacity", 1, 1u << 24, &nat->capacity))
		return false;
	for (int i = 0; i < PROTOS; i++)
		nat->timeout_ns[i] = seconds[i] * SECOND_NS;
	return true;
}

static bool nat_open(struct vnf_setup *setup, void **self)
{
	struct nat *nat = calloc(1, sizeof(*nat));

	if (nat == NULL)
		return settings_fail(setup, 0, "out of memory");
	if (!read_settings(setup, nat)) {
		free(nat);
		return false;
	}
	setup->tables[TABLE_OUT] = (struct table_spec){
		.name = "nat_out",
		.key_bytes = sizeof(struct endpoint),
		.value_bytes = sizeof(struct endpoint),
		.capacity = nat->capacity,
		.scope = TABLE_FLOW,
	};
	setup->tables[TABLE_IN] = setup->tables[TABLE_OUT];
	setup->tables[TABLE_IN].name = "nat_in";
	setup->tables[TABLE_IN].ordinal = ordinal_of;
	setup->tables[TABLE_IN].ordinals = PROTOS * nat->pool_count * PORTS;
	setup->tables[TABLE_FRAGMENTS] = (struct table_spec){
		.name = "nat_fragments",
		.key_bytes = sizeof(struct fragment_key),
		.value_bytes = sizeof(struct endpoint),
		.capacity = 4096,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables_count = 3;
	*self = nat;
	return true;
}

static void nat_close(void *self)
{
	free(self);
}

static uint16_t home_of_inside(const struct nat *nat, const struct endpoint *inside)
{
	uint64_t word;

	memcpy(&word, inside, sizeof(word));
	return (uint16_t)((digest_mix(word) & 0xffffffff) * nat->homes >> 32);
}

/* The home whose slice has this port; a port of no slice has no binding, whatever its home. */
static uint16_t home_of_outside(const struct nat *nat, const struct endpoint *outside)
{
	uint32_t home =
		outside->port < nat->port_low ? 0 : (outside->port - nat->port_low) / nat->slice;

	return (uint16_t)(home < nat->homes ? home : 0);
}

/* Where the port, or the ICMP identifier, of one side is. */
static uint8_t *port_at(const struct vnf_packet *packet, const struct nat_work *work, bool source)
{
	uint8_t *l4 = packet->current + work->headers.l4;

	if (work->headers.protocol == PROTOCOL_ICMP)
		return l4 + 4;
	return source ? l4 : l4 + 2;
}

static bool is_echo(const struct vnf_packet *packet, const struct packet_headers *headers)
{
	uint8_t type = packet->current[headers->l4];

	return type == 0 || type == 8;
}

/* 0 to 2 for what is translated, PROTOS for other protocols and ICMP errors. */
static uint8_t proto_of(const struct vnf_packet *packet, const struct packet_headers *headers)
{
	switch (headers->protocol) {
	case PROTOCOL_TCP:
		return PROTO_TCP;
	case PROTOCOL_UDP:
		return PROTO_UDP;
	case PROTOCOL_ICMP:
		return headers->l4 == 0 || is_echo(packet, headers) ? PROTO_ICMP : PROTOS;
	default:
		return PROTOS;
	}
}

/* Which way a packet goes; 0 where NAT has nothing to do with it, counted. */
static enum work_kind direction(const struct nat *nat, struct vnf_packet *packet, uint32_t source,
	uint32_t destination)
{
	bool from_inside = is_inside(nat, source), to_inside = is_inside(nat, destination);

	if (from_inside && !to_inside && destination < 0xe0000000u)
		return WORK_OUTBOUND;
	if (!from_inside && pool_index(nat, destination) < nat->pool_count)
		return WORK_INBOUND;
	if (from_inside && to_inside)
		vnf_count(packet, COUNT_LOCAL);
	else
		vnf_count(packet, to_inside ? COUNT_ADDRESSES_INSIDE : COUNT_TRANSIT);
	return 0;
}

static void pre_policy(struct vnf_packet *packet, bool pass, uint8_t cause)
{
	if (pass)
		vnf_count(packet, COUNT_PASSED);
	else
		vnf_drop(packet, cause);
}

static void pre_ipv4(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work)
{
	const uint8_t *ip = packet->current + work->headers.l3;
	uint32_t source = load_be32(ip + 12), destination = load_be32(ip + 16);
	enum work_kind kind = direction(nat, packet, source, destination);
	uint8_t proto = proto_of(packet, &work->headers);

	if (kind == 0)
		return;
	if (proto == PROTOS) {
		pre_policy(packet, nat->pass_other, CAUSE_UNSUPPORTED);
		return;
	}
	work->fragment = (struct fragment_key){source, destination, load_be16(ip + 4),
		work->headers.protocol, 0, 0};
	packet->wants_access = true;
	if (work->headers.later_fragment) {
		work->kind = WORK_LATER_FRAGMENT;
		return;
	}
	if (work->headers.l4 == 0) {
		vnf_drop(packet, CAUSE_MALFORMED);
		return;
	}
	work->kind = (uint8_t)kind;
	work->from = endpoint_make(kind == WORK_OUTBOUND ? source : destination,
		load_be16(port_at(packet, work, kind == WORK_OUTBOUND)), proto);
	packet->shared = work->headers.fragment; /* it leaves a note for its later fragments */
	packet->home = kind == WORK_OUTBOUND ? home_of_inside(nat, &work->from)
					     : home_of_outside(nat, &work->from);
	vnf_expect(packet, kind == WORK_OUTBOUND ? TABLE_OUT : TABLE_IN, &work->from);
}

static void nat_pre(const void *self, struct vnf_packet *packet)
{
	const struct nat *nat = self;
	struct nat_work *work = (struct nat_work *)packet->scratch;

	work->headers = packet_parse(packet->current, packet->header_bytes, packet->length);
	if (work->headers.malformed)
		vnf_drop(packet, CAUSE_MALFORMED);
	else if (work->headers.ethertype == ETHERTYPE_IPV6)
		pre_policy(packet, nat->pass_ipv6, CAUSE_IPV6);
	else if (work->headers.ethertype != ETHERTYPE_IPV4)
		pre_policy(packet, nat->pass_non_ip, CAUSE_NON_IP);
	else
		pre_ipv4(nat, packet, work);
}

/* A new binding for work->from: the lowest free port of its home's slice. */
static void bind_inside(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work,
	struct txn *txn)
{
	uint32_t address = (uint32_t)(digest_mix(work->from.address) % nat->pool_count);
	uint32_t base = (work->from.proto * nat->pool_count + address) * PORTS;
	uint32_t first = base + nat->port_low + home_of_inside(nat, &work->from) * nat->slice;
	uint32_t ordinal = txn_lowest_absent(txn, TABLE_IN, first, nat->slice);
	struct endpoint *out, *in;

	if (ordinal == UINT32_MAX) {
		vnf_drop(packet, CAUSE_PORTS_EXHAUSTED);
		return;
	}
	work->to = (struct endpoint){nat->pool[address], (uint16_t)(ordinal - base),
		work->from.proto, 0};
	out = txn_insert(txn, TABLE_OUT, &work->from);
	in = txn_insert(txn, TABLE_IN, &work->to);
	if (out == NULL || in == NULL) {
		txn_abort(txn);
		vnf_drop(packet, CAUSE_BINDINGS_FULL);
		return;
	}
	*out = work->to;
	*in = work->from;
}

static void access_fragment(struct vnf_packet *packet, struct nat_work *work, struct txn *txn)
{
	const struct endpoint *first = txn_read(txn, TABLE_FRAGMENTS, &work->fragment);

	if (first == NULL) {
		vnf_drop(packet, CAUSE_FRAGMENT_BEFORE_FIRST);
		return;
	}
	work->to = *first;
	work->is_outbound = first->zero != 0;
}

/* The first fragment leaves a note for the later ones; without room for it they are dropped. */
static void note_fragment(struct nat_work *work, struct txn *txn)
{
	struct endpoint *note = txn_modify(txn, TABLE_FRAGMENTS, &work->fragment);

	if (note == NULL)
		note = txn_insert(txn, TABLE_FRAGMENTS, &work->fragment);
	if (note == NULL)
		return;
	*note = work->to;
	note->zero = work->kind == WORK_OUTBOUND;
	txn_expire_at(txn, TABLE_FRAGMENTS, &work->fragment, txn_now_ns(txn) + FRAGMENT_TIMEOUT_NS);
}

static void nat_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	const struct nat *nat = self;
	struct nat_work *work = (struct nat_work *)packet->scratch;
	const struct endpoint *found;

	if (work->kind == WORK_LATER_FRAGMENT) {
		access_fragment(packet, work, txn);
		return;
	}
	found = txn_read(txn, work->kind == WORK_OUTBOUND ? TABLE_OUT : TABLE_IN, &work->from);
	if (found != NULL)
		work->to = *found;
	else if (work->kind == WORK_OUTBOUND)
		bind_inside(nat, packet, work, txn);
	else
		vnf_drop(packet, CAUSE_NO_BINDING);
	if (packet->dropped)
		return;
	if (work->kind == WORK_OUTBOUND)
		txn_expire_at(txn, TABLE_OUT, &work->from,
			txn_now_ns(txn) + nat->timeout_ns[work->from.proto]);
	if (work->headers.fragment)
		note_fragment(work, txn);
}

/* The transport checksum; NULL where there is none. */
static uint8_t *l4_checksum(const struct vnf_packet *packet, const struct packet_headers *headers)
{
	uint8_t *l4 = packet->current + headers->l4;

	switch (headers->protocol) {
	case PROTOCOL_TCP:
		return l4 + 16;
	case PROTOCOL_UDP:
		return load_be16(l4 + 6) != 0 ? l4 + 6 : NULL;
	default:
		return l4 + 2;
	}
}

static void nat_post(const void *self, struct vnf_packet *packet)
{
	struct nat_work *work = (struct nat_work *)packet->scratch;
	uint8_t *ip = packet->current + work->headers.l3, *address, *port, *checksum;
	uint32_t by_address, by_port;
	bool source;

	(void)self;
	if (!packet->wants_access)
		return;
	source = work->kind == WORK_OUTBOUND ||
		 (work->kind == WORK_LATER_FRAGMENT && work->is_outbound);
	vnf_count(packet, source ? COUNT_OUTBOUND : COUNT_INBOUND);
	address = ip + (source ? 12 : 16);
	by_address = checksum_difference32(load_be32(address), work->to.address);
	store_be32(address, work->to.address);
	checksum_mend(ip + 10, by_address);
	if (work->kind == WORK_LATER_FRAGMENT) {
		vnf_count(packet, COUNT_FRAGMENTS);
		return;
	}
	port = port_at(packet, work, source);
	by_port = checksum_difference16(load_be16(port), work->to.port);
	store_be16(port, work->to.port);
	checksum = l4_checksum(packet, &work->headers);
	if (checksum != NULL)
		checksum_mend(checksum,
			by_port + (work->headers.protocol == PROTOCOL_ICMP ? 0 : by_address));
	/* RFC 768: a UDP checksum that comes out as zero is sent as all ones. */
	if (checksum != NULL && work->headers.protocol == PROTOCOL_UDP && load_be16(checksum) == 0)
		store_be16(checksum, 0xffff);
}

static void nat_expire(const void *self, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	(void)self;
	(void)key;
	if (table == TABLE_OUT)
		(void)txn_erase(txn, TABLE_IN, value);
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "nat",
	.drop_causes = causes,
	.drop_causes_count = sizeof(causes) / sizeof(causes[0]),
	.counters = counters,
	.counters_count = sizeof(counters) / sizeof(counters[0]),
	.open = nat_open,
	.close = nat_close,
	.pre = nat_pre,
	.access = nat_access,
	.post = nat_post,
	.expire = nat_expire,
};
