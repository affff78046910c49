/* SPDX-License-Identifier: BSD-3-Clause */
/* Between batches: what a replica counts goes into its tables and comes from them, and is shown. */
#include <stdio.h>
#include <string.h>

#include "core/atomics.h"
#include "vnf/replica.h"

static uint64_t counter_of(const struct replica *replica, uint32_t vnf, uint32_t counter)
{
	uint64_t count = 0;

	for (uint32_t w = 0; w < replica->engine.workers; w++)
		count += replica->workers[w].counters[vnf][counter];
	return count;
}

static void begin_apart(struct replica *replica, const struct vnf_host *vnf, uint64_t id)
{
	txn_begin(&replica->txn, &replica->engine, id, 0, HOME_NONE);
	replica->txn.table_base = (uint16_t)vnf->table_base;
}

/* In transactions of their own: a list may take all that one may change. */
static void keep_variables(struct replica *replica, const struct vnf_host *vnf, uint64_t id)
{
	for (uint32_t v = 0; v < vnf->variables.count; v++) {
		begin_apart(replica, vnf, id);
		variables_keep(&vnf->variables, v, &replica->txn, vnf->table_count + 1);
		(void)txn_end(&replica->txn);
	}
}

void replica_keep_counters(struct replica *replica, uint64_t next_id)
{
	/* Replicas keep at other times. */
	uint64_t batch_digest = replica->engine.shards[0].sums.batch_digest;

	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		const struct vnf_host *vnf = &replica->vnfs[v];

		keep_variables(replica, vnf, next_id - 1);
		begin_apart(replica, vnf, next_id - 1);
		for (uint64_t i = 0; i < vnf->ops->counters_count; i++) {
			uint64_t counted = counter_of(replica, v, (uint32_t)i), *count;

			/*
			 * All of them each time: an entry's version is in the state's digest, and
			 * who folded before, when, is no part of the state.
			 */

			if (counted == 0)
				continue;
			count = txn_modify(&replica->txn, vnf->table_count, &i);
			if (count == NULL)
				count = txn_insert(&replica->txn, vnf->table_count, &i);
			BUG_ON(count == NULL);
			*count = counted;
		}
		(void)txn_end(&replica->txn);
	}
	replica->engine.shards[0].sums.batch_digest = batch_digest;
}

void replica_load_counters(struct replica *replica)
{
	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		struct vnf_host *vnf = &replica->vnfs[v];

		begin_apart(replica, vnf, 0);
		variables_load(&vnf->variables, &replica->txn, vnf->table_count + 1);
		for (uint64_t i = 0; i < vnf->ops->counters_count; i++) {
			const uint64_t *kept = txn_read(&replica->txn, vnf->table_count, &i);

			for (uint32_t w = 0; w < replica->engine.workers; w++)
				replica->workers[w].counters[v][i] = 0;
			replica->workers[0].counters[v][i] = kept == NULL ? 0 : *kept;
		}
	}
}

struct vnf_show {
	struct figures *figures;
	uint32_t count;
	const char *vnf;
};

void vnf_show(struct vnf_show *show, const char *subject, const char *name, uint64_t value)
{
	struct figure *figure = &show->figures->list[show->count];
	char full[FIGURE_NAME_BYTES];

	if (show->count == FIGURES_MAX)
		return;
	snprintf(full, sizeof(full), "%s/%s%s%s", show->vnf, subject, subject[0] == 0 ? "" : "/",
		name);
	if (strcmp(full, figure->name) != 0)
		memcpy(figure->name, full, sizeof(full));
	atomic_write_relaxed(&figure->value, value);
	show->count++;
}

/* What the decision model sees and picks. */
static void show_engine(const struct replica *replica, struct vnf_show *show)
{
	const struct decision *decision = &replica->access.decision;

	show->vnf = "engine";
	vnf_show(show, "", "workers", decision->workers);
	if (decision->workers == 1 && decision->forced == STRATEGIES)
		return;
	vnf_show(show, "batches", "one_worker", decision->alone);
	vnf_show(show, "batches", "team", decision->team);
	vnf_show(show, "batches", "taken_back", decision->taken_back);
	vnf_show(show, "batches", "not_by_graph", decision->not_by_graph);
	for (uint32_t s = 0; s < STRATEGIES; s++)
		if (decision->chosen[s] > 0)
			vnf_show(show, "strategy", strategy_name(s), decision->chosen[s]);
	vnf_show(show, "batch", "operations", (uint64_t)decision->operations.value);
	vnf_show(show, "batch", "longest_chain", (uint64_t)decision->longest.value);
	vnf_show(show, "batch", "aborts_per_1000", (uint64_t)(decision->abort_rate * 1000));
	vnf_show(show, "batch", "operation_ns", (uint64_t)decision->cost_ns.value);
}

void replica_show(struct replica *replica, struct figures *figures)
{
	struct vnf_show show = {.figures = figures};

	for (uint32_t v = 0; v < replica->vnfs_count; v++) {
		const struct vnf_host *vnf = &replica->vnfs[v];

		show.vnf = vnf->name;
		for (uint32_t i = 0; i < vnf->ops->counters_count; i++)
			vnf_show(&show, "", vnf->ops->counters[i], counter_of(replica, v, i));
		for (uint32_t t = 0; t < vnf->table_count; t++)
			vnf_show(&show, replica->engine.tables[vnf->table_base + t].spec.name,
				"entries",
				table_count(&replica->engine.tables[vnf->table_base + t]));
		if (vnf->ops->show == NULL)
			continue;
		begin_apart(replica, vnf, 0);
		vnf->ops->show(vnf->self, &replica->txn, &show);
	}
	show_engine(replica, &show);
	atomic_write_release(&figures->count, show.count);
}
