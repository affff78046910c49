/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "loggers/logger_role.h"
#include "manager/manager_role.h"
#include "sequencer/sequencer_role.h"
#include "vnf/vnf_role.h"

static const char usage[] =
	"understudy: keeps chains of stateful network functions alive through crashes\n"
	"\n"
	"  understudy run CHAIN.yaml [--input DEV] [--output DEV] [--unprotected]\n"
	"                            [--fault SPEC]... [--report FILE.json] [--run-dir DIR]\n"
	"  understudy check CHAIN.yaml [--json]\n"
	"  understudy status [--json] [--run-dir DIR]\n"
	"  understudy switchover STAGE | resync STAGE/REPLICA | maintenance on|off | drain\n"
	"                            [--run-dir DIR]\n"
	"  understudy inject SPEC [--run-dir DIR]\n"
	"  understudy measure CHAIN.yaml --kills N [--seed S] --report FILE.json [--html FILE]\n"
	"                            [--input DEV] [--output DEV]\n"
	"  understudy audit ls|show|verify FILE-OR-DIR [--json]\n"
	"\n"
	"  SPEC: kill|stop STAGE/master|slave|sequencer [@packet=K|@time=SECONDS],\n"
	"        kill|stop manager|logger/NAME [@time=SECONDS],\n"
	"        flip STAGE/master|slave @packet=K (a bit of its state)\n"
	"  DEV:  pcap:FILE, gen:flows=N,size=64|imix|N,new=P%,count=N,rate=N,seed=S, null:,\n"
	"        or a DPDK device by its devargs\n"
	"\n"
	"  Roles, each a process of a chain (run starts them):\n"
	"  understudy sequencer|standby|vnf|logger|manager --config CHAIN.yaml --run-dir DIR ...\n";

/* The value of an option that needs one. */
static const char *value_of(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc) {
		fprintf(stderr, "understudy: %s needs a value\n", argv[*i]);
		exit(2);
	}
	return argv[++*i];
}

static uint64_t number_of(int argc, char **argv, int *i)
{
	const char *name = argv[*i], *value = value_of(argc, argv, i);
	char *end;
	uint64_t number = strtoull(value, &end, 10);

	if (*value < '0' || *value > '9' || *end != 0) {
		fprintf(stderr, "understudy: %s is '%s': use a number\n", name, value);
		exit(2);
	}
	return number;
}

static void read_option(struct options *options, int argc, char **argv, int *i)
{
	const char *name = argv[*i];

	if (strcmp(name, "--config") == 0)
		options->role.config_path = value_of(argc, argv, i);
	else if (strcmp(name, "--run-dir") == 0)
		options->role.run_dir = value_of(argc, argv, i);
	else if (strcmp(name, "--input") == 0)
		options->role.input = value_of(argc, argv, i);
	else if (strcmp(name, "--output") == 0)
		options->role.output = value_of(argc, argv, i);
	else if (strcmp(name, "--unprotected") == 0)
		options->role.unprotected = true;
	else if (strcmp(name, "--report") == 0)
		options->report = value_of(argc, argv, i);
	else if (strcmp(name, "--html") == 0)
		options->html = value_of(argc, argv, i);
	else if (strcmp(name, "--kills") == 0)
		options->kills = number_of(argc, argv, i);
	else if (strcmp(name, "--seed") == 0)
		options->seed = number_of(argc, argv, i);
	else if (strcmp(name, "--json") == 0)
		options->json = true;
	else if (strcmp(name, "--stage") == 0)
		options->role.stage = (uint32_t)number_of(argc, argv, i);
	else if (strcmp(name, "--number") == 0)
		options->role.number = (uint32_t)number_of(argc, argv, i);
	else if (strcmp(name, "--incarnation") == 0)
		options->role.incarnation = number_of(argc, argv, i);
	else if (strcmp(name, "--supervisor-fd") == 0)
		options->role.supervisor_fd = (int)number_of(argc, argv, i);
	else if (strcmp(name, "--fault") == 0 && options->faults_count < FAULT_OPTIONS_MAX)
		options->faults[options->faults_count++] = value_of(argc, argv, i);
	else {
		fprintf(stderr, "understudy: unknown option %s: see 'understudy help'\n", name);
		exit(2);
	}
}

static int role_command(const char *word, const struct options *options)
{
	if (options->role.stage >= STAGES_MAX || options->role.number >= REPLICAS_MAX) {
		fprintf(stderr, "understudy: --stage or --number is out of range\n");
		return 2;
	}
	if (options->role.config_path == NULL) {
		fprintf(stderr, "understudy: %s needs --config CHAIN.yaml\n", word);
		return 2;
	}
	if (strcmp(word, "sequencer") == 0 || strcmp(word, "standby") == 0)
		return sequencer_role_main(&options->role);
	if (strcmp(word, "vnf") == 0)
		return vnf_role_main(&options->role);
	if (strcmp(word, "logger") == 0)
		return logger_role_main(&options->role);
	return manager_main(&options->role);
}

int main(int argc, char **argv)
{
	struct options options = {.role = {.run_dir = RUN_DIR_DEFAULT, .supervisor_fd = -1}};
	const char *word = argc > 1 ? argv[1] : "help";

	for (int i = 2; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) == 0)
			read_option(&options, argc, argv, &i);
		else if (options.words_count < sizeof(options.words) / sizeof(options.words[0]))
			options.words[options.words_count++] = argv[i];
	}
	if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (strcmp(word, "run") == 0)
		return command_run(&options);
	if (strcmp(word, "check") == 0)
		return command_check(&options);
	if (strcmp(word, "status") == 0)
		return command_status(&options);
	if (strcmp(word, "inject") == 0)
		return command_inject(&options);
	if (strcmp(word, "switchover") == 0 || strcmp(word, "resync") == 0 ||
		strcmp(word, "maintenance") == 0 || strcmp(word, "drain") == 0)
		return command_order(word, &options);
	if (strcmp(word, "measure") == 0)
		return command_measure(&options);
	if (strcmp(word, "audit") == 0)
		return command_audit(&options);
	if (strcmp(word, "sequencer") == 0 || strcmp(word, "standby") == 0 ||
		strcmp(word, "vnf") == 0 || strcmp(word, "logger") == 0 ||
		strcmp(word, "manager") == 0)
		return role_command(word, &options);
	fprintf(stderr, "understudy: unknown command '%s': see 'understudy help'\n", word);
	return 2;
}
