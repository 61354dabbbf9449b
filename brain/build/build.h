/* A build as the store has it. */
#ifndef BYOCI_BUILD_BUILD_H
#define BYOCI_BUILD_BUILD_H

#include "calls/brain.h"

/* The brain's copy of a build's log, in the arena. `build` is its public id. */
char *build_log_path(const struct brain *brain, struct arena *arena, const char *build);

/* A row of `builds`; texts in the arena. */
struct build_row {
	int64_t id, item, attempt, asked, started, ended;
	const char *build, *state, *spec, *outcome, *reason, *merged, *result; /* the last four may be NULL */
};
/* Each: 1, 0: none, -1. */
int build_get(struct brain *brain, struct arena *arena, int64_t id, struct build_row *row, struct err *err);
int build_find(struct brain *brain, struct arena *arena, const char *build, struct build_row *row, struct err *err);
int build_of_item(
	struct brain *brain, struct arena *arena, int64_t item, struct build_row *row, struct err *err); /* the newest */
/* For a statement over STATEMENT_BUILD columns that is on a row. */
void build_take(struct brain *brain, struct arena *arena, enum store_id id, struct build_row *row);

#endif
