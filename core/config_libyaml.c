/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_document_t document;
	struct config *config;
	char *error;
};

/* Handles one value of a mapping; false with the error set. */
typedef bool (*take_value)(struct reader *reader, yaml_node_t *value, const char *key, void *into);

struct key {
	const char *name;
	take_value take;
};

static bool fail(struct reader *reader, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool fail(struct reader *reader, const yaml_node_t *node, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(reader->error, CONFIG_ERROR_BYTES, "%s:%zu: ", reader->config->path,
		node->start_mark.line + 1);

	va_start(arguments, format);
	vsnprintf(reader->error + used, CONFIG_ERROR_BYTES - (size_t)used, format, arguments);
	va_end(arguments);
	/* What is quoted from the file may be of several lines, or talk to a terminal. */
	for (char *at = reader->error; *at != 0; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = '?';
	return false;
}

static const char *scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

/* Walks a mapping by a table of keys; unknown and duplicate keys fail with their own line. */
static bool read_mapping(struct reader *reader, yaml_node_t *node, const char *what,
	const struct key *keys, uint32_t keys_count, void *into)
{
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return fail(reader, node, "%s must be a mapping of keys to values", what);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
		pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
		yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
		uint32_t k = 0;

		if (scalar(name) == NULL)
			return fail(reader, name, "a key of %s must be a word", what);
		while (k < keys_count && strcmp(keys[k].name, scalar(name)) != 0)
			k++;
		if (k == keys_count)
			return fail(reader, name, "unknown key '%s' in %s", scalar(name), what);
		if (seen & 1ull << k)
			return fail(reader, name, "duplicate key '%s' in %s", scalar(name), what);
		seen |= 1ull << k;
		if (!keys[k].take(reader, value, keys[k].name, into))
			return false;
	}
	return true;
}

#define READ_MAPPING(reader, node, what, keys, into)                                               \
	read_mapping(reader, node, what, keys, sizeof(keys) / sizeof((keys)[0]), into)

static bool take_text(struct reader *reader, const yaml_node_t *node, const char *key, char *text,
	size_t bytes)
{
	const char *value = scalar(node);

	if (value == NULL || value[0] == 0)
		return fail(reader, node, "'%s' must be a text", key);
	if (strlen(value) >= bytes)
		return fail(reader, node, "'%s' is longer than %zu characters", key, bytes - 1);
	strncpy(text, value, bytes);
	return true;
}

static bool take_name(struct reader *reader, const yaml_node_t *node, const char *key, char *name)
{
	if (!take_text(reader, node, key, name, NAME_BYTES / 2))
		return false;
	for (const char *c = name; *c != 0; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
			return fail(reader, node, "'%s' is '%s': use letters, digits, '-' and '_'",
				key, name);
	return true;
}

static bool take_choice(struct reader *reader, const yaml_node_t *node, const char *key,
	const char *const *choices, int *chosen)
{
	char list[128] = "";

	for (int i = 0; choices[i] != NULL; i++) {
		if (scalar(node) != NULL && strcmp(scalar(node), choices[i]) == 0) {
			*chosen = i;
			return true;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			choices[i]);
	}
	return fail(reader, node, "'%s' is '%s': use one of %s", key,
		scalar(node) == NULL ? "?" : scalar(node), list);
}

/* A number with an optional KiB, MiB or GiB, within [min, max]. */
static bool take_number(struct reader *reader, const yaml_node_t *node, const char *key,
	uint64_t min, uint64_t max, uint64_t *number)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB"};
	const char *text = scalar(node);
	char *end = NULL;
	unsigned long long value = 0;

	if (text != NULL && text[0] >= '0' && text[0] <= '9') {
		errno = 0;
		value = strtoull(text, &end, 0);
		for (int i = 0; i < 4 && errno == 0; i++)
			if (strcmp(end, units[i]) == 0 && value <= UINT64_MAX >> (10 * i)) {
				*number = (uint64_t)value << (10 * i);
				if (*number >= min && *number <= max)
					return true;
			}
	}
	return fail(reader, node, "'%s' is '%s': use a number from %llu to %llu", key,
		text == NULL ? "?" : text, (unsigned long long)min, (unsigned long long)max);
}

static bool take_setting(struct reader *reader, yaml_node_t *value, const char *key,
	struct config_setting *setting)
{
	if (scalar(value) != NULL) {
		setting->values[setting->values_count++] = strdup(scalar(value));
		return true;
	}
	if (value->type != YAML_SEQUENCE_NODE)
		return fail(reader, value, "'%s' must be a value or a list of values", key);
	for (yaml_node_item_t *item = value->data.sequence.items.start;
		item < value->data.sequence.items.top; item++) {
		yaml_node_t *node = yaml_document_get_node(&reader->document, *item);

		if (scalar(node) == NULL || setting->values_count == SETTING_VALUES_MAX)
			return fail(reader, node, "'%s' must be a list of at most %d plain values",
				key, SETTING_VALUES_MAX);
		setting->values[setting->values_count++] = strdup(scalar(node));
	}
	return true;
}

static bool take_settings(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config_vnf *vnf = into;

	if (node->type != YAML_MAPPING_NODE)
		return fail(reader, node, "'%s' must be a mapping", key);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
		pair < node->data.mapping.pairs.top; pair++) {
		yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
		struct config_setting *setting = &vnf->settings[vnf->settings_count];

		if (scalar(name) == NULL || vnf->settings_count == SETTINGS_MAX)
			return fail(reader, name, "'%s' has a bad key, or more than %d", key,
				SETTINGS_MAX);
		for (uint32_t i = 0; i < vnf->settings_count; i++)
			if (strcmp(vnf->settings[i].key, scalar(name)) == 0)
				return fail(reader, name, "duplicate key '%s' in config",
					scalar(name));
		vnf->settings_count++;
		setting->key = strdup(scalar(name));
		setting->line = (uint32_t)name->start_mark.line + 1;
		if (!take_setting(reader, yaml_document_get_node(&reader->document, pair->value),
			    scalar(name), setting))
			return false;
	}
	return true;
}

