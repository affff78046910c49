/* SPDX-License-Identifier: BSD-3-Clause */
#include "manager/sight.h"

#include "core/mutants.h"

static enum replica_phase phase_of(const struct page_replica *replica)
{
	if (replica->incarnation == 0)
		return PHASE_ABSENT; /* never ordered */
	if (replica->state == REPLICA_READY)
		return PHASE_READY;
	return replica->state == REPLICA_RESTORING ? PHASE_RUNNING : PHASE_STARTING;
}

bool sight_adopt(struct failover *failover, const struct page *page)
{
	if (page->incarnations == 0)
		return false;
	failover->incarnations = page->incarnations;
	failover->replicas_ordered = failover->sequencer_seen = true;
	failover->started = atomic_read_relaxed(&page->ingress.batches) != 0;
	for (uint32_t s = 0; s < failover->stages_count; s++) {
		struct failover_stage *stage = &failover->stages[s];
		const struct page_term *leader = page_leader(&page->stages[s]);

		stage->term = page->stages[s].term;
		for (uint32_t r = 0; r < stage->replicas_count; r++) {
			const struct page_replica *replica = &page->stages[s].replicas[r];

			stage->replicas[r].incarnation = replica->incarnation;
			stage->replicas[r].phase = phase_of(replica);
			if (stage->replicas[r].phase >= PHASE_RUNNING)
				stage->replicas[r].attached = UINT32_MAX; /* or it were not */
			if ((leader->incarnation != 0 || MUTANT(FOUND_NOBODY)) &&
				leader->incarnation == replica->incarnation)
				stage->leader = (int)r;
		}
	}
	return true;
}

/* The batches that are there for a stage's replicas. */
static uint64_t published_for(const struct page *page, uint32_t stage)
{
	uint64_t most = 0;

	if (stage == 0)
		return atomic_read_acquire(&page->ingress.batches);
	for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
		const struct page_replica *before = &page->stages[stage - 1].replicas[r];
		uint64_t next_batch = atomic_read_acquire(&before->next_batch);

		most = next_batch > most ? next_batch : most;
	}
	return most;
}

static bool is_stopped(char state)
{
	return state == 'T' || state == 't';
}

bool sight_is_stopped(uint32_t pid, uint32_t tid)
{
	uint64_t cpu_ns;

	return is_stopped(sight_thread(pid, tid, &cpu_ns));
}

void sight_take(struct watch_sight *sight, const struct page *page, uint32_t stage, uint32_t number)
{
	const struct page_replica *replica = &page->stages[stage].replicas[number];
	uint32_t waiting = atomic_read_relaxed(&replica->waiting);
	uint64_t next_batch = atomic_read_acquire(&replica->next_batch);
	char state = 'R';

	*sight = (struct watch_sight){
		.progress = next_batch + atomic_read_relaxed(&replica->progress),
		.waits_on_others = waiting == WAIT_OUTPUT || waiting == WAIT_LEADER,
	};
	sight->outstanding = next_batch < published_for(page, stage);
	if (!sight->outstanding)
		return; /* nothing to be late with: /proc is left alone */
	state = sight_thread(replica->pid, replica->tid, &sight->cpu_ns);
	sight->stopped = is_stopped(state);
	sight->blocked = state == 'S' || state == 'D';
}
