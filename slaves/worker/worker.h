/*
 * One worker: a slot, a root file system, a container, at most one command in it. The process that it belongs to is the first
 * of its own process namespace and has one worker in its life (handler.h), so that when it ends nothing of the worker lives on.
 */
#ifndef BYOCI_SLAVES_WORKER_H
#define BYOCI_SLAVES_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/worker/worker_wire.h"

#define WORKER_GRACE_MS (10 * 60 * 1000) /* after tests.limit a worker is removed, whatever its owner says */

struct worker;

struct worker_want {
	const struct conf *conf;
	const char *build;
	const char *job;
	const char *job_digest;
	int layer;              /* taken over */
	uid_t owner;            /* of the layer; another owner is refused */
	pid_t sender;           /* process that opened it */
	pid_t pid;              /* of this process as byoci-worker sees it, and when it started: slot.h */
	int64_t process_start;
};

/* The digest of the backing is put into `backing`. On failure nothing is left of it. */
struct worker *worker_start(struct arena *arena, const struct worker_want *want, char backing[static WORKER_DIGEST_SIZE],
	struct err *err);

unsigned worker_slot(const struct worker *worker);
int64_t worker_expiry_us(const struct worker *worker); /* CLOCK_MONOTONIC */

/* Begins setup.command and tests.command. */
int worker_exec(struct worker *worker, int out, int errors, struct err *err);

/* Readable when the command has ended; -1 while there is none. */
int worker_pidfd(const struct worker *worker);

/*
 * Reaps processes. True, once, when the command has ended: then its status and what is known of its end, and nothing runs in
 * the container any more.
 */
bool worker_ended(struct worker *worker, int *status, char text[static WORKER_TEXT_SIZE]);

/* Kills everything in it. worker_ended() will then tell WORKER_KILLED. */
int worker_stop(struct worker *worker, struct err *err);

/*
 * All of it goes, and it is verified that it is gone. `worker` can't be used any more, also on failure: then the process should
 * end.
 */
int worker_remove(struct worker *worker, struct err *err);

#endif
