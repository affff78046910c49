/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load balancer: a new connection to the virtual address goes to the server with the fewest open
 * ones, the first of equals; all its packets follow it, and replies seem to come from the virtual
 * address (TransNFV section 2's balancer). Counts connections and bytes for each server.
 *
 * What connections share is each server's load: a table that a prepare step reads and changes for
 * packets that open or close a connection. Bytes are counted by home, so that packets in between
 * touch flow state alone.
 *
 * A connection is known by its tuple as the outside sees it (DESIGN section 5): of outbound packets
 * as they are now, behind a NAT, of all others as they arrived. So it works before, behind and
 * without a NAT. Its home is a hash of the client's endpoint, which both directions have.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "core/digest.h"
#include "core/limits.h"
#include "vnf/packet.h"
#include "vnf/settings.h"

#define INSIDE_MAX 16
#define PORTS_MAX_BALANCED 16
#define SERVERS_MAX 64
#define SECOND_NS 1000000000ull
#define FRAGMENT_TIMEOUT_NS (30 * SECOND_NS)
#define CLOSED_TIMEOUT_NS (120 * SECOND_NS) /* late segments still find their server */

enum { TABLE_CONNECTIONS, TABLE_REPLIES, TABLE_TRAFFIC, TABLE_LOADS, TABLE_FRAGMENTS };
enum { CAUSE_MALFORMED, CAUSE_NO_SERVER, CAUSE_CONNECTIONS_FULL };
enum { COUNT_TO_SERVERS, COUNT_FROM_SERVERS, COUNT_NOT_BALANCED, COUNT_NO_CONNECTION };

static const char *const causes[] = {"malformed", "no_server", "connections_full"};
static const char *const counters[] = {"to_servers", "from_servers", "not_balanced",
	"no_connection"};

struct balancer {
	struct settings_prefix inside[INSIDE_MAX];
	uint32_t inside_count;
	struct settings_prefix vip; /* mask 0: any address outside */
	uint16_t ports[PORTS_MAX_BALANCED];
	uint32_t ports_count;
	struct settings_prefix servers[SERVERS_MAX];
	uint32_t servers_count;
	uint32_t homes;
	uint64_t tcp_timeout_ns, udp_timeout_ns;
};

/* A client and whom it talks to: the virtual address, or the server behind it. */
struct connection_key {
	uint32_t client, peer;
	uint16_t client_port, peer_port;
	uint8_t protocol;
	uint8_t zero[3];
};

enum { FIN_CLIENT = 0x01, FIN_SERVER = 0x02, CLOSED = 0x04 };

struct connection {
	uint32_t server; /* its number */
	uint8_t state;	 /* FIN_CLIENT and so on */
	uint8_t zero[3];
};

/* What a server's replies seem to come from. */
struct reply {
	uint32_t vip;
	uint32_t zero;
};

/* Open connections of a row of servers: what is looked at together lies together. */
#define ROW_SERVERS 16

struct loads {
	uint32_t open[ROW_SERVERS];
};

/* What a home's packets brought a server: of frames, as long as they were on the wire. */
struct traffic {
	uint64_t connections;
	uint64_t bytes_to, bytes_from;
};

/* The key of traffic. */
#define TRAFFIC_KEY(home, server) ((uint64_t)(home) << 32 | (server))

/* What the first fragment leaves for the later ones. */
struct fragment_note {
	uint32_t address; /* the new one */
	uint16_t server;
	uint8_t to_server; /* else from it */
	uint8_t home;	   /* whose traffic it is */
};

_Static_assert(sizeof(struct connection_key) == 16 && sizeof(struct connection) == 8 &&
		       sizeof(struct reply) == 8 && sizeof(struct loads) == 64 &&
		       sizeof(struct traffic) == 24 && HOMES_MAX <= 256 &&
		       sizeof(struct fragment_note) == 8,
	"keys and values");

#define NO_SERVER (SERVERS_MAX + 1)

enum work_kind { WORK_NONE, WORK_TO_SERVER, WORK_FROM_SERVER, WORK_LATER_FRAGMENT, WORK_ERROR };

/* From pre to post, in the packet's scratch. */
struct work {
	struct packet_headers headers, quoted;
	struct connection_key key __attribute__((aligned(8))); /* its peer: virtual, or a server */
	struct packet_fragment fragment __attribute__((aligned(8)));
	uint8_t kind, flags;
	uint8_t to_server : 1; /* of a later fragment or an error, which way it goes */
	uint8_t closed : 1;    /* prepared: the server has one connection less */
	uint8_t choice;	       /* prepared: the server chosen, from 1; NO_SERVER; 0: none was */
	uint32_t address;      /* put in place of the destination's, or of the source's; 0: none */
};

_Static_assert(sizeof(struct work) <= VNF_SCRATCH_BYTES, "scratch");

static bool is_inside(const struct balancer *self, uint32_t address)
{
	return settings_within(self->inside, self->inside_count, address);
}

/* The server's number, or servers_count. */
static uint32_t server_number(const struct balancer *self, uint32_t address)
{
	uint32_t i = 0;

	while (i < self->servers_count && self->servers[i].address != address)
		i++;
	return i;
}

static bool read_vip(struct vnf_setup *setup, struct balancer *self)
{
	const struct vnf_setting *setting = settings_find(setup, "vip");
	uint32_t count;

	if (setting != NULL && setting->values_count == 1 && strcmp(setting->values[0], "any") == 0)
		return self->inside_count > 0 ||
		       settings_fail(setup, setting->line,
			       "'vip: any' balances what leaves the inside: give 'inside'");
	if (!settings_prefixes(setup, "vip", &self->vip, 1, &count))
		return false;
	return self->vip.mask == ~0u ||
	       settings_fail(setup, setting->line, "'vip' is any, or one address");
}

static bool read_ports(struct vnf_setup *setup, struct balancer *self)
{
	const struct vnf_setting *setting = settings_find(setup, "ports");

	if (setting == NULL || setting->values_count == 0 ||
		setting->values_count > PORTS_MAX_BALANCED)
		return settings_fail(setup, setting == NULL ? 0 : setting->line,
			"'ports' is missing or has more than %d: give those to balance",
			PORTS_MAX_BALANCED);
	for (uint32_t i = 0; i < setting->values_count; i++) {
		char *end;
		unsigned long port = strtoul(setting->values[i], &end, 10);

		if (setting->values[i][0] < '0' || setting->values[i][0] > '9' || *end != 0 ||
			port == 0 || port > 65535)
			return settings_fail(setup, setting->line,
				"'ports' has '%s': use numbers from 1 to 65535",
				setting->values[i]);
		self->ports[self->ports_count++] = (uint16_t)port;
	}
	return true;
}

static bool read_servers(struct vnf_setup *setup, struct balancer *self)
{
	if (!settings_prefixes(setup, "servers", self->servers, SERVERS_MAX, &self->servers_count))
		return false;
	for (uint32_t i = 0; i < self->servers_count; i++)
		if (self->servers[i].mask != ~0u ||
			server_number(self, self->servers[i].address) != i ||
			(self->vip.mask != 0 && self->servers[i].address == self->vip.address))
			return settings_fail(setup, settings_find(setup, "servers")->line,
				"'servers' has a prefix, an address twice, or the 'vip'");
	return true;
}

static bool read_settings(struct vnf_setup *setup, struct balancer *self, uint32_t *capacity)
{
	static const char *const known[] = {"inside", "vip", "ports", "servers", "capacity",
		"tcp_timeout_s", "udp_timeout_s", NULL};
	uint32_t tcp_s = 900, udp_s = 300; /* as Linux's IPVS */

	if (!settings_known(setup, known) ||
		(settings_find(setup, "inside") != NULL &&
			!settings_prefixes(setup, "inside", self->inside, INSIDE_MAX,
				&self->inside_count)) ||
		!read_vip(setup, self) || !read_ports(setup, self) || !read_servers(setup, self) ||
		!settings_number(setup, "capacity", 1, 1u << 24, capacity) ||
		!settings_number(setup, "tcp_timeout_s", 1, TIMER_QUANTA_MAX - 2, &tcp_s) ||
		!settings_number(setup, "udp_timeout_s", 1, TIMER_QUANTA_MAX - 2, &udp_s))
		return false;
	self->homes = setup->homes;
	self->tcp_timeout_ns = tcp_s * SECOND_NS;
	self->udp_timeout_ns = udp_s * SECOND_NS;
	return true;
}

/* Of the client's endpoint, which a connection's both keys have. */
static uint16_t home_of(const void *self, const void *key)
{
	const struct balancer *balancer = self;
	const struct connection_key *connection = key;

	return vnf_home(digest_mix((uint64_t)connection->client << 16 | connection->client_port),
		balancer->homes);
}

static uint16_t home_of_traffic(const void *self, const void *key)
{
	(void)self;
	return (uint16_t)(*(const uint64_t *)key >> 32);
}

static bool balancer_open(struct vnf_setup *setup, void **result)
{
	struct balancer *self = calloc(1, sizeof(*self));
	uint32_t capacity = 1u << 17;

	if (self == NULL)
		return settings_fail(setup, 0, "out of memory");
	if (!read_settings(setup, self, &capacity)) {
		free(self);
		return false;
	}
	setup->tables[TABLE_CONNECTIONS] = (struct table_spec){
		.name = "lb_connections",
		.key_bytes = sizeof(struct connection_key),
		.value_bytes = sizeof(struct connection),
		.capacity = capacity,
		.scope = TABLE_FLOW,
		.home = home_of,
	};
	setup->tables[TABLE_REPLIES] = setup->tables[TABLE_CONNECTIONS];
	setup->tables[TABLE_REPLIES].name = "lb_replies";
	setup->tables[TABLE_REPLIES].value_bytes = sizeof(struct reply);
	setup->tables[TABLE_TRAFFIC] = (struct table_spec){
		.name = "lb_traffic",
		.key_bytes = sizeof(uint64_t),
		.value_bytes = sizeof(struct traffic),
		.capacity = self->servers_count * setup->homes,
		.scope = TABLE_FLOW,
		.home = home_of_traffic,
	};
	setup->tables[TABLE_LOADS] = (struct table_spec){
		.name = "lb_loads",
		.key_bytes = sizeof(uint64_t),
		.value_bytes = sizeof(struct loads),
		.capacity = SERVERS_MAX / ROW_SERVERS,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables[TABLE_FRAGMENTS] = (struct table_spec){
		.name = "lb_fragments",
		.key_bytes = sizeof(struct packet_fragment),
		.value_bytes = sizeof(struct fragment_note),
		.capacity = 4096,
		.scope = TABLE_SHARED,
		.writers = TABLE_MULTI_WRITER,
	};
	setup->tables_count = 5;
	*result = self;
	return true;
}

static void balancer_close(void *self)
{
	free(self);
}

static bool is_balanced(const struct balancer *self, bool outbound, struct packet_endpoint to)
{
	if (self->vip.mask == 0 ? !outbound : to.address != self->vip.address)
		return false;
	for (uint32_t i = 0; i < self->ports_count; i++)
		if (self->ports[i] == to.port)
			return true;
	return false;
}

/* Whether a packet to a server opens a connection, if there is none. */
static bool opens(const struct work *work)
{
	return work->key.protocol == PROTOCOL_UDP || (work->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* The key, and the home that both directions and its errors share. */
static void set_key(const struct balancer *self, struct vnf_packet *packet, struct work *work,
	struct packet_endpoint client, struct packet_endpoint peer, uint8_t protocol)
{
	work->key = (struct connection_key){.client = client.address,
		.peer = peer.address,
		.client_port = client.port,
		.peer_port = peer.port,
		.protocol = protocol};
	packet->home = home_of(self, &work->key);
	packet->wants_access = true;
	packet->shared = work->headers.fragment;
}

/* An error from the client quotes a reply that seemed to come from the virtual address; one to the
 * client quotes what went to a server. */
static void pre_error(const struct balancer *self, struct vnf_packet *packet, struct work *work,
	const uint8_t *view, bool outbound)
{
	struct packet_endpoint from, to;

	if (!packet_quoted(view, packet->header_bytes, &work->headers, &work->quoted) ||
		work->quoted.protocol == PROTOCOL_ICMP)
		return;
	from = packet_endpoint(view, &work->quoted, PACKET_SOURCE);
	to = packet_endpoint(view, &work->quoted, PACKET_DESTINATION);
	work->kind = WORK_ERROR;
	work->to_server = is_balanced(self, outbound, from);
	if (work->to_server)
		set_key(self, packet, work, to, from, work->quoted.protocol);
	else if (server_number(self, to.address) < self->servers_count)
		set_key(self, packet, work, from, to, work->quoted.protocol);
}

static void pre_ipv4(const struct balancer *self, struct vnf_packet *packet, struct work *work)
{
	const struct packet_headers *headers = &work->headers;
	bool outbound = is_inside(self, load_be32(packet->arrival + headers->l3 + 12));
	const uint8_t *view = outbound ? packet->current : packet->arrival;
	struct packet_endpoint from, to;

	if (packet_is_error(view, headers)) {
		pre_error(self, packet, work, view, outbound);
		return;
	}
	if (headers->protocol != PROTOCOL_TCP && headers->protocol != PROTOCOL_UDP)
		return;
	from = packet_endpoint(view, headers, PACKET_SOURCE);
	to = packet_endpoint(view, headers, PACKET_DESTINATION);
	if (headers->fragment)
		work->fragment = packet_fragment(view, headers);
	if (headers->later_fragment) {
		work->kind = WORK_LATER_FRAGMENT;
		packet->wants_access = true;
		return;
	}
	if (headers->l4 == 0) {
		vnf_drop(packet, CAUSE_MALFORMED);
		return;
	}
	work->flags = packet_tcp_flags(view, headers);
	packet->prepares = (work->flags & (TCP_FIN | TCP_RST)) != 0;
	if (is_balanced(self, outbound, to)) {
		work->kind = WORK_TO_SERVER;
		set_key(self, packet, work, from, to, headers->protocol);
		vnf_expect(packet, TABLE_CONNECTIONS, &work->key);
		packet->prepares |= opens(work) &&
				    (headers->protocol == PROTOCOL_TCP ||
					    !vnf_glance(packet, TABLE_CONNECTIONS, &work->key));
	} else if (server_number(self, from.address) < self->servers_count) {
		work->kind = WORK_FROM_SERVER;
		set_key(self, packet, work, to, from, headers->protocol);
		vnf_expect(packet, TABLE_REPLIES, &work->key);
	}
}

static void balancer_pre(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;

	work->headers = packet_parse(packet->current, packet->header_bytes, packet->length);
	if (work->headers.malformed)
		vnf_drop(packet, CAUSE_MALFORMED);
	else if (work->headers.l3 != 0)
		pre_ipv4(self, packet, work);
	if (!packet->wants_access && !packet->dropped)
		vnf_count(packet, COUNT_NOT_BALANCED);
}

static uint32_t *load_of(struct txn *txn, uint32_t server)
{
	uint64_t row = server / ROW_SERVERS;
	struct loads *loads = txn_modify(txn, TABLE_LOADS, &row);

	if (loads == NULL)
		loads = txn_insert(txn, TABLE_LOADS, &row);
	return loads == NULL ? NULL : &loads->open[server % ROW_SERVERS];
}

/* The first of those with the fewest open connections, but for the barred ones; servers_count. */
static uint32_t least_loaded(const struct balancer *self, uint64_t barred, struct txn *txn)
{
	uint32_t chosen = self->servers_count, fewest = UINT32_MAX;

	for (uint64_t row = 0; row * ROW_SERVERS < self->servers_count; row++) {
		const struct loads *loads = txn_read(txn, TABLE_LOADS, &row);

		for (uint32_t i = 0; i < ROW_SERVERS; i++) {
			uint32_t server = (uint32_t)row * ROW_SERVERS + i;
			uint32_t open = loads == NULL ? 0 : loads->open[i];

			if (server < self->servers_count && open < fewest &&
				(barred >> server & 1) == 0) {
				fewest = open;
				chosen = server;
			}
		}
	}
	return chosen;
}

/* Whether this client's endpoint talks to the server already, under another virtual address. */
static bool is_taken(const struct balancer *self, const struct connection_key *key, uint32_t server,
	struct txn *txn)
{
	struct connection_key reply = *key;

	reply.peer = self->servers[server].address;
	return self->vip.mask == 0 && txn_foresee(txn, TABLE_REPLIES, &reply) != NULL;
}

/*
 * The server with the fewest open connections among those that this client's endpoint does not talk
 * to already under another address: their replies could not be told apart. It gets one more.
 */
static uint8_t choose_server(const struct balancer *self, const struct connection_key *key,
	struct txn *txn)
{
	uint64_t barred = 0;
	uint32_t chosen, *load;

	while ((chosen = least_loaded(self, barred, txn)) < self->servers_count &&
		is_taken(self, key, chosen, txn))
		barred |= 1ull << chosen;
	load = chosen == self->servers_count ? NULL : load_of(txn, chosen);
	if (load == NULL)
		return NO_SERVER;
	(*load)++;
	return (uint8_t)(chosen + 1);
}

static void close_one(struct txn *txn, uint32_t server)
{
	uint32_t *load = load_of(txn, server);

	if (load != NULL)
		(*load)--;
}

static uint8_t next_state(const struct work *work, const struct connection *connection,
	bool to_server)
{
	uint8_t state = connection->state;

	if (work->flags & TCP_FIN)
		state |= to_server ? FIN_CLIENT : FIN_SERVER;
	if ((work->flags & TCP_RST) != 0 ||
		(state & (FIN_CLIENT | FIN_SERVER)) == (FIN_CLIENT | FIN_SERVER))
		state |= CLOSED;
	return state;
}

static bool closes(const struct connection *connection, uint8_t state)
{
	return (state & CLOSED) != 0 && (connection->state & CLOSED) == 0;
}

/* What the packet will do to the servers' loads, by what its connection will be like. */
static void balancer_prepare(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	const struct balancer *balancer = self;
	struct work *work = (struct work *)packet->scratch;
	bool to_server = work->kind == WORK_TO_SERVER;
	const struct connection *connection;
	struct connection_key key = work->key;

	if (!to_server) {
		const struct reply *reply = txn_foresee(txn, TABLE_REPLIES, &key);

		if (reply == NULL)
			return;
		key.peer = reply->vip;
	}
	connection = txn_foresee(txn, TABLE_CONNECTIONS, &key);
	if (to_server && opens(work) && (connection == NULL || (connection->state & CLOSED) != 0)) {
		work->choice = choose_server(balancer, &key, txn);
		return;
	}
	if (connection != NULL && closes(connection, next_state(work, connection, to_server))) {
		close_one(txn, connection->server);
		work->closed = true;
	}
}

static struct traffic *traffic_of(uint32_t home, uint32_t server, struct txn *txn)
{
	uint64_t key = TRAFFIC_KEY(home, server);
	struct traffic *traffic = txn_modify(txn, TABLE_TRAFFIC, &key);

	return traffic != NULL ? traffic : txn_insert(txn, TABLE_TRAFFIC, &key);
}

static void count_bytes(const struct vnf_packet *packet, uint32_t home, uint32_t server,
	bool to_server, struct txn *txn)
{
	struct traffic *traffic = traffic_of(home, server, txn);

	if (traffic != NULL)
		*(to_server ? &traffic->bytes_to : &traffic->bytes_from) += packet->wire_length;
}

static const struct connection *connect_to(const struct balancer *self, struct vnf_packet *packet,
	struct work *work, struct txn *txn)
{
	struct connection_key reply_key = work->key;
	struct connection *connection;
	struct traffic *traffic;
	struct reply *reply;

	if (work->choice == 0 && txn_widen(txn))
		work->choice = choose_server(self, &work->key, txn);
	if (work->choice == 0 || work->choice == NO_SERVER) {
		vnf_drop(packet, CAUSE_NO_SERVER);
		return NULL;
	}
	reply_key.peer = self->servers[work->choice - 1].address;
	connection = txn_insert(txn, TABLE_CONNECTIONS, &work->key);
	reply = txn_insert(txn, TABLE_REPLIES, &reply_key);
	if (connection == NULL || reply == NULL) {
		txn_abort(txn);
		vnf_drop(packet, CAUSE_CONNECTIONS_FULL);
		return NULL;
	}
	connection->server = work->choice - 1u;
	reply->vip = work->key.peer;
	traffic = traffic_of(packet->home, connection->server, txn);
	if (traffic != NULL)
		traffic->connections++;
	return connection;
}

static void forget_reply(const struct balancer *self, const struct connection_key *key,
	const struct connection *connection, struct txn *txn)
{
	struct connection_key reply = *key;

	reply.peer = self->servers[connection->server].address;
	(void)txn_erase(txn, TABLE_REPLIES, &reply);
}

/* Follows TCP's end: closed once both sides have, or one resets. Counts the packet's bytes. */
static void follow(const struct balancer *self, const struct vnf_packet *packet,
	const struct work *work, const struct connection_key *key,
	const struct connection *connection, bool to_server, struct txn *txn)
{
	uint8_t state = next_state(work, connection, to_server);
	struct connection *changed;
	uint64_t timeout_ns = key->protocol == PROTOCOL_TCP ? self->tcp_timeout_ns
							    : self->udp_timeout_ns;

	if (state != connection->state) {
		if (closes(connection, state) && !work->closed && txn_widen(txn))
			close_one(txn, connection->server);
		changed = txn_modify(txn, TABLE_CONNECTIONS, key);
		if (changed != NULL)
			changed->state = state;
	}
	txn_keep(txn, TABLE_CONNECTIONS, key,
		(state & CLOSED) != 0 ? CLOSED_TIMEOUT_NS : timeout_ns);
	count_bytes(packet, home_of(self, key), connection->server, to_server, txn);
}

/* The first fragment leaves a note; without room for it the later ones pass unbalanced. */
static void note_fragment(const struct vnf_packet *packet, const struct work *work, uint32_t server,
	bool to_server, struct txn *txn)
{
	struct fragment_note *note = txn_modify(txn, TABLE_FRAGMENTS, &work->fragment);

	if (note == NULL)
		note = txn_insert(txn, TABLE_FRAGMENTS, &work->fragment);
	if (note == NULL)
		return;
	*note = (struct fragment_note){work->address, (uint16_t)server, to_server,
		(uint8_t)packet->home};
	txn_expire_at(txn, TABLE_FRAGMENTS, &work->fragment, txn_now_ns(txn) + FRAGMENT_TIMEOUT_NS);
}

static void access_later_fragment(const struct vnf_packet *packet, struct work *work,
	struct txn *txn)
{
	const struct fragment_note *note = txn_read(txn, TABLE_FRAGMENTS, &work->fragment);

	if (note == NULL)
		return;
	work->address = note->address;
	work->to_server = note->to_server;
	count_bytes(packet, note->home, note->server, note->to_server, txn);
}

static void access_to_server(const struct balancer *self, struct vnf_packet *packet,
	struct work *work, struct txn *txn)
{
	const struct connection *connection = txn_read(txn, TABLE_CONNECTIONS, &work->key);

	if (connection != NULL && opens(work) && (connection->state & CLOSED) != 0) {
		forget_reply(self, &work->key, connection, txn);
		(void)txn_erase(txn, TABLE_CONNECTIONS, &work->key);
		connection = NULL;
	}
	if (connection == NULL && opens(work))
		connection = connect_to(self, packet, work, txn);
	if (connection == NULL)
		return; /* from before our time: it stays with whom it is */
	work->to_server = true;
	work->address = self->servers[connection->server].address;
	if (work->headers.fragment)
		note_fragment(packet, work, connection->server, true, txn);
	follow(self, packet, work, &work->key, connection, true, txn);
}

static void access_from_server(const struct balancer *self, struct vnf_packet *packet,
	struct work *work, struct txn *txn)
{
	const struct reply *reply = txn_read(txn, TABLE_REPLIES, &work->key);
	const struct connection *connection;
	struct connection_key key = work->key;

	if (reply == NULL)
		return;
	key.peer = work->address = reply->vip;
	connection = txn_read(txn, TABLE_CONNECTIONS, &key);
	if (connection == NULL)
		return;
	if (work->headers.fragment)
		note_fragment(packet, work, connection->server, false, txn);
	follow(self, packet, work, &key, connection, false, txn);
}

static void access_error(const struct balancer *self, struct work *work, struct txn *txn)
{
	const struct connection *connection;
	const struct reply *reply;

	if (work->to_server) {
		connection = txn_read(txn, TABLE_CONNECTIONS, &work->key);
		if (connection != NULL)
			work->address = self->servers[connection->server].address;
	} else {
		reply = txn_read(txn, TABLE_REPLIES, &work->key);
		if (reply != NULL)
			work->address = reply->vip;
	}
}

static void balancer_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	struct work *work = (struct work *)packet->scratch;

	switch (work->kind) {
	case WORK_TO_SERVER:
		access_to_server(self, packet, work, txn);
		break;
	case WORK_FROM_SERVER:
		access_from_server(self, packet, work, txn);
		break;
	case WORK_LATER_FRAGMENT:
		access_later_fragment(packet, work, txn);
		break;
	default:
		access_error(self, work, txn);
		break;
	}
}

/* Puts an address in place of one side's; ports stay. */
static void translate(struct vnf_packet *packet, const struct packet_headers *headers,
	enum packet_side side, uint32_t address)
{
	struct packet_endpoint to = packet_endpoint(packet->current, headers, side);

	to.address = address;
	packet_translate(packet->current, headers, side, to);
}

/* The quoted packet went the other way; the error itself may come from, or go to, its peer. */
static void translate_error(struct vnf_packet *packet, struct work *work)
{
	enum packet_side quoted = work->to_server ? PACKET_SOURCE : PACKET_DESTINATION;
	enum packet_side outer = work->to_server ? PACKET_DESTINATION : PACKET_SOURCE;
	struct packet_headers headers = work->headers;
	struct packet_endpoint to = packet_endpoint(packet->current, &work->quoted, quoted);

	headers.l4 = 0;
	if (packet_endpoint(packet->current, &headers, outer).address == work->key.peer)
		translate(packet, &headers, outer, work->address);
	to.address = work->address;
	packet_translate_quoted(packet->current, packet->header_bytes, &work->headers,
		&work->quoted, quoted, to);
}

static void balancer_post(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;

	(void)self;
	if (!packet->wants_access)
		return;
	if (work->address == 0) {
		vnf_count(packet, COUNT_NO_CONNECTION);
		return;
	}
	vnf_count(packet, work->to_server ? COUNT_TO_SERVERS : COUNT_FROM_SERVERS);
	if (work->kind == WORK_ERROR)
		translate_error(packet, work);
	else
		translate(packet, &work->headers,
			work->to_server ? PACKET_DESTINATION : PACKET_SOURCE, work->address);
}

static void balancer_expire(const void *self, uint32_t table, struct txn *txn, const void *key,
	const void *value)
{
	const struct connection *connection = value;

	if (table != TABLE_CONNECTIONS)
		return;
	forget_reply(self, key, connection, txn);
	if ((connection->state & CLOSED) == 0)
		close_one(txn, connection->server);
}

static void balancer_show(const void *self, struct txn *txn, struct vnf_show *show)
{
	const struct balancer *balancer = self;

	for (uint64_t i = 0; i < balancer->servers_count; i++) {
		uint64_t row = i / ROW_SERVERS;
		const struct loads *loads = txn_read(txn, TABLE_LOADS, &row);
		uint32_t address = balancer->servers[i].address;
		struct traffic sum = {0};
		char name[32];

		for (uint32_t home = 0; home < balancer->homes; home++) {
			uint64_t key = TRAFFIC_KEY(home, i);
			const struct traffic *traffic = txn_read(txn, TABLE_TRAFFIC, &key);

			if (traffic == NULL)
				continue;
			sum.connections += traffic->connections;
			sum.bytes_to += traffic->bytes_to;
			sum.bytes_from += traffic->bytes_from;
		}
		snprintf(name, sizeof(name), "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
			address >> 8 & 255, address & 255);
		vnf_show(show, name, "open", loads == NULL ? 0 : loads->open[i % ROW_SERVERS]);
		vnf_show(show, name, "connections", sum.connections);
		vnf_show(show, name, "bytes_to", sum.bytes_to);
		vnf_show(show, name, "bytes_from", sum.bytes_from);
	}
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "load_balancer",
	.drop_causes = causes,
	.drop_causes_count = sizeof(causes) / sizeof(causes[0]),
	.counters = counters,
	.counters_count = sizeof(counters) / sizeof(counters[0]),
	.open = balancer_open,
	.close = balancer_close,
	.pre = balancer_pre,
	.access = balancer_access,
	.prepare = balancer_prepare,
	.post = balancer_post,
	.expire = balancer_expire,
	.show = balancer_show,
};
