/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trojan detector (De Carli et al., CCS'14; TransNFV section 2): a host that has an SSH connection,
 * then gets a file of a configured kind by FTP, then speaks IRC, all in that order and within a
 * window, raises one alarm. What a packet is, is told by its first payload bytes, not by ports.
 *
 * A host is an inside address (DESIGN section 5): of outbound packets the source at arrival, of
 * inbound ones the destination now. Its home is a hash of that address.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "core/digest.h"
#include "core/limits.h"
#include "vnf/packet.h"
#include "vnf/settings.h"

#define INSIDE_MAX 16
#define KINDS_MAX 16
#define KIND_BYTES 12
#define COMMAND_BYTES 256 /* of a command that is looked at */
#define SECOND_NS 1000000000ull

enum { TABLE_HOSTS };
enum { COUNT_SSH, COUNT_FTP, COUNT_IRC };

static const char *const counters[] = {"ssh", "ftp", "irc"};

struct detector {
	struct settings_prefix inside[INSIDE_MAX];
	uint32_t inside_count;
	char kinds[KINDS_MAX][KIND_BYTES]; /* lower case, without the dot */
	uint32_t kinds_count;
	uint32_t homes;
	uint64_t window_ns;
};

/* How far a host has come. */
enum host_step { STEP_SSH = 1, STEP_FTP = 2, STEP_ALARMED = 3 };

struct host {
	uint64_t step; /* enum host_step */
};

enum sight { SIGHT_NONE, SIGHT_SSH, SIGHT_FTP, SIGHT_IRC };

/* From pre to post, in the packet's scratch. */
struct work {
	uint64_t host; /* the key: its address */
	uint32_t sight;
	bool alarm;
};

static bool is_inside(const struct detector *self, uint32_t address)
{
	return settings_within(self->inside, self->inside_count, address);
}

static bool read_kinds(struct vnf_setup *setup, struct detector *self)
{
	static const char *const usual[] = {"html", "zip", "exe"};
	const struct vnf_setting *setting = settings_find(setup, "kinds");
	const char *const *values = setting == NULL ? usual : setting->values;
	uint32_t count = setting == NULL ? 3 : setting->values_count;

	if (count == 0 || count > KINDS_MAX)
		return settings_fail(setup, setting->line, "'kinds' is empty or has more than %d",
			KINDS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (strlen(values[i]) == 0 || strlen(values[i]) >= KIND_BYTES)
			return settings_fail(setup, setting->line,
				"'kinds' has '%s': use endings such as exe, of at most %d letters",
				values[i], KIND_BYTES - 1);
		for (uint32_t c = 0; values[i][c] != 0; c++)
			self->kinds[i][c] = (char)tolower((unsigned char)values[i][c]);
	}
	self->kinds_count = count;
	return true;
}

static uint16_t home_of(const void *self, const void *key)
{
	const struct detector *detector = self;

	return vnf_home(digest_mix(*(const uint64_t *)key), detector->homes);
}

static bool detector_open(struct vnf_setup *setup, void **result)
{
	static const char *const known[] = {"inside", "kinds", "window_s", "capacity", NULL};
	struct detector *self = calloc(1, sizeof(*self));
	uint32_t window_s = 3600, capacity = 1u << 16;

	if (self == NULL)
		return settings_fail(setup, 0, "out of memory");
	if (!settings_known(setup, known) ||
		!settings_prefixes(setup, "inside", self->inside, INSIDE_MAX,
			&self->inside_count) ||
		!read_kinds(setup, self) ||
		!settings_number(setup, "window_s", 1, TIMER_QUANTA_MAX - 2, &window_s) ||
		!settings_number(setup, "capacity", 1, 1u << 24, &capacity)) {
		free(self);
		return false;
	}
	self->homes = setup->homes;
	self->window_ns = window_s * SECOND_NS;
	setup->tables[TABLE_HOSTS] = (struct table_spec){
		.name = "trojan_hosts",
		.key_bytes = sizeof(uint64_t),
		.value_bytes = sizeof(struct host),
		.capacity = capacity,
		.scope = TABLE_FLOW,
		.home = home_of,
	};
	setup->tables_count = 1;
	*result = self;
	return true;
}

static void detector_close(void *self)
{
	free(self);
}

static bool starts(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

/* Whether an FTP command's file is of one of the kinds. */
static bool is_kind(const struct detector *self, char *line)
{
	char *dot;

	line[strcspn(line, "\r\n")] = 0;
	dot = strrchr(line, '.');
	if (dot == NULL)
		return false;
	for (char *c = dot; *c != 0; c++)
		*c = (char)tolower((unsigned char)*c);
	for (uint32_t i = 0; i < self->kinds_count; i++)
		if (strcmp(dot + 1, self->kinds[i]) == 0)
			return true;
	return false;
}

/* What the first bytes of a TCP payload say; outbound: the host sends them. */
static enum sight look(const struct detector *self, const struct vnf_packet *packet,
	uint32_t payload_at, uint32_t bytes, bool outbound)
{
	char line[COMMAND_BYTES];

	if (bytes > sizeof(line) - 1)
		bytes = sizeof(line) - 1;
	if (!vnf_read(packet, payload_at, line, bytes))
		return SIGHT_NONE;
	line[bytes] = 0;
	if (starts(line, "SSH-"))
		return SIGHT_SSH;
	/* Fetched by the host, or brought to it. */
	if (starts(line, outbound ? "RETR " : "STOR "))
		return is_kind(self, line) ? SIGHT_FTP : SIGHT_NONE;
	if (outbound &&
		(starts(line, "NICK ") || starts(line, "JOIN ") || starts(line, "PRIVMSG ")))
		return SIGHT_IRC;
	return SIGHT_NONE;
}

/* The payload of a TCP segment: where it begins, or 0 if there is none. */
static uint32_t payload_of(const struct vnf_packet *packet, const struct packet_headers *headers,
	uint32_t *bytes)
{
	uint32_t at = headers->l4 + (packet->current[headers->l4 + 12] >> 4) * 4u;
	uint32_t end = headers->l3 + load_be16(packet->current + headers->l3 + 2);

	if (end > packet->length)
		end = packet->length;
	*bytes = at < end ? end - at : 0;
	return *bytes < 5 || at < headers->l4 + 20u ? 0 : at;
}

static void detector_pre(const void *self, struct vnf_packet *packet)
{
	const struct detector *detector = self;
	struct work *work = (struct work *)packet->scratch;
	struct packet_headers headers =
		packet_parse(packet->current, packet->header_bytes, packet->length);
	uint32_t source, destination, at, bytes;
	bool outbound;

	if (headers.l3 == 0 || headers.l4 == 0 || headers.protocol != PROTOCOL_TCP)
		return;
	at = payload_of(packet, &headers, &bytes);
	if (at == 0)
		return;
	source = load_be32(packet->arrival + headers.l3 + 12);
	destination = load_be32(packet->current + headers.l3 + 16);
	outbound = is_inside(detector, source);
	if (!outbound && !is_inside(detector, destination))
		return;
	work->sight = look(detector, packet, at, bytes, outbound);
	if (work->sight == SIGHT_NONE)
		return;
	work->host = outbound ? source : destination;
	packet->home = home_of(detector, &work->host);
	packet->wants_access = true;
}

static void detector_access(const void *self, struct vnf_packet *packet, struct txn *txn)
{
	const struct detector *detector = self;
	struct work *work = (struct work *)packet->scratch;
	const struct host *found = txn_read(txn, TABLE_HOSTS, &work->host);
	struct host *host;

	if (found == NULL) {
		if (work->sight != SIGHT_SSH)
			return;
		host = txn_insert(txn, TABLE_HOSTS, &work->host);
		if (host == NULL)
			return; /* full: the earlier hosts are watched */
		host->step = STEP_SSH;
		txn_expire_at(txn, TABLE_HOSTS, &work->host,
			packet->clock_ns + detector->window_ns);
		return;
	}
	if ((found->step == STEP_SSH && work->sight == SIGHT_FTP) ||
		(found->step == STEP_FTP && work->sight == SIGHT_IRC)) {
		host = txn_modify(txn, TABLE_HOSTS, &work->host);
		if (host == NULL)
			return;
		host->step++;
		work->alarm = host->step == STEP_ALARMED;
	} else if (found->step == STEP_SSH && work->sight == SIGHT_SSH) {
		/* The window runs from the last SSH connection before the transfer. */
		txn_expire_at(txn, TABLE_HOSTS, &work->host,
			packet->clock_ns + detector->window_ns);
	}
}

static void detector_post(const void *self, struct vnf_packet *packet)
{
	struct work *work = (struct work *)packet->scratch;
	uint32_t host = (uint32_t)work->host;
	char text[96];

	(void)self;
	if (work->sight != SIGHT_NONE)
		vnf_count(packet, work->sight - SIGHT_SSH + COUNT_SSH);
	if (!work->alarm)
		return;
	snprintf(text, sizeof(text), "trojan: host %u.%u.%u.%u: SSH, then a file by FTP, then IRC",
		host >> 24, host >> 16 & 255, host >> 8 & 255, host & 255);
	vnf_alarm(packet, text);
}

__attribute__((visibility("default"))) const struct vnf_ops understudy_vnf = {
	.abi = VNF_ABI,
	.name = "trojan_detector",
	.counters = counters,
	.counters_count = sizeof(counters) / sizeof(counters[0]),
	.reads_payload = true,
	.open = detector_open,
	.close = detector_close,
	.pre = detector_pre,
	.access = detector_access,
	.post = detector_post,
};
