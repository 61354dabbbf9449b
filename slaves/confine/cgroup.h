/*
 * Control groups of workers, v1 controllers beside an empty v2 tree (hybrid) as well as pure v2 (cgroups(7)).
 * Each worker has one group, BASE/NAME, in every hierarchy. Where v1 limits, BASE is the group that byoci-worker itself runs in. In v2 a
 * group that hands limits down may hold no process, and byoci-worker could not be started again in one while workers live; so BASE is
 * TOP/byoci.slice/byoci-workers@NAMESPACE.service there: with systemd that of a unit which only sleeps, in init.scope, else made by
 * cgroup_settle().
 */
#ifndef BYOCI_SLAVES_CGROUP_H
#define BYOCI_SLAVES_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

struct cgroup; /* what this machine has; read once */

/*
 * In the arena. ERR_CONFIG when memory or pids can be limited in no hierarchy. Without a namespace there is no BASE but the group that
 * this process is in: for who looks at others' groups.
 */
struct cgroup *cgroup_find(struct arena *arena, const char *namespace, struct err *err);

/*
 * Where v2 limits, makes BASE ready. Where there is none and none can be made (systemd runs, but not the unit that has it), the group
 * that this process is in becomes BASE, and the process goes into BASE/init.scope. Elsewhere nothing. Once, before the first worker.
 */
int cgroup_settle(struct arena *arena, const char *namespace, struct err *err);

/*
 * Moves the calling process to where liblxc takes BASE from: into BASE/init.scope (a name that it leaves out) where this process isn't
 * below BASE already. Until cgroup_return().
 */
int cgroup_approach(const struct cgroup *cgroup, struct err *err);

/*
 * Moves the calling process back into the groups that it was in at cgroup_find(): liblxc takes whoever starts a container
 * along.
 */
int cgroup_return(const struct cgroup *cgroup, struct err *err);

/*
 * The kernel lets the first move of a process after a quiet time wait for 5 to 15 ms (until every processor has seen that forks and
 * moves must wait for each other), and moves soon after it for nothing. So a child moves itself to where it is already, while there is
 * something else to do, and goes on with that until cgroup_unhurry(). Only for speed: what fails is ignored.
 */
pid_t cgroup_hurry(const struct cgroup *cgroup);
void cgroup_unhurry(pid_t child);

/* 1 or 2: the version in which the controller ("memory") limits here; 0: in none. */
int cgroup_version(const struct cgroup *cgroup, const char *controller);

/* The controller that limits the use of disks here: "io", of version 2, or "blkio". */
const char *cgroup_io(const struct cgroup *cgroup);

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

/* Writes a value into FOLDER/FILE of a group that there is. */
int cgroup_put(const char *folder, const char *file, const char *text, struct err *err);

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
