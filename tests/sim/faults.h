/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan's faults come to pass. */
#ifndef UNDERSTUDY_TESTS_SIM_FAULTS_H
#define UNDERSTUDY_TESTS_SIM_FAULTS_H

#include "tests/sim/world.h"

void faults_begin(void);

/* Those that were to go on are dead. */
void faults_forget_paused(void);
void faults_by_time(void);
uint64_t faults_next_ns(void);
void faults_at_store(struct process *process);
void faults_at_point(struct process *process, enum fault_point point);

/* The disk's and the network's state, for who models them. */
enum disk_state { DISK_FINE, DISK_IS_SLOW, DISK_FAILS, DISK_IS_FULL };
enum disk_state faults_disk(void);
/* Until when messages to, or from, the roles are held back. */
uint64_t faults_partition_ns(bool to_role);
bool faults_port_is_blocked(void);

#endif
