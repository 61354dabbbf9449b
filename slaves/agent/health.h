/*
 * Whether tests may be sent to this host: what its daemon finds (disk, container start: slaves/test/probe.h), and whether its clock is that
 * of its brain and its master. Said in a last line "byoci-health-1 NAME well" or "byoci-health-1 NAME unwell REASON" for who sends the
 * tests; it is not signed, because whoever may forge it may as well take the node off line.
 */
#ifndef BYOCI_SLAVES_HEALTH_H
#define BYOCI_SLAVES_HEALTH_H

#include "slaves/common/program.h"

#define HEALTH_HEADER "byoci-health-1 "

/* The exit status: 0 well, 75 unwell; what could not be found out is unwell, too. -1 and err: not even its name is known. */
int health_check(const struct program *program, struct err *err);

#endif
