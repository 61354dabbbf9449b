/* The slave's daemon (`byoci-slave serve`): start, list, follow, cancel and reap on the slave socket (doc/INTERFACES.md). */
#ifndef BYOCI_SLAVES_SERVE_H
#define BYOCI_SLAVES_SERVE_H

#include "slaves/common/program.h"

/* Until SIGTERM or SIGINT; a build that runs goes on. Returns the exit status. */
int serve_verb(const struct program *program);

#endif
