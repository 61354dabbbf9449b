/* What a slave has, for people and for the brain, as JSON: its builds, and the workers that are kept. */
#ifndef BYOCI_SLAVES_LISTING_H
#define BYOCI_SLAVES_LISTING_H

#include <jansson.h>

#include "slaves/common/program.h"

/* [{"build","state":"running|done","outcome":null|…,"started":MS}], the newest first. NULL and err. */
json_t *listing_builds(const struct program *program, struct arena *arena, struct err *err);

/* [{"build","job","since":MS,"expiry":MS}]. NULL and err. */
json_t *listing_kept(const struct program *program, struct arena *arena, struct err *err);

#endif
