/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager: watches the replicas, asks the planner (failover.h) what to do, and does it: seals,
 * promotes, orders processes from the supervisor, audits. It may die and be restarted at any time
 * while traffic flows: it rebuilds its view from the control page and the roles' hellos. Sockets,
 * timers and the watcher's pipe are its shell's (manager_libevent.c, or the simulator); one thread.
 */
#ifndef UNDERSTUDY_MANAGER_MANAGER_H
#define UNDERSTUDY_MANAGER_MANAGER_H

#include "loggers/base.h"
#include "loggers/role.h"
#include "manager/audit_queue.h"
#include "manager/failover.h"
#include "manager/watcher.h"

/* A role, the supervisor or a command line. */
struct peer {
	void *connection;     /* the shell's */
	struct message hello; /* type 0 until it came */
	struct peer *next;
};

/* What the manager knows of a service. */
struct manager_service {
	uint64_t ordered_ns, due_ns; /* the last start, the next; 0: none is */
	uint64_t beat, beat_ns;	     /* the last seen, and since when */
	bool hangs;		     /* it was killed for that */
	bool returns;		     /* it is there, and has yet to release */
};

struct manager {
	struct role role;
	struct failover failover;
	struct audit_queue audit;
	struct watcher watcher;
	struct base base; /* the newest */
	struct peer *peers, *supervisor;
	void (*send)(void *connection, const struct message *message); /* the shell's */
	uint64_t ordered_ns[STAGES_MAX][REPLICAS_MAX]; /* or its last progress as it starts */
	uint64_t progress[STAGES_MAX][REPLICAS_MAX];
	struct manager_service services[SERVICES_COUNT];
	uint64_t ended_ns;
	uint64_t asides_ns[ASIDES_MAX]; /* when the last ones were set aside, of any stage */
	uint32_t asides_count;
	uint64_t doubts_told; /* of the page's */
	uint64_t doubt_batch; /* of the last one settled, in this stage; see manager_doubt.c */
	uint32_t doubt_stage;
	bool stopping;
};

/* With role open; then the shell opens the audit queue and the watcher, and sets send. */
void manager_open(struct manager *self);

/* Carries on from the control page, or begins: with the supervisor connected. */
void manager_begin(struct manager *self);

/* NULL: out of memory. */
struct peer *manager_connect(struct manager *self, void *connection, bool is_supervisor);
void manager_disconnect(struct manager *self, struct peer *peer);

/* A checked message of a peer's. */
void manager_receive(struct manager *self, struct peer *peer, const struct message *message);

/* Out of the watcher's pipe. */
void manager_death(struct manager *self, const struct death *death);

/* Every millisecond. */
void manager_tick(struct manager *self, uint64_t now_ns);

#endif
