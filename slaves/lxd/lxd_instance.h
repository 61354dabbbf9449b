/*
 * Instances of LXD that are ours: ephemeral, unprivileged, named byoci-NAMESPACE-SLOT, with keys that say whose they are. What is
 * ours and has no living owner can be found by them.
 */
#ifndef BYOCI_SLAVES_LXD_INSTANCE_H
#define BYOCI_SLAVES_LXD_INSTANCE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/confine/lxc_settings.h"
#include "slaves/lxd/lxd.h"

#define LXD_INSTANCE_IDS 65536

struct lxd_instance {
	const char *name;
	const char *namespace;
	const char *fingerprint; /* of its image */
	const char *pool;
	const char *owner;       /* lxd_instance_owner() of the process that it belongs to */
	int64_t expiry;          /* milliseconds since 1970: for people and for `lxc list` */
	int64_t ids;             /* root in it is this id outside */
	int64_t memory;          /* bytes */
	int64_t processes;
	int64_t cpus;            /* 0: all */
	unsigned features;       /* of enum seccomp_feature */
	const char *init;        /* path of its first process, which waits until a byte comes by LXD_IMAGE_BEGIN; "": one that only waits */
	const struct lxc_settings *more; /* which LXD has no options for, as liblxc takes them */
};

/* "PID START BOOT": names a process for good. The calling one, as /proc knows it. */
char *lxd_instance_owner(struct arena *arena, struct err *err);

/* Makes and starts it; what is left of an earlier one of that name and namespace goes. *pid: its first process. */
int lxd_instance_start(const struct lxd *lxd, const struct lxd_instance *want, pid_t *pid, struct err *err);

/* Says in its keys which build it is for. */
int lxd_instance_tell(const struct lxd *lxd, const char *name, const char *build, struct err *err);

/* ERR_SYSTEM unless it runs, and is the one with that first process. */
int lxd_instance_check(const struct lxd *lxd, const char *name, pid_t pid, struct err *err);

/*
 * Kills everything in it and deletes it; returns when LXD knows of it no more. One that is not there is fine; 1 when there is one of
 * that name that is not ours, and stays.
 */
int lxd_instance_delete(const struct lxd *lxd, const char *name, struct err *err);

/* Deletes those of the namespace that have no living owner. Returns how many; -1 when one could not be. */
int lxd_instance_sweep(const struct lxd *lxd, const char *namespace, struct err *err);

#endif
