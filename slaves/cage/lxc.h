/*
 * One unprivileged container through liblxc, configured in memory; the only file that includes its headers.
 * The container is a child of the calling process's process namespace and ends with it. All calls block, for milliseconds.
 */
#ifndef BYOCI_SLAVES_LXC_H
#define BYOCI_SLAVES_LXC_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/confine/cgroup.h"
#include "slaves/confine/lxc_settings.h"

#define LXC_SYSTEMD "/usr/lib/systemd/systemd" /* inside; of the backing */

struct lxc;

struct lxc_want {
	const char *name;      /* of the container and of its control groups */
	const char *rootfs;    /* folder; an overlay is fine */
	const char *scratch;   /* empty folder for files of liblxc's and ours, not seen from inside */
	int64_t ids;           /* root inside is this id outside, of ROOTFS_IDS */
	unsigned features;     /* of enum seccomp_feature: SECCOMP_SYSTEMD is its init then */
	const struct lxc_settings *settings; /* limits, network, … */
	int64_t shared;        /* bytes of its /dev/shm */
	const struct cgroup *cgroup;
};

/*
 * Starts it with an init that only waits and reaps (catatonit), or with systemd: then it returns when systemd answers. Every limit
 * holds, or it does not start.
 */
struct lxc *lxc_start(struct arena *arena, const struct lxc_want *want, struct err *err);

/*
 * Runs a program in `folder` as root of the container, without any other descriptor or variable of ours. *pid is lxc_entered().
 * Once.
 */
struct lxc_program {
	const char *const *argv; /* NULL-ended; argv[0] is a path inside */
	const char *folder;
	int in, out, errors;     /* its descriptors 0, 1 and 2; `in` -1: /dev/null; a terminal becomes its controlling one */
	const char *const *environment; /* beside the usual variables; NULL-ended */
};
int lxc_run(struct lxc *lxc, const struct lxc_program *program, pid_t *pid, struct err *err);

/* The process that will be the program: a child of the caller, who must reap it, also when there never is a program. */
pid_t lxc_entered(const struct lxc *lxc);

/*
 * A new terminal in the container's own devpts: returns its master; *inside, its other end, belongs to `owner` then. Nothing of
 * a terminal of ours goes in.
 */
int lxc_terminal(const struct lxc *lxc, uid_t owner, int *inside, struct err *err);

/* Puts a detached mount on a folder inside; the folder is not followed when it is a link. */
int lxc_place(const struct lxc *lxc, int mount, const char *folder, struct err *err);

/* A pidfd of its first process; borrowed. */
int lxc_init(const struct lxc *lxc);

/* Whether its first process still runs. */
int lxc_check(const struct lxc *lxc, struct err *err);

/*
 * Kills everything in it, without waiting. Again is fine. lxc_entered() must be reaped by the caller before it can end.
 */
int lxc_kill(struct lxc *lxc, struct err *err);

/* Waits until it has ended. */
int lxc_await(struct lxc *lxc, struct err *err);

/* NULL is allowed. The container should have been killed. */
void lxc_free(struct lxc *lxc);

#endif
