/* byoci-slave backing build | list | show | prune: by way of byoci-worker, so for root and the slave's user. */
#ifndef BYOCI_SLAVES_BACKINGS_H
#define BYOCI_SLAVES_BACKINGS_H

#include <jansson.h>
#include <stdbool.h>

#include "slaves/common/program.h"

struct backings_call {
	const char *action; /* "build", "list", "show", "prune" */
	const char *name;   /* of the backing; NULL: none was given */
	bool refresh;       /* build: another generation though there is one */
	bool json;          /* list, show */
};

/*
 * The exit status: 0, 1 (list and show: the last building of one failed), 64 (there is no such action or backing), 75 (it could not be
 * done, and an older one stays in use).
 */
int backings_verb(const struct program *program, const struct backings_call *call);

/* A descriptor that byoci-worker can write its list to (slaves/backing/backing_list.h); -1. */
int backings_list(struct err *err);

/* That list, when it is written; a new reference. NULL and err. */
json_t *backings_read(struct arena *arena, int list, struct err *err);

#endif
