/*
 * The caller's side of the worker socket: one connection, one worker. Blocking, but for EXEC, whose end is waited for in
 * the caller's own poll(2). Closing the connection, or dying, removes the worker.
 * Errors: ERR_NETWORK nobody listens, or the worker process is gone (its container is then gone too or will be removed);
 * ERR_BUSY no slot; ERR_REFUSED; ERR_NOT_FOUND no such section or backing; ERR_INPUT; ERR_SYSTEM trouble on the worker's side.
 */
#ifndef BYOCI_SLAVES_WORKER_CLIENT_H
#define BYOCI_SLAVES_WORKER_CLIENT_H

#include <stdbool.h>

#include "base/err.h"
#include "slaves/worker/worker_wire.h"

struct worker_client;

/* `path`: option worker.socket. Layers must be found in the mounts of the process that connects. */
struct worker_client *worker_client_connect(const char *path, struct err *err);

/* One that another process of ours has begun, and handed over. */
struct worker_client *worker_client_take(int connection);

/* Closes the connection: what is left of the worker is removed by the other side. NULL is allowed. */
void worker_client_close(struct worker_client *client);

/* Readable when a reply is there (EXEC's, after worker_client_exec) or the worker process is gone. Borrowed. */
int worker_client_fd(const struct worker_client *client);

/*
 * Makes the backing unless it is there (milliseconds, or minutes), or with `refresh` makes another generation of it: lines for people go
 * to `progress`. Its digest is put into `digest`.
 */
int worker_client_build_backing(struct worker_client *client, const char *backing, bool refresh, int progress,
	char digest[static WORKER_DIGEST_SIZE], struct err *err);

/* LIST_BACKINGS or PRUNE_BACKINGS; what they say goes to `to`. */
int worker_client_backings(struct worker_client *client, enum worker_operation operation, int to, struct err *err);

/* LIST_BACKINGS in two, like worker_client_reap(): what it says is written when worker_client_listed() has returned. */
int worker_client_list(struct worker_client *client, int to, struct err *err);
int worker_client_listed(struct worker_client *client, struct err *err);

struct worker_client_start {
	const char *build;
	const char *job;
	const char *job_digest; /* job_digest() by the caller's configuration; another one here is ERR_REFUSED */
	int layer;              /* descriptor of the layer folder (worker_wire.h); stays the caller's */
};
/* Returns when commands can be run in it. The digest of the backing that it runs on is put into `backing`. */
int worker_client_start(struct worker_client *client, const struct worker_client_start *start,
	char backing[static WORKER_DIGEST_SIZE], struct err *err);

/*
 * The same in two: a worker without a tree, which waits, and its tree. The job's digest must be the same in both. `build` and
 * `layer` are for the second only.
 */
int worker_client_ready(struct worker_client *client, const struct worker_client_start *start,
	char backing[static WORKER_DIGEST_SIZE], struct err *err);
int worker_client_attach(struct worker_client *client, const struct worker_client_start *start, struct err *err);

/* The first of them in two again: worker_client_fd() is readable when there is something to be awaited. */
int worker_client_ask_ready(struct worker_client *client, const struct worker_client_start *start, struct err *err);
int worker_client_await_ready(struct worker_client *client, char backing[static WORKER_DIGEST_SIZE], struct err *err);

/* Whether a worker that waits is well. On failure it should be removed. */
int worker_client_check(struct worker_client *client, struct err *err);

/*
 * Begins setup.command and tests.command of the job; `out` and `errors` stay the caller's (close them to see the end of the
 * output).
 */
int worker_client_exec(struct worker_client *client, int out, int errors, struct err *err);

/*
 * Waits for the end of the command: blocks unless worker_client_fd() is readable. *status: exit status, or 128 + n for
 * signal n; `text` (may be NULL) says what else is known ("the memory limit was reached"), often "".
 */
int worker_client_wait(struct worker_client *client, int *status, char text[WORKER_TEXT_SIZE], struct err *err);

/*
 * Has the project's secrets put into the worker, before the command: only for a build that ran after an approval. Returns how many
 * there are.
 */
int worker_client_secrets(struct worker_client *client, const char *project, struct err *err);

/*
 * Has what the job keeps written into two pipes, after the command's end: `files` as slaves/common/newc.h has it, `notes` as lines; both
 * stay the caller's. The reply, which worker_client_collected() waits for, comes when their writing ends are closed.
 */
int worker_client_collect(struct worker_client *client, int files, int notes, struct err *err);
int worker_client_collected(struct worker_client *client, struct err *err);

/* Kills everything in the container; a command that was running ends with status WORKER_KILLED: wait for it afterwards. */
int worker_client_stop(struct worker_client *client, struct err *err);

/*
 * Has removed what workers whose holders are gone have left. The answer comes within a minute: worker_client_fd() is readable.
 * *removed: of how many workers. ERR_SYSTEM: what could not be removed. Only worker_client_close() may follow.
 */
int worker_client_reap(struct worker_client *client, struct err *err);
int worker_client_reaped(struct worker_client *client, int *removed, struct err *err);

/*
 * The command has ended: the worker is kept with its disk, for `seconds` or as long as may be (0). `text` says for how long. Only
 * worker_client_close() may follow. ERR_FULL, ERR_REFUSED: it can't be, and is to be removed.
 */
int worker_client_keep(struct worker_client *client, uint32_t seconds, char text[static WORKER_TEXT_SIZE], struct err *err);

/* On a connection of its own, and in two like worker_client_reap(): the kept worker of that build goes. ERR_NOT_FOUND. */
int worker_client_discard(struct worker_client *client, const char *build, struct err *err);
int worker_client_discarded(struct worker_client *client, struct err *err);

/*
 * On a connection of its own: a shell in the kept worker of that build. `pipes`: reading, writing, writing end of three; NULL: on a
 * terminal, whose master is returned. Then worker_client_fd() and worker_client_wait() tell of its end.
 */
int worker_client_shell(struct worker_client *client, const char *build, const int pipes[3], struct err *err);

/*
 * On a connection of its own: a copy of that kept worker, for so many seconds (0: as long as may be), which goes with the connection.
 * Blocks until it runs. Then worker_client_shell() once, for the same build.
 */
int worker_client_copy(struct worker_client *client, const char *build, uint32_t seconds, struct err *err);

/* Returns when nothing of the worker is left, container, cgroups, mounts and slot. Only worker_client_close() may follow. */
int worker_client_remove(struct worker_client *client, struct err *err);

#endif