static bool take_vnf_name(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config_vnf *vnf = into;

	return take_text(reader, node, key, vnf->name, sizeof(vnf->name));
}

/* Calls take for each item of a list of at most max. */
static bool take_list(struct reader *reader, yaml_node_t *node, const char *key, uint32_t max,
	bool (*take)(struct reader *, yaml_node_t *, void *), void *into)
{
	uint32_t count = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail(reader, node, "'%s' must be a list", key);
	for (yaml_node_item_t *item = node->data.sequence.items.start;
		item < node->data.sequence.items.top; item++) {
		yaml_node_t *value = yaml_document_get_node(&reader->document, *item);

		if (count++ == max)
			return fail(reader, value, "'%s' has more than %u entries", key, max);
		if (!take(reader, value, into))
			return false;
	}
	return count > 0 || fail(reader, node, "'%s' is empty", key);
}

static bool take_vnf(struct reader *reader, yaml_node_t *node, void *into)
{
	static const struct key keys[] = {{"name", take_vnf_name}, {"config", take_settings}};
	struct config_stage *stage = into;
	struct config_vnf *vnf = &stage->vnfs[stage->vnfs_count++];

	vnf->line = (uint32_t)node->start_mark.line + 1;
	if (!READ_MAPPING(reader, node, "a VNF", keys, vnf))
		return false;
	return vnf->name[0] != 0 || fail(reader, node, "a VNF needs a 'name'");
}

static bool take_vnfs(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_list(reader, node, key, VNFS_MAX, take_vnf, into);
}

static bool take_stage_name(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_name(reader, node, key, ((struct config_stage *)into)->name);
}

