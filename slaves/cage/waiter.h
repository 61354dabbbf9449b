/*
 * A process that was put into a container before it is known what it is to run: it waits on a socket for its program, and becomes it.
 * What takes long (namespaces, control groups, rights, filter) is done by then.
 */
#ifndef BYOCI_SLAVES_WAITER_H
#define BYOCI_SLAVES_WAITER_H

#include "base/err.h"

#define WAITER_MAXIMUM 65536 /* bytes of all texts of a program */

struct waiter_program {
	const char *const *argv;        /* NULL-ended; argv[0] is a path inside */
	const char *const *environment; /* NULL-ended, the whole of it */
	const char *folder;
	int in, out, errors;            /* its descriptors 0, 1 and 2; `in` -1: what it has; a terminal becomes its controlling one */
};

/* ends[0] is for waiter_run(), ends[1] for waiter_wait(). */
int waiter_open(int ends[2], struct err *err);

/* In the container: waits and becomes the program. Returns an exit status when there won't be one, or it can't be run. */
int waiter_wait(int fd);

/* Has it run; returns when it does. -1: it does not and ends. */
int waiter_run(int fd, const struct waiter_program *program, struct err *err);

#endif
