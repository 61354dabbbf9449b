/* A proposal as its forge has it now, read by the program that speaks to that forge (`byoci git-read`), run as our own user. */
#ifndef BYOCI_SLAVES_READBACK_H
#define BYOCI_SLAVES_READBACK_H

#include "forge/proposal.h"
#include "slaves/program.h"

/* Texts are in program->arena. ERR_NETWORK: the forge is out of reach; ERR_SYSTEM and others: it could not be read. */
int readback_proposal(const struct program *program, const char *project, const char *name, struct forge_proposal *proposal,
	struct err *err);

/* Names of all proposals of a project; NULL-ended, in program->arena. NULL and err. */
const char *const *readback_names(const struct program *program, const char *project, struct err *err);

#endif
