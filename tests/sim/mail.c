/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/sim/mail.h"

#include "core/status.h"
#include "tests/sim/faults.h"

void thread_wake_by(struct thread *thread, uint64_t at_ns)
{
	if (thread != NULL && thread->state == THREAD_ASLEEP && thread->wake_ns > at_ns)
		thread->wake_ns = at_ns;
}

static void put(struct mail *mail, const struct message *message, uint64_t at_ns)
{
	uint32_t at = (mail->first + mail->count) % MAIL_MAX;

	BUG_ON(mail->count == MAIL_MAX);
	if (at_ns < mail->last_ns)
		at_ns = mail->last_ns;
	mail->last_ns = at_ns;
	mail->list[at] = *message;
	mail->at_ns[at] = at_ns;
	mail->count++;
}

void mail_put(struct mail *mail, const struct message *message, bool to_role, struct thread *reader)
{
	uint64_t at_ns = world.now_ns + 1000 + world_random((uint32_t)world.plan->message_ns);

	if (at_ns < faults_partition_ns(to_role))
		at_ns = faults_partition_ns(to_role);
	put(mail, message, at_ns);
	thread_wake_by(reader, mail->at_ns[mail->first]);
	if (world.plan->duplicate == 0 || world_random(world.plan->duplicate) != 0 ||
		message->type == MESSAGE_START || message->type == MESSAGE_EXITED)
		return;
	sometimes(SOMETIMES_DUPLICATE_MESSAGE);
	put(mail, message, at_ns + world_random(5000000));
}

bool mail_take(struct mail *mail, struct message *message)
{
	if (mail->count == 0 || mail->at_ns[mail->first] > world.now_ns)
		return false;
	*message = mail->list[mail->first];
	mail->first = (mail->first + 1) % MAIL_MAX;
	mail->count--;
	return true;
}

uint64_t mail_next_ns(const struct mail *mail)
{
	return mail->count == 0 ? UINT64_MAX : mail->at_ns[mail->first];
}
