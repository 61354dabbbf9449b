/*
 * One connection to byoci-worker: a process of its own, first of its process namespace; its worker's mounts are its own. What a
 * request may do in which state of the worker is a table. It ends when the connection does, when the worker is removed, or at
 * its expiry.
 */
#ifndef BYOCI_SLAVES_HANDLER_H
#define BYOCI_SLAVES_HANDLER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "conf/conf.h"
#include "slaves/cage/blank.h"

struct handler_want {
	const struct conf_source *source; /* the configuration is read for each connection anew */
	int connection;                   /* accepted */
	uid_t uid;                        /* of the process at its other end */
	int mounts;                       /* its mount namespace; -1: not known */
	const int *others;                /* byoci-worker's own, -1-ended: closed in the handler */
	struct blank *blank;              /* what its worker is made of, if the job suits; NULL: nothing */
	pid_t pid;                        /* with `blank`: first_self() */
	int64_t process_start;
	int wishes;                       /* takes connections over whose next answer is byoci-worker's own: REAP */
};

/* Starts it; real root only. The connection stays the caller's to close. Returns its process id, or -1. */
pid_t handler_start(const struct handler_want *want, struct err *err);

/* The same in a process that is one already; `cookie` is a handler_want. Ends it. */
_Noreturn void handler_run(const void *cookie);

/* Answers a connection that is not served, with the reason. */
void handler_turn_away(int connection, const struct err *reason);

#endif
