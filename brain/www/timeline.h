/* What happened to an item, step by step: from the brain's rows, the signed result's steps and the landing's. */
#ifndef BYOCI_WWW_TIMELINE_H
#define BYOCI_WWW_TIMELINE_H

#include <jansson.h>

#include "calls/brain.h"
#include "gate/item.h"

/*
 * [{"step":TEXT,"at":MS,"took":MS}], in the order of `at`: the moment that it was reached, and how long it took itself. With
 * the newest build, landing and report of the item. A new reference; NULL when the store failed.
 */
json_t *timeline_make(struct brain *brain, struct arena *arena, const struct item *item, struct err *err);

#endif
