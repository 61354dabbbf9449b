/*
 * What the daemon has done by another of the program's verbs, as a process of its own, and hears the end of: trying whether a worker
 * starts, making a backing anew.
 */
#ifndef BYOCI_SLAVES_CHORE_H
#define BYOCI_SLAVES_CHORE_H

#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

#define CHORE_OUTPUT ((size_t)64 * 1024) /* bytes of what it prints that are kept: the first */

struct chore;

/* `status`: exit status, or 128 + n for signal n, which a chore also ends by whose time was over; `text`: what it printed, NUL-ended. */
typedef void chore_done_fn(void *cookie, int status, const char *text);

struct chore_want {
	struct loop *loop;
	const struct program *program;
	const char *const *words; /* the verb and its arguments, NULL-ended */
	int64_t limit_ms;
	chore_done_fn *done;      /* once, and not from chore_start(); the chore is gone then */
	void *cookie;
};

/* It ends with us. NULL and err. */
struct chore *chore_start(const struct chore_want *want, struct err *err);

/* It is ended; `done` is not called any more. NULL is allowed. */
void chore_free(struct chore *chore);

#endif
