/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnf/stage.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A name is program's folder/vnf/NAME.so; with a slash it is a path. */
static bool vnf_path(char *path, const char *name)
{
	char program[PATH_BYTES];
	ssize_t length;
	char *slash;

	if (strchr(name, '/') != NULL)
		return snprintf(path, PATH_BYTES * 2, "%s", name) > 0;
	length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length <= 0)
		return false;
	program[length] = 0;
	slash = strrchr(program, '/');
	*slash = 0;
	snprintf(path, PATH_BYTES * 2, "%s/vnf/%s.so", program, name);
	return true;
}

static const struct vnf_ops *load(const struct config *config, const struct config_vnf *vnf,
	char *error)
{
	char path[PATH_BYTES * 2];
	const struct vnf_ops *ops;
	void *object;

	if (!vnf_path(path, vnf->name))
		return NULL;
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s:%u: VNF '%.64s' does not load: %.240s",
			config->path, vnf->line, vnf->name, dlerror());
		return NULL;
	}
	ops = dlsym(object, "understudy_vnf");
	if (ops == NULL || ops->abi != VNF_ABI) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s:%u: VNF '%.64s' (%.200s) %s: build it against this "
			"version's understudy_vnf.h",
			config->path, vnf->line, vnf->name, path,
			ops == NULL ? "exports no understudy_vnf" : "has another ABI version");
		return NULL;
	}
	return ops;
}

static enum status add_vnf(struct replica *replica, const struct config *config,
	const struct config_stage *stage, const struct config_vnf *vnf, char *error)
{
	struct vnf_setting settings[SETTINGS_MAX];
	char reason[CONFIG_ERROR_BYTES / 2] = "cannot be set up";
	struct vnf_setup setup = {
		.settings = settings,
		.settings_count = vnf->settings_count,
		.homes = stage->homes,
		.error = reason,
		.error_bytes = sizeof(reason),
	};
	const struct vnf_ops *ops = load(config, vnf, error);
	enum status status;

	if (ops == NULL)
		return STATUS_INVALID;
	for (uint32_t i = 0; i < vnf->settings_count; i++)
		settings[i] = (struct vnf_setting){
			.key = vnf->settings[i].key,
			.values = (const char *const *)vnf->settings[i].values,
			.values_count = vnf->settings[i].values_count,
			.line = vnf->settings[i].line,
		};
	status = replica_add_vnf(replica, ops, &setup);
	if (status != STATUS_OK)
		snprintf(error, CONFIG_ERROR_BYTES, "%s:%u: VNF '%.64s': %s", config->path,
			setup.error_line != 0 ? setup.error_line : vnf->line, vnf->name, reason);
	return status;
}

/* A log without payloads could not bring back the state of a VNF that reads them. */
static enum status check_payloads(const struct replica *replica, const struct config *config,
	const struct config_stage *stage, char *error)
{
	for (uint32_t i = 0; i < replica->vnfs_count; i++) {
		if (!replica->vnfs[i].ops->reads_payload)
			continue;
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s:%u: VNF '%.64s' reads payloads: 'log: headers' would not keep them",
			config->path, stage->vnfs[i].line, stage->vnfs[i].name);
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

static enum status check_strategies(const struct config *config, const struct config_stage *stage,
	char *error)
{
	for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
		if (strcmp(stage->strategies[r], "auto") == 0 ||
			strategy_find(stage->strategies[r]) < STRATEGIES)
			continue;
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s:%u: 'strategy' is '%s': use auto, serial, or "
			"{depth,breadth,unstructured}-{operation,chain}-{eager,lazy}",
			config->path, stage->strategy_line, stage->strategies[r]);
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

enum status stage_open(struct replica *replica, const struct config *config, uint32_t stage_number,
	uint32_t workers, bool tracks, uint64_t hash_seed, char *error)
{
	const struct config_stage *stage = &config->stages[stage_number];
	enum status status = replica_open(replica, stage_number, config->seed, hash_seed, tracks,
		config->ports_count, workers);

	for (uint32_t s = 0; s < stage_number; s++)
		replica->vnfs_before += config->stages[s].vnfs_count;
	snprintf(error, CONFIG_ERROR_BYTES, "stage %s: out of memory", stage->name);
	for (uint32_t i = 0; i < stage->vnfs_count && status == STATUS_OK; i++)
		status = add_vnf(replica, config, stage, &stage->vnfs[i], error);
	if (status == STATUS_OK)
		status = replica_ready(replica);
	if (status == STATUS_OK && replica_records(replica) && stage->variant != VARIANT_PASSIVE) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s:%u: stage '%s' has a VNF that records determinants: "
			"set 'variant: passive'",
			config->path, stage->line, stage->name);
		status = STATUS_INVALID;
	}
	if (status == STATUS_OK)
		status = check_strategies(config, stage, error);
	if (status == STATUS_OK && config->log_headers)
		status = check_payloads(replica, config, stage, error);
	if (status != STATUS_OK)
		replica_close(replica);
	return status;
}

bool stage_drop_name(const struct replica *replica, uint32_t vnf, uint32_t cause, char *name,
	size_t bytes)
{
	if (vnf == 0 && cause == DROP_CAUSE_ASIDE) {
		snprintf(name, bytes, "set_aside");
		return true;
	}
	if (vnf >= replica->vnfs_count || cause >= replica->vnfs[vnf].ops->drop_causes_count)
		return false;
	snprintf(name, bytes, "%s/%s", replica->vnfs[vnf].name,
		replica->vnfs[vnf].ops->drop_causes[cause]);
	return true;
}
