/*
 * Where a backing is set up: its root file system is the only thing there, with /proc (read-only), a few devices, the host's network
 * and name servers, and few capabilities. In a process of its own that is the first of its process namespace and has mounts of its own.
 */
#ifndef BYOCI_SLAVES_CHAMBER_H
#define BYOCI_SLAVES_CHAMBER_H

#include "slaves/backing/making.h"

#define CHAMBER_NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)

/* A making_fn for making_call(CHAMBER_NAMESPACES): installs the recipe's packages where `packages` points to true, runs its command. */
int chamber_enter(const struct making *making, void *packages, struct err *err);

#endif
