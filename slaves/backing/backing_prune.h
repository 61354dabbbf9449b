/* Removing the backings that no section asks for, and generations older than the previous one. */
#ifndef BYOCI_SLAVES_BACKING_PRUNE_H
#define BYOCI_SLAVES_BACKING_PRUNE_H

#include "base/err.h"
#include "conf/conf.h"
#include "slaves/backing/shelf.h"

/*
 * Names of the generations that are neither in use nor previous of a configured section; NULL-ended, in the shelf's arena. Of `shelf`
 * only folder and arena count. NULL and err when a section's digest can't be computed: then nobody can say what is needed.
 */
const char *const *backing_prune_unneeded(const struct shelf *shelf, const struct conf *conf, struct err *err);

/*
 * Removes them, and what killed builds have left. What a worker, a waiting one too, or a build uses stays, and so does what is just
 * being built. Lines for people go to `progress`. -1 when something could not be removed, the rest having been tried.
 */
int backing_prune(const struct conf *conf, int progress, struct err *err);

#endif
