/*
 * Workers that nothing contains, for tests on a laptop: the command runs on the host as an id of its slot, on a private copy of the
 * tree, with the section's limits, and ends with the handler's process namespace. What it does to the host or on its network nobody
 * keeps it from; so it is for proposals of people that [project] dir.trusted names only (slaves/test/trust.h), and never in a
 * namespace called production.
 */
#ifndef BYOCI_SLAVES_DIR_CAGE_H
#define BYOCI_SLAVES_DIR_CAGE_H

#include "slaves/cage/cage.h"

extern const struct cage_kind dir_cage_kind;

#endif
