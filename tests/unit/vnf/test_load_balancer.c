/* SPDX-License-Identifier: BSD-3-Clause */
/* The load balancer in the replica: least connections, replies, ends, fragments, errors, counts. */
#include "tests/unit/vnf/vnf_run.h"

#define VIP 0xcb007107u	  /* 203.0.113.7 */
#define FIRST 0xc633640bu /* 198.51.100.11, and two more */

static struct replica *open_balancer(const char *vip)
{
	static const char *inside[] = {"10.0.0.0/8"}, *ports[] = {"80", "53"};
	static const char *servers[] = {"198.51.100.11", "198.51.100.12", "198.51.100.13"};
	const char *vips[] = {vip};
	struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"vip", vips, 1, 2},
		{"ports", ports, 2, 3}, {"servers", servers, 3, 4}};

	return open_vnf(settings, 4, 5);
}

static struct result segment(struct replica *replica, uint32_t source, uint32_t destination,
	uint16_t source_port, uint16_t destination_port, uint8_t flags, uint64_t clock_s,
	uint64_t *id)
{
	struct packet packet =
		make(source, destination, source_port, destination_port, PROTOCOL_TCP, 0, clock_s);
	struct result result;

	packet.flags = flags;
	result = run_one(replica, packet, id);
	assert_true(result.forwarded && checksums_are_right(&result));
	return result;
}

static uint32_t source_of(struct result result)
{
	return load_be32(result.frame + 26);
}

static uint32_t destination_of(struct result result)
{
	return load_be32(result.frame + 30);
}

static uint64_t shown(struct replica *replica, const char *name)
{
	static struct figures figures;

	replica_show(replica, &figures);
	for (uint32_t i = 0; i < figures.count; i++)
		if (strcmp(figures.list[i].name, name) == 0)
			return figures.list[i].value;
	fail_msg("%s is not shown", name);
	return 0;
}

static void test_least_connections(void **state)
{
	struct replica *replica = open_balancer("203.0.113.7");
	uint64_t id = 1;

	(void)state;
	for (uint16_t i = 0; i < 6; i++)
		assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1000 + i, 80, TCP_SYN,
					 1, &id)),
			FIRST + i % 3);
	/* What follows goes the same way, and replies come from the virtual address. */
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1004, 80, TCP_ACK, 2, &id)),
		FIRST + 1);
	assert_int_equal(source_of(segment(replica, FIRST + 1, INSIDE, 80, 1004, TCP_ACK, 2, &id)),
		VIP);
	/* The second server loses one: it is next. */
	(void)segment(replica, INSIDE, VIP, 1001, 80, TCP_FIN | TCP_ACK, 3, &id);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.12/open"), 2);
	(void)segment(replica, FIRST + 1, INSIDE, 80, 1001, TCP_FIN | TCP_ACK, 3, &id);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.12/open"), 1);
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 2000, 80, TCP_SYN, 3, &id)),
		FIRST + 1);
	/* Late segments of the closed one still find it; a new one in its place is chosen anew. */
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1001, 80, TCP_ACK, 4, &id)),
		FIRST + 1);
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1001, 80, TCP_SYN, 4, &id)),
		FIRST);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.11/connections"), 3);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.12/bytes_to"), 62 * 6);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.12/bytes_from"), 62 * 2);
	/* By the packet clock all expire, and nothing is left open. */
	(void)run_one(replica, make(SERVER, SERVER, 1, 1, PROTOCOL_UDP, 0, 5000), &id);
	assert_int_equal(shown(replica, "load_balancer/198.51.100.11/open"), 0);
	assert_int_equal(shown(replica, "load_balancer/lb_connections/entries"), 0);
	assert_int_equal(shown(replica, "load_balancer/lb_replies/entries"), 0);
	close_vnf(replica);
}

static void test_what_is_not_balanced(void **state)
{
	struct replica *replica = open_balancer("203.0.113.7");
	uint64_t id = 1;

	(void)state;
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1, 81, TCP_SYN, 1, &id)),
		VIP);
	assert_int_equal(destination_of(segment(replica, INSIDE, SERVER, 1, 80, TCP_SYN, 1, &id)),
		SERVER);
	/* From before our time: it stays with whom it is. */
	assert_int_equal(destination_of(segment(replica, INSIDE, VIP, 1, 80, TCP_ACK, 1, &id)),
		VIP);
	assert_int_equal(source_of(segment(replica, FIRST, INSIDE, 80, 1, TCP_ACK, 1, &id)), FIRST);
	/* Clients outside, servers inside: no matter. */
	assert_int_equal(destination_of(segment(replica, SERVER, VIP, 1, 80, TCP_SYN, 1, &id)),
		FIRST);
	close_vnf(replica);
}

