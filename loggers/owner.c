/* SPDX-License-Identifier: BSD-3-Clause */
#include "loggers/owner.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/atomics.h"

void owner_init(struct owner *owner)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&owner->mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

enum status owner_claim(struct owner *owner)
{
	int error = pthread_mutex_trylock(&owner->mutex);

	if (error == EOWNERDEAD)
		error = pthread_mutex_consistent(&owner->mutex);
	if (error != 0)
		return STATUS_EXISTS;
	/* The kernel wakes a waiter only if this flag is set; observers do not set it. */
	(void)atomic_or_seq_cst(&owner->word, (uint32_t)FUTEX_WAITERS);
	return STATUS_OK;
}

void owner_release(struct owner *owner)
{
	BUG_ON(pthread_mutex_unlock(&owner->mutex) != 0); /* another thread's */
}

bool owner_is_dead(const struct owner *owner)
{
	return (atomic_read_acquire(&owner->word) & FUTEX_OWNER_DIED) != 0;
}

bool owner_is_claimed(const struct owner *owner)
{
	return atomic_read_acquire(&owner->word) != 0;
}

void owner_mark_dead(struct owner *owner)
{
	(void)atomic_or_seq_cst(&owner->word, (uint32_t)FUTEX_OWNER_DIED);
	syscall(SYS_futex, &owner->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}
