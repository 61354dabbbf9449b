/*
 * LXD's image of a backing: made once, by a fingerprint that is computed here, and so never half there. It holds what an instance
 * is begun with (byoci-init, the pipe that it waits on, and places to mount on) and says which backing it is for; the files of the
 * backing are the folder that is mounted over it (lxd_root.h).
 */
#ifndef BYOCI_SLAVES_LXD_IMAGE_H
#define BYOCI_SLAVES_LXD_IMAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/lxd/lxd.h"

#define LXD_IMAGE_PROGRAM "/sbin/init"      /* byoci-init, in it */
#define LXD_IMAGE_INIT "/sbin/init wait"     /* what to start in it */
#define LXD_IMAGE_BEGIN "/begin"            /* a pipe: a byte on it begins the program that was named after LXD_IMAGE_INIT */

/* Path of byoci-init on this machine, in the arena. */
const char *lxd_image_program(struct arena *arena);

/* Its fingerprint, in the arena; it is imported, and named byoci-NAMESPACE-DIGEST, unless it is there. */
char *lxd_image_ensure(const struct lxd *lxd, struct arena *arena, const char *namespace, const char *digest, struct err *err);

/* Removes those of the namespace whose backing is not wanted any more. Returns how many; -1 when one could not be. */
int lxd_image_prune(const struct lxd *lxd, const char *namespace, bool (*wanted)(void *cookie, const char *digest), void *cookie,
	struct err *err);

#endif
