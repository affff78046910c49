/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that the author of a VNF needs, with txn/txn.h. A VNF is a shared object that exports
 *
 *	const struct vnf_ops understudy_vnf = { .abi = VNF_ABI, .name = "nat", ... };
 *
 * A packet passes three steps (TransNFV section 3): pre parses and decides which entries are
 * wanted, access is one atomic transaction on the declared tables, post uses the results. Where
 * packets share state, operations that pre declares, or a prepare step, come before access, in the
 * same transaction: txn.h says which is for what.
 *
 * Everything must be a function of configuration, tables and packets alone: no clock, no random
 * source, no memory kept between packets outside the tables. Steps of different packets may run in
 * different threads at the same time; those of one packet never do.
 */
#ifndef UNDERSTUDY_VNF_H
#define UNDERSTUDY_VNF_H

#include <stdbool.h>
#include <stdint.h>

#include "txn/txn.h"

#define VNF_ABI 3u
#define VNF_HOME_NONE UINT16_MAX
#define VNF_SCRATCH_BYTES 96

struct vnf_host; /* the runtime */
struct vnf_show;
struct table;

/* One packet as one VNF sees it. Views are good until the step returns. */
struct vnf_packet {
	const uint8_t *arrival; /* header_bytes of the packet as it entered the chain */
	uint8_t *current;	/* the same bytes as they are now: edit in place, in pre or post */
	uint16_t header_bytes;	/* min(length, 128) */
	uint16_t port;		/* where it came in; set output_port to send it elsewhere */
	uint16_t output_port;
	uint16_t home;	      /* set in pre: its shard of flow state, or VNF_HOME_NONE */
	uint32_t length;      /* of the frame, that is in the chain */
	uint32_t wire_length; /* on the wire; larger for a cut capture */
	uint64_t id;
	uint64_t clock_ns; /* the packet clock, monotone */
	uint16_t vlan_tci; /* of a tag that the port stripped; 0: none */
	bool cksum_bad;	   /* the port found a wrong checksum */
	bool dropped;	   /* set by vnf_drop */
	bool wants_access; /* set in pre; without it access is not called */
	bool prepares;	   /* set in pre: it has a prepare step, before access */
	bool shared;	   /* set in pre: its access may touch everything; all others wait for it */
	bool aborted;	   /* in post: its transaction was taken back */
	uint8_t drop_cause;
	uint16_t record; /* of the batch; the runtime's, as what follows */
	uint8_t worker;
	uint16_t counted;
	uint16_t locked; /* variable + 1 */
	bool expects;
	uint8_t expected_shard;
	uint32_t expected_hash;
	const struct table *expected_table;
	struct vnf_host *host;
	uint8_t scratch[VNF_SCRATCH_BYTES]
		__attribute__((aligned(8))); /* zeroed before pre; yours until post ends */
};

/* A variable that packets share outside the tables: see vnf_get. */
struct variable_spec {
	const char *name;
	uint32_t list_capacity; /* 0: one value; else a list of up to that many, 12 at most */
};

/* Configuration: one entry a YAML key under `config:`, values as written. */
struct vnf_setting {
	const char *key;
	const char *const *values;
	uint32_t values_count;
	uint32_t line;
};

struct vnf_setup {
	const struct vnf_setting *settings;
	uint32_t settings_count;
	uint32_t homes; /* shards of the stage; homes are below it */
	uint64_t seed;	/* of the chain */
	char *error;	/* one line: what is wrong, what to do */
	uint32_t error_bytes;
	uint32_t error_line;	   /* set with error: of the setting at fault; 0: none */
	struct table_spec *tables; /* fill up to tables_max, set tables_count */
	uint32_t tables_max;
	uint32_t tables_count;
	/* It calls vnf_determinant, or shares variables: its stage must be passive. */
	bool records;
	struct variable_spec variables[VARIABLES_MAX]; /* of a VNF that records */
	uint32_t variables_count;
};

struct vnf_ops {
	uint32_t abi;
	const char *name;
	const char *const *drop_causes; /* names, in snake_case; at most 31 */
	uint32_t drop_causes_count;
	const char *const *counters; /* names of what it counts besides; at most 16 */
	uint32_t counters_count;
	bool reads_payload; /* calls vnf_read: looks beyond the header view */
	/* False with setup->error set. *self is what every step gets; it is constant afterwards. */
	bool (*open)(struct vnf_setup *setup, void **self);
	void (*close)(void *self);
	void (*pre)(const void *self, struct vnf_packet *packet);
	/* Flow state of its home, in ID order; with packet->shared, everything. */
	void (*access)(const void *self, struct vnf_packet *packet, struct txn *txn);
	/*
	 * May be NULL. Shared tables, whole, one packet after the other in ID order; before access,
	 * for which it leaves what it found in the scratch. Part of the same transaction.
	 */
	void (*prepare)(const void *self, struct vnf_packet *packet, struct txn *txn);
	void (*post)(const void *self, struct vnf_packet *packet);
	/*
	 * Now and then, and at the end: vnf_show what people should see of its tables, which are
	 * only read. May be NULL; counters are shown anyway.
	 */
	void (*show)(const void *self, struct txn *txn, struct vnf_show *show);
	/* Before an expired entry is erased, in its transaction. May be NULL. */
	void (*expire)(const void *self, uint32_t table, struct txn *txn, const void *key,
		const void *value);
};

