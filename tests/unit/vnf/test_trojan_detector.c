/* SPDX-License-Identifier: BSD-3-Clause */
/* The Trojan detector in the replica: the order, the window, the kinds, each alarm once. */
#include "tests/unit/vnf/vnf_run.h"

static struct replica *open_detector(void)
{
	static const char *inside[] = {"10.0.0.0/8"}, *window[] = {"600"};
	struct vnf_setting settings[] = {{"inside", inside, 1, 1}, {"window_s", window, 1, 2}};

	alarms_seen = 0;
	return open_vnf(settings, 2, 5);
}

static void say(struct replica *replica, uint32_t host, bool out, const char *payload,
	uint64_t clock_s, uint64_t *id)
{
	struct packet packet = out ? make(host, SERVER, 4000, 21, PROTOCOL_TCP, 0, clock_s)
				   : make(SERVER, host, 21, 4000, PROTOCOL_TCP, 0, clock_s);

	packet.payload = payload;
	assert_true(run_one(replica, packet, id).forwarded);
}

static void test_sequence(void **state)
{
	struct replica *replica = open_detector();
	uint64_t id = 1;

	(void)state;
	say(replica, INSIDE, true, "NICK x\r\n", 1, &id); /* too early */
	say(replica, INSIDE, true, "RETR a.exe\r\n", 1, &id);
	say(replica, INSIDE, false, "SSH-2.0-OpenSSH_9.2\r\n", 2, &id);
	say(replica, INSIDE + 1, true, "RETR a.exe\r\n", 3, &id); /* another host */
	say(replica, INSIDE, true, "NICK x\r\n", 3, &id);
	say(replica, INSIDE, true, "RETR notes.txt\r\n", 3, &id); /* no such kind */
	say(replica, INSIDE, true, "JOIN #x\r\n", 3, &id);
	assert_int_equal(alarms_seen, 0);
	say(replica, INSIDE, true, "RETR dir.d/Setup.EXE\r\n", 4, &id);
	say(replica, INSIDE, true, "SSH-2.0-OpenSSH_9.2\r\n", 5, &id); /* takes nothing back */
	say(replica, INSIDE, false, "NICK x\r\n", 5, &id);	       /* not the host's */
	assert_int_equal(alarms_seen, 0);
	say(replica, INSIDE, true, "PRIVMSG #x :hi\r\n", 6, &id);
	assert_int_equal(alarms_seen, 1);
	say(replica, INSIDE, true, "PRIVMSG #x :hi\r\n", 7, &id);
	say(replica, INSIDE, true, "RETR b.zip\r\n", 7, &id);
	say(replica, INSIDE, true, "NICK x\r\n", 7, &id);
	assert_int_equal(alarms_seen, 1);
	close_vnf(replica);
}

static void test_window(void **state)
{
	struct replica *replica = open_detector();
	uint64_t id = 1;

	(void)state;
	say(replica, INSIDE, true, "SSH-2.0-x\r\n", 10, &id);
	say(replica, INSIDE, true, "SSH-2.0-x\r\n", 300, &id);	  /* the window runs from here */
	say(replica, INSIDE, false, "STOR a.html\r\n", 890, &id); /* brought to the host */
	say(replica, INSIDE, true, "NICK x\r\n", 899, &id);
	assert_int_equal(alarms_seen, 1);
	say(replica, INSIDE + 1, true, "SSH-2.0-x\r\n", 1000, &id);
	say(replica, INSIDE + 1, true, "RETR a.zip\r\n", 1001, &id);
	say(replica, INSIDE + 1, true, "NICK x\r\n", 1602, &id);
	assert_int_equal(alarms_seen, 1);
	close_vnf(replica);
}

/* A command's end lies beyond what is in view. */
static void test_long_name(void **state)
{
	struct replica *replica = open_detector();
	char command[] =
		"RETR 0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789.html\r\n";
	uint64_t id = 1;

	(void)state;
	say(replica, INSIDE, true, "SSH-2.0-x\r\n", 1, &id);
	say(replica, INSIDE, true, command, 2, &id);
	say(replica, INSIDE, true, "NICK x\r\n", 3, &id);
	assert_int_equal(alarms_seen, 1);
	close_vnf(replica);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
