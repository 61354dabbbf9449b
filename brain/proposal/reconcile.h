/*
 * What hooks did not tell: at the start, and each time that option `poll` says, every project's proposals and targets are listed, and each
 * proposal whose version is not the stored one is read back.
 */
#ifndef BYOCI_PROPOSAL_RECONCILE_H
#define BYOCI_PROPOSAL_RECONCILE_H

#include "calls/calls.h"

struct reconcile;

/* The first time at once. */
struct reconcile *reconcile_new(struct brain *brain);
void reconcile_free(struct reconcile *reconcile); /* NULL is allowed */

/* For the stage's answer step: what a list says. */
int reconcile_answer(struct brain *brain, struct arena *arena, const struct calls_answer *answer, struct err *err);

#endif
