/* SPDX-License-Identifier: BSD-3-Clause */
/* Every bound of the system in one place: queues, tables, messages, names. */
#ifndef UNDERSTUDY_CORE_LIMITS_H
#define UNDERSTUDY_CORE_LIMITS_H

#ifndef UNDERSTUDY_SMALL
#define BATCH_PACKETS_MAX 256
#define FRAME_BYTES_MAX 65535
#define BATCH_BYTES_SOFT (64 * 1024) /* a batch is closed once it holds this much */
#define BATCH_BYTES_MAX (192 * 1024) /* soft limit plus the largest frame, rounded up */
#define OUTCOME_BYTES_MAX (512 * 1024)
#define FOLD_BYTES_MAX (64u * 1024) /* of one block of a fold */
/*
 * What one packet may take of an outcome, over all stages up to it: edits beyond the header view
 * and resizes, packets emitted, alarms. By packet, so that no neighbour decides what one may do.
 */
#define PACKET_ROOM_BYTES 768		  /* besides its own length */
#define PACKET_DETERMINANTS_BYTES_MAX 256 /* of the stage alone */
#define DIGESTS_REMEMBERED 65536u	  /* of a stage's latest batches */
#define IDLE_SPINS 64			  /* rounds, before it yields */
#define IDLE_YIELDS 128			  /* rounds, before it sleeps */
#else					  /* the simulator's: few packets go far */
#define BATCH_PACKETS_MAX 64
#define FRAME_BYTES_MAX 1024
#define BATCH_BYTES_SOFT 2048
#define BATCH_BYTES_MAX 4096
#define OUTCOME_BYTES_MAX (48 * 1024)
#define FOLD_BYTES_MAX 512u
#define PACKET_ROOM_BYTES 256
#define PACKET_DETERMINANTS_BYTES_MAX 64
#define DIGESTS_REMEMBERED 2048u
#define IDLE_SPINS 1
#define IDLE_YIELDS 1
#endif
#define FRAME_BYTES_MIN 14
#define DELTA_BYTES_MAX 65535 /* of one packet */
#define HEADER_VIEW_BYTES 128 /* of a packet that a VNF may edit in place */

#define LINE_BYTES 64 /* journals are positioned in lines */
#define JOURNAL_BYTES_MIN (1u << 20)
#define JOURNAL_READERS_MAX 32
#define NAME_BYTES 64 /* of chains, stages, VNFs, journals, with the NUL */
#define PATH_BYTES 256

#define STAGES_MAX 8
#define REPLICAS_MAX 4	      /* of one stage */
#define CHAIN_REPLICAS_MAX 12 /* of all stages: each may hold two places in the base journal */
#define VNFS_MAX 8	      /* in one stage */
#define PORTS_MAX 8
#define FAULTS_MAX 64	   /* in one run */
#define FAILOVERS_MAX 4096 /* remembered in one run */
#define LOGGERS_COUNT 3
/* Processes that are started again: the loggers by their numbers, and the sequencer. */
#define SERVICE_SEQUENCER LOGGERS_COUNT
#define SERVICES_COUNT (LOGGERS_COUNT + 1)

#define TABLES_MAX 16 /* of one stage */
#define KEY_BYTES_MAX 40
#define VALUE_BYTES_MAX 64
#define TXN_WRITES_MAX 16 /* entries one step of a transaction may change */
#define TXN_INSERTS_MAX 4 /* entries one transaction may add to one flow table */
#define OPERATIONS_MAX 8  /* one transaction may declare */
#define OPERATION_SOURCES_MAX 4
#define WORKERS_MAX 8 /* of one replica */
#define HOMES_MAX 256 /* shards of one stage */
#define TIMER_QUANTUM_NS 1000000000ull
#define TIMER_QUANTA_MAX 16384 /* the longest timeout, in quanta */
#define DROP_CAUSES_MAX 32     /* of one VNF, the last one ours: */
#define DROP_CAUSE_ASIDE 31    /* set aside, of a stage's first VNF */
#define ASIDES_MAX 64	       /* packets set aside by one stage in one run */
#define SUSPECTS_MAX 4	       /* batches of a stage to be executed with care */
#define ALARM_BYTES_MAX 160
#define EMITS_PER_PACKET_MAX 4
#define DETERMINANT_BYTES_MAX 64
#define VARIABLES_MAX 16     /* of one VNF with recorded determinants */
#define VARIABLE_LIST_MAX 12 /* members of a list */
#define PACKET_EDITS_MAX 8
#define EDITS_MAX (BATCH_PACKETS_MAX * PACKET_EDITS_MAX)
#define EXTRAS_BYTES_MAX (BATCH_BYTES_MAX + BATCH_PACKETS_MAX * PACKET_ROOM_BYTES)
#define DETERMINANTS_BYTES_MAX (BATCH_PACKETS_MAX * PACKET_DETERMINANTS_BYTES_MAX)
#define FIGURES_MAX 320 /* that a stage shows */
#define FIGURE_NAME_BYTES 56

#define MESSAGE_BYTES_MAX 4096
#define SET_PEERS_MAX 64

#endif
