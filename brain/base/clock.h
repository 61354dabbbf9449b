/* Time: wall clock for rows and messages, monotonic for durations and deadlines. */
#ifndef BYOCI_BASE_CLOCK_H
#define BYOCI_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_ISO_SIZE 25 /* "2026-11-21T03:30:00.123Z" and a NUL */

/* Milliseconds since 1970, UTC. */
int64_t clock_wall_ms(void);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t clock_monotonic_us(void);

/* Milliseconds since the machine was started, the time that it slept included: nobody sets it. */
int64_t clock_boot_ms(void);

/* ISO 8601, UTC, with milliseconds. Returns `out`. */
char *clock_iso(int64_t wall_ms, char out[static CLOCK_ISO_SIZE]);

#endif
