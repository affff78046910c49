/* SPDX-License-Identifier: BSD-3-Clause */
/* The manager's core behind connections that the world carries; and the roles' ends of them. */
#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "loggers/control.h"
#include "manager/manager.h"
#include "tests/sim/mail.h"
#include "tests/sim/platform.h"
#include "tests/sim/processes.h"
#include "tests/sim/roles.h"

#define LINKS_MAX 64
#define RETRY_NS 20000000
#define TICK_NS 1000000

/* A role's connection to a manager. */
struct link {
	struct control *control;
	struct thread *thread; /* the role's control thread */
	struct peer *peer;
	struct mail to_manager, to_role;
	bool open, greeted;
};

struct manager_process {
	struct manager manager;
	struct process *process;
	struct thread *thread;
	struct link *links[LINKS_MAX];
	uint32_t links_count;
	struct mail from_supervisor;
};

static struct manager_process *present; /* or NULL */

/* The control thread. */

static void converse(struct link *link)
{
	struct control *control = link->control;
	struct message message, answer;

	mail_put(&link->to_manager, &control->hello, false, present->thread);
	while (link->open) {
		uint64_t next_ns = mail_next_ns(&link->to_role);

		if (mail_take(&link->to_role, &message)) {
			memset(&answer, 0, sizeof(answer));
			if (control->handler(control->context, &message, &answer) && link->open)
				mail_put(&link->to_manager, &answer, false, present->thread);
			continue;
		}
		world_sleep(
			next_ns < world.now_ns + 5000000 ? next_ns - world.now_ns + 1 : 5000000);
	}
}

static void control_main(void *argument)
{
	struct control *control = argument;

	for (;;) {
		struct manager_process *manager = present;

		if (manager != NULL && manager->process->alive && manager->thread != NULL) {
			struct link *link = calloc(1, sizeof(*link));

			BUG_ON(manager->links_count == LINKS_MAX);
			link->control = control;
			link->thread = world.current;
			link->open = true;
			manager->links[manager->links_count++] = link;
			converse(link);
		}
		world_sleep(RETRY_NS);
	}
}

enum status control_start(struct control *control, const char *run_dir, const struct message *hello,
	control_handler handler, void *context)
{
	(void)run_dir;
	control->hello = *hello;
	control->handler = handler;
	control->context = context;
	(void)thread_start(world.current->process, "control", control_main, control);
	return STATUS_OK;
}

/* The manager. */

static void send_to(void *connection, const struct message *message)
{
	struct link *link = connection;

	if (connection == NULL)
		supervisor_tell(message);
	else if (link->open)
		mail_put(&link->to_role, message, true, link->thread);
}

static bool receive_all(struct manager_process *self)
{
	struct message message;
	bool some = false;

	while (mail_take(&self->from_supervisor, &message)) {
		manager_receive(&self->manager, self->manager.supervisor, &message);
		some = true;
	}
	for (uint32_t i = 0; i < self->links_count; i++) {
		struct link *link = self->links[i];

		while (mail_take(&link->to_manager, &message)) {
			if (link->peer == NULL)
				link->peer = manager_connect(&self->manager, link, false);
			manager_receive(&self->manager, link->peer, &message);
			some = true;
		}
		if (!link->thread->process->alive && link->open) {
			link->open = false;
			if (link->peer != NULL)
				manager_disconnect(&self->manager, link->peer);
			link->peer = NULL;
			link->to_manager.count = 0;
		}
	}
	return some;
}

static uint64_t manager_next_ns(const struct manager_process *self, uint64_t tick_ns)
{
	uint64_t next_ns = mail_next_ns(&self->from_supervisor);

	if (tick_ns < next_ns)
		next_ns = tick_ns;
	for (uint32_t i = 0; i < self->links_count; i++)
		if (mail_next_ns(&self->links[i]->to_manager) < next_ns)
			next_ns = mail_next_ns(&self->links[i]->to_manager);
	return next_ns;
}

static void manager_process_main(void *argument)
{
	struct manager_process *self = argument;
	uint64_t tick_ns = world.now_ns;
	struct death death;

	role_begin(&self->manager.role, 0, 0, 0);
	manager_open(&self->manager);
	self->manager.send = send_to;
	(void)manager_connect(&self->manager, NULL, true);
	if (page->incarnations != 0)
		sometimes(SOMETIMES_MANAGER_RESTART);
	self->thread = world.current;
	manager_begin(&self->manager);
	for (;;) {
		uint64_t next_ns;

		while (platform_next_death(&self->manager.watcher, &death))
			manager_death(&self->manager, &death);
		if (receive_all(self))
			continue;
		if (world.now_ns >= tick_ns) {
			manager_tick(&self->manager, world.now_ns);
			tick_ns = world.now_ns + TICK_NS;
		}
		next_ns = manager_next_ns(self, tick_ns);
		world_sleep(next_ns > world.now_ns ? next_ns - world.now_ns : 1);
	}
}

struct process *manager_start(void)
{
	struct manager_process *self = calloc(1, sizeof(*self));

	self->process = process_start(PROCESS_MANAGER, "manager", manager_process_main, self);
	present = self;
	return self->process;
}

void manager_tell(const struct message *message)
{
	if (present != NULL)
		mail_put(&present->from_supervisor, message, false, present->thread);
}

void manager_ask(struct thread *thread, const struct message *request)
{
	struct message hello = {.type = MESSAGE_HELLO, .role = ROLE_CLI};
	struct link *link;

	if (present == NULL || present->thread == NULL || present->links_count == LINKS_MAX)
		return;
	link = calloc(1, sizeof(*link));
	link->thread = thread;
	link->open = true;
	present->links[present->links_count++] = link;
	mail_put(&link->to_manager, &hello, false, present->thread);
	mail_put(&link->to_manager, request, false, present->thread);
}

bool manager_is_dead(void)
{
	return present == NULL;
}

void manager_sees_death(const struct process *process)
{
	if (present == NULL)
		return;
	if (process != present->process) {
		thread_wake_by(present->thread, world.now_ns + 10000 + world_random(300000));
		return;
	}
	for (uint32_t i = 0; i < present->links_count; i++)
		present->links[i]->open = false;
	present = NULL;
}
