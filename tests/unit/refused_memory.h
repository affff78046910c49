/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is counted, and refused on demand. For a program linked with --wrap of malloc,
 * calloc, aligned_alloc and free, in one of its files.
 */
#ifndef UNDERSTUDY_TESTS_UNIT_REFUSED_MEMORY_H
#define UNDERSTUDY_TESTS_UNIT_REFUSED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t unit, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t unit, size_t bytes);
void __wrap_free(void *memory);

static bool memory_counts;			 /* else all is as ever */
static uint32_t memory_asked, memory_refused_at; /* from 1; 0: none */
static int32_t memory_held;

static bool refuses(void)
{
	return memory_counts && ++memory_asked == memory_refused_at;
}

static void *note(void *memory)
{
	memory_held += memory_counts && memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t bytes)
{
	return refuses() ? NULL : note(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return refuses() ? NULL : note(__real_calloc(count, bytes));
}

void *__wrap_aligned_alloc(size_t unit, size_t bytes)
{
	return refuses() ? NULL : note(__real_aligned_alloc(unit, bytes));
}

void __wrap_free(void *memory)
{
	memory_held -= memory_counts && memory != NULL;
	__real_free(memory);
}

#endif
