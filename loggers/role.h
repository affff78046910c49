/* SPDX-License-Identifier: BSD-3-Clause */
/* What every process of a chain starts from: its options, the configuration, the shared page. */
#ifndef UNDERSTUDY_LOGGERS_ROLE_H
#define UNDERSTUDY_LOGGERS_ROLE_H

#include <sched.h>

#include "core/config.h"
#include "core/message.h"
#include "loggers/page.h"

struct role_options {
	const char *config_path;
	const char *run_dir;
	const char *input;  /* replaces port 0's dev */
	const char *output; /* replaces port 1's dev */
	bool unprotected;
	uint32_t stage;
	uint32_t number;
	uint64_t incarnation;
	int supervisor_fd;
};

struct role {
	struct role_options options;
	struct config *config;
	struct page *page;
	struct shm_place place;
	cpu_set_t cores; /* that the process may run on */
};

/* Loads the configuration with the options applied. error: one line. */
MUST_CHECK enum status role_config(struct config **config, const struct role_options *options,
	char *error);

/* Where a run directory's shared memory lies. */
void role_place(struct shm_place *place, const char *run_dir, enum hugepages hugepages);

/* What people call a role process: "edge/0", "logger/packets", "sequencer". */
void role_name(char name[NAME_BYTES], const struct config *config, enum role_kind kind,
	uint32_t stage, uint32_t number);

/*
 * For a role process: configuration and the page, which the supervisor made. Names the process so
 * that ps and top show its role.
 */
MUST_CHECK enum status role_open(struct role *role, enum role_kind kind,
	const struct role_options *options, char *error);
void role_close(struct role *role);

/*
 * The chain's packet threads in a packet's order: the ingress is 0, then the replicas' workers,
 * stage by stage, the first master's last, and then the egress. Each is pinned to a core of the
 * process's affinity mask in turn, as DPDK does with its lcores; the mask is the user's (taskset,
 * cpuset). Where cores are shared, the first master is never on the egress's: a process that dies
 * keeps its core until the kernel has taken its memory back. A replica's is its first worker's.
 */
uint32_t role_replica_thread(const struct config *config, uint32_t stage, uint32_t number);
uint32_t role_egress_thread(const struct config *config);

/* Pins the calling thread; true if there are fewer cores than packet threads. */
bool role_take_core(const struct role *role, uint32_t packet_thread);

/*
 * The calling packet thread asks for short turns on its core: so it gets them sooner than threads
 * that have long things to do, such as a replica that starts (Linux 6.12; before, no effect).
 */
void role_take_short_turns(void);

/* The hello of a process. */
struct message role_hello(const struct role *role, enum role_kind kind);

#endif
