/* A copy of a kept worker, made with what that one's process (keeper.h) hands over. */
#ifndef BYOCI_SLAVES_TWIN_H
#define BYOCI_SLAVES_TWIN_H

#include <stdint.h>

#include "slaves/worker/worker.h"

/*
 * Of the kept worker of that build, for `ms` (0: as long as kept ones may be); `want` is without a job. Blocks while what was written
 * is copied. NULL: ERR_NOT_FOUND, ERR_BUSY: somebody has a shell in it, or there is no room; others.
 */
struct worker *twin_start(struct arena *arena, struct worker_want *want, const char *build, int64_t ms, struct err *err);

#endif
