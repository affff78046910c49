/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds a stage's replica core from the configuration: loads its VNFs and takes its memory. */
#ifndef UNDERSTUDY_VNF_STAGE_H
#define UNDERSTUDY_VNF_STAGE_H

#include "core/config.h"
#include "vnf/replica.h"

/*
 * workers: of whom replica->team is to be given, unless it is one. tracks: digests and changes are
 * kept. hash_seed perturbs layout only. On an error nothing is left
 * and error (CONFIG_ERROR_BYTES) has one line with file and line of the configuration.
 */
MUST_CHECK enum status stage_open(struct replica *replica, const struct config *config,
	uint32_t stage, uint32_t workers, bool tracks, uint64_t hash_seed, char *error);

/* "nat/malformed" for verdict's where; false if there is no such VNF or cause. */
bool stage_drop_name(const struct replica *replica, uint32_t vnf, uint32_t cause, char *name,
	size_t bytes);

#endif
