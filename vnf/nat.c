/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT: endpoint-independent mapping and filtering (RFC 4787 REQ-1, REQ-8) for TCP, UDP and ICMP
 * queries (RFC 5508), paired pooling (REQ-2), hairpinning (REQ-9), fragments both ways (REQ-14),
 * ICMP errors (RFC 5508 REQ-4, REQ-5), timeouts by protocol and TCP state (RFC 5382 REQ-5).
 *
 * A mapping's home shard is a hash of its inside endpoint; every home owns a slice of the ports of
 * every pool address, and takes the lowest free one. So both directions share a home, and which
 * ports are free is a function of table nat_in alone.
 *
 * Every packet is one or two translations: of its source (from the inside), of its destination (to
 * the inside), of both (hairpinned). An ICMP error is about a packet that went the other way: its
 * source translation replaces the destination that it quotes.
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
	COUNT_HAIRPINNED,
	COUNT_ADDRESSES_INSIDE,
	COUNT_TRANSIT,
	COUNT_LOCAL,
	COUNT_PASSED,
	COUNT_FRAGMENTS,
	COUNT_ICMP_ERRORS
};
enum { PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTOS };

static const char *const causes[] = {"malformed", "ports_exhausted", "bindings_full", "no_binding",
	"fragment_before_first", "unsupported_protocol", "ipv6", "non_ip"};
static const char *const counters[] = {"outbound", "inbound", "hairpinned", "addresses_inside",
	"transit", "local", "passed_by_policy", "fragments", "icmp_errors"};

struct nat {
	struct settings_prefix inside[INSIDE_MAX];
	uint32_t inside_count;
	struct settings_prefix prefixes[POOL_PREFIXES_MAX]; /* of the pool */
	uint32_t prefixes_count;
	uint32_t pool[POOL_ADDRESSES_MAX]; /* its addresses, prefix by prefix; host order */
	uint32_t pool_count;
	uint32_t port_low;
	uint32_t slice; /* ports of one home at one address */
	uint32_t homes;
	uint32_t capacity;
	uint64_t timeout_ns[PROTOS];
	uint64_t transitory_ns; /* of TCP connections that are opening or closing */
	bool pass_ipv6, pass_non_ip, pass_other;
};

/* An address and a port (or ICMP identifier), host order: what nat_out and nat_in map. */
struct endpoint {
	uint32_t address;
	uint16_t port;
	uint8_t proto;
	uint8_t flags; /* of a value of nat_in: IN_ANSWERED; else 0 */
};

#define IN_ANSWERED 0x01 /* nat_out knows that the outside has answered */

enum {
	TCP_ANSWERED = 0x01, /* established, as far as a NAT can tell */
	TCP_FIN_OUT = 0x02,
	TCP_FIN_IN = 0x04,
	TCP_RESET = 0x08,
	TCP_MANY =
		0x10, /* more than one connection uses the mapping: it is kept as if established */
};

/* The value of nat_out. */
struct mapping {
	struct endpoint outside;
	uint32_t remote; /* TCP: whom the connection is with */
	uint16_t remote_port;
	uint8_t tcp; /* TCP_ANSWERED and so on */
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

/* What the first fragment leaves for the later ones: the new addresses; 0: as it was. */
struct fragment_note {
	uint32_t source, destination;
};

_Static_assert(sizeof(struct endpoint) == 8 && sizeof(struct mapping) == 16 &&
		       sizeof(struct fragment_note) == 8,
	"keys and values");

/* From pre to post, in the packet's scratch. */
struct nat_work {
	struct packet_headers headers, quoted;
	/* Keys: the inside endpoint of a source translation, the outside one of a destination's. */
	struct endpoint inside __attribute__((aligned(8))), outside __attribute__((aligned(8)));
	/* What replaces them; an address of 0: nothing does. */
	struct packet_endpoint source, destination;
	bool from_inside, to_pool; /* which translations */
	bool is_error;		   /* an ICMP error: quoted is the packet that it is about */
};

_Static_assert(sizeof(struct nat_work) <= VNF_SCRATCH_BYTES, "scratch");

static bool is_inside(const struct nat *nat, uint32_t address)
{
	return settings_within(nat->inside, nat->inside_count, address);
}

/* The pool address's index, or pool_count. */
static uint32_t pool_index(const struct nat *nat, uint32_t address)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < nat->prefixes_count; i++) {
		const struct settings_prefix *prefix = &nat->prefixes[i];

		if ((address & prefix->mask) == prefix->address)
			return first + (address - prefix->address);
		first += ~prefix->mask + 1;
	}
	return nat->pool_count;
}

