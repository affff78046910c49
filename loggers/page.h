/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control page of a running chain, in shared memory: the only words about the chain that packet
 * threads look at. It outlives every role process but not the supervisor's run. Each field
 * names its
 * writer; all may read.
 */
#ifndef UNDERSTUDY_LOGGERS_PAGE_H
#define UNDERSTUDY_LOGGERS_PAGE_H

#include "core/fault_spec.h"
#include "core/figures.h"
#include "core/gen_judge.h"
#include "core/histogram.h"
#include "core/limits.h"
#include "core/message.h"
#include "loggers/journal_shm.h"

#define PAGE_MAGIC 0x0001454741504e55ull /* "UNPAGE", version 1 */
#define PAGE_NAME "chain"
#define INGRESS_DROPS 3
#define NO_BATCH UINT64_MAX

enum ingress_drop { INGRESS_RUNT, INGRESS_OVERSIZE, INGRESS_OUR_TAG };

/* How far a port has been read, so that a successor can go on there. */
struct page_place {
	uint64_t frames;   /* taken, admitted or not */
	uint64_t clock_ns; /* of its last record */
};

/* The input as of one batch: what a successor of the sequencer goes on from. */
struct page_admitted {
	uint64_t line; /* of the base journal, where the batch ends */
	uint64_t next_batch, next_sequence, next_packet_no, clock_ns, epoch;
	uint64_t bytes, seen, ticks, cut, dropped[INGRESS_DROPS];
	struct page_place places[PORTS_MAX];
	uint32_t ended;
};

/* Writer: the sequencer's ingress thread. */
struct page_ingress {
	uint64_t packets; /* admitted */
	uint64_t bytes;
	uint64_t seen; /* by the ports, admitted or dropped */
	uint64_t ticks;
	uint64_t cut; /* packets shorter in the capture than on the wire */
	uint64_t dropped[INGRESS_DROPS];
	uint64_t batches;    /* published */
	uint64_t started_ns; /* the first publish */
	uint64_t blocked_ns;
	uint32_t ended; /* the end of the input is published */
	char error[PATH_BYTES];
	/* By batch modulo 2, each filled before its batch is published: one is always whole. */
	struct page_admitted admitted[2];
};

/* Outputs of which a takeover could not tell whether they had left, and those before it. */
struct page_span {
	uint64_t before; /* of former takeovers, added up */
	uint64_t from, to;
};

struct page_stream {
	uint64_t handed;    /* outputs given to the device */
	uint64_t completed; /* those of them that it has sent, or not taken: counted drops */
	uint64_t dropped;   /* of them, not taken, or not even handed: counted drops */
	uint64_t repeated;  /* of them, below: declared as open after a power loss, and repeated */
	/* By takeover modulo 2, filled before takeovers moves on. */
	uint64_t takeovers;
	struct page_span spans[2];
};

/* What is released as of one batch: what a successor of the sequencer goes on from. */
struct page_released {
	uint64_t packets, released, emitted, dropped_by_vnf, dropped_port, alarms, outcome_bytes;
	uint64_t ambiguous;
	uint64_t handed[PORTS_MAX], dropped[PORTS_MAX];
	uint32_t ended;
};

/* How far outputs were released, as a logger notes it. */
struct page_note {
	uint64_t batch; /* all below were */
	struct page_released mark;
};

/* Where a run goes on that a former one left on disk. */
struct page_restart {
	uint32_t wanted; /* writer: the supervisor */
	uint32_t told;	 /* a bit for each logger that has told what its store holds */
	/* Writer: the packet logger. All below are there: any of them may have been released. */
	uint64_t durable_batch;
	/* Writers: the packet and the determinant logger, each what it had noted. */
	struct page_note notes[2];
};

#define RELEASES_MAX 16384

/* One batch released. */
struct page_release {
	uint64_t at_ns;
	uint32_t packets;
	uint32_t replica; /* of the last stage, whose outcome it was */
};

