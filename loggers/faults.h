/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults to inject, from their text to the control page, where who raises them finds them. */
#ifndef UNDERSTUDY_LOGGERS_FAULTS_H
#define UNDERSTUDY_LOGGERS_FAULTS_H

#include "core/config.h"
#include "loggers/page.h"

/*
 * Arms a fault; one thread at a time. Errors: INVALID (no fault, no such stage), FULL; error
 * (CONFIG_ERROR_BYTES) is one line.
 */
MUST_CHECK enum status fault_arm(struct page *page, const struct config *config, const char *text,
	char *error);

#endif
