/*
 * What a person asks the slave about its workers: "keep" and "discard" of a build, "kept", which stay after their tests, and "status",
 * what runs, waits and is kept, and which backings could not be refreshed (slaves/test/standing.h). A call like any other, but asked
 * once: when the slave is away, the person is told.
 */
#ifndef BYOCI_BUILD_KEEP_H
#define BYOCI_BUILD_KEEP_H

#include "calls/brain.h"

#define KEEP_KIND "keep"
#define KEEP_STATUS_KIND "slave-status"

/*
 * `op` is one of the four; build is NULL for "kept" and "status". The call's id goes to *call; brain->ears.asked hears of its answer.
 * -1: ERR_NOT_FOUND: there is no such build; ERR_BUSY, ERR_INPUT: it can't be kept yet, or any more; else the store failed.
 */
int keep_ask(struct brain *brain, struct arena *arena, const char *op, const char *build, int64_t *call, struct err *err);

/* 1: the answer was to one of ours, and is done with; 0: it was not; -1. */
int keep_answered(struct brain *brain, struct arena *arena, int64_t call, struct err *err);

#endif
