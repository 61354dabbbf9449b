/* The kind of containers that liblxc makes, on mounts of our own: rootfs.h, lxc.h, cgroup.h. */
#ifndef BYOCI_SLAVES_LXC_CAGE_H
#define BYOCI_SLAVES_LXC_CAGE_H

#include "slaves/cage/cage.h"

extern const struct cage_kind lxc_cage_kind;

#endif
