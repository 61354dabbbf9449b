/* What ended builds have left on the slave's disk: removed now and then, and when somebody asks. */
#ifndef BYOCI_SLAVES_REAP_H
#define BYOCI_SLAVES_REAP_H

#include <jansson.h>

#include "slaves/common/program.h"
#include "slaves/common/trash.h"
#include "slaves/serve/running.h"

struct reap {
	const struct program *program;
	struct trash *trash;
	const struct running *running;
};

/*
 * An ended build whose time is over goes as a whole; of a younger one what its leader may have left. Returns of how many something was
 * removed, -1 and err: they can't be listed. The names of those that could not be are added to `left`, as are builds without a result.
 */
int reap_builds(const struct reap *reap, struct arena *arena, json_t *left, struct err *err);

/* The same, with what can't be removed in the log. */
void reap_quietly(const struct reap *reap);

#endif
