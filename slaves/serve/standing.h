/*
 * How a slave stands, for `byoci status`, as one JSON text:
 *   {"running":[{"build","job","since"}],"ready":[{"job","state","since"}],"kept":[{"build","job","since","expiry"}],
 *     "backings":[{"name","error","failures","tried","made","generation"}],"trouble":null|TEXT}
 * `backings` are those alone that did not come out right the last time: "made" and "generation" are of the one that is used meanwhile,
 * null: there is none. "trouble": why they are not known. Times are milliseconds since 1970.
 */
#ifndef BYOCI_SLAVES_STANDING_H
#define BYOCI_SLAVES_STANDING_H

#include <jansson.h>

#include "slaves/common/program.h"

/* Without the backings. `running`: the build that runs, or NULL; `ready` is taken over. NULL and err. */
json_t *standing_json(const struct program *program, struct arena *arena, const char *running, json_t *ready, struct err *err);

/* Adds them from the list that byoci-worker wrote (slaves/backing/backing_list.h), or why there is none: err->kind is set. */
void standing_backings(json_t *standing, int list, const struct err *err);

#endif
