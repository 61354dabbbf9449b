/* Making the root file system of a backing, by its source, and setting it up. */
#ifndef BYOCI_SLAVES_BACKING_MAKE_H
#define BYOCI_SLAVES_BACKING_MAKE_H

#include <stdbool.h>

#include "slaves/backing/making.h"

/*
 * Fills making->rootfs, which is not there yet: what the source gives, then the recipe's files, packages and command. What its base is
 * must be built; making->on is set to that generation.
 */
int backing_make(struct making *making, struct err *err);

/*
 * Whether it would be another one if it were made again from the same inputs: there are packages, an alias or a
 * command to change. */
bool backing_make_varies(const struct recipe *recipe);

#endif
