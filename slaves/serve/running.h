/* The one build that runs: starting its leader, finding it again after a restart, hearing of its end. */
#ifndef BYOCI_SLAVES_RUNNING_H
#define BYOCI_SLAVES_RUNNING_H

#include "loop/loop.h"
#include "forge/spec.h"
#include "slaves/common/program.h"
#include "slaves/common/trash.h"
#include "slaves/serve/pool.h"

struct running;

/* The build's leader has ended, and a result is there unless `err` says why it could not be written. */
typedef void running_ended_fn(void *cookie, const char *build, const struct err *err);

/*
 * Looks through all builds: one whose leader lives is watched; one that has neither leader nor result gets its infrastructure
 * result now. NULL and err.
 */
struct running_from {
	struct loop *loop;
	const struct program *program;
	struct trash *trash;
	struct pool *pool;
	running_ended_fn *ended;
	void *cookie;
};
struct running *running_new(const struct running_from *from, struct err *err);
void running_free(struct running *running);

/* The build that runs, or NULL. */
const char *running_build(const struct running *running);

/* Puts the spec on disk and starts its leader. `text` is the spec as JSON. ERR_BUSY while one runs. */
int running_start(struct running *running, const struct spec *spec, const char *text, struct err *err);

/* Asks the leader to end the build; the end is told as any other. */
int running_cancel(struct running *running, struct err *err);

#endif
