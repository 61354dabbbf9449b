/* Trying a backing that was just made, before anybody depends on it. */
#ifndef BYOCI_SLAVES_SMOKE_H
#define BYOCI_SLAVES_SMOKE_H

#include "slaves/backing/making.h"

/*
 * Runs the recipe's smoke.command in a worker made from making->rootfs, without a network, with limits of its own and ids that no other
 * worker has; its output is progress. ERR_REFUSED: it did not exit with 0.
 */
int smoke_try(const struct making *making, struct err *err);

#endif
