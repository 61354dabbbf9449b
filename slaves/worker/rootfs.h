/*
 * The root file system of one worker, made of mounts in a mount namespace of the calling process, below a private /run:
 * an overlay of the layer, over the backing, both id-mapped into the worker's range (mount_setattr(2); needs real root),
 * with everything that is written on a tmpfs of a given size. Nothing is copied; nothing outlives the mount namespace.
 */
#ifndef BYOCI_SLAVES_ROOTFS_H
#define BYOCI_SLAVES_ROOTFS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define ROOTFS_IDS 65536    /* ids of one worker */
#define ROOTFS_PATH "/run/r" /* the merged root file system */
#define ROOTFS_SCRATCH "/run/s" /* a folder for files of the handler's own (the mapped root may pass through it) */

struct rootfs {
	int64_t ids;  /* what root in the worker is outside */
	int backing;  /* folder whose files belong to 0, 1, …: they belong to ids, ids + 1, … */
	int layer;    /* folder whose files of `owner` belong to root in the worker; others' belong to nobody */
	pid_t sender; /* who opened it, perhaps in a mount namespace of its own (a systemd unit's) */
	uid_t owner;
	gid_t group;
	int64_t size; /* bytes that can be written */
};

/*
 * Gives this process mounts of its own, /proc of its own process namespace and a private /run among them; the merged tree is at
 * ROOTFS_PATH afterwards. Once. On failure rootfs_unmount() is still to be called.
 */
int rootfs_mount(const struct rootfs *rootfs, struct err *err);

/* Unmounts all of it; ERR_SYSTEM when something still holds it. Again is fine. */
int rootfs_unmount(struct err *err);

#endif
