/* Which configuration files there are for a namespace, in their order, and whether each may be believed. See conf/conf.h. */
#ifndef BYOCI_CONF_FILES_H
#define BYOCI_CONF_FILES_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

typedef int files_fn(void *cookie, const char *path, const char *text, size_t length, struct err *err);

/* The namespace that is meant, in the arena; NULL with ERR_USAGE and what there is. */
const char *files_namespace(struct arena *arena, const struct conf_source *source, struct err *err);

/* Calls with the text of each file in turn. A call that returns -1 ends it. */
int files_each(
	struct arena *arena, const struct conf_source *source, const char *name, files_fn *call, void *cookie, struct err *err);

#endif
