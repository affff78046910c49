/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Death at every ordered store of a writer's and a reader's life, and what the survivors see. The
 * journal, the writer and the survivors' readers lie in memory that parent and child share; the
 * child runs the whole scenario, is killed at its N-th counted store, and the parent carries on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loggers/journal.h"
#include "tests/unit/random.h"

#define RING_BYTES 16384u
#define BLOCKS 40u
#define GROUP 3

/* What parent and child share. */
struct scene {
	struct journal journal;
	struct journal_writer writer;
	struct journal_reader required, optional, loose; /* the parent's, for life */
	uint32_t published;				 /* publishes that returned OK */
	uint32_t taken;	       /* blocks that `required` has taken, all sound and in order */
	uint32_t loose_next;   /* the lowest number that `loose` may see */
	uint32_t optional_off; /* `optional` was detached by the writer */
	bool wrong;	       /* a reader saw what it must not */
};

static int steps_left;

void atomics_step(const char *file, int line)
{
	(void)file;
	(void)line;
	if (steps_left > 0 && --steps_left == 0)
		kill(getpid(), SIGKILL);
}

static struct scene *make_scene(void)
{
	size_t control = sizeof(struct journal_control);
	uint8_t *memory = mmap(NULL, control + RING_BYTES + sizeof(struct scene),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct scene *scene = (struct scene *)(memory + control + RING_BYTES);

	assert_true(memory != MAP_FAILED);
	scene->journal = (struct journal){(struct journal_control *)memory, memory + control,
		RING_BYTES / LINE_BYTES};
	journal_format(scene->journal.control, "kills", RING_BYTES, 0, 1, true);
	return scene;
}

/* Every owner word that this thread holds must be let go before the memory goes. */
static void drop_scene(struct scene *scene)
{
	munmap(scene->journal.control,
		sizeof(struct journal_control) + RING_BYTES + sizeof(struct scene));
}

static void drop_reader(struct journal_reader *reader)
{
	journal_detach(reader);
	journal_give_back(reader);
}

/* Sizes from a line to a quarter of the ring, so that pads of all sizes come. */
static uint32_t size_of(uint32_t n)
{
	uint32_t mixed = n * 2654435761u >> 13;

	return 4 + mixed % (n % 5 == 4 ? 3900 : 900);
}

static void fill(uint8_t *payload, uint32_t n)
{
	memcpy(payload, &n, sizeof(n));
	for (uint32_t i = 4; i < size_of(n); i++)
		payload[i] = (uint8_t)(n * 31 + i);
}

static bool is_block(const void *payload, uint32_t bytes, uint32_t n)
{
	const uint8_t *at = payload;

	if (bytes != size_of(n) || memcmp(payload, &n, sizeof(n)) != 0)
		return false;
	for (uint32_t i = 4; i < bytes; i++)
		if (at[i] != (uint8_t)(n * 31 + i))
			return false;
	return true;
}

static enum status publish(struct scene *scene, uint32_t n)
{
	void *payload;
	enum status status = journal_reserve(&scene->writer, size_of(n), &payload);

	if (status != STATUS_OK)
		return status;
	fill(payload, n);
	return journal_publish(&scene->writer, size_of(n), n + 1);
}

/* `required` takes what is there, block after block. */
static enum status take_all(struct scene *scene)
{
	const void *payload;
	uint32_t bytes;
	enum status status;

	while ((status = journal_peek(&scene->required, &payload, &bytes)) == STATUS_OK) {
		if (!is_block(payload, bytes, scene->taken))
			scene->wrong = true;
		journal_advance(&scene->required);
		scene->taken++;
	}
	return status;
}

/* `loose` may miss blocks, but what it does take is sound, and later than what it took before. */
static enum status take_loose(struct scene *scene)
{
	const void *payload;
	uint32_t bytes, n;
	enum status status;

