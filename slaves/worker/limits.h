/* What is known of a worker's limits when its command has ended, in words for the person whose test it was. */
#ifndef BYOCI_SLAVES_LIMITS_H
#define BYOCI_SLAVES_LIMITS_H

#include <stdint.h>

#include "slaves/worker/cage.h"
#include "slaves/worker/worker_wire.h"

/* `killed`: processes by the memory limit; `refused`: processes that could not be started; `disk`: a path on it, or NULL. */
void limits_describe(const struct cage_want *want, int64_t killed, int64_t refused, const char *disk,
	char text[static WORKER_TEXT_SIZE]);

#endif
