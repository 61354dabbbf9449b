/* When a step of a build or a landing began and ended, as signed lines and the slave's own notes have it. */
#ifndef BYOCI_FORGE_TIMING_H
#define BYOCI_FORGE_TIMING_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define TIMING_MAXIMUM 64

struct timing {
	const char *name; /* "fetch", "merge", "worker", "tests", "teardown"; "check", "push" */
	int64_t started, ended; /* ms since 1970 */
};

/* [{"name","started","ended"}], a new reference. */
json_t *timing_json(const struct timing *list, size_t count);

/* Reads what timing_json() made into the arena. ERR_INPUT, also for more than TIMING_MAXIMUM. */
int timing_read(struct arena *arena, const json_t *json, struct timing **list, size_t *count, struct err *err);

#endif
