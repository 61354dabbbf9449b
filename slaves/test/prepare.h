/*
 * The part of a build that is done before its worker is needed: fetch, merge, export. A process of its own, so that its leader can
 * end it at any moment.
 */
#ifndef BYOCI_SLAVES_PREPARE_H
#define BYOCI_SLAVES_PREPARE_H

#include "slaves/common/ending.h"

/* What a build's log says, for output_say(), of a merge that was made beforehand. */
#define PREPARE_TAKEN "the merge is %s, made beforehand"

/*
 * Takes over what was made beforehand, or makes it. Says what it does in the build's log and writes what prepared.h has to standard output.
 * Returns the exit status: 0 when that was written.
 */
int prepare_build(const struct program *program, const char *build);

/* The same for no build: spec.json is in `folder`, and so will be log and layer. 0 only when the outcome is OUTCOME_SUCCESS. */
int prepare_beforehand(const struct program *program, const char *folder);

#endif
