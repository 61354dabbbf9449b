/*
 * Where a worker's writes go, and how much of it there is: bytes and files, both of a number that can't be passed.
 *   memory  a tmpfs.
 *   image   an ext4 file system in a file without a name, copied from a template that is made once for each size; its blocks are
 *           reserved when the worker starts, and its loop device goes with the mount.
 */
#ifndef BYOCI_SLAVES_DISK_H
#define BYOCI_SLAVES_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct disk {
	int64_t size;       /* bytes */
	bool image;
	const char *folder; /* of templates and images, when it is one */
	int loop;           /* number of its device; -1: none. disk_mount() sets it */
	ino_t inode;        /* of its file */
};

#define DISK_INIT {.loop = -1}

/* Mounts it on an empty folder of the caller's own mount namespace. ERR_FULL when the host has no room for it. */
int disk_mount(struct disk *disk, const char *target, struct err *err);

/* After it was unmounted: waits until its device is free. ERR_TIMEOUT. Again is fine. */
int disk_gone(struct disk *disk, struct err *err);

/* How many files fit into so many bytes. */
int64_t disk_files(int64_t size);

#endif