static bool take_variant(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"active", "passive", NULL};
	int chosen;

	if (!take_choice(reader, node, key, choices, &chosen))
		return false;
	((struct config_stage *)into)->variant = (enum variant)chosen;
	return true;
}

static bool take_slaves(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	uint64_t slaves = 0;

	if (!take_number(reader, node, key, 0, REPLICAS_MAX - 1, &slaves))
		return false;
	((struct config_stage *)into)->slaves = (uint32_t)slaves;
	return true;
}

static bool take_homes(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	uint64_t homes = 0;

	if (!take_number(reader, node, key, 1, HOMES_MAX, &homes))
		return false;
	((struct config_stage *)into)->homes = (uint32_t)homes;
	return true;
}

/* One value for all replicas, or a list, a value each. */
static bool take_each(struct reader *reader, yaml_node_t *node, const char *key,
	bool (*take)(struct reader *reader, yaml_node_t *node, const char *key,
		struct config_stage *stage, uint32_t replica),
	struct config_stage *stage)
{
	yaml_node_item_t *item = node->data.sequence.items.start;
	uint32_t count = 1;

	if (node->type == YAML_SEQUENCE_NODE)
		count = (uint32_t)(node->data.sequence.items.top - item);
	if (count == 0 || count > REPLICAS_MAX)
		return fail(reader, node, "'%s' is empty or has more than %d entries", key,
			REPLICAS_MAX);
	for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
		yaml_node_t *value = node->type != YAML_SEQUENCE_NODE
					     ? node
					     : yaml_document_get_node(&reader->document,
						       item[r < count ? r : count - 1]);

		if (!take(reader, value, key, stage, r))
			return false;
	}
	return true;
}

static bool take_worker_count(struct reader *reader, yaml_node_t *node, const char *key,
	struct config_stage *stage, uint32_t replica)
{
	uint64_t workers = 0;

	if (!take_number(reader, node, key, 1, WORKERS_MAX, &workers))
		return false;
	stage->workers[replica] = (uint32_t)workers;
	return true;
}

static bool take_workers(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_each(reader, node, key, take_worker_count, into);
}

static bool take_strategy(struct reader *reader, yaml_node_t *node, const char *key,
	struct config_stage *stage, uint32_t replica)
{
	return take_name(reader, node, key, stage->strategies[replica]);
}

static bool take_strategies(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config_stage *stage = into;

	stage->strategy_line = (uint32_t)node->start_mark.line + 1;
	return take_each(reader, node, key, take_strategy, into);
}

static bool take_stage(struct reader *reader, yaml_node_t *node, void *into)
{
	static const struct key keys[] = {{"name", take_stage_name}, {"variant", take_variant},
		{"slaves", take_slaves}, {"homes", take_homes}, {"workers", take_workers},
		{"strategy", take_strategies}, {"vnfs", take_vnfs}};
	struct config *config = into;
	struct config_stage *stage = &config->stages[config->stages_count++];

	stage->line = (uint32_t)node->start_mark.line + 1;
	stage->slaves = 1;
	stage->homes = 16;
	for (uint32_t r = 0; r < REPLICAS_MAX; r++) {
		stage->workers[r] = 1;
		snprintf(stage->strategies[r], NAME_BYTES, "auto");
	}
	if (!READ_MAPPING(reader, node, "a stage", keys, stage))
		return false;
	if (stage->name[0] == 0 || stage->vnfs_count == 0)
		return fail(reader, node, "a stage needs a 'name' and 'vnfs'");
	for (struct config_stage *other = config->stages; other < stage; other++)
		if (strcmp(other->name, stage->name) == 0)
			return fail(reader, node, "two stages are called '%s'", stage->name);
	return true;
}

static bool take_stages(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config *config = into;
	uint32_t replicas = 0;

	if (!take_list(reader, node, key, STAGES_MAX, take_stage, into))
		return false;
	for (uint32_t s = 0; s < config->stages_count; s++)
		replicas += 1 + config->stages[s].slaves;
	return replicas <= CHAIN_REPLICAS_MAX ||
	       fail(reader, node, "the chain has %u replicas: at most %d can run", replicas,
		       CHAIN_REPLICAS_MAX);
}

