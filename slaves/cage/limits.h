/* What is known of a worker's limits when its command has ended, in words for the person whose test it was. */
#ifndef BYOCI_SLAVES_LIMITS_H
#define BYOCI_SLAVES_LIMITS_H

#include <stdint.h>

#include "slaves/cage/cage.h"

struct limits_hit {
	int64_t killed;  /* processes by the memory limit */
	int64_t refused; /* processes that could not be started */
	int64_t memory;  /* the limit, bytes: `want` and, for a disk in memory, the disk */
	const char *disk; /* a path on it */
};

void limits_describe(const struct cage_want *want, const struct limits_hit *hit, char text[static CAGE_TEXT_SIZE]);

#endif
