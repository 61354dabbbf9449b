/*
 * Which system calls a worker may not make, as a profile of liblxc's (seccomp of lxc.container.conf(5)), made of one table: each
 * row has a reason, and what must be asked for so that it is left out. liblxc puts its own list on top of it.
 */
#ifndef BYOCI_SLAVES_SECCOMP_H
#define BYOCI_SLAVES_SECCOMP_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define SECCOMP_NEWEST 466 /* the last number that was looked at: removexattrat(2), of Linux 6.13; open_tree_attr is the next */

/* What a job may ask for beyond the default. Each loosens some rows here, and some settings in lxc_settings.c. */
enum seccomp_feature {
	SECCOMP_SYSTEMD = 1, /* init = systemd */
	SECCOMP_NESTED = 2   /* nested = yes */
};

/* Adds its rows, a line each, for who has a profile of its own to put them into: LXD. -1: the buffer is full. */
int seccomp_add(struct buf *text, unsigned features);

/* Writes the profile for these features (a sum) to a new file. */
int seccomp_write(const char *path, unsigned features, struct err *err);

/*
 * System calls with numbers above those that were looked at for the table do not exist (ENOSYS) for the calling process and all
 * that it starts from now on: what a newer kernel adds is closed until it was. Closes x32 as well. Needs CAP_SYS_ADMIN.
 */
int seccomp_close_unknown(struct err *err);

/*
 * Only these system calls (their numbers; 64 at most) do anything for the calling process from now on, the others are EPERM. Sets
 * no_new_privs(2).
 */
int seccomp_allow_only(const int *calls, size_t count, struct err *err);

#endif
