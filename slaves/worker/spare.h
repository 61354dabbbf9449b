/*
 * A process of byoci-worker's that has a container for no job yet (cage/blank.h; option worker.blank): it gets a connection as soon as
 * there is one. When what is asked for there suits, it becomes its handler; else it gives the connection back, and waits for the next,
 * or ends before that when the other worker may need its slot.
 */
#ifndef BYOCI_SLAVES_SPARE_H
#define BYOCI_SLAVES_SPARE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "slaves/worker/handler.h"

struct spare {
	int fd;    /* -1: there is none; readable: spare_take() */
	bool waits; /* it has its container, and no connection */
	bool lent;  /* it has a connection */
	pid_t pid; /* of the last one */
};

#define SPARE_INIT {.fd = -1}

/* Starts one. `want` is what its handler will be, without connection, user and mounts. */
int spare_start(struct spare *spare, const struct handler_want *want, struct err *err);

/* Hands it a connection, which stays the caller's to close. False: it does not wait. */
bool spare_give(struct spare *spare, const struct handler_want *want);

/*
 * What it says. 2: it waits now. 1: it gives back what `want` has then: connection, mounts, which are the caller's to close, and user.
 * 0: there is no spare any more; it has become the connection's handler, or ended.
 */
int spare_take(struct spare *spare, struct handler_want *want);

#endif
