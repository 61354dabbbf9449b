/*
 * A process that has its bytes and needs nothing more: from then on it may read and write what it has open, and end. As strict seccomp(2),
 * but also where a filter is there already (a systemd unit's, a container's).
 */
#ifndef BYOCI_SLAVES_STRICT_H
#define BYOCI_SLAVES_STRICT_H

#include <stdnoreturn.h>

/* -1: it could not be made so. Any other system call than read, write and exit kills the process afterwards: nothing may be allocated. */
int strict_enter(void);

/* Ends such a process. */
noreturn void strict_exit(int status);

#endif
