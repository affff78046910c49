/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager as a process: watches the replicas, asks the planner (failover.h) what to do,
 * and does
 * it: seals, promotes, orders processes from the supervisor, audits. It may die and be restarted at
 * any time while traffic flows: it rebuilds its view from the control page and the roles' hellos.
 */
#ifndef UNDERSTUDY_MANAGER_MANAGER_H
#define UNDERSTUDY_MANAGER_MANAGER_H

#include "loggers/role.h"

/* Returns the process's exit status. */
int manager_main(const struct role_options *options);

#endif
