/*
 * A root file system from a tarball (also compressed by gzip, bzip2, xz or zstd). A member that is not one of a root file system's is
 * refused, and everything with it: a name that is absolute, has ".." in it or goes through a link, a hard link to what is no file in
 * there, a device (but those of /dev that each worker has of its own: they are left out), a socket or a pipe, an owner beyond the ids of
 * a worker, more rights than the caller's unless the recipe allows them. Attributes and access lists are left out.
 */
#ifndef BYOCI_SLAVES_UNPACK_H
#define BYOCI_SLAVES_UNPACK_H

#include "slaves/backing/making.h"

/*
 * Unpacks the recipe's tarball into making->rootfs, in a process that sees nothing else. ERR_NOT_FOUND: there is none; ERR_REFUSED: it is
 * not root's alone, has another digest than the recipe says, or a member as above; ERR_INPUT: it is no tarball, or is cut short.
 */
int unpack_tarball(const struct making *making, struct err *err);

/* The same of what begins at the offset of `fd`, of which only the folder `within` counts; NULL: all. */
int unpack_stream(const struct making *making, int fd, const char *within, struct err *err);

/* Whether what somebody else has unpacked into making->rootfs would have been taken: members as above. Devices of /dev are removed. */
int unpack_check(const struct making *making, struct err *err);

#endif
