/* The parameters of a job: environment variables that a master sets, of any content. */
#ifndef BYOCI_SLAVES_WORDS_H
#define BYOCI_SLAVES_WORDS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strv.h"
#include "forge/spec.h"

#define WORDS_MAXIMUM (128 * 1024) /* bytes of one: more does not fit into an environment anyway (execve(2)) */

struct words {
	const char *build;  /* BRAIN_BUILD: which act of the brain's it is; "" when a person pressed the button */
	const char *result; /* RESULT: a signed result line; "" */
	json_t *json;       /* SPEC; NULL: none */
	struct spec spec;   /* parsed, when there is one */
	bool force;         /* FORCE: by hand although the brain is up */
};

/*
 * `project`: the job's own, which a spec must be for. ERR_INPUT: too long, no spec, another project's, or only one of BRAIN_BUILD and SPEC.
 * words_release() afterwards, always.
 */
int words_read(struct arena *arena, const char *project, struct words *words, struct err *err);
void words_release(struct words *words);

/* The variables of a job that the work needs, as they are, for its environment. */
void words_pass(struct strv *environment);

#endif
