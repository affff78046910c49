/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control messages between the manager, the supervisor, the roles and the command line: fixed,
 * length-prefixed, versioned records on Unix sockets.
 */
#ifndef UNDERSTUDY_CORE_MESSAGE_H
#define UNDERSTUDY_CORE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/limits.h"
#include "core/status.h"

#define MESSAGE_VERSION 1
#define MESSAGE_TEXT_BYTES 512

enum role_kind { ROLE_NONE, ROLE_SEQUENCER, ROLE_REPLICA, ROLE_LOGGER, ROLE_MANAGER, ROLE_CLI };

enum message_type {
	MESSAGE_HELLO = 1, /* role to manager: I am here, my journal exists */
	MESSAGE_ATTACH,	   /* manager to consumers: read this journal too */
	MESSAGE_ATTACHED,  /* the answer */
	MESSAGE_GO,	   /* manager to role: begin */
	MESSAGE_STOP,	   /* manager to role, supervisor to manager: end in good order */
	MESSAGE_START,	   /* manager to supervisor: start this process */
	MESSAGE_KILL,	   /* manager to supervisor: signal value to it, 0: SIGKILL */
	MESSAGE_STARTED,   /* supervisor to manager: pid */
	MESSAGE_EXITED,	   /* supervisor to manager: value is the wait status */
	MESSAGE_INJECT,	   /* command line to manager: text is a fault */
	MESSAGE_ORDER,	   /* command line to manager: text is what an operator asks for */
	MESSAGE_DONE,	   /* answer: done / manager to supervisor: the run is over */
	MESSAGE_ERROR,	   /* answer: text says why not */
	MESSAGE_AUDIT,	   /* logger to manager: text is an event worth keeping */
};

struct message {
	uint32_t bytes; /* of the whole record */
	uint16_t version;
	uint16_t type;
	uint32_t role;
	uint32_t stage;	 /* of a replica */
	uint32_t number; /* of a replica in its stage, of a logger's role */
	uint32_t pid;
	uint64_t incarnation;
	uint64_t value;
	char name[NAME_BYTES];
	char text[MESSAGE_TEXT_BYTES];
};

/* The answer to ATTACH: ATTACHED, or an ERROR that says who cannot read which journal, and why. */
void message_answer_attach(struct message *answer, const struct message *request,
	const char *reader, enum status status);

/* Checks a record that came over a socket; makes its texts end. Errors: CORRUPT, VERSION. */
MUST_CHECK enum status message_check(struct message *message);

#endif
