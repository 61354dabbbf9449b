/*
 * What a running instance sees as its files: the handler's own root file system (rootfs.h) instead of LXD's, put there by entering
 * its mount namespace for a moment, before anything of a test has run in it. So the disk limit holds whatever LXD's pool is,
 * and neither backing nor tree is copied.
 */
#ifndef BYOCI_SLAVES_LXD_ROOT_H
#define BYOCI_SLAVES_LXD_ROOT_H

#include "base/err.h"

#define LXD_ROOT_PROGRAM "/dev/init" /* where byoci-init is to be, inside: there is a file to mount it on */
#define LXD_ROOT_FOLDER "/r" /* in the image: where the new root is for a moment */

struct lxd_root {
	int mounts; /* its mount namespace */
	int groups; /* its namespace of control groups; -1: it is to see none */
	const char *path;
};

/*
 * What is mounted at `path` of ours becomes the root of that mount namespace, with the /proc, /sys and /dev of before; nothing else of
 * before stays. /sys and /proc/sys are read-only, but for its own part of the tree of
 * control groups, and LXD's own additions to /dev are gone.
 */
int lxd_root_change(const struct lxd_root *root, struct err *err);

/* A detached mount comes to `folder`, whose last part is not followed when it is a link. */
int lxd_root_place(int mounts, int tree, const char *folder, struct err *err);

/* The file at `path` of ours is seen, read-only, as `file`, an absolute path in there, which is made when it is not there. */
int lxd_root_file(int mounts, const char *path, const char *file, struct err *err);

#endif
