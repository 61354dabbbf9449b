/* What a job's section says beyond its command and the limits that any worker has: network, disk, init, and what else it may do. */
#ifndef BYOCI_SLAVES_LXC_JOB_H
#define BYOCI_SLAVES_LXC_JOB_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/cage/cage.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/disk.h"
#include "slaves/confine/lxc_settings.h"
#include "slaves/confine/network.h"

struct lxc_job {
	struct arena *arena;
	const char *section; /* "job/NAME" */
	const char *state;   /* folder that backings and images are in */
	unsigned features;   /* of enum seccomp_feature */
	struct disk disk;
	struct network network;
	int64_t io_limit;    /* bytes a second; 0: none */
	int64_t io_weight;   /* share of the disk, 100: as others that have none; 0: not set */
};

/* ERR_CONFIG. */
int lxc_job_read(struct lxc_job *job, struct arena *arena, const struct cage_want *want, struct err *err);

/*
 * ERR_CONFIG when it asks for what workers of another kind (option workers) can't have: another init, containers inside, a limit or
 * weight of io, a network beyond `most`.
 */
int lxc_job_plain(const struct lxc_job *job, enum network_kind most, const char *workers, struct err *err);

/* Gives a container that runs, by its group of cgroup_io(), its share of the disk, if the section says one. ERR_CONFIG: nothing does. */
int lxc_job_weigh(const struct lxc_job *job, const struct cgroup *cgroup, const char *folder, struct err *err);

/* What liblxc is told of io, if the section limits it. ERR_CONFIG when that would not hold. */
int lxc_job_io(const struct lxc_job *job, const struct cgroup *cgroup, struct lxc_settings *settings, struct err *err);

/* Path of what is to be its /etc/resolv.conf, when its root file system is mounted; "": that of the backing. NULL: ERR_CONFIG. */
const char *lxc_job_resolvers(const struct lxc_job *job, const struct cage_want *want, struct err *err);

/* ERR_CONFIG when the root file system, which is mounted, has not the init that the section wants. */
int lxc_job_init(const struct lxc_job *job, const struct cage_want *want, struct err *err);

/* Limits of memory, processes, processors and io. ERR_CONFIG when one would not hold. */
int lxc_job_limits(const struct lxc_job *job, const struct cage_want *want, const struct cgroup *cgroup,
	struct lxc_settings *settings, struct err *err);

/* Bytes that its processes may have, with what they write to a disk in memory. */
int64_t lxc_job_memory(const struct lxc_job *job, const struct cage_want *want);

/*
 * All that liblxc is told of it, when its root file system is mounted. ERR_CONFIG when a limit would not hold, or the backing has
 * no such init.
 */
int lxc_job_settings(const struct lxc_job *job, const struct cage_want *want, const struct cgroup *cgroup,
	struct lxc_settings *settings, struct err *err);

#endif
