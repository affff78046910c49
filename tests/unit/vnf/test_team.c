/* SPDX-License-Identifier: BSD-3-Clause */
/* A team of threads: each piece of work is done whole, by all, before the next; asleep or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "core/atomics.h"
#include "vnf/team_pthread.h"

#define PIECES 3000

struct pieces {
	uint32_t workers;
	uint32_t done[WORKERS_MAX]; /* each by its worker alone: no atomics are needed */
	uint32_t arrived;	    /* atomic: of this piece */
};

/* In two steps: the second waits for all others' first. */
static bool piece(void *context, uint32_t worker)
{
	struct pieces *pieces = context;

	if (pieces->done[worker] % 2 == 0) {
		pieces->done[worker]++;
		(void)atomic_add_seq_cst(&pieces->arrived, 1u);
		return false;
	}
	if (atomic_read_seq_cst(&pieces->arrived) < pieces->workers)
		return false;
	pieces->done[worker]++;
	return true;
}

static void test_pieces(void **state)
{
	(void)state;
	for (uint32_t workers = 1; workers <= 4; workers++) {
		struct pieces pieces = {.workers = workers};
		struct pthread_team team;

		assert_int_equal(team_pthread_start(&team, workers, true, NULL, NULL), STATUS_OK);
		for (uint32_t i = 1; i <= PIECES; i++) {
			pieces.arrived = 0;
			team.team.run(&team.team, piece, &pieces);
			for (uint32_t w = 0; w < workers; w++)
				assert_int_equal(pieces.done[w], 2 * i);
			if (i % 1000 == 0)
				usleep(2000); /* they sleep */
		}
		team_pthread_stop(&team);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