/* Writer: the sequencer's egress thread. */
struct page_egress {
	uint64_t batches; /* released: all of them below this number */
	uint64_t packets; /* decided: sent or dropped */
	uint64_t released;
	uint64_t emitted;
	uint64_t dropped_by_vnf;
	uint64_t dropped_port; /* counted cause: the port stayed down or full */
	uint64_t drops[STAGES_MAX][VNFS_MAX][DROP_CAUSES_MAX]; /* by stage, VNF, its cause */
	uint64_t alarms;
	uint64_t ambiguous; /* outputs that a dead sequencer may have sent or not: declared */
	uint64_t outcome_bytes;
	uint64_t digests_compared;
	uint64_t digest_mismatches;
	uint64_t doubts_begun; /* of those settled: their batches are done anew */
	uint64_t first_batch;  /* released in this run; those before it in one that was cut off */
	uint64_t last_release_ns;
	uint64_t first_release_ns;
	uint64_t wins[REPLICAS_MAX];
	struct gen_judge sink; /* null: of port 1 */
	struct page_stream streams[PORTS_MAX];
	struct histogram latency;
	struct histogram gaps; /* between two releases while input was pending */
	/* The latest releases, by number modulo RELEASES_MAX; filled before the count moves. */
	uint64_t releases_count;
	struct page_release releases[RELEASES_MAX];
	uint32_t ended; /* the end of the input is released */
	/* By batch modulo 2, each filled before batches moves on. */
	struct page_released marks[2];
};

enum replica_state {
	REPLICA_ABSENT = 0,
	REPLICA_STARTING = 1,  /* ordered; not yet in its place */
	REPLICA_RESTORING = 2, /* runs, behind the head */
	REPLICA_READY = 3,
	REPLICA_FAILED = 4, /* dead, hung or wrong; sealed */
};

enum replica_wait { WAIT_NOTHING = 0, WAIT_INPUT = 1, WAIT_OUTPUT = 2, WAIT_LEADER = 3 };

struct page_replica {
	/* Writer: the manager. */
	uint64_t incarnation;
	uint32_t state;
	uint32_t pid;
	/* Writer: the replica. */
	uint64_t next_batch __attribute__((aligned(64)));
	uint64_t first_batch; /* after the base values it was restored from */
	uint64_t progress;    /* moves while it works, within a batch too */
	uint32_t tid;
	uint32_t waiting;
	uint64_t at_batch;   /* the batch in execution, plus 1; 0: none */
	uint64_t at_packet;  /* with care: the ID of the packet in execution; 0: none */
	uint64_t crashed;    /* incarnation that ended by a fault of its own */
	uint64_t determines; /* incarnation that leads and has all that former leaders published */
	struct figures figures;
	/* Writers: the egress; of bad_incarnation all who read its outcomes. */
	uint64_t bad_incarnation __attribute__((aligned(64))); /* published something corrupt */
	uint64_t compared_batch;			       /* all its outcomes below are read */
	uint64_t drained_incarnation; /* read to its sealed end: the journal may go */
};

/* Who leads: written by the manager alone, after the old leader's journal was sealed. */
struct page_term {
	uint64_t term;
	uint32_t replica;
	uint64_t incarnation;
};

#define TERMS_MAX 64

struct page_stage {
	struct page_term terms[TERMS_MAX]; /* by term modulo TERMS_MAX; filled before term moves */
	uint64_t term __attribute__((aligned(64)));
	uint64_t folder;       /* incarnation that publishes folds */
	uint64_t folded_batch; /* the last fold published: all below it; writer: the folder */
	/* Its base values hold all batches below this. Writer: the determinant logger. */
	uint64_t base_batch __attribute__((aligned(64)));
	uint64_t base_next_id;
	uint64_t base_line; /* of the base journal: where they end */
	/* What incarnations below this have published counts no more. Writer: the manager. */
	uint64_t refuted_below;
	/* Batches at which replicas crashed, plus 1; and sequences of packet IDs that this stage
	 * drops, filled before the count moves. Writer: the manager. */
	uint64_t suspects[SUSPECTS_MAX];
	uint64_t asides_count;
	uint64_t asides[ASIDES_MAX];
	struct page_replica replicas[REPLICAS_MAX];
};