static bool take_port_id(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_number(reader, node, key, 0, PORTS_MAX - 1, into);
}

static bool take_port_dev(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config *config = reader->config;

	(void)into;
	return take_text(reader, node, key, config->ports[config->ports_count].dev, PATH_BYTES);
}

static bool take_port(struct reader *reader, yaml_node_t *node, void *into)
{
	static const struct key keys[] = {{"id", take_port_id}, {"dev", take_port_dev}};
	struct config *config = into;
	uint64_t id = UINT64_MAX;

	if (!READ_MAPPING(reader, node, "a port", keys, &id))
		return false;
	if (id != config->ports_count || config->ports[id].dev[0] == 0)
		return fail(reader, node,
			"a port needs a 'dev' and an 'id'; IDs run 0, 1, ... in order");
	config->ports[id].line = (uint32_t)node->start_mark.line + 1;
	config->ports_count++;
	return true;
}

static bool take_ports(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_list(reader, node, key, PORTS_MAX, take_port, into);
}

static bool take_chain(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_name(reader, node, key, ((struct config *)into)->chain);
}

static bool take_clock(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"auto", "wall", "trace", NULL};

	return take_choice(reader, node, key, choices, (int *)&((struct config *)into)->clock);
}

static bool take_durability(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"process", "disk", NULL};

	return take_choice(reader, node, key, choices, (int *)&((struct config *)into)->durability);
}

/* *second: the second of two choices. */
static bool take_either(struct reader *reader, yaml_node_t *node, const char *key,
	const char *const *choices, bool *second)
{
	int choice = *second;

	if (!take_choice(reader, node, key, choices, &choice))
		return false;
	*second = choice == 1;
	return true;
}

static bool take_release(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"first", "agreed", NULL};

	return take_either(reader, node, key, choices, &((struct config *)into)->agreed);
}

static bool take_redelivery(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"at-most-once", "at-least-once", NULL};

	return take_either(reader, node, key, choices, &((struct config *)into)->at_least_once);
}

static bool take_hugepages(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"auto", "yes", "no", NULL};

	return take_choice(reader, node, key, choices, (int *)&((struct config *)into)->hugepages);
}

static bool take_log(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const char *const choices[] = {"packets", "headers", NULL};
	int chosen = 0;

	if (!take_choice(reader, node, key, choices, &chosen))
		return false;
	((struct config *)into)->log_headers = chosen == 1;
	return true;
}

static bool take_journal(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	struct config *config = into;

	if (!take_number(reader, node, key, 4u << 20, 1ull << 34, &config->journal_bytes))
		return false;
	return (config->journal_bytes & (config->journal_bytes - 1)) == 0 ||
	       fail(reader, node, "'%s' must be a power of two, such as 64MiB", key);
}

static bool take_seed(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_number(reader, node, key, 0, UINT64_MAX, &((struct config *)into)->seed);
}

static bool take_hang(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	uint64_t hang_ms = 0;

	if (!take_number(reader, node, key, 5, 60000, &hang_ms))
		return false;
	((struct config *)into)->hang_ms = (uint32_t)hang_ms;
	return true;
}

static bool take_dir(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_text(reader, node, key, ((struct config *)into)->logger_dir, PATH_BYTES - 32);
}

static bool take_retention(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_number(reader, node, key, 0, 1ull << 44,
		&((struct config *)into)->retention_bytes);
}

static bool take_fold(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	return take_number(reader, node, key, 1, 1u << 20, &((struct config *)into)->fold_batches);
}

static bool take_loggers(struct reader *reader, yaml_node_t *node, const char *key, void *into)
{
	static const struct key keys[] = {{"dir", take_dir}, {"retention", take_retention},
		{"fold_batches", take_fold}};

	return READ_MAPPING(reader, node, key, keys, into);
}

