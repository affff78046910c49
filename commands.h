/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of the program, one file each; main.c spells out which word is which. */
#ifndef UNDERSTUDY_COMMANDS_H
#define UNDERSTUDY_COMMANDS_H

#include "core/config.h"
#include "loggers/role.h"

#define RUN_DIR_DEFAULT "/run/understudy"
#define FAULT_OPTIONS_MAX 32

/* What the command line said. */
struct options {
	struct role_options role;
	const char *faults[FAULT_OPTIONS_MAX];
	uint32_t faults_count;
	const char *report;
	const char *html;
	uint64_t kills;
	uint64_t seed;
	bool json;
	const char *words[4]; /* what is no option, after the command */
	uint32_t words_count;
};

/* Each returns the exit status and prints its own errors, one line each. */
int command_run(const struct options *options);
int command_check(const struct options *options);
int command_status(const struct options *options);
int command_inject(const struct options *options);
int command_order(const char *word, const struct options *options);
int command_audit(const struct options *options);
int command_measure(const struct options *options);

/* Arms a fault in a running chain; error (CONFIG_ERROR_BYTES): one line. */
bool inject_fault(const char *run_dir, const char *text, char *error);

#endif
