/* What a message on the slave socket is about: a build, or the spec of one. */
#ifndef BYOCI_SLAVES_WANTED_H
#define BYOCI_SLAVES_WANTED_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "forge/spec.h"
#include "slaves/common/program.h"

/* The id of a build, borrowed from the message. NULL and ERR_INPUT. */
const char *wanted_build(const json_t *message, struct err *err);

/* The message's spec, and the same as text, in the arena. ERR_INPUT. */
int wanted_spec(struct arena *arena, const json_t *message, struct spec *spec, const char **text, struct err *err);

/* 1: the same spec was asked for before; 0: a new build; -1: another one has that id (ERR_REFUSED). */
struct wanted {
	const char *build, *text;
};
int wanted_before(const struct program *program, struct arena *arena, const struct wanted *wanted, struct err *err);

#endif
