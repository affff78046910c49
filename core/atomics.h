/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All ordered shared-memory accesses pass through here, so that TSan, a model checker and the kill
 * tests see each of them. Built with UNDERSTUDY_STEPS, every ordered store first calls
 * atomics_step(), where a test may end the process.
 */
#ifndef UNDERSTUDY_CORE_ATOMICS_H
#define UNDERSTUDY_CORE_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef UNDERSTUDY_STEPS
void atomics_step(const char *file, int line);
#define ATOMICS_STEP() atomics_step(__FILE__, __LINE__)
#else
#define ATOMICS_STEP() ((void)0)
#endif

#define atomic_read_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define atomic_read_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_read_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define atomic_write_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define atomic_write_release(p, v) (ATOMICS_STEP(), __atomic_store_n((p), (v), __ATOMIC_RELEASE))
#define atomic_write_seq_cst(p, v) (ATOMICS_STEP(), __atomic_store_n((p), (v), __ATOMIC_SEQ_CST))
#define atomic_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define atomic_sub_acq_rel(p, v) (ATOMICS_STEP(), __atomic_sub_fetch((p), (v), __ATOMIC_ACQ_REL))
#define atomic_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define atomic_and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
#define atomic_add_seq_cst(p, v) (ATOMICS_STEP(), __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST))
#define atomic_or_seq_cst(p, v) (ATOMICS_STEP(), __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define atomic_and_seq_cst(p, v) (ATOMICS_STEP(), __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#define atomic_exchange_seq_cst(p, v)                                                              \
	(ATOMICS_STEP(), __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define atomic_swap_if(p, expected, desired)                                                       \
	(ATOMICS_STEP(), __atomic_compare_exchange_n((p), (expected), (desired), false,            \
				 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define atomic_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define atomic_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)

/* One round of a short wait in a loop. */
static inline void cpu_relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* A counter that one thread adds to and any may read: no locked instruction is needed. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	atomic_write_relaxed(counter, *counter + n);
}

#endif