static uint32_t ordinal_of(const void *self, const void *key)
{
	const struct nat *nat = self;
	const struct endpoint *outside = key;

	return (outside->proto * nat->pool_count + pool_index(nat, outside->address)) * PORTS +
	       outside->port;
}

static uint16_t home_of_inside(const void *self, const void *key)
{
	const struct nat *nat = self;
	uint64_t word;

	memcpy(&word, key, sizeof(word));
	return vnf_home(digest_mix(word), nat->homes);
}

/* The home whose slice has this port; a port of no slice has no binding, whatever its home. */
static uint16_t home_of_outside(const void *self, const void *key)
{
	const struct nat *nat = self;
	const struct endpoint *outside = key;
	uint32_t home =
		outside->port < nat->port_low ? 0 : (outside->port - nat->port_low) / nat->slice;

	return (uint16_t)(home < nat->homes ? home : 0);
}

static bool read_pool(struct vnf_setup *setup, struct nat *nat)
{
	struct settings_prefix prefixes[POOL_PREFIXES_MAX];
	uint32_t count;

	if (!settings_prefixes(setup, "pool", prefixes, POOL_PREFIXES_MAX, &count))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t hosts = (uint64_t)(uint32_t)~prefixes[i].mask + 1;

		if (nat->pool_count + hosts > POOL_ADDRESSES_MAX)
			return settings_fail(setup, settings_find(setup, "pool")->line,
				"'pool' has more than %d addresses", POOL_ADDRESSES_MAX);
		for (uint32_t host = 0; host < hosts; host++) {
			uint32_t address = prefixes[i].address + host;

			if (pool_index(nat, address) < nat->pool_count || is_inside(nat, address))
				return settings_fail(setup, settings_find(setup, "pool")->line,
					"'pool' has an address twice, or one that is inside");
			nat->pool[nat->pool_count + host] = address;
		}
		nat->pool_count += (uint32_t)hosts;
		nat->prefixes[nat->prefixes_count++] = prefixes[i];
	}
	return true;
}

