/* Asks byoci-worker to remove what workers have left whose holders are gone, without blocking the daemon. */
#ifndef BYOCI_SLAVES_REAPING_H
#define BYOCI_SLAVES_REAPING_H

#include "base/err.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

struct reaping;

/* Of how many workers something was removed; `err` says what stays, or why that is not known: ERR_NONE for nothing. Once. */
typedef void reaping_done_fn(void *cookie, int removed, const struct err *err);

/* NULL and err: byoci-worker can't be asked. */
struct reaping *reaping_start(struct loop *loop, const struct program *program, reaping_done_fn *done, void *cookie, struct err *err);

/* NULL is allowed. `done` is not called any more. */
void reaping_free(struct reaping *reaping);

#endif
