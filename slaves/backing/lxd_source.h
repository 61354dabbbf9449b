/*
 * An image of LXD's as root file system: LXD finds it by its alias or fingerprint, or fetches it from an image server, and hands it out
 * as it keeps it. From then on it is a tarball like any other (unpack.h), or a squashfs.
 */
#ifndef BYOCI_SLAVES_LXD_SOURCE_H
#define BYOCI_SLAVES_LXD_SOURCE_H

#include "slaves/backing/making.h"

/*
 * Unpacks the recipe's image into making->rootfs. ERR_NOT_FOUND: LXD has none of that name; ERR_REFUSED: it is another than the
 * fingerprint says, or has what a tarball may not have; ERR_NETWORK, ERR_TIMEOUT: LXD, or the image server, does not answer.
 */
int lxd_source_unpack(const struct making *making, struct err *err);

#endif
