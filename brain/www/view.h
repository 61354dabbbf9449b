/*
 * What people are shown, as JSON (doc/INTERFACES.md): the control socket's answers and what pages are made of. Read-only.
 * Each returns a new reference, or NULL: ERR_NOT_FOUND, ERR_USAGE for what was asked, else the store failed.
 */
#ifndef BYOCI_WWW_VIEW_H
#define BYOCI_WWW_VIEW_H

#include <jansson.h>

#include "calls/brain.h"

json_t *view_status(struct brain *brain, struct arena *arena, struct err *err);
json_t *view_queue(struct brain *brain, struct arena *arena, struct err *err);

/* `project` NULL: the only one that has a proposal of that name; several: ERR_USAGE that lists them. */
json_t *view_why(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err);
json_t *view_proposal(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err);

json_t *view_build(struct brain *brain, struct arena *arena, const char *build, struct err *err);
/* A delivery by its number: what was done about it. */
json_t *view_delivery(struct brain *brain, struct arena *arena, int64_t delivery, struct err *err);

/* {"builds":[…]}, {"proposals":[…]}: the newest. */
json_t *view_recent(struct brain *brain, struct arena *arena, struct err *err);

#endif
