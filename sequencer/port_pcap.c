/* SPDX-License-Identifier: BSD-3-Clause */
/* pcap:FILE, to read (pcap, pcapng, each also gzipped) or to write (pcap, nanoseconds). */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/bytes.h"
#include "core/packet_id.h"
#include "sequencer/port.h"

#define SECOND_NS 1000000000ull
#define BUFFER_BYTES (128 * 1024) /* a burst goes to the file in one write */

struct pcap_port {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	uint64_t last_ns;
	bool pending; /* a packet was read, for the next batch */
	struct pcap_pkthdr *header;
	const uint8_t *bytes;
	uint8_t *frames;
	uint64_t sent; /* frames in the file */
	char file[PATH_BYTES];
};

static ssize_t gzip_read(void *cookie, char *buffer, size_t bytes)
{
	return gzread(cookie, buffer, (unsigned int)bytes);
}

static int gzip_close(void *cookie)
{
	return gzclose(cookie) == Z_OK ? 0 : EOF;
}

/* zlib reads plain files as they are, so every capture goes through it. */
static FILE *open_through_gzip(const char *file)
{
	cookie_io_functions_t functions = {.read = gzip_read, .close = gzip_close};
	gzFile gzip = gzopen(file, "rbe");

	return gzip == NULL ? NULL : fopencookie(gzip, "rb", functions);
}

/* One packet ahead. Errors: END, IO. */
static enum status read_ahead(struct port *port, struct pcap_port *self)
{
	int read;

	if (self->pending)
		return STATUS_OK;
	read = pcap_next_ex(self->pcap, &self->header, &self->bytes);
	if (read == PCAP_ERROR_BREAK)
		return STATUS_END;
	if (read != 1) {
		snprintf(port->error, sizeof(port->error),
			"%.100s: the capture is damaged or cut off, or of a kind unknown to "
			"libpcap: %s",
			self->file, pcap_geterr(self->pcap));
		return STATUS_IO;
	}
	self->pending = true;
	return STATUS_OK;
}

static bool admit(const struct pcap_port *self, struct page_ingress *counts)
{
	uint32_t length = self->header->caplen;

	counts->seen++;
	if (length < FRAME_BYTES_MIN)
		counts->dropped[INGRESS_RUNT]++;
	else if (length > FRAME_BYTES_MAX)
		counts->dropped[INGRESS_OVERSIZE]++;
	else if (load_be16(self->bytes + 12) == WIRE_TPID)
		counts->dropped[INGRESS_OUR_TAG]++;
	else
		return true;
	return false;
}

static enum status pcap_receive(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	struct pcap_port *self = port->self;
	enum status status = STATUS_OK;

	while (!batch_is_full(batch) && (status = read_ahead(port, self)) == STATUS_OK) {
		uint64_t clock_ns = (uint64_t)self->header->ts.tv_sec * SECOND_NS +
				    (uint64_t)self->header->ts.tv_usec; /* nanoseconds: see open */
		struct batch_record *record;
		uint8_t *frame;

		if (port->trace_clock && self->last_ns != 0 &&
			clock_ns > self->last_ns + SECOND_NS) {
			self->last_ns += SECOND_NS;
			(void)batch_add(batch, RECORD_TICK, 0, &record);
			record->clock_ns = self->last_ns;
			self->last_ns = clock_ns; /* one tick a gap */
			port->place.clock_ns = self->last_ns;
			continue;
		}
		self->pending = false;
		port->place.frames++;
		port->place.clock_ns = self->last_ns;
		if (!admit(self, counts))
			continue;
		if (clock_ns > self->last_ns)
			self->last_ns = clock_ns;
		port->place.clock_ns = self->last_ns;
		frame = batch_add(batch, RECORD_PACKET, self->header->caplen, &record);
		record->wire_length = self->header->len;
		record->clock_ns = clock_ns;
		record->port = port->number;
		memcpy(frame, self->bytes, self->header->caplen);
		counts->cut += self->header->len > self->header->caplen;
		counts->bytes += self->header->caplen;
	}
	return batch->header->count > 0 ? STATUS_OK : status;
}

/* What was taken before is passed over. */
static enum status pcap_resume(struct port *port)
{
	struct pcap_port *self = port->self;

	for (uint64_t i = 0; i < port->place.frames; i++) {
		if (read_ahead(port, self) != STATUS_OK)
			return STATUS_IO;
		self->pending = false;
	}
	self->last_ns = port->place.clock_ns;
	return STATUS_OK;
}

static uint32_t pcap_reserve(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct pcap_port *self = port->self;

	for (uint32_t i = 0; i < count; i++)
		frames[i] = (struct port_frame){
			.data = self->frames + (size_t)i * FRAME_STRIDE_BYTES,
			.capacity_bytes = FRAME_BYTES_MAX,
		};
	return count;
}

