/* SPDX-License-Identifier: BSD-3-Clause */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "vnf/stage.h"

/* Loads every stage's VNFs with their settings, as a replica would. */
static enum status check_stages(const struct config *config, char *error)
{
	for (uint32_t s = 0; s < config->stages_count; s++) {
		struct replica *replica = calloc(1, sizeof(*replica));
		enum status status;

		if (replica == NULL)
			return STATUS_NO_MEMORY;
		status = stage_open(replica, config, s, 1, false, 0, error);
		if (status == STATUS_OK)
			replica_close(replica);
		free(replica);
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

int command_check(const struct options *options)
{
	struct role_options role = options->role;
	char error[CONFIG_ERROR_BYTES] = "out of memory";
	struct config *config = NULL;
	enum status status;

	if (options->words_count != 1) {
		fprintf(stderr, "understudy: check needs one CHAIN.yaml\n");
		return 2;
	}
	role.config_path = options->words[0];
	status = role_config(&config, &role, error);
	if (status == STATUS_OK)
		status = check_stages(config, error);
	if (options->json) {
		json_t *root = json_pack("{s:b, s:s*}", "valid", status == STATUS_OK, "error",
			status == STATUS_OK ? NULL : error);

		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else if (status == STATUS_OK) {
		uint32_t replicas = 0;

		for (uint32_t s = 0; s < config->stages_count; s++)
			replicas += config_replicas(config, s);
		printf("%s: chain '%s' is valid: %u %s, %u replicas\n", options->words[0],
			config->chain, config->stages_count,
			config->stages_count == 1 ? "stage" : "stages", replicas);
	} else {
		fprintf(stderr, "understudy: %s\n", error);
	}
	config_free(config);
	return status == STATUS_OK ? 0 : 1;
}