/*
 * pre, once the home is set: access will ask for this key first, so that its entry may come to the
 * caches meanwhile. A wrong or missing hint changes speed alone.
 */
void vnf_expect(struct vnf_packet *packet, uint32_t table, const void *key);

/*
 * pre, once the home is set: whether a flow table has the key as far as one can tell now. It may be
 * out of date: only for picking whether to prepare, so that it changes speed alone.
 */
bool vnf_glance(const struct vnf_packet *packet, uint32_t table, const void *key);

/*
 * pre: an operation on an entry of a shared table, part of the packet's transaction, before prepare
 * and access. Its context is the packet's scratch. Those of other packets may run beside it. More
 * than OPERATIONS_MAX are left out.
 */
void vnf_operate(struct vnf_packet *packet, const struct operation *operation);

/* The home of a hash whose low 32 bits are mixed well, such as digest_mix's. */
static inline uint16_t vnf_home(uint64_t hash, uint32_t homes)
{
	return (uint16_t)((hash & 0xffffffff) * homes >> 32);
}

/*
 * Any step: the packet goes no further; cause is an index into drop_causes. Dropped in pre, it has
 * no transaction: what it declared is not executed.
 */
void vnf_drop(struct vnf_packet *packet, uint8_t cause);

/*
 * Any step: counts, once for this packet. Counters are for people; no result depends on them. They
 * go with the state, so that a replica that takes over counts on.
 */
void vnf_count(struct vnf_packet *packet, uint32_t counter);

/* Any step: a random number, the same in every replica, for each draw (0, 1, ...). */
uint64_t vnf_random(const struct vnf_packet *packet, uint32_t draw);

/* show: a figure of a subject: a server, a pool. Shown as "VNF/subject/name". */
void vnf_show(struct vnf_show *show, const char *subject, const char *name, uint64_t value);

/* post: an alarm, released exactly once. Text is cut at 160 bytes. */
void vnf_alarm(struct vnf_packet *packet, const char *text);

/* post: changes bytes anywhere in the packet / its length. False if out of bounds. */
bool vnf_edit(struct vnf_packet *packet, uint16_t offset, const void *bytes, uint16_t bytes_count);
bool vnf_resize(struct vnf_packet *packet, uint16_t length);

/*
 * Any step: copies bytes of the packet as it is now, from anywhere in it. False if out of bounds,
 * or if the VNF does not say that it reads payloads.
 */
bool vnf_read(const struct vnf_packet *packet, uint32_t offset, void *bytes, uint32_t bytes_count);

/*
 * post: sends a packet of the VNF's own after this one; VNFs after this do not see it. False past 4
 * a packet, or past its room: with alarms and changes beyond the header view, over all VNFs of the
 * chain, 768 bytes more than the packet is long.
 */
bool vnf_emit(struct vnf_packet *packet, uint16_t port, const void *frame, uint32_t frame_bytes);

/*
 * post: a value that cannot be recomputed (a lookup elsewhere, a measurement). ask runs in
 * the leader alone and is recorded; a slave reads the record back. At most 64 bytes.
 */
void vnf_determinant(struct vnf_packet *packet, void *value, uint32_t value_bytes,
	void (*ask)(void *value, uint32_t value_bytes, void *context), void *context);

/*
 * post: variables that threads share under locks of their own (FTvNF section 3), for what cannot be
 * written as transactions. Each access is recorded in the leader and replayed in slaves; 256 bytes
 * a packet at most, a getter takes 24, a setter 16. Those of different packets come in any order,
 * so what must go together goes between vnf_lock and vnf_unlock; at most one lock at a time.
 *
 * vnf_get: a value, or the newest of a list. vnf_set: a value. vnf_push: behind a list's newest;
 * past its capacity the oldest goes. vnf_pop: takes the oldest out of a list; 0 if it is empty.
 */
void vnf_lock(struct vnf_packet *packet, uint32_t variable);
void vnf_unlock(struct vnf_packet *packet, uint32_t variable);
uint64_t vnf_get(struct vnf_packet *packet, uint32_t variable);
void vnf_set(struct vnf_packet *packet, uint32_t variable, uint64_t value);
void vnf_push(struct vnf_packet *packet, uint32_t variable, uint64_t value);
uint64_t vnf_pop(struct vnf_packet *packet, uint32_t variable);

#endif