enum fault_state { FAULT_FREE = 0, FAULT_ARMED = 1, FAULT_RAISED = 2 };
enum fault_target { TARGET_MASTER = 0, TARGET_SLAVE = 1, TARGET_SERVICE = 2 };

/* A fault to inject. Writer: the manager until armed, then who raises it. */
struct page_fault {
	uint32_t state;
	uint32_t action; /* enum fault_action */
	uint32_t target;
	uint32_t stage;	     /* or which service; SERVICES_COUNT: the manager */
	uint64_t at_packet;  /* 0: not by packet */
	uint64_t at_time_ns; /* after the first packet; with at_packet 0 */
	uint32_t failover;   /* set when raised */
};

#define LOST_MAX 32

/* A lost replica whose journal is not forgotten yet. Writer: the manager. */
struct page_lost {
	uint64_t incarnation; /* 0: none */
	uint32_t stage;
	uint32_t replica;
};

enum failover_kind {
	FAILOVER_DEATH = 1,
	FAILOVER_HANG = 2,
	FAILOVER_BAD = 3,
	FAILOVER_ASIDE = 4,
	FAILOVER_ASKED = 5,
	FAILOVER_DOUBT = 6
};

/* One fault and what became of it. Times are CLOCK_MONOTONIC; 0: not (yet). */
struct page_failover {
	/* Writer: who raises the fault; else the manager at detection. */
	uint64_t t0_ns;
	uint64_t at_packet;
	uint64_t incarnation; /* of a replica; of a service how many there had been */
	uint32_t role;	      /* enum role_kind */
	uint32_t stage;
	uint32_t replica; /* or the logger's number */
	uint32_t action;  /* enum fault_action; 0: not injected */
	uint32_t was_master;
	uint32_t open; /* until redundancy is restored */
	/* Writer: the manager. */
	uint32_t kind;
	uint64_t detected_ns;
	uint64_t promoted_ns;
	uint64_t restored_ns;
	uint64_t replayed_batches;
	/* Writer: the egress. */
	uint64_t first_release_ns;
	uint64_t gap_max_ns;
};

/*
 * A process that is started again where it died: the sequencer, a logger. Writer: itself, a
 * successor after it; of pid the manager.
 */
struct page_service {
	uint64_t beat;	 /* moves while it runs, idle or not */
	uint64_t starts; /* it was ready so often */
	uint32_t pid;
};

/* Writer: each logger its own, a successor after it. */
struct page_logger {
	uint64_t next_batch;	/* all below are written */
	uint64_t durable_batch; /* all below are fsynced */
	uint64_t bytes;
	uint64_t determinant_bytes;
	uint64_t gaps;		/* batches it could not keep */
	uint64_t trimmed_batch; /* all below are dropped */
};

/* What a replica has made of a batch, as first read. Writer: the egress, the batch last. */
struct page_digest {
	uint64_t digest;
	uint64_t batch;	  /* plus 1; with DIGEST_IN_DOUBT: of one that is refuted since */
	uint64_t replica; /* whose it is */
};

#define DIGEST_IN_DOUBT (1ull << 63)

enum doubt_verdict { DOUBT_OPEN = 0, DOUBT_FIRST = 1, DOUBT_SECOND = 2, DOUBT_BOTH = 3 };

/*
 * Two replicas that have done a batch differently: nothing is released until all that replicas have
 * published is refuted, and new ones have begun from base values. Writer: the egress, while raised
 * is settled; raised moves last.
 */
struct page_doubt {
	uint64_t raised;
	uint64_t settled; /* writer: the manager: as raised, once that is so */
	uint64_t batch;
	uint32_t stage;
	uint32_t replicas[2]; /* whose digests these were */
	uint64_t digests[2];
	uint32_t verdict;	 /* enum doubt_verdict: who was wrong, as a third has done it */
	uint64_t released_wrong; /* batches released before, and done anew differently */
};

