/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes of a chain, among themselves. */
#ifndef UNDERSTUDY_TESTS_SIM_ROLES_H
#define UNDERSTUDY_TESTS_SIM_ROLES_H

#include "core/message.h"
#include "loggers/role.h"
#include "tests/sim/world.h"

extern struct config *config;

void role_begin(struct role *role, uint32_t stage, uint32_t number, uint64_t incarnation);
struct message hello_of(const struct process *process, enum role_kind kind);

/* Each makes its process, of that name. */
struct process *manager_start(void);
struct process *replica_start(const char *name);
struct process *logger_start(const char *name);
struct process *sequencer_start(const char *name);

/* From the supervisor to the present manager, if there is one; and from a manager to it. */
void manager_tell(const struct message *message);
/* A connection of an operator, with one request. */
void manager_ask(struct thread *thread, const struct message *request);
void supervisor_tell(const struct message *message);

/* The present manager sees that a process has died; or was it. */
void manager_sees_death(const struct process *process);
bool manager_is_dead(void);

#endif
