/*
 * What ends of the past, so that state and logs do not grow for ever: messages of forges, acts and reasons after history.keep, logs after
 * logs.keep. Proposals, items, builds, landings and reports stay: what was said on a forge leads to their pages.
 */
#ifndef BYOCI_CALLS_HISTORY_H
#define BYOCI_CALLS_HISTORY_H

#include "calls/brain.h"

/* Looks now and every hour, a little in each turn of the loop. */
struct history;
struct history *history_new(struct brain *brain);
void history_free(struct history *history); /* NULL is allowed */

#endif
