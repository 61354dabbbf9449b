/* The landing daemon (`byoci-slave serve --land`): land, report and approved on the land socket (doc/INTERFACES.md), for who may. */
#ifndef BYOCI_SLAVES_LAND_SERVE_H
#define BYOCI_SLAVES_LAND_SERVE_H

#include "slaves/common/program.h"

/*
 * Until SIGTERM or SIGINT: what has begun is brought to its end and answered first; the second signal ends it at once, and what has
 * begun goes on by itself. Returns the exit status.
 */
int land_serve_verb(const struct program *program);

#endif
