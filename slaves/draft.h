/* A spec made by hand: what the brain would ask for a proposal as it is now. */
#ifndef BYOCI_SLAVES_DRAFT_H
#define BYOCI_SLAVES_DRAFT_H

#include "slaves/program.h"

/* Prints the spec of one proposal, with a new build id, as JSON. Returns the exit status. */
int draft_verb(const struct program *program, const char *project, const char *proposal);

#endif
