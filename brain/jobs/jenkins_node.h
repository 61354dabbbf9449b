/* A node of a master, by what it says of itself. */
#ifndef BYOCI_JOBS_JENKINS_NODE_H
#define BYOCI_JOBS_JENKINS_NODE_H

#include "base/arena.h"
#include "base/err.h"
#include "master/master.h"

/* Its description; in the arena. 1; 0: it is not there; -1. */
int jenkins_node_describe(struct master *master, struct arena *arena, const char *node, const char **about, struct err *err);

#endif
