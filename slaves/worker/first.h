/* Children of byoci-worker's that are the first of a process name space: the kernel ends with such a one all that it started. */
#ifndef BYOCI_SLAVES_FIRST_H
#define BYOCI_SLAVES_FIRST_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * It runs `run`, which does not return, without the descriptors `others` (-1-ended), with signals as they are by default, and what it has
 * open besides is closed when it executes something. Real root only. Its process id; -1: there is none.
 */
pid_t first_start(const int *others, void (*run)(const void *cookie), const void *cookie, struct err *err);

/* In it, before it has mounts of its own: its number as byoci-worker sees it, and when it started (process.h). */
int first_self(pid_t *pid, int64_t *started, struct err *err);

#endif
