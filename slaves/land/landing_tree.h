/* The land daemon's own clone of a project, and pushing from it with the landing key. */
#ifndef BYOCI_SLAVES_LANDING_TREE_H
#define BYOCI_SLAVES_LANDING_TREE_H

#include "slaves/common/program.h"
#include "slaves/tree/tree.h"

/* {state}/land/trees/PROJECT.git: one landing of a project at a time (slaves/tree/tree.h, tree_open). */
struct tree *landing_tree_open(const struct program *program, const char *project, struct err *err);

struct landing_tree_push {
	const char *project;
	const char *ref;   /* "refs/heads/main" */
	const char *old;   /* what it must be at the other side for the push to be done; "": it must not exist */
	const char *value; /* id of what it becomes */
};

/*
 * git push --force-with-lease=REF:OLD to option `repository`. ERR_NETWORK: out of reach; ERR_MOVED: the ref is not at `old`;
 * ERR_REFUSED: the forge does not take it; ERR_SYSTEM. What it says is not what happened: read it back.
 */
int landing_tree_push(const struct program *program, struct tree *tree, const struct landing_tree_push *push, struct err *err);

#endif
