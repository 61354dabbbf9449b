/* Whether a proposal is approved by this host's own, root-owned configuration (promise 3). */
#ifndef BYOCI_SLAVES_APPROVAL_H
#define BYOCI_SLAVES_APPROVAL_H

#include "forge/approve.h"
#include "forge/spec.h"
#include "slaves/common/program.h"

/*
 * How many approvals the project requires, and from whom none counts: the brain and the landing account. Texts are in
 * program->arena. ERR_CONFIG: none is required, or it is not said.
 */
int approval_criteria(const struct program *program, const char *project, struct approve_criteria *criteria, struct err *err);

/*
 * Whether the commit that a spec merges is the one that is approved, for the target that it names, by the forge's record as it is now, read
 * as our own user. 1: it is, and *author is who proposed it, NULL when that is not for certain. 0: it is not, *why says it in one line,
 * in program->arena. -1: the record could not be read.
 */
int approval_holds(const struct program *program, const struct spec *spec, const char **author, const char **why, struct err *err);

#endif
