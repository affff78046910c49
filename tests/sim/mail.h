/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on their way: in order on each connection, late, sometimes twice, held back. */
#ifndef UNDERSTUDY_TESTS_SIM_MAIL_H
#define UNDERSTUDY_TESTS_SIM_MAIL_H

#include "core/message.h"
#include "tests/sim/world.h"

#define MAIL_MAX 512

struct mail {
	struct message list[MAIL_MAX];
	uint64_t at_ns[MAIL_MAX];
	uint32_t first, count;
	uint64_t last_ns;
};

/* reader: is woken when it comes; may be NULL. */
void mail_put(struct mail *mail, const struct message *message, bool to_role,
	struct thread *reader);

/* False: nothing has come. */
bool mail_take(struct mail *mail, struct message *message);

/* When the next one comes; UINT64_MAX: none is on its way. */
uint64_t mail_next_ns(const struct mail *mail);

/* A sleeping thread looks again at that time, or before. */
void thread_wake_by(struct thread *thread, uint64_t at_ns);

#endif
