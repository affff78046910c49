/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A logger as a process: its agent in the main thread, its server for replay and catch-up
 * beside it.
 */
#ifndef UNDERSTUDY_LOGGERS_LOGGER_ROLE_H
#define UNDERSTUDY_LOGGERS_LOGGER_ROLE_H

#include "loggers/role.h"

#define RUN_FILE "run" /* in the log directory: of a run at `disk` that has not ended yet */

/* Returns the process's exit status. */
int logger_role_main(const struct role_options *options);

/* Makes and checks the directory of all logs. error: one line. */
MUST_CHECK enum status logger_dir_prepare(const struct config *config, char *error);

#endif