	while ((status = journal_peek(&scene->loose, &payload, &bytes)) == STATUS_OK) {
		memcpy(&n, payload, sizeof(n));
		if (n < scene->loose_next || !is_block(payload, bytes, n))
			scene->wrong = true;
		scene->loose_next = n + 1;
		journal_advance(&scene->loose);
	}
	return status;
}

/* The writer's whole life. Steps count in the writer's own calls only. */
static void live_as_writer(struct scene *scene, int step)
{
	steps_left = step;
	if (journal_writer_open(&scene->writer, &scene->journal, 7) != STATUS_OK)
		_exit(2);
	for (uint32_t n = 0; n < BLOCKS; n++) {
		enum status status;
		int left;

		while ((status = publish(scene, n)) == STATUS_BLOCKED) {
			if (journal_detach_blockers(&scene->writer, true) > 0)
				scene->optional_off++;
			left = steps_left;
			steps_left = 0;
			(void)take_all(scene);
			steps_left = left;
		}
		if (status != STATUS_OK)
			_exit(2);
		scene->published++;
		left = steps_left;
		steps_left = 0;
		if (n % 7 == 3)
			(void)take_all(scene);
		if (n % 11 == 5)
			(void)take_loose(scene);
		steps_left = left;
	}
	_exit(0);
}

/* Runs life in a child that dies at its step-th store; true if it was killed. */
static bool was_killed(struct scene *scene, void (*life)(struct scene *, int), int step)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		life(scene, step);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* What must hold of a journal whose writer is dead. */
static void check_sealed_end(struct scene *scene)
{
	struct journal_control *control = scene->journal.control;
	struct journal_writer second;
	uint64_t end = journal_seal(&scene->journal);
	uint64_t expected = scene->writer.term | end;
	enum status status;

	assert_int_equal(journal_seal(&scene->journal), end);
	assert_true(journal_is_sealed(&scene->journal));
	assert_int_equal(take_all(scene), STATUS_SEALED);
	assert_int_equal(scene->required.position, end);
	assert_true(scene->taken == scene->published || scene->taken == scene->published + 1);
	status = take_loose(scene);
	assert_true(status == STATUS_SEALED || status == STATUS_LAPPED);
	if (owner_is_claimed(&control->owner))
		assert_true(owner_is_dead(&control->owner));
	assert_int_not_equal(journal_writer_open(&second, &scene->journal, 8), STATUS_OK);
	if (scene->writer.journal != NULL) {
		/* I6: a zombie that had reserved its room before the seal. */
		scene->writer.position = end;
		scene->writer.pad_lines = 0;
		assert_int_equal(journal_publish(&scene->writer, 100, 99), STATUS_SEALED);
		assert_int_equal(publish(scene, 0), STATUS_SEALED);
	}
	assert_int_equal(journal_head_position(&scene->journal), end);
	assert_int_not_equal(control->head, expected);
	assert_int_equal(take_all(scene), STATUS_SEALED);
	assert_false(scene->wrong);
}

static void test_kill_writer(void **state)
{
	uint32_t detached = 0;
	int step = 1;
	bool killed = true;

	(void)state;
	for (; killed; step++) {
		struct scene *scene = make_scene();
		bool held;

		assert_int_equal(journal_attach(&scene->required, &scene->journal, GATE_REQUIRED, 0,
					 "required", 0),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->optional, &scene->journal, GATE_OPTIONAL, 0,
					 "optional", 0),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->loose, &scene->journal, GATE_NONE, 0,
					 "loose", 0),
			STATUS_OK);
		killed = was_killed(scene, live_as_writer, step);
		check_sealed_end(scene);
		detached += scene->optional_off > 0;
		drop_reader(&scene->required);
		drop_reader(&scene->optional);
		drop_reader(&scene->loose);
		/* Never written: this thread got the owner word, and the seal refused the rest. */
		held = owner_is_claimed(&scene->journal.control->owner) &&
		       !owner_is_dead(&scene->journal.control->owner);
		if (held)
			owner_release(&scene->journal.control->owner);
		drop_scene(scene);
	}
	printf("writer killed at each of %d stores; %u of them after a detach\n", step - 2,
		detached);
	assert_true(step > 80);
	assert_true(detached > 10);
}

static enum journal_gate victim_gate;

/* A reader's whole life, across the ring's end; the writer runs along, its stores not counted. */
static void live_as_reader(struct scene *scene, int step)
{
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes, n = scene->published;

	steps_left = step;
	if (journal_attach(&reader, &scene->journal, victim_gate, GROUP, "victim",
		    journal_head_position(&scene->journal)) != STATUS_OK)
		_exit(2);
	for (; scene->published < BLOCKS; n++) {
		int left = steps_left;

		steps_left = 0;
		(void)take_all(scene);
		if (publish(scene, scene->published) != STATUS_OK)
			_exit(3);
		scene->published++;
		steps_left = left;
		if (journal_peek(&reader, &payload, &bytes) != STATUS_OK ||
			!is_block(payload, bytes, n))
			_exit(4);
		journal_advance(&reader);
	}
	journal_detach(&reader);
	if (journal_reattach(&reader, JOURNAL_FROM_TAIL) != STATUS_OK)
		_exit(5);
	journal_detach(&reader);
	journal_give_back(&reader);
	_exit(0);
}

