/* How much is kept of all builds together: option artefacts.total. What the oldest left is thrown away first. */
#ifndef BYOCI_SLAVES_QUOTA_H
#define BYOCI_SLAVES_QUOTA_H

#include <stdint.h>

#include "slaves/common/program.h"

/* Of a build's artefacts.json: bytes of all, its first key; and, instead of a list, when all was thrown away, ms since 1970. */
#define QUOTA_BYTES "bytes"
#define QUOTA_THROWN "thrown"

/*
 * Makes room for what `build` is to leave by throwing away what others left; *room is what it may leave, less than `bytes` when that
 * is over artefacts.total. By the leader of `build`, of which there is one.
 */
struct quota {
	const struct program *program;
	struct arena *arena;
	const char *build;
	int64_t bytes; /* at most */
};
int quota_make_room(const struct quota *quota, int64_t *room, struct err *err);

#endif
