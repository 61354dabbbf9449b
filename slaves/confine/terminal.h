/* A terminal in a container's own devpts: nothing of a terminal of ours goes in. */
#ifndef BYOCI_SLAVES_TERMINAL_H
#define BYOCI_SLAVES_TERMINAL_H

#include <sys/types.h>

#include "base/err.h"

/* `mounts` is a descriptor for setns(2). Returns its master; *inside, its other end, belongs to `owner` then. */
int terminal_open(int mounts, uid_t owner, int *inside, struct err *err);

/* The number that its other end has in there: "/dev/pts/NUMBER". -1: it is no such end. */
int terminal_number(int inside);

#endif
