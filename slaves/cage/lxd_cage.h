/*
 * Workers that LXD runs: an ephemeral instance with limits of LXD's, whose files are the handler's own root file system (rootfs.h,
 * lxd_root.h), as for lxc. LXD away, slow or talking nonsense is trouble of the machine's.
 */
#ifndef BYOCI_SLAVES_LXD_CAGE_H
#define BYOCI_SLAVES_LXD_CAGE_H

#include "slaves/cage/cage.h"

extern const struct cage_kind lxd_cage_kind;

#endif
