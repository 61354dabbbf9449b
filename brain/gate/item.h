/* Rows of `items`: one proposal in one target's queue. */
#ifndef BYOCI_GATE_ITEM_H
#define BYOCI_GATE_ITEM_H

#include "calls/brain.h"
#include "gate/policy.h"

struct item {
	int64_t id, proposal;
	const char *project, *target;
	const char *source; /* the approved commit */
	int64_t approved;   /* seconds */
	const char *state;
	int64_t since, read, queued, ended, due, builds, troubles, delivery; /* times in ms; 0: none */
	const char *why;
};

/* Texts in the arena. Each: 1, 0: none, -1. */
int item_get(struct brain *brain, struct arena *arena, int64_t id, struct item *item, struct err *err);
int item_live(struct brain *brain, struct arena *arena, int64_t proposal, struct item *item, struct err *err);
int item_last(struct brain *brain, struct arena *arena, int64_t proposal, struct item *item, struct err *err); /* live or not */
int item_next(
	struct brain *brain, struct arena *arena, const char *project, const char *target, struct item *item, struct err *err);

/* As policy sees it; NULL: none. */
struct policy_item item_policy(const struct item *item);

#endif
