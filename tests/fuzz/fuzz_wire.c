/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages, packet IDs on a wire, faults as people write them, texts that VNFs raise. */
#include <stdlib.h>
#include <string.h>

#include "core/fault_spec.h"
#include "core/message.h"
#include "core/packet_id.h"
#include "core/plain_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_tags(const uint8_t *data, size_t size)
{
	uint8_t *frame = malloc(size + WIRE_BYTES + 1);
	size_t bytes = size;
	struct wire_id id, again;

	memcpy(frame, data, size);
	if (wire_id_untag(frame, &bytes, &id) == STATUS_OK &&
		(wire_id_tag(id, frame, &bytes, size + WIRE_BYTES) != STATUS_OK || bytes != size ||
			wire_id_untag(frame, &bytes, &again) != STATUS_OK ||
			again.sequence != id.sequence || again.sequencer != id.sequencer ||
			again.version != id.version))
		abort(); /* what was taken off can be put on, and is the same */
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message message;
	struct fault_spec spec;
	char text[256], plain[ALARM_BYTES_MAX + 1];
	size_t bytes = size < sizeof(text) - 1 ? size : sizeof(text) - 1;

	memset(&message, 0, sizeof(message));
	memcpy(&message, data, size < sizeof(message) ? size : sizeof(message));
	if (message_check(&message) == STATUS_OK &&
		(strnlen(message.text, sizeof(message.text)) == sizeof(message.text) ||
			strnlen(message.name, sizeof(message.name)) == sizeof(message.name)))
		abort(); /* texts end */
	memcpy(text, data, bytes);
	text[bytes] = 0;
	(void)!fault_spec_parse(&spec, text);
	plain_text(plain, sizeof(plain), (const char *)data, (uint32_t)size);
	take_tags(data, size);
	return 0;
}
