/* Why a merge of trees was not made, for people. */
#ifndef BYOCI_SLAVES_CONFLICTS_H
#define BYOCI_SLAVES_CONFLICTS_H

#include "base/arena.h"
#include "base/child.h"
#include "base/err.h"

/* What git merge-tree -z wrote: one line for each conflict, escaped, in the arena, and some of them in *err, ERR_CONFLICT. Returns -1. */
int conflicts_read(struct arena *arena, const struct child_result *result, const char **conflicts, struct err *err);

#endif
