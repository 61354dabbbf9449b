/* The masters that builds and landings run on: one client for each, for as long as the brain runs or its configuration holds. */
#ifndef BYOCI_BUILD_MASTERS_H
#define BYOCI_BUILD_MASTERS_H

#include "calls/brain.h"
#include "master/lookup.h"
#include "master/master.h"

struct masters;

struct masters_one {
	struct master *master;
	struct lookup *lookup;
	unsigned users; /* who took it */
};

struct masters *masters_new(struct brain *brain);
/* After all who took one are gone. NULL is allowed. */
void masters_free(struct masters *masters);

/* The configuration is another: who takes one from now on gets one made by it. */
void masters_renew(struct masters *masters);

/* `name` as of site_of_project(). NULL: ERR_CONFIG: there is no such master any more, or its options are wrong. */
struct masters_one *masters_take(struct masters *masters, const char *name, struct err *err);
void masters_give(struct masters_one *one);

#endif