/* The slot that the victim left attached, or -1. */
static int victim_slot(const struct scene *scene)
{
	const struct journal_control *control = scene->journal.control;

	for (uint32_t i = 0; i < JOURNAL_READERS_MAX; i++)
		if ((control->attached & 1ull << i) != 0 && i != scene->required.slot &&
			i != scene->optional.slot)
			return (int)i;
	return -1;
}

/* Publishes `count` blocks with `required` and the other replica keeping up; how many went. */
static uint32_t carry_on(struct scene *scene, uint32_t count)
{
	uint32_t done = 0;

	while (done < count) {
		enum status status;

		(void)take_all(scene);
		journal_move_to(&scene->optional, scene->required.position);
		status = publish(scene, scene->published);
		if (status == STATUS_BLOCKED)
			break;
		assert_int_equal(status, STATUS_OK);
		scene->published++;
		done++;
	}
	return done;
}

/* The dead reader's slot can be had again, and so can all others. */
static void check_slots_free(struct scene *scene)
{
	static struct journal_reader readers[JOURNAL_READERS_MAX];
	uint32_t count = 0;
	const void *payload;
	uint32_t bytes;

	while (count < JOURNAL_READERS_MAX &&
		journal_attach(&readers[count], &scene->journal, GATE_OPTIONAL, 0, "next",
			JOURNAL_FROM_TAIL) == STATUS_OK)
		count++;
	assert_int_equal(count, JOURNAL_READERS_MAX - 2);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(journal_peek(&readers[i], &payload, &bytes), STATUS_OK);
		drop_reader(&readers[i]);
	}
}

/* What must hold after a reader's death; company: another replica of its group lives. */
static void check_after_reader(struct scene *scene, bool killed, bool company)
{
	struct journal_control *control = scene->journal.control;
	int slot = victim_slot(scene);
	bool gates = slot >= 0 && victim_gate != GATE_NONE;
	bool stays = victim_gate == GATE_REQUIRED || (victim_gate == GATE_REPLICA && !company);

	assert_true(killed || slot < 0);
	if (slot >= 0)
		assert_true(owner_is_dead(&control->slots[slot].owner));
	assert_int_equal(carry_on(scene, 200) == 200, !gates);
	if (gates && stays) {
		assert_int_equal(journal_detach_blockers(&scene->writer, false), 0);
		assert_int_equal(journal_detach_blockers(&scene->writer, true), 0);
		assert_int_equal(carry_on(scene, 1), 0);
	} else if (gates) {
		assert_int_equal(journal_detach_blockers(&scene->writer, false), 1);
		assert_int_equal(control->detached, 1ull << slot);
	}
	if (slot >= 0)
		journal_release_slot(&scene->journal, (uint32_t)slot);
	assert_int_equal(carry_on(scene, 200), 200);
	check_slots_free(scene);
	(void)journal_seal(&scene->journal);
	assert_int_equal(take_all(scene), STATUS_SEALED);
	assert_int_equal(scene->taken, scene->published);
	assert_false(scene->wrong);
}

static int kill_reader_at_each(bool company)
{
	bool killed = true;
	int step = 1;

	for (; killed; step++) {
		struct scene *scene = make_scene();
		enum journal_gate other = company ? GATE_REPLICA : GATE_OPTIONAL;

		assert_int_equal(journal_writer_open(&scene->writer, &scene->journal, 7),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->required, &scene->journal, GATE_REQUIRED, 0,
					 "required", 0),
			STATUS_OK);
		for (; scene->published < 3; scene->published++)
			assert_int_equal(publish(scene, scene->published), STATUS_OK);
		(void)take_all(scene);
		assert_int_equal(journal_attach(&scene->optional, &scene->journal, GATE_NONE, 0,
					 "other", JOURNAL_FROM_TAIL),
			STATUS_OK);
		killed = was_killed(scene, live_as_reader, step);
		/* From here on the other one gates, and keeps up. */
		scene->journal.control->slots[scene->optional.slot].group = GROUP;
		scene->journal.control->slots[scene->optional.slot].gate = other;
		journal_move_to(&scene->optional, scene->required.position);
		check_after_reader(scene, killed, company);
		drop_reader(&scene->required);
		drop_reader(&scene->optional);
		owner_release(&scene->journal.control->owner);
		drop_scene(scene);
	}
	return step - 2;
}

