/* SPDX-License-Identifier: BSD-3-Clause */
/* The manager as a process: its core behind a Unix socket, with the watcher's thread. */
#ifndef UNDERSTUDY_MANAGER_MANAGER_ROLE_H
#define UNDERSTUDY_MANAGER_MANAGER_ROLE_H

#include "loggers/role.h"

/* Returns the process's exit status. */
int manager_main(const struct role_options *options);

#endif
