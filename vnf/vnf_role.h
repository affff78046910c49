/* SPDX-License-Identifier: BSD-3-Clause */
/* A replica as a process: tails the base journal, executes, publishes outcomes and folds. */
#ifndef UNDERSTUDY_VNF_VNF_ROLE_H
#define UNDERSTUDY_VNF_VNF_ROLE_H

#include "loggers/role.h"

/* Returns the process's exit status. */
int vnf_role_main(const struct role_options *options);

#endif