static void test_kill_reader(void **state)
{
	static const struct {
		enum journal_gate gate;
		bool company;
	} rows[] = {
		{GATE_NONE, false},
		{GATE_OPTIONAL, false},
		{GATE_REPLICA, false},
		{GATE_REPLICA, true},
		{GATE_REQUIRED, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int steps;

		victim_gate = rows[i].gate;
		steps = kill_reader_at_each(rows[i].company);
		printf("reader of gate %d killed at each of %d stores\n", victim_gate, steps);
		assert_true(steps > (int)BLOCKS);
	}
}

static void live_as_sealer(struct scene *scene, int step)
{
	steps_left = step;
	(void)journal_seal(&scene->journal);
	(void)journal_seal(&scene->journal);
	_exit(0);
}

/* A manager that dies while it seals: the next one seals again, at the same end. */
static void test_kill_sealer(void **state)
{
	(void)state;
	for (int step = 1; step < 4; step++) {
		struct scene *scene = make_scene();
		bool killed;

		assert_int_equal(journal_writer_open(&scene->writer, &scene->journal, 7),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->required, &scene->journal, GATE_REQUIRED, 0,
					 "required", 0),
			STATUS_OK);
		assert_int_equal(publish(scene, scene->published++), STATUS_OK);
		killed = was_killed(scene, live_as_sealer, step);
		assert_int_equal(killed, step < 3);
		assert_int_equal(journal_is_sealed(&scene->journal), step > 1);
		assert_int_equal(publish(scene, 1), step > 1 ? STATUS_SEALED : STATUS_OK);
		scene->published += step == 1;
		assert_int_equal(journal_seal(&scene->journal), scene->writer.position);
		assert_int_equal(take_all(scene), STATUS_SEALED);
		assert_int_equal(scene->taken, scene->published);
		assert_false(scene->wrong);
		drop_reader(&scene->required);
		owner_release(&scene->journal.control->owner);
		drop_scene(scene);
	}
}

static uint32_t pick(uint32_t below)
{
	return next_random() % below;
}

/* In a process of its own: publishes until it dies, waiting where it must. */
static void write_until_killed(struct scene *scene, int step)
{
	steps_left = step;
	if (journal_writer_open(&scene->writer, &scene->journal, 7) != STATUS_OK)
		_exit(2);
	for (uint32_t n = 0;; n++) {
		while (publish(scene, n) == STATUS_BLOCKED) {
			(void)journal_detach_blockers(&scene->writer, false);
			sched_yield();
		}
		atomic_write_relaxed(&scene->published, n + 1);
	}
}

/* In a process of its own: attaches at the tail and reads until it dies. */
static void read_until_killed(struct scene *scene, int step)
{
	struct journal_reader reader;
	const void *payload;
	uint32_t bytes, n, next = 0;

	steps_left = step;
	while (journal_attach(&reader, &scene->journal, victim_gate, GROUP, "victim",
		       JOURNAL_FROM_TAIL) != STATUS_OK)
		;
	for (;;) {
		if (journal_peek(&reader, &payload, &bytes) != STATUS_OK)
			continue;
		memcpy(&n, payload, sizeof(n));
		if (!is_block(payload, bytes, n) || (next != 0 && n != next))
			scene->wrong = true;
		next = n + 1;
		journal_advance(&reader);
	}
}

/* Writer and reader run at once, each in its process, and die at stores of their own. */
static void test_kill_both(void **state)
{
	(void)state;
	seed_random();
	for (int round = 0; round < 150; round++) {
		struct scene *scene = make_scene();
		pid_t writer, reader;

		victim_gate = pick(2) == 0 ? GATE_OPTIONAL : GATE_REPLICA;
		assert_int_equal(journal_attach(&scene->required, &scene->journal, GATE_REQUIRED, 0,
					 "required", 0),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->optional, &scene->journal, GATE_REPLICA,
					 GROUP, "other", 0),
			STATUS_OK);
		assert_int_equal(journal_attach(&scene->loose, &scene->journal, GATE_NONE, 0,
					 "loose", 0),
			STATUS_OK);
		writer = fork();
		if (writer == 0)
			write_until_killed(scene, 2 + (int)pick(1500));
		(void)pick(2);
		reader = fork();
		if (reader == 0)
			read_until_killed(scene, 1 + (int)pick(200));
		(void)pick(2);
		while (waitpid(writer, NULL, WNOHANG) == 0) {
			(void)take_all(scene);
			journal_move_to(&scene->optional, scene->required.position);
		}
		kill(reader, SIGKILL);
		waitpid(reader, NULL, 0);
		check_sealed_end(scene);
		drop_reader(&scene->required);
		drop_reader(&scene->optional);
		drop_reader(&scene->loose);
		drop_scene(scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_writer),
		cmocka_unit_test(test_kill_reader),
		cmocka_unit_test(test_kill_sealer),
		cmocka_unit_test(test_kill_both),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
