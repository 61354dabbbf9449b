/*
 * Control groups of workers, v1 controllers beside an empty v2 tree (hybrid) as well as pure v2 (cgroups(7)).
 * Each worker has one group, BASE/NAME, in every hierarchy, BASE being the group that byoci-worker itself runs in.
 */
#ifndef BYOCI_SLAVES_CGROUP_H
#define BYOCI_SLAVES_CGROUP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct cgroup; /* what this machine has; read once */

/* In the arena. ERR_CONFIG when memory or pids can be limited in no hierarchy. */
struct cgroup *cgroup_find(struct arena *arena, struct err *err);

/*
 * Where v2 limits: a group with processes can't hand controllers down, so byoci-worker goes into BASE/init.scope (a name
 * that liblxc leaves out of its own paths). Elsewhere nothing. Once, before the first worker.
 */
int cgroup_step_aside(struct arena *arena, struct err *err);

/*
 * Moves the calling process back into the groups that it was in at cgroup_find(): liblxc takes whoever starts a container
 * along.
 */
int cgroup_return(const struct cgroup *cgroup, struct err *err);

/* 1 or 2: the version in which the controller ("memory") limits here; 0: in none. */
int cgroup_version(const struct cgroup *cgroup, const char *controller);

/* BASE/NAME of each hierarchy, whether it exists or not; NULL-ended, in the arena. */
const char *const *cgroup_folders(const struct cgroup *cgroup, struct arena *arena, const char *name);

/* The same NAME at the top of each hierarchy: where LXD has its containers. */
const char *const *cgroup_tops(const struct cgroup *cgroup, struct arena *arena, const char *name);

/* How often a limit was hit: a number after `key` in FOLDER/FILE ("memory.events", "oom_kill"); 0 when that is not known. */
int64_t cgroup_count(const char *folder, const char *file, const char *key);

/* FOLDER of BASE/NAME in the hierarchy that limits `controller`; NULL: none. */
const char *cgroup_folder(const struct cgroup *cgroup, struct arena *arena, const char *controller, const char *name);

/*
 * The group of another process in the hierarchy that limits `controller`, by the text of its /proc/PID/cgroup; NULL: none.
 */
const char *cgroup_folder_of(const struct cgroup *cgroup, struct arena *arena, const char *controller, const char *groups);

/* The number that FOLDER/FILE begins with; -1 when there is none ("max"). */
int64_t cgroup_number(const char *folder, const char *file);

/* Makes BASE/NAME with these limits; ERR_CONFIG when this machine can't hold one. What is made of it is for cgroup_remove(). */
struct cgroup_limits {
	int64_t memory, processes; /* bytes, number */
	int64_t cpus;              /* 0: all */
};
int cgroup_make(const struct cgroup *cgroup, struct arena *arena, const char *name, const struct cgroup_limits *limits,
	struct err *err);

/* Moves the calling process into it, wherever cgroup_make() made it. */
int cgroup_enter(const struct cgroup *cgroup, struct arena *arena, const char *name, struct err *err);

/*
 * Kills what is in these groups and in those below, and removes them; those that do not exist are fine. Returns when nothing of
 * them is left, or ERR_TIMEOUT after some seconds with the group that stays. A path that is not inside /sys/fs/cgroup is
 * ERR_REFUSED.
 */
int cgroup_remove(const char *const *folders, struct err *err);

#endif
