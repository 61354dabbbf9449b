/* A spec made by hand: what the brain would ask for a proposal as it is now. */
#ifndef BYOCI_SLAVES_DRAFT_H
#define BYOCI_SLAVES_DRAFT_H

#include <jansson.h>

#include "slaves/common/program.h"

/* The spec of one proposal, with a new build id: a new reference. ERR_REFUSED when it is closed; NULL and err. */
json_t *draft_spec(const struct program *program, const char *project, const char *proposal, struct err *err);

/* Prints it. Returns the exit status. */
int draft_verb(const struct program *program, const char *project, const char *proposal);

#endif
