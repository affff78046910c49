/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/message.h"

#include <stdio.h>

enum status message_check(struct message *message)
{
	if (message->bytes != sizeof(*message))
		return STATUS_CORRUPT;
	if (message->version != MESSAGE_VERSION)
		return STATUS_VERSION;
	if (message->type < MESSAGE_HELLO || message->type > MESSAGE_AUDIT ||
		message->role > ROLE_CLI || message->stage >= STAGES_MAX ||
		message->number >= REPLICAS_MAX)
		return STATUS_CORRUPT;
	message->name[NAME_BYTES - 1] = 0;
	message->text[MESSAGE_TEXT_BYTES - 1] = 0;
	return STATUS_OK;
}

void message_answer_attach(struct message *answer, const struct message *request,
	const char *reader, enum status status)
{
	*answer = *request;
	answer->type = status == STATUS_OK ? MESSAGE_ATTACHED : MESSAGE_ERROR;
	answer->value = (uint64_t)status;
	snprintf(answer->text, sizeof(answer->text), "%s cannot read %s: %s", reader, request->name,
		status_text(status));
}
