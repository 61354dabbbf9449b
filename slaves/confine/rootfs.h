/*
 * The root file system of one worker, made of mounts in a mount namespace of the calling process, below a private /run:
 * an overlay over the backing, id-mapped into the worker's range (mount_setattr(2); needs real root), with everything that is
 * written on a disk (disk.h). The tree is a second overlay, over a folder of the slave's that is id-mapped too, with
 * what is written on the same disk: it can come when a container runs in the first one already. Nothing is copied; nothing
 * outlives the mount namespace.
 */
#ifndef BYOCI_SLAVES_ROOTFS_H
#define BYOCI_SLAVES_ROOTFS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "slaves/confine/disk.h"

#define ROOTFS_WORKSPACE "/workspace" /* where the tree is, inside */
#define ROOTFS_IDS 65536 /* host ids of one worker */
#define ROOTFS_PATH "/run/r" /* the merged root file system */
#define ROOTFS_SCRATCH "/run/s" /* a folder for files of the handler's own (the mapped root may pass through it) */

#define ROOTFS_EMPTY "/run/e" /* an empty folder, for processes that need none */
#define ROOTFS_BLANK "/run/n" /* the root file system of a container that is for nothing yet: rootfs_blank() */

/* What is on the disk before anything is mounted on it: folders u (root file system) and tu (tree), as another one's were. */
struct rootfs_fill {
	int (*call)(void *cookie, int written, struct err *err); /* `written`: the folder that they go to; u is there */
	void *cookie;
};

struct rootfs {
	int64_t ids;  /* what root in the worker is outside */
	int backing;  /* folder whose files belong to 0, 1, …: they belong to ids, ids + 1, … */
	struct disk *disk; /* where what is written goes */
	const struct rootfs_fill *fill; /* NULL: nothing */
};

/*
 * Gives this process mounts of its own, /proc of its own process namespace and a private /run among them, and the folder ROOTFS_BLANK,
 * which belongs to `ids` and has what pivot.h wants of a root that it takes away. Before rootfs_mount(), or not at all.
 */
int rootfs_blank(int64_t ids, struct err *err);

/*
 * Gives this process, if it has not them yet, mounts of its own, /proc of its own process namespace and a private /run among them; the
 * merged tree is at ROOTFS_PATH afterwards, with an empty folder ROOTFS_WORKSPACE. Once. On failure rootfs_unmount() is still to be called.
 */
int rootfs_mount(const struct rootfs *rootfs, struct err *err);

struct rootfs_tree {
	int64_t ids; /* as above */
	int layer;   /* folder with a folder `workspace`; files of `owner` belong to root in the worker, others' to nobody */
	uid_t owner;
	gid_t group;
	int mounts;  /* the mount namespace of who opened it (a systemd unit has its own); -1: ours */
};

/*
 * Puts its workspace at ROOTFS_PATH ROOTFS_WORKSPACE and returns the same as a detached mount, to be placed where a container sees
 * it. Once, after rootfs_mount(); -1 leaves what rootfs_unmount() removes.
 */
int rootfs_attach(const struct rootfs_tree *tree, struct err *err);

/* The same mount once more, detached. */
int rootfs_tree(struct err *err);

/* The root file system once more, detached, with the folders that pivot.h wants of a new root. */
int rootfs_detached(int64_t ids, struct err *err);

/* The folder with u and tu, for reading. */
int rootfs_written(struct err *err);

/* Unmounts all of it, and looks that nothing of it is mounted any more: ERR_SYSTEM. Again is fine. */
int rootfs_unmount(struct err *err);

#endif
