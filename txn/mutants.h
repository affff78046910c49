/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Seeded bugs, of which each must be caught by the model test. They are in no program but that
 * test, which is built with UNDERSTUDY_MUTANTS.
 */
#ifndef UNDERSTUDY_TXN_MUTANTS_H
#define UNDERSTUDY_TXN_MUTANTS_H

enum mutant {
	MUTANT_NONE,
	MUTANT_SKIP_TEMPORAL,	/* an operation does not wait for the write before it */
	MUTANT_SKIP_PARAMETRIC, /* nor for what last wrote its sources */
	MUTANT_SKIP_LOGICAL,	/* seen by others before its transaction is decided */
	MUTANT_REORDER,		/* two neighbours in a chain change places */
	MUTANT_LEAK_VERSION,	/* an aborted transaction's version goes into the table */
	MUTANT_FORGET_ROLLBACK, /* an aborting transaction's other operations stay */
	MUTANT_FORGET_REDO,	/* lazy: who depended on an aborted one is not run again */
	MUTANT_FORGET_CONTEXT,	/* what an aborted transaction left in its context stays */
	MUTANT_WRONG_VERSION,	/* a source is seen as it was before the batch */
	MUTANT_LOSE_DEADLINE,	/* a version's deadline does not get into the table */
	MUTANT_TRUST_FORESIGHT, /* what was seen ahead is not looked at again */
	MUTANT_IGNORE_CAPACITY, /* the graph is used in a table that is nearly full */
	MUTANTS_COUNT
};

#ifdef UNDERSTUDY_MUTANTS
extern enum mutant mutant;
#define MUTANT(name) (mutant == (name))
#else
#define MUTANT(name) false
#endif

#endif
