/* Whether a proposal is approved by this host's own, root-owned configuration (DESIGN promise 3). */
#ifndef BYOCI_SLAVES_APPROVAL_H
#define BYOCI_SLAVES_APPROVAL_H

#include "forge/approve.h"
#include "slaves/common/program.h"

/*
 * How many approvals the project requires, and from whom none counts: the brain and the landing account. Texts are in
 * program->arena. ERR_CONFIG: none is required, or it is not said.
 */
int approval_criteria(const struct program *program, const char *project, struct approve_criteria *criteria, struct err *err);

#endif
