/* The spec of what a slave is asked for: a build, or its merge beforehand. */
#ifndef BYOCI_BUILD_WISH_H
#define BYOCI_BUILD_WISH_H

#include <jansson.h>

#include "calls/brain.h"
#include "proposal/proposal.h"

struct wish {
	const char *build; /* its id */
	int64_t attempt;
	const char *source, *target;
};

/* A new reference. NULL: `why` says what is wrong with the proposal or the configuration; the store is not asked. */
json_t *wish_spec(struct brain *brain, struct arena *arena, const struct wish *wish, const struct proposal_row *row, struct err *why);

#endif
