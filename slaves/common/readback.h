/*
 * A proposal as its forge has it now, read by the verb of `byoci` that speaks to that forge (git-read, launchpad-read), run as our own
 * user.
 */
#ifndef BYOCI_SLAVES_READBACK_H
#define BYOCI_SLAVES_READBACK_H

#include "forge/dialect.h"
#include "slaves/common/program.h"

/* Which proposal. */
struct readback {
	const char *project, *name;
	const char *from; /* identity of the repository that its source is in; NULL: its own, or it is not known */
};

/* Texts are in program->arena. ERR_NETWORK: the forge is out of reach; ERR_SYSTEM and others: it could not be read. */
int readback_proposal(
	const struct program *program, const struct readback *which, struct forge_proposal *proposal, struct err *err);

/* Names of all proposals of a project; NULL-ended, in program->arena. NULL and err. */
const char *const *readback_names(const struct program *program, const char *project, struct err *err);

/* The dialect of a project's account; NULL and err: unknown, or without a reader. */
const struct dialect *readback_dialect(const struct program *program, const char *project, struct err *err);

/*
 * Runs `byoci VERB --project PROJECT WHAT` with `input` (NULL: none) as our own user; what it wrote, in program->arena. NULL and err:
 * ERR_NETWORK, ERR_REFUSED, ERR_SYSTEM, with its own words.
 */
struct readback_verb {
	const char *verb, *project, *what, *input;
	const char *option; /* NULL: none */
	int64_t limit_ms;   /* 0: as long as all of a repository takes */
};
char *readback_run(const struct program *program, const struct readback_verb *verb, size_t *length, struct err *err);

#endif
