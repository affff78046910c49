/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/role.h"

#include <limits.h>
#include <mntent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/digest.h"

#define SHORT_TURN_NS 100000 /* the shortest that Linux grants */

enum status role_config(struct config **config, const struct role_options *options, char *error)
{
	enum status status = config_load(config, options->config_path, error);

	if (status != STATUS_OK)
		return status;
	if (options->input != NULL)
		snprintf((*config)->ports[0].dev, PATH_BYTES, "%s", options->input);
	if (options->output != NULL) {
		if ((*config)->ports_count < 2)
			(*config)->ports_count = 2;
		snprintf((*config)->ports[1].dev, PATH_BYTES, "%s", options->output);
	}
	(*config)->protect = !options->unprotected;
	return STATUS_OK;
}

/* A mounted hugetlbfs of 2 MiB pages with some free, or "". */
static void find_hugetlbfs(char *dir)
{
	FILE *mounts = setmntent("/proc/mounts", "re");
	FILE *free_pages = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long count = 0;
	struct mntent *mount;

	dir[0] = 0;
	if (free_pages != NULL && fscanf(free_pages, "%lu", &count) != 1)
		count = 0;
	while (count > 0 && mounts != NULL && (mount = getmntent(mounts)) != NULL) {
		if (strcmp(mount->mnt_type, "hugetlbfs") == 0 &&
			strlen(mount->mnt_dir) < PATH_BYTES / 2 &&
			strstr(mount->mnt_opts, "pagesize=1024M") == NULL) {
			snprintf(dir, PATH_BYTES, "%s", mount->mnt_dir);
			break;
		}
	}
	if (free_pages != NULL)
		fclose(free_pages);
	if (mounts != NULL)
		endmntent(mounts);
}

void role_place(struct shm_place *place, const char *run_dir, enum hugepages hugepages)
{
	char resolved[PATH_MAX], mount[PATH_BYTES] = "";
	uint64_t tag;

	if (realpath(run_dir, resolved) == NULL)
		snprintf(resolved, sizeof(resolved), "%s", run_dir);
	tag = digest_of(resolved, strlen(resolved), 0);
	memset(place, 0, sizeof(*place));
	snprintf(place->dir, PATH_BYTES, "/dev/shm/understudy-%016llx", (unsigned long long)tag);
	if (hugepages != HUGEPAGES_NO)
		find_hugetlbfs(mount);
	if (mount[0] != 0)
		snprintf(place->huge_dir, PATH_BYTES, "%.200s/understudy-%016llx", mount,
			(unsigned long long)tag);
}

void role_name(char name[NAME_BYTES], const struct config *config, enum role_kind kind,
	uint32_t stage, uint32_t number)
{
	if (kind == ROLE_REPLICA)
		snprintf(name, NAME_BYTES, "%.32s/%u", config->stages[stage].name, number);
	else if (kind == ROLE_LOGGER)
		snprintf(name, NAME_BYTES, "logger/%s", logger_names[number]);
	else
		snprintf(name, NAME_BYTES, "%s", kind == ROLE_SEQUENCER ? "sequencer" : "manager");
}

enum status role_open(struct role *role, enum role_kind kind, const struct role_options *options,
	char *error)
{
	char name[NAME_BYTES];
	void *page;
	enum status status;

	role->options = *options;
	(void)sched_getaffinity(0, sizeof(role->cores), &role->cores);
	status = role_config(&role->config, options, error);
	if (status != STATUS_OK)
		return status;
	role_place(&role->place, options->run_dir, role->config->hugepages);
	if (kind != ROLE_CLI) {
		role_name(name, role->config, kind, options->stage, options->number);
		(void)prctl(PR_SET_NAME, name);
	}
	status = shm_page_open(&page, &role->place, PAGE_NAME, sizeof(*role->page));
	role->page = page;
	if (status == STATUS_OK && role->page->magic != PAGE_MAGIC)
		status = STATUS_VERSION;
	if (status != STATUS_OK) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: no chain runs here (%s): start one with "
			"'understudy run', or give its --run-dir",
			options->run_dir, status_text(status));
		config_free(role->config);
	}
	return status;
}

void role_close(struct role *role)
{
	munmap(role->page, sizeof(*role->page));
	config_free(role->config);
}

uint32_t role_replica_thread(const struct config *config, uint32_t stage, uint32_t number)
{
	uint32_t thread = 1;

	for (uint32_t s = 0; s < stage; s++)
		for (uint32_t r = 0; r < config_replicas(config, s); r++)
			thread += config->stages[s].workers[r];
	for (uint32_t r = number + 1; r < config_replicas(config, stage); r++)
		thread += config->stages[stage].workers[r];
	return thread;
}

uint32_t role_egress_thread(const struct config *config)
{
	uint32_t last = config->stages_count - 1;

	return role_replica_thread(config, last, 0) + config->stages[last].workers[0];
}

bool role_take_core(const struct role *role, uint32_t packet_thread)
{
	uint32_t cores = (uint32_t)CPU_COUNT(&role->cores), left;
	cpu_set_t mine;

	if (cores == 0)
		return true;
	left = packet_thread % cores;
	CPU_ZERO(&mine);
	for (int core = 0; core < CPU_SETSIZE; core++)
		if (CPU_ISSET(core, &role->cores) && left-- == 0)
			CPU_SET(core, &mine);
	(void)pthread_setaffinity_np(pthread_self(), sizeof(mine), &mine);
	return cores <= role_egress_thread(role->config);
}

/* Linux's struct sched_attr as far as it is needed; its own header clashes with the C library's. */
struct turn_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void role_take_short_turns(void)
{
	struct turn_attr attr = {.size = sizeof(attr)};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0)
		return;
	attr.runtime_ns = SHORT_TURN_NS;
	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

struct message role_hello(const struct role *role, enum role_kind kind)
{
	return (struct message){
		.type = MESSAGE_HELLO,
		.role = kind,
		.stage = role->options.stage,
		.number = role->options.number,
		.pid = (uint32_t)getpid(),
		.incarnation = role->options.incarnation,
	};
}