static inline bool page_doubt_is_open(const struct page_doubt *doubt)
{
	return atomic_read_acquire(&doubt->raised) != atomic_read_acquire(&doubt->settled);
}

enum logger_role { LOGGER_PACKETS = 0, LOGGER_DETERMINANTS = 1, LOGGER_PROGRESS = 2 };

/* The base journal of a gateway epoch, from 1; see loggers/base.h. */
struct page_epoch {
	uint64_t first_batch;
	uint64_t first_line;
};

#define EPOCHS_MAX 64
extern const char *const logger_names[LOGGERS_COUNT];

struct page {
	uint64_t magic;
	uint32_t ready;
	uint32_t interrupted; /* writer: supervisor: the input ends here, what is in it goes out */
	uint32_t stop;	      /* writer: supervisor or manager: all end at once */
	uint64_t started_ns;
	uint64_t run; /* names what loggers keep; writer: the supervisor */
	struct page_restart restart;
	uint64_t incarnations; /* given out so far; writer: the manager */
	uint32_t maintenance;  /* see manager_orders.c; writer: the manager */
	uint32_t records;      /* a stage records determinants; writer: the supervisor */
	struct page_doubt doubt;
	struct page_ingress ingress __attribute__((aligned(64)));
	struct page_egress egress __attribute__((aligned(64)));
	struct page_stage stages[STAGES_MAX] __attribute__((aligned(64)));
	struct page_logger loggers[LOGGERS_COUNT] __attribute__((aligned(64)));
	struct page_service services[SERVICES_COUNT] __attribute__((aligned(64)));
	/* By epoch modulo EPOCHS_MAX, filled before epoch moves. Writer: the sequencer. */
	struct page_epoch epochs[EPOCHS_MAX];
	uint64_t epoch;
	uint64_t forgotten_epoch; /* the base journals up to it are gone; writer: the manager */
	uint64_t folds;		  /* committed; writer: the determinant logger */
	/* Of the faults and failovers in use. Writers add one, then fill it. */
	uint32_t faults_count __attribute__((aligned(64)));
	uint32_t failovers_count;
	uint32_t open_failovers;
	uint64_t failed; /* the run ends in an error: see error */
	char error[PATH_BYTES];
	struct page_lost lost[LOST_MAX];
	struct page_fault faults[FAULTS_MAX];
	struct page_failover failovers[FAILOVERS_MAX];
	/* Of each stage, by batch modulo DIGESTS_REMEMBERED. */
	struct page_digest digests[STAGES_MAX][DIGESTS_REMEMBERED];
};

static inline const struct page_term *page_leader(const struct page_stage *stage)
{
	return &stage->terms[atomic_read_acquire(&stage->term) % TERMS_MAX];
}

/* Whom a fault met; see page_failover. */
struct failover_subject {
	uint32_t role; /* enum role_kind */
	uint32_t stage, number;
	uint64_t incarnation;
};

/*
 * A failover's record, begun at now_ns, or NULL past FAILOVERS_MAX. fault: the injected one, or
 * NULL. Any thread; safe in a signal handler.
 */
struct page_failover *page_open_failover(struct page *page, const struct failover_subject *subject,
	const struct page_fault *fault, uint64_t now_ns);

/* That of a replica's incarnation, or the open one of another process; NULL: there is none. */
struct page_failover *page_failover_of(struct page *page, const struct failover_subject *subject);

/* Below this the base values of every stage hold all batches. */
uint64_t page_base_batch(const struct page *page, uint32_t stages_count);

/* The journal of a replica's incarnation: "stage-replica.incarnation". */
void page_journal_name(char *name, const char *stage, uint32_t replica, uint64_t incarnation);

/* Ends the run with an error line, the first one given. */
void page_fail(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
