/* SPDX-License-Identifier: BSD-3-Clause */
/* What the manager's files share (manager.c and manager_*.c). */
#ifndef UNDERSTUDY_MANAGER_MANAGER_PARTS_H
#define UNDERSTUDY_MANAGER_MANAGER_PARTS_H

#include "manager/manager.h"

#define STARTING_NS 20000000000ull /* who is not in its place by then is lost */

const char *manager_stage_name(const struct manager *self, uint32_t stage);
void manager_audit(struct manager *self, const char *action, const char *object, uint64_t term,
	const char *detail);

/* NULL: nobody, and nothing is sent. */
void manager_send(struct manager *self, const struct peer *to, struct message *message);

/* Asks the supervisor for a replica's process; it starts none twice. */
void manager_order(struct manager *self, const struct failover_effect *effect);

/* A failover's record, made now if the fault left none; NULL: no room. */
struct page_failover *manager_failover_record(struct manager *self,
	const struct failover_subject *subject, uint64_t now_ns);
void manager_close_failover(struct manager *self, struct page_failover *record, uint64_t now_ns);

/* Asks the planner, and does what it says. */
void manager_step(struct manager *self, const struct failover_event *event);

/* A replica's incarnation is dead, hangs or is wrong; again is no error. */
void manager_replica_lost(struct manager *self, uint32_t stage, uint32_t replica,
	uint64_t incarnation, enum failover_kind kind, uint64_t detected_ns);

/* Services (manager_services.c); SERVICES_COUNT: it is none. */
uint32_t manager_service_of(enum role_kind role, uint32_t number);
void manager_order_service(struct manager *self, uint32_t service, uint64_t now_ns);
void manager_service_lost(struct manager *self, uint32_t service, uint64_t now_ns);
void manager_service_back(struct manager *self, uint32_t service, uint32_t pid, uint64_t now_ns);
void manager_watch_services(struct manager *self, uint64_t now_ns);
/* The supervisor knows which process that is. */
void manager_signal_service(struct manager *self, uint32_t service, int number);
/* It said hello, and nothing is known to have met it since. */
bool manager_service_runs(struct manager *self, uint32_t service);
/* The record of its present failure, made now if the fault left none; NULL: no room. */
struct page_failover *manager_incident(struct manager *self, uint32_t service, uint64_t t0_ns);

/* Where replicas differ, all of them begin anew; see page_doubt. */
void manager_settle_doubt(struct manager *self, uint64_t now_ns);

/* Of sequencers that are gone: the base journals that nobody can need any more. */
void manager_forget_bases(struct manager *self);

/* Faults that were asked for (manager_faults.c): arms one, or answers why not; raises those due. */
void manager_inject(struct manager *self, const struct message *message, struct message *answer);
void manager_raise_timed(struct manager *self, uint64_t now_ns);

/*
 * Packets that replicas crash on (manager_poison.c): of a replica that is being lost, with what it
 * was executing still on the page. True: the stage's journals are sealed, its replicas are to go.
 */
bool manager_suspect(struct manager *self, uint32_t stage, uint32_t replica,
	enum failover_kind kind);

/* What an operator asks for (manager_orders.c), or why not. */
void manager_obey(struct manager *self, const struct message *message, struct message *answer);

/* A restarted manager (manager_adopt.c); false: there was none before. */
bool manager_adopt(struct manager *self);

#endif