static uint32_t pcap_send_frames(struct port *port, struct port_frame *frames, uint32_t count)
{
	struct pcap_port *self = port->self;

	for (uint32_t i = 0; i < count; i++) {
		struct pcap_pkthdr header = {
			.ts = {.tv_sec = (time_t)(frames[i].clock_ns / SECOND_NS),
				.tv_usec = (suseconds_t)(frames[i].clock_ns % SECOND_NS)},
			.caplen = frames[i].length,
			.len = frames[i].wire_length > frames[i].length ? frames[i].wire_length
									: frames[i].length,
		};

		pcap_dump((uint8_t *)self->dumper, &header, frames[i].data);
	}
	/* What is taken is in the file, whoever dies then. */
	if (pcap_dump_flush(self->dumper) != 0)
		snprintf(port->error, sizeof(port->error), "%.120s: cannot be written: %s",
			self->file, strerror(errno));
	self->sent += count;
	return count;
}

static uint64_t pcap_sent(struct port *port)
{
	return ((struct pcap_port *)port->self)->sent;
}

static enum status pcap_receive_nothing(struct port *port, struct batch_writer *batch,
	struct page_ingress *counts)
{
	(void)port;
	(void)batch;
	(void)counts;
	return STATUS_END;
}

static void pcap_port_close(struct port *port)
{
	struct pcap_port *self = port->self;

	if (self->dumper != NULL)
		pcap_dump_close(self->dumper);
	if (self->pcap != NULL)
		pcap_close(self->pcap);
	free(self->frames);
	free(self);
}

static const struct port_ops source_ops = {.receive = pcap_receive,
	.resume = pcap_resume,
	.close = pcap_port_close};
static const struct port_ops sink_ops = {.receive = pcap_receive_nothing,
	.reserve = pcap_reserve,
	.send = pcap_send_frames,
	.sent = pcap_sent,
	.close = pcap_port_close};

static enum status open_source(struct pcap_port *self, const char *file, char *error)
{
	char reason[PCAP_ERRBUF_SIZE] = "";
	FILE *stream = open_through_gzip(file);

	if (stream == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: the capture cannot be read: %s", file,
			strerror(errno));
		return STATUS_IO;
	}
	self->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO,
		reason);
	if (self->pcap == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: not a capture (pcap or pcapng, also gzipped): %s", file, reason);
		fclose(stream);
		return STATUS_INVALID;
	}
	if (pcap_datalink(self->pcap) != DLT_EN10MB) {
		const char *name = pcap_datalink_val_to_name(pcap_datalink(self->pcap));

		snprintf(error, CONFIG_ERROR_BYTES,
			"%s: link type %s, not Ethernet: capture on an Ethernet "
			"interface, or convert it first",
			file, name == NULL ? "unknown" : name);
		return STATUS_INVALID;
	}
	return STATUS_OK;
}

/*
 * What a dead sequencer wrote stays: counts its frames, and cuts off one that is not whole. Errors:
 * IO.
 */
static enum status keep_written(struct pcap_port *self, const char *file)
{
	struct stat stat;
	off_t at = sizeof(struct pcap_file_header);
	uint32_t header[4]; /* seconds, nanoseconds, bytes here, bytes on the wire */
	int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? STATUS_OK : STATUS_IO;
	if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
		close(fd);
		return STATUS_OK; /* a pipe: who reads it has what was written */
	}
	while (pread(fd, header, sizeof(header), at) == sizeof(header) &&
		at + (off_t)sizeof(header) + header[2] <= stat.st_size) {
		at += (off_t)sizeof(header) + header[2];
		self->sent++;
	}
	if (stat.st_size < at)
		at = 0; /* not even the file's own header */
	if (ftruncate(fd, at) != 0)
		at = -1;
	close(fd);
	return at < 0 ? STATUS_IO : STATUS_OK;
}

static enum status open_sink(struct pcap_port *self, const char *file, enum port_use use,
	char *error)
{
	self->frames = malloc((size_t)FRAME_STRIDE_BYTES * SEND_BURST);
	self->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, FRAME_BYTES_MAX,
		PCAP_TSTAMP_PRECISION_NANO);
	if (self->frames == NULL || self->pcap == NULL)
		return STATUS_NO_MEMORY;
	if (use == PORT_SINK)
		self->dumper = pcap_dump_open(self->pcap, file);
	else if (keep_written(self, file) == STATUS_OK)
		self->dumper = pcap_dump_open_append(self->pcap, file);
	if (self->dumper == NULL) {
		snprintf(error, CONFIG_ERROR_BYTES, "%s: cannot be written: %s", file,
			strerror(errno));
		return STATUS_IO;
	}
	(void)setvbuf(pcap_dump_file(self->dumper), NULL, _IOFBF, BUFFER_BYTES);
	return STATUS_OK;
}

enum status port_pcap_open(struct port *port, const char *file, enum port_use use, char *error)
{
	struct pcap_port *self = calloc(1, sizeof(*self));
	enum status status;

	if (self == NULL)
		return STATUS_NO_MEMORY;
	snprintf(self->file, sizeof(self->file), "%s", file);
	port->ops = use == PORT_SOURCE ? &source_ops : &sink_ops;
	port->self = self;
	status = use == PORT_SOURCE ? open_source(self, file, error)
				    : open_sink(self, file, use, error);
	if (status != STATUS_OK)
		pcap_port_close(port);
	return status;
}
