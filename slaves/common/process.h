/* What names a process for good. */
#ifndef BYOCI_SLAVES_PROCESS_H
#define BYOCI_SLAVES_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * When a process started, in clock ticks since boot: with its number it is that process and no other. 0: there is none, or it has
 * ended. Reads /proc.
 */
int64_t process_started(pid_t pid);

#endif
