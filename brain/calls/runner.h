/* A program run beside the loop: what it prints is collected, its end is a callback. */
#ifndef BYOCI_CALLS_RUNNER_H
#define BYOCI_CALLS_RUNNER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

struct runner;

struct runner_spec {
	const char *const *argv;        /* as in base/child.h */
	const char *const *environment;
	size_t maximum;                 /* bytes of its output; more ends it */
	int64_t limit_ms;               /* then its process group is killed */
};

/*
 * `status` as in loop.h, or -1 when it was ended for its time or output; texts are NUL-ended and borrowed. The program is
 * freed after the call.
 */
typedef void runner_fn(void *cookie, int status, const char *out, size_t length, const char *errors);

/* NULL: it could not be started. */
struct runner *runner_start(struct loop *loop, const struct runner_spec *run, runner_fn *call, void *cookie, struct err *err);

/* Kills it; no callback. NULL is allowed. */
void runner_drop(struct runner *runner);

#endif