/* One client endpoint under two virtual addresses: never at one server, the replies would mix. */
static void test_any_address(void **state)
{
	struct replica *replica = open_balancer("any");
	uint32_t seen[4];
	uint64_t id = 1;
	struct packet fourth = make(INSIDE, SERVER + 3, 7, 80, PROTOCOL_TCP, 0, 1);

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		seen[i] = destination_of(
			segment(replica, INSIDE, SERVER + i, 7, 80, TCP_SYN, 1, &id));
		assert_int_equal(source_of(
					 segment(replica, seen[i], INSIDE, 80, 7, TCP_ACK, 1, &id)),
			SERVER + i);
	}
	assert_true(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
	fourth.flags = TCP_SYN;
	assert_false(run_one(replica, fourth, &id).forwarded);
	assert_int_equal(run_one(replica, fourth, &id).cause, 1); /* no_server */
	/* Inbound packets are not balanced under 'any'. */
	assert_int_equal(destination_of(segment(replica, SERVER, INSIDE, 9, 80, TCP_SYN, 1, &id)),
		INSIDE);
	close_vnf(replica);
}

static void test_fragments_and_errors(void **state)
{
	struct replica *replica = open_balancer("203.0.113.7");
	uint64_t id = 1;
	struct packet first = make(INSIDE, VIP, 500, 53, PROTOCOL_UDP, 0x2000, 1), later = first;
	struct packet back = make(FIRST, INSIDE, 53, 500, PROTOCOL_UDP, 0x2000, 1);
	struct packet sent = make(INSIDE, FIRST, 500, 53, PROTOCOL_UDP, 0, 1);
	struct packet got = make(VIP, INSIDE, 53, 500, PROTOCOL_UDP, 0, 1);
	struct packet error;
	struct result result;

	(void)state;
	later.fragment = 185;
	assert_int_equal(destination_of(run_one(replica, later, &id)), VIP); /* before its first */
	assert_int_equal(destination_of(run_one(replica, first, &id)), FIRST);
	result = run_one(replica, later, &id);
	assert_true(checksums_are_right(&result));
	assert_int_equal(destination_of(result), FIRST);
	assert_int_equal(source_of(run_one(replica, back, &id)), VIP);
	back.fragment = 185;
	assert_int_equal(source_of(run_one(replica, back, &id)), VIP);
	/* The server says that its port is closed: the client hears it of the virtual address. */
	error = make(FIRST, INSIDE, 0, 3, PROTOCOL_ICMP, 0, 1);
	error.quoted = &sent;
	result = run_one(replica, error, &id);
	assert_true(checksums_are_right(&result));
	assert_int_equal(source_of(result), VIP);
	assert_int_equal(load_be32(result.frame + 42 + 16), VIP);
	/* The client says so of a reply: the server hears it of its own. */
	error = make(INSIDE, VIP, 0, 3, PROTOCOL_ICMP, 0, 1);
	error.quoted = &got;
	result = run_one(replica, error, &id);
	assert_true(checksums_are_right(&result));
	assert_int_equal(destination_of(result), FIRST);
	assert_int_equal(load_be32(result.frame + 42 + 12), FIRST);
	close_vnf(replica);
}

/*
 * What is counted goes with the state: a replica restored from it counts on. A fold holds all that
 * is counted, whatever its replica has kept before: who folds when is no part of the state.
 */
static void test_counters_are_kept(void **state)
{
	struct replica *replica = open_balancer("203.0.113.7");
	uint64_t id = 1, digest;

	(void)state;
	for (uint16_t i = 0; i < 5; i++)
		(void)segment(replica, INSIDE, VIP, i, 80, TCP_SYN, 1, &id);
	replica->engine.shards[0].sums.batch_digest = digest = 77;
	replica_keep_counters(replica, id);
	assert_true(replica->engine.shards[0].sums.batch_digest == digest);
	digest = engine_state_digest(&replica->engine);
	replica_keep_counters(replica, id + 10);
	assert_true(engine_state_digest(&replica->engine) != digest); /* as of then, all of them */
	memset(replica->workers[0].counters, 0, sizeof(replica->workers[0].counters));
	replica_load_counters(replica);
	assert_int_equal(shown(replica, "load_balancer/to_servers"), 5);
	close_vnf(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_connections),
		cmocka_unit_test(test_what_is_not_balanced),
		cmocka_unit_test(test_any_address),
		cmocka_unit_test(test_fragments_and_errors),
		cmocka_unit_test(test_counters_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
