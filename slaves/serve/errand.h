/* What the daemon asks byoci-worker for without blocking: reap what workers have left, discard a kept one, list backings. */
#ifndef BYOCI_SLAVES_ERRAND_H
#define BYOCI_SLAVES_ERRAND_H

#include "base/err.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

struct errand;

/*
 * Of how many workers something was removed; `err` says what stays, or why that is not known: ERR_NONE for nothing. Once, and not
 * from errand_start().
 */
typedef void errand_done_fn(void *cookie, int removed, const struct err *err);

struct errand_want {
	struct loop *loop;
	const struct program *program;
	const char *discard; /* the build whose kept worker goes */
	const int *list;     /* where the list of backings goes; else NULL, and `discard` too: what dead workers have left goes */
	errand_done_fn *done;
	void *cookie;
};

/* NULL and err: byoci-worker can't be asked. */
struct errand *errand_start(const struct errand_want *want, struct err *err);

/* NULL is allowed. `done` is not called any more. */
void errand_free(struct errand *errand);

#endif
