/*
 * Whether this host can test (`byoci-slave probe`, by the slave's user): there is room on the disk, and a container starts from each
 * backing that a project's jobs want.
 */
#ifndef BYOCI_SLAVES_PROBE_H
#define BYOCI_SLAVES_PROBE_H

#include "slaves/common/program.h"

/* Prints {"well":true|false,"slave":NAME,"reason":TEXT}, and returns the exit status: 0 when that was printed. Blocks. */
int probe_verb(const struct program *program);

#endif
