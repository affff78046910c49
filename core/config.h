/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of a chain: one YAML schema, read whole at start. Every mistake is one line
 * "FILE:LINE: what, what to do"; unknown and duplicate keys are mistakes.
 */
#ifndef UNDERSTUDY_CORE_CONFIG_H
#define UNDERSTUDY_CORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/status.h"

#define SETTINGS_MAX 32
#define SETTING_VALUES_MAX 64
#define CONFIG_ERROR_BYTES 512

enum durability { DURABILITY_PROCESS, DURABILITY_DISK };
enum variant { VARIANT_ACTIVE, VARIANT_PASSIVE };
enum clock_source { CLOCK_AUTO, CLOCK_WALL, CLOCK_TRACE };
enum hugepages { HUGEPAGES_AUTO, HUGEPAGES_YES, HUGEPAGES_NO };

struct config_setting {
	char *key;
	char *values[SETTING_VALUES_MAX];
	uint32_t values_count;
	uint32_t line;
};

struct config_vnf {
	char name[PATH_BYTES]; /* a name in the program's vnf folder, or a path if it has a slash */
	uint32_t line;
	struct config_setting settings[SETTINGS_MAX];
	uint32_t settings_count;
};

struct config_stage {
	char name[NAME_BYTES];
	enum variant variant;
	uint32_t slaves;
	uint32_t homes;
	/* By replica; those that are not given are as the last one given. */
	uint32_t workers[REPLICAS_MAX];
	char strategies[REPLICAS_MAX][NAME_BYTES]; /* "auto", or one to force */
	uint32_t strategy_line;
	uint32_t line;
	struct config_vnf vnfs[VNFS_MAX];
	uint32_t vnfs_count;
};

struct config_port {
	char dev[PATH_BYTES];
	uint32_t line;
};

struct config {
	char path[PATH_BYTES];
	char chain[NAME_BYTES];
	struct config_port ports[PORTS_MAX];
	uint32_t ports_count;
	enum clock_source clock;
	enum durability durability;
	enum hugepages hugepages;
	bool agreed;	    /* releases what two replicas of every stage have done alike */
	bool at_least_once; /* repeats what a dead sequencer may have sent; else it skips it */
	bool log_headers;   /* packets are logged without their payloads */
	struct config_stage stages[STAGES_MAX];
	uint32_t stages_count;
	char logger_dir[PATH_BYTES];
	uint64_t retention_bytes; /* 0: packets and outcomes are not kept on disk */
	uint64_t fold_batches;
	uint64_t journal_bytes; /* each ring */
	uint64_t seed;
	uint32_t hang_ms;
	bool protect; /* false: --unprotected */
};

/* Reads and checks; *config is allocated. On an error *config is NULL and error has the line. */
MUST_CHECK enum status config_load(struct config **config, const char *path, char *error);
void config_free(struct config *config);

/* True if the chain's input carries its own time: captures do unless told otherwise. */
bool config_trace_clock(const struct config *config);

/* Replicas of a stage: the master and its slaves; 1 when unprotected. */
static inline uint32_t config_replicas(const struct config *config, uint32_t stage)
{
	return config->protect ? 1 + config->stages[stage].slaves : 1;
}

#endif
