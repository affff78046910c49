/* SPDX-License-Identifier: BSD-3-Clause */
/* What the manager's files share (manager.c, manager_loggers.c, manager_adopt.c). */
#ifndef UNDERSTUDY_MANAGER_MANAGER_PARTS_H
#define UNDERSTUDY_MANAGER_MANAGER_PARTS_H

#include "manager/manager.h"

#define STARTING_NS 20000000000ull /* who is not in its place by then is lost */

const char *manager_stage_name(const struct manager *self, uint32_t stage);
void manager_audit(struct manager *self, const char *action, const char *object, uint64_t term,
	const char *detail);

/* NULL: nobody, and nothing is sent. */
void manager_send(struct manager *self, const struct peer *to, struct message *message);

/* Asks the supervisor for a process; it starts none twice. */
void manager_order(struct manager *self, enum role_kind role, const struct failover_effect *effect);

/* Asks the planner, and does what it says. */
void manager_step(struct manager *self, const struct failover_event *event);

/* A replica's incarnation is dead, hangs or is wrong; again is no error. */
void manager_replica_lost(struct manager *self, uint32_t stage, uint32_t replica,
	uint64_t incarnation, enum failover_kind kind, uint64_t detected_ns);

/* Loggers (manager_loggers.c). */
void manager_order_logger(struct manager *self, uint32_t number, uint64_t now_ns);
void manager_logger_lost(struct manager *self, uint32_t number, uint64_t now_ns);
void manager_watch_loggers(struct manager *self, uint64_t now_ns);
void manager_start_loggers(struct manager *self, uint64_t now_ns);

/* A restarted manager (manager_adopt.c); false: there was none before. */
bool manager_adopt(struct manager *self);

#endif
