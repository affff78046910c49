/* SPDX-License-Identifier: BSD-3-Clause */
/* The gateway as a process: ingress in the main thread, egress in a second one. */
#ifndef UNDERSTUDY_SEQUENCER_SEQUENCER_ROLE_H
#define UNDERSTUDY_SEQUENCER_SEQUENCER_ROLE_H

#include "loggers/role.h"

/* Returns the process's exit status. */
int sequencer_role_main(const struct role_options *options);

#endif
