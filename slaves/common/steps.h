/* What was done when, while a build or a landing goes on. */
#ifndef BYOCI_SLAVES_STEPS_H
#define BYOCI_SLAVES_STEPS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "forge/timing.h"

#define STEPS_MAXIMUM 16

struct steps { /* begins as zeros */
	struct timing list[STEPS_MAXIMUM];
	size_t count;
};

/* Ends the step before, if it goes on, and begins `name` (which must live on). More than STEPS_MAXIMUM: the last one goes on. */
void steps_begin(struct steps *steps, const char *name);

/* One that is over; the one before ends now, if it goes on. */
void steps_add(struct steps *steps, const char *name, int64_t started, int64_t ended);

/* Ends the step that goes on. */
void steps_end(struct steps *steps);

/* [{"name","started","ended"}], a new reference. */
json_t *steps_json(const struct steps *steps);

/* Adds what steps_json() made; names are copied into the arena. ERR_INPUT. */
int steps_read(struct steps *steps, struct arena *arena, const json_t *list, struct err *err);

#endif