static bool read_chain(struct reader *reader, yaml_node_t *root)
{
	static const struct key keys[] = {{"chain", take_chain}, {"ports", take_ports},
		{"clock", take_clock}, {"durability", take_durability}, {"release", take_release},
		{"redelivery", take_redelivery}, {"hugepages", take_hugepages},
		{"stages", take_stages}, {"loggers", take_loggers}, {"log", take_log},
		{"journal", take_journal}, {"seed", take_seed}, {"hang_ms", take_hang}};
	struct config *config = reader->config;

	if (!READ_MAPPING(reader, root, "the chain", keys, config))
		return false;
	if (config->chain[0] == 0 || config->ports_count == 0 || config->stages_count == 0)
		return fail(reader, root, "a chain needs 'chain' (its name), 'ports' and 'stages'");
	for (uint32_t s = 0; s < config->stages_count; s++)
		if (config->agreed && config->stages[s].slaves == 0)
			return fail(reader, root,
				"'release: agreed' needs two replicas, stage '%s' has no slave: "
				"give it 'slaves: 1'",
				config->stages[s].name);
	if (config->log_headers && config->durability == DURABILITY_DISK)
		return fail(reader, root,
			"'log: headers' keeps no payloads, 'durability: disk' promises to: "
			"give one of them up");
	return true;
}

static bool read_file(struct reader *reader, FILE *file)
{
	yaml_parser_t parser;
	yaml_node_t *root;
	bool read;

	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, file);
	if (!yaml_parser_load(&parser, &reader->document)) {
		snprintf(reader->error, CONFIG_ERROR_BYTES, "%s:%zu: not YAML: %s",
			reader->config->path, parser.problem_mark.line + 1,
			parser.problem == NULL ? "unreadable" : parser.problem);
		yaml_parser_delete(&parser);
		return false;
	}
	root = yaml_document_get_root_node(&reader->document);
	if (root == NULL)
		snprintf(reader->error, CONFIG_ERROR_BYTES, "%s:1: the file is empty",
			reader->config->path);
	read = root != NULL && read_chain(reader, root);
	yaml_document_delete(&reader->document);
	yaml_parser_delete(&parser);
	return read;
}

enum status config_load(struct config **config, const char *path, char *error)
{
	struct reader reader = {.config = calloc(1, sizeof(**config)), .error = error};
	FILE *file = fopen(path, "re");
	bool read = false;

	*config = NULL;
	if (file == NULL || reader.config == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot be read: %s", path,
			strerror(errno));
	} else {
		struct config *fresh = reader.config;

		snprintf(fresh->path, sizeof(fresh->path), "%s", path);
		snprintf(fresh->logger_dir, sizeof(fresh->logger_dir), "./log");
		fresh->journal_bytes = 64u << 20;
		fresh->fold_batches = 4096;
		fresh->hang_ms = 100;
		fresh->seed = 1;
		fresh->protect = true;
		read = read_file(&reader, file);
	}
	if (file != NULL)
		fclose(file);
	if (!read) {
		config_free(reader.config);
		return STATUS_INVALID;
	}
	*config = reader.config;
	return STATUS_OK;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (uint32_t s = 0; s < config->stages_count; s++)
		for (uint32_t v = 0; v < config->stages[s].vnfs_count; v++) {
			struct config_vnf *vnf = &config->stages[s].vnfs[v];

			for (uint32_t i = 0; i < vnf->settings_count; i++) {
				for (uint32_t j = 0; j < vnf->settings[i].values_count; j++)
					free(vnf->settings[i].values[j]);
				free(vnf->settings[i].key);
			}
		}
	free(config);
}

bool config_trace_clock(const struct config *config)
{
	if (config->clock != CLOCK_AUTO)
		return config->clock == CLOCK_TRACE;
	return strncmp(config->ports[0].dev, "pcap:", 5) == 0;
}