static bool read_settings(struct vnf_setup *setup, struct nat *nat)
{
	static const char *const known[] = {"inside", "pool", "port_low", "port_high", "capacity",
		"tcp_timeout_s", "tcp_transitory_s", "udp_timeout_s", "icmp_timeout_s", "ipv6",
		"non_ip", "other_ipv4", NULL};
	uint32_t high = PORTS - 1, transitory = 240;
	uint32_t seconds[PROTOS] = {7440, 300, 60}; /* RFC 5382, 4787, 5508 */

	nat->port_low = 1024;
	nat->pass_ipv6 = nat->pass_non_ip = true;
	if (!settings_known(setup, known) ||
		!settings_prefixes(setup, "inside", nat->inside, INSIDE_MAX, &nat->inside_count) ||
		!read_pool(setup, nat) ||
		!settings_number(setup, "port_low", 1, PORTS - 1, &nat->port_low) ||
		!settings_number(setup, "port_high", nat->port_low, PORTS - 1, &high) ||
		!settings_number(setup, "tcp_timeout_s", 1, TIMER_QUANTA_MAX - 2,
			&seconds[PROTO_TCP]) ||
		!settings_number(setup, "tcp_transitory_s", 1, TIMER_QUANTA_MAX - 2, &transitory) ||
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
	nat->transitory_ns = transitory * SECOND_NS;
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
		.value_bytes = sizeof(struct mapping),
		.capacity = nat->capacity,
		.scope = TABLE_FLOW,
		.home = home_of_inside,
	};
	setup->tables[TABLE_IN] = setup->tables[TABLE_OUT];
	setup->tables[TABLE_IN].name = "nat_in";
	setup->tables[TABLE_IN].value_bytes = sizeof(struct endpoint);
	setup->tables[TABLE_IN].home = home_of_outside;
	setup->tables[TABLE_IN].ordinal = ordinal_of;
	setup->tables[TABLE_IN].ordinals = PROTOS * nat->pool_count * PORTS;
	setup->tables[TABLE_FRAGMENTS] = (struct table_spec){
		.name = "nat_fragments",
		.key_bytes = sizeof(struct packet_fragment),
		.value_bytes = sizeof(struct fragment_note),
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

/* 0 to 2 for what is translated, PROTOS for other protocols. */
static uint8_t proto_of(const uint8_t *frame, const struct packet_headers *headers)
{
	switch (headers->protocol) {
	case PROTOCOL_TCP:
		return PROTO_TCP;
	case PROTOCOL_UDP:
		return PROTO_UDP;
	case PROTOCOL_ICMP:
		return headers->l4 == 0 || packet_is_query(frame, headers) ? PROTO_ICMP : PROTOS;
	default:
		return PROTOS;
	}
}

/* Which translations a packet needs; none where NAT has nothing to do with it, counted. */
static bool direction(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work,
	uint32_t source, uint32_t destination)
{
	bool to_inside = is_inside(nat, destination);

	work->from_inside = is_inside(nat, source);
	work->to_pool = pool_index(nat, destination) < nat->pool_count;
	if (work->to_pool || (work->from_inside && !to_inside && destination < 0xe0000000u))
		return true;
	if (work->from_inside && to_inside)
		vnf_count(packet, COUNT_LOCAL);
	else
		vnf_count(packet, to_inside ? COUNT_ADDRESSES_INSIDE : COUNT_TRANSIT);
	return false;
}

static void pre_policy(struct vnf_packet *packet, bool pass, uint8_t cause)
{
	if (pass)
		vnf_count(packet, COUNT_PASSED);
	else
		vnf_drop(packet, cause);
}

/* The keys of a packet's translations, and the home that both directions share. */
static void choose_keys(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work)
{
	const struct packet_headers *headers = work->is_error ? &work->quoted : &work->headers;
	/* The quoted packet went the other way. */
	enum packet_side from = work->is_error ? PACKET_DESTINATION : PACKET_SOURCE;
	enum packet_side to = work->is_error ? PACKET_SOURCE : PACKET_DESTINATION;
	uint8_t proto = proto_of(packet->current, headers);
	struct packet_endpoint endpoint;

	if (work->to_pool) {
		endpoint = packet_endpoint(packet->current, headers, to);
		work->outside = endpoint_make(endpoint.address, endpoint.port, proto);
		packet->home = home_of_outside(nat, &work->outside);
		vnf_expect(packet, TABLE_IN, &work->outside);
	}
	if (work->from_inside) {
		endpoint = packet_endpoint(packet->current, headers, from);
		work->inside = endpoint_make(endpoint.address, endpoint.port, proto);
		packet->home = home_of_inside(nat, &work->inside);
		vnf_expect(packet, TABLE_OUT, &work->inside);
	}
	/* It leaves a note for its later fragments, or touches two homes. */
	packet->shared = work->headers.fragment || (work->from_inside && work->to_pool);
}

static void pre_ipv4(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work)
{
	const struct packet_headers *headers = &work->headers;
	const uint8_t *ip = packet->current + headers->l3;

	if (!direction(nat, packet, work, load_be32(ip + 12), load_be32(ip + 16)))
		return;
	work->is_error = packet_is_error(packet->current, headers);
	if (!work->is_error && proto_of(packet->current, headers) == PROTOS) {
		pre_policy(packet, nat->pass_other, CAUSE_UNSUPPORTED);
		return;
	}
	packet->wants_access = true;
	if (headers->later_fragment)
		return;
	if (headers->l4 == 0 ||
		(work->is_error && !packet_quoted(packet->current, packet->header_bytes, headers,
					   &work->quoted))) {
		vnf_drop(packet, CAUSE_MALFORMED);
		return;
	}
	choose_keys(nat, packet, work);
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

/* A new mapping for work->inside: the lowest free port of its home's slice. */
static const struct mapping *bind_inside(const struct nat *nat, struct vnf_packet *packet,
	const struct nat_work *work, struct txn *txn)
{
	uint8_t proto = work->inside.proto;
	uint32_t address = (uint32_t)(digest_mix(work->inside.address) % nat->pool_count);
	uint32_t base = (proto * nat->pool_count + address) * PORTS;
	uint32_t first = base + nat->port_low + home_of_inside(nat, &work->inside) * nat->slice;
	uint32_t ordinal = txn_lowest_absent(txn, TABLE_IN, first, nat->slice);
	struct endpoint outside, *in;
	struct mapping *out;

	if (ordinal == UINT32_MAX) {
		vnf_drop(packet, CAUSE_PORTS_EXHAUSTED);
		return NULL;
	}
	outside = endpoint_make(nat->pool[address], (uint16_t)(ordinal - base), proto);
	out = txn_insert(txn, TABLE_OUT, &work->inside);
	in = txn_insert(txn, TABLE_IN, &outside);
	if (out == NULL || in == NULL) {
		txn_abort(txn);
		vnf_drop(packet, CAUSE_BINDINGS_FULL);
		return NULL;
	}
	out->outside = outside;
	*in = work->inside;
	return out;
}

static uint64_t timeout_of(const struct nat *nat, const struct mapping *mapping)
{
	uint8_t tcp = mapping->tcp;
	bool closing = (tcp & TCP_RESET) != 0 ||
		       (tcp & (TCP_FIN_OUT | TCP_FIN_IN)) == (TCP_FIN_OUT | TCP_FIN_IN);

	if (mapping->outside.proto == PROTO_TCP && (tcp & TCP_MANY) == 0 &&
		((tcp & TCP_ANSWERED) == 0 || closing))
		return nat->transitory_ns;
	return nat->timeout_ns[mapping->outside.proto];
}

/* What an outbound segment tells of the connection. Opening one anew forgets the last. */
static void follow_out(const struct vnf_packet *packet, const struct nat_work *work,
	const struct mapping **mapping, struct txn *txn)
{
	uint8_t flags = packet_tcp_flags(packet->current, &work->headers);
	struct packet_endpoint remote =
		packet_endpoint(packet->current, &work->headers, PACKET_DESTINATION);
	struct mapping next = **mapping;
	struct mapping *out;
	struct endpoint *in;

	if (next.remote == 0 || (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		bool other = next.remote != 0 &&
			     (next.remote != remote.address || next.remote_port != remote.port);
		bool open = (next.tcp & (TCP_RESET | TCP_FIN_OUT | TCP_FIN_IN)) == 0;

		next.tcp = (next.tcp & TCP_MANY) || (other && open) ? TCP_MANY | TCP_ANSWERED : 0;
		next.remote = remote.address;
		next.remote_port = remote.port;
	} else if (next.remote != remote.address || next.remote_port != remote.port) {
		next.tcp |= TCP_MANY;
	}
	if (flags & TCP_FIN)
		next.tcp |= TCP_FIN_OUT;
	if (flags & TCP_RST)
		next.tcp |= TCP_RESET;
	if (memcmp(&next, *mapping, sizeof(next)) == 0)
		return;
	out = txn_modify(txn, TABLE_OUT, &work->inside);
	if (out == NULL)
		return;
	if ((next.tcp & TCP_ANSWERED) == 0 && (out->tcp & TCP_ANSWERED) != 0) {
		in = txn_modify(txn, TABLE_IN, &next.outside);
		if (in != NULL)
			in->flags = 0;
	}
	*out = next;
	*mapping = out;
}

/* What an inbound segment tells; looks at nat_out only where it tells something new. */
static void follow_in(const struct nat *nat, const struct vnf_packet *packet,
	const struct nat_work *work, const struct endpoint *found, struct txn *txn)
{
	uint8_t flags = packet_tcp_flags(packet->current, &work->headers);
	struct endpoint inside = *found, *in;
	struct mapping *out;

	if ((found->flags & IN_ANSWERED) != 0 && (flags & (TCP_FIN | TCP_RST)) == 0)
		return;
	in = txn_modify(txn, TABLE_IN, &work->outside);
	if (in == NULL)
		return;
	in->flags = IN_ANSWERED;
	inside.flags = 0;
	out = txn_modify(txn, TABLE_OUT, &inside);
	if (out == NULL)
		return;
	out->tcp |= TCP_ANSWERED;
	if (flags & TCP_FIN)
		out->tcp |= TCP_FIN_IN;
	if (flags & TCP_RST)
		out->tcp |= TCP_RESET;
	txn_keep(txn, TABLE_OUT, &inside, timeout_of(nat, out));
}

/* From the inside: the mapping's outside endpoint becomes the source. */
static void access_source(const struct nat *nat, struct vnf_packet *packet, struct nat_work *work,
	struct txn *txn)
{
	const struct mapping *mapping = txn_read(txn, TABLE_OUT, &work->inside);

	if (mapping == NULL && !work->is_error)
		mapping = bind_inside(nat, packet, work, txn);
	if (mapping == NULL) {
		if (!packet->dropped)
			vnf_drop(packet, CAUSE_NO_BINDING);
		return;
	}
	work->source = (struct packet_endpoint){mapping->outside.address, mapping->outside.port};
	if (work->is_error)
		return; /* RFC 5508 REQ-4: an error refreshes nothing */
	if (work->inside.proto == PROTO_TCP)
		follow_out(packet, work, &mapping, txn);
	txn_keep(txn, TABLE_OUT, &work->inside, timeout_of(nat, mapping));
}

/* To the pool: the mapping's inside endpoint becomes the destination. */
static void access_destination(const struct nat *nat, struct vnf_packet *packet,
	struct nat_work *work, struct txn *txn)
{
	const struct endpoint *found = txn_read(txn, TABLE_IN, &work->outside);

	if (found == NULL) {
		vnf_drop(packet, CAUSE_NO_BINDING);
		return;
	}
	work->destination = (struct packet_endpoint){found->address, found->port};
	if (!work->is_error && work->outside.proto == PROTO_TCP)
		follow_in(nat, packet, work, found, txn);
}

static void access_later_fragment(struct vnf_packet *packet, struct nat_work *work, struct txn *txn)
{
	struct packet_fragment key = packet_fragment(packet->current, &work->headers);
	const struct fragment_note *note = txn_read(txn, TABLE_FRAGMENTS, &key);

	if (note == NULL) {
		vnf_drop(packet, CAUSE_FRAGMENT_BEFORE_FIRST);
		return;
	}
	work->source.address = note->source;
	work->destination.address = note->destination;
}

/* The first fragment leaves a note for the later ones; without room for it they are dropped. */
static void note_fragment(const struct vnf_packet *packet, const struct nat_work *work,
	struct txn *txn)
{
	struct packet_fragment key = packet_fragment(packet->current, &work->headers);
	struct fragment_note *note = txn_modify(txn, TABLE_FRAGMENTS, &key);

	if (note == NULL)
		note = txn_insert(txn, TABLE_FRAGMENTS, &key);
	if (note == NULL)
		return;
	*note = (struct fragment_note){work->source.address, work->destination.address};
	txn_expire_at(txn, TABLE_FRAGMENTS, &key, txn_now_ns(txn) + FRAGMENT_TIMEOUT_NS);
}

static void nat_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	const struct nat *nat = self;
	struct nat_work *work = (struct nat_work *)packet->scratch;

	if (work->headers.later_fragment) {
		access_later_fragment(packet, work, txn);
		return;
	}
	if (work->from_inside)
		access_source(nat, packet, work, txn);
	if (work->to_pool && !packet->dropped)
		access_destination(nat, packet, work, txn);
	if (work->headers.fragment && !packet->dropped)
		note_fragment(packet, work, txn);
}

/* One translation: in the packet, or of an error in its address and in what it quotes. */
static void translate(struct vnf_packet *packet, struct nat_work *work, enum packet_side side,
	struct packet_endpoint to)
{
	struct packet_headers headers = work->headers;

	if (work->is_error) {
		packet_translate_quoted(packet->current, packet->header_bytes, &work->headers,
			&work->quoted, side == PACKET_SOURCE ? PACKET_DESTINATION : PACKET_SOURCE,
			to);
		headers.l4 = 0; /* an error's address is in no checksum but the header's */
	}
	packet_translate(packet->current, &headers, side, to);
}

static void nat_post(const void *self, struct vnf_packet *packet)
{
	struct nat_work *work = (struct nat_work *)packet->scratch;
	bool hairpinned = work->source.address != 0 && work->destination.address != 0;

	(void)self;
	if (!packet->wants_access)
		return;
	vnf_count(packet, hairpinned		      ? COUNT_HAIRPINNED
			  : work->source.address != 0 ? COUNT_OUTBOUND
						      : COUNT_INBOUND);
	if (work->headers.later_fragment)
		vnf_count(packet, COUNT_FRAGMENTS);
	if (work->is_error)
		vnf_count(packet, COUNT_ICMP_ERRORS);
	if (work->source.address != 0)
		translate(packet, work, PACKET_SOURCE, work->source);
	if (work->destination.address != 0)
		translate(packet, work, PACKET_DESTINATION, work->destination);
	if (hairpinned)
		packet->output_port = packet->port; /* back to where it came from */
}

static void nat_expire(const void *self, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	(void)self;
	(void)key;
	if (table == TABLE_OUT)
		(void)txn_erase(txn, TABLE_IN, &((const struct mapping *)value)->outside);
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
