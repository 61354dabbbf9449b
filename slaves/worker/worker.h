/*
 * One worker: a slot, a container of some kind (cage.h), a tree in it, at most one command. It can be started before its tree is
 * there, and then waits. The process that it belongs to is the first of its own process namespace and has one worker in its life
 * (handler.h), so that when it ends nothing of the worker lives on.
 */
#ifndef BYOCI_SLAVES_WORKER_H
#define BYOCI_SLAVES_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/confine/rootfs.h"
#include "slaves/worker/worker_wire.h"

#define WORKER_GRACE_MS (10 * 60 * 1000) /* after tests.limit a worker is removed, whatever its owner says */
#define WORKER_WAIT_MS (24 * 3600 * 1000) /* so is one that has waited that long for a tree */

struct worker;

struct worker_want {
	const struct conf *conf; /* outlives it */
	const char *job;
	const char *job_digest; /* the job must be configured like that here */
	pid_t pid;              /* of this process as byoci-worker sees it, and when it started: slot.h */
	int64_t process_start;
	struct blank *blank;    /* what it is made of, its slot too, if that suits the job (cage/blank.h); NULL: nothing */
};

struct worker_tree {
	const char *build;
	const char *job_digest; /* as above */
	int layer;              /* stays the caller's */
	uid_t owner;            /* of the layer; another owner is refused */
	int mounts;             /* mount namespace of who opened it; -1: ours */
};

/*
 * The digest of the backing is put into `backing`. The tree is only looked at, so that what can't be used costs no container;
 * NULL: it is not known yet. On failure nothing is left of it.
 */
struct worker *worker_start(struct arena *arena, const struct worker_want *want, const struct worker_tree *tree,
	char backing[static WORKER_DIGEST_SIZE], struct err *err);

/* What a copy of a kept one is made of. Descriptors stay their owner's. */
struct worker_origin {
	const char *build, *job;
	const char *digest;             /* of its backing */
	int root, layer, mounts;        /* its backing; its tree, and the mount namespace that this is found in */
	uid_t owner;                    /* of the tree */
	const struct rootfs_fill *fill; /* what it has written */
	int64_t ms;                     /* it lives no longer; 0: as long as kept ones may */
};

/* Of a kept one, in its own process; `fill` and `ms` are left alone. */
int worker_origin(const struct worker *worker, struct worker_origin *origin, struct err *err);

/* Has what a kept one has written copied to `to`, the disk of a worker whose root is `ids` outside; values of secrets become `*`. */
int worker_replicate(const struct worker *worker, int to, int64_t ids, struct err *err);

/* A copy, running, with its tree, for one worker_enter(). worker_want's digest of the job is not looked at. */
struct worker *worker_copy(struct arena *arena, const struct worker_want *want, const struct worker_origin *origin, struct err *err);

unsigned worker_slot(const struct worker *worker);
int64_t worker_expiry_us(const struct worker *worker); /* CLOCK_MONOTONIC */

/* Puts a tree into it. Once; its time begins anew. After a failure it can only be removed. */
int worker_attach(struct worker *worker, const struct worker_tree *tree, struct err *err);

/* Whether one that waits is well. */
int worker_check(struct worker *worker, struct err *err);

/* Puts the project's secrets into it, before the command; how many. What it writes and leaves has none of their values from then on. */
int worker_secrets(struct worker *worker, const char *project, struct err *err);

/* Begins setup.command and tests.command. */
int worker_exec(struct worker *worker, int out, int errors, struct err *err);

/* Readable when something may have happened to the command; -1 while there is none. */
int worker_fd(const struct worker *worker);

/*
 * 1, once, when the command has ended: then its status and what is known of its end, and nothing runs in the container any
 * more. 0: not yet. -1, once: what became of it is not known.
 */
int worker_ended(struct worker *worker, int *status, char text[static WORKER_TEXT_SIZE], struct err *err);

/* Kills everything in it. worker_ended() will then tell WORKER_KILLED. */
int worker_stop(struct worker *worker, struct err *err);

/* Writes what the job keeps into two pipes (collect.h), after worker_ended() or worker_stop(). */
int worker_collect(struct worker *worker, int files, int notes, struct err *err);

/*
 * Kills everything in it, and keeps it with its disk, beside those that work, for `ms` (0: as long as may be) or until
 * keep.limit; worker_expiry_us() tells. ERR_FULL: too many are kept; ERR_REFUSED: this kind can't be.
 */
int worker_keep(struct worker *worker, int64_t ms, struct err *err);

/* Where the holder of a kept one is to listen. */
const char *worker_socket(const struct worker *worker);

/* A shell in a kept one, which is started again for it, or in a copy; worker_ended() and worker_stop() end that. */
struct worker_entry {
	bool terminal;       /* on one of its own, whose master is put into `master`, the caller's */
	int in, out, errors; /* without */
	int master;
};
int worker_enter(struct worker *worker, struct worker_entry *entry, struct err *err);

/* After that: it is stopped again. */
int worker_settle(struct worker *worker, struct err *err);

/*
 * All of it goes, and it is verified that it is gone. `worker` can't be used any more, also on failure: then the process should
 * end.
 */
int worker_remove(struct worker *worker, struct err *err);

#endif
