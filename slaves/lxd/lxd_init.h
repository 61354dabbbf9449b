/*
 * The first process of an instance, as the host sees it: byoci-init, which only waits, or becomes another program when its root is as it
 * is to be. What the process is at can only be asked by its number of the host's, in the host's /proc: it is in another process namespace
 * than the handler.
 */
#ifndef BYOCI_SLAVES_LXD_INIT_H
#define BYOCI_SLAVES_LXD_INIT_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

struct lxd_init {
	int proc;  /* the host's /proc, which a handler does not see as /proc once it has a root file system; -1 */
	pid_t pid; /* as the host numbers it */
	int begin; /* the pipe that it waits on; -1: none is held */
};

#define LXD_INIT_NONE {.proc = -1, .begin = -1}

/* "/proc/self/fd/N/PID", as long as it lives; in the arena. */
const char *lxd_init_path(const struct lxd_init *init, struct arena *arena);

/* While its root is still that of the image: waits until it is ready to begin another program. ERR_SYSTEM, ERR_TIMEOUT. */
int lxd_init_hold(struct lxd_init *init, struct err *err);

/* Has it become that, and waits until there is a `file` inside, which says that it has come far enough. Nothing when none is held. */
int lxd_init_begin(const struct lxd_init *init, const char *file, struct err *err);

#endif
