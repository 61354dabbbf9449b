/* Files of the configuration, copied into a root file system; no link in there leads out of it. */
#ifndef BYOCI_SLAVES_PLACE_H
#define BYOCI_SLAVES_PLACE_H

#include "slaves/backing/making.h"

/* All of the recipe's files; what is there by that name is replaced, folders on the way are made. They belong to root. */
int place_files(const struct making *making, struct err *err);

/* ERR_INPUT: what was made has no /bin/sh, so nothing could run in it. */
int place_check(const struct making *making, struct err *err);

#endif
