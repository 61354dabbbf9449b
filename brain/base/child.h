/*
 * The only fork and exec. A child gets exactly what its struct names: no file
 * descriptor, environment, signal mask or handler of the parent is inherited.
 */
#ifndef BYOCI_BASE_CHILD_H
#define BYOCI_BASE_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct child {
	/* NULL-ended; argv[0] is looked for in /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin unless it has a '/' */
	const char *const *argv;
	const char *const *environment; /* NULL-ended, the whole of it; NULL: only PATH, HOME=/ and LC_ALL=C.UTF-8 */
	const char *directory;          /* NULL: "/" */
	int in, out, err;               /* file descriptors for 0, 1, 2; -1: /dev/null */
	const int *keep;                /* further descriptors that stay open, at their numbers; ended by -1; may be NULL */
	bool session;                   /* a session (and process group) of its own: outlives the parent */
	bool dies_with_parent;          /* SIGKILL when the parent ends */
};

#define CHILD_INIT {.in = -1, .out = -1, .err = -1}

/*
 * Starts it. Returns 0 with *pid, and *pidfd (close-on-exec, yours to close) unless `pidfd` is NULL;
 * -1 when it could not be started: a program that is missing is told here, not by status 127.
 * Without `session` the child still has a process group of its own.
 */
int child_spawn(const struct child *child, pid_t *pid, int *pidfd, struct err *err);

/*
 * A copy of this process that calls `act` and exits with what that returns: where a program would only begin with what we have already.
 * It has our memory, but of our descriptors only standard error, and `out` as its standard output; no signal is blocked or handled. It
 * dies with its parent. Not for processes with threads.
 */
struct child_task {
	int (*act)(void *cookie);
	void *cookie;
	int out;
};
int child_copy(const struct child_task *task, pid_t *pid, struct err *err);

struct child_result {
	int status; /* exit status; 128 + n when signal n ended it */
	struct buf out;
	struct buf err;
};

/*
 * Runs it to its end: `input` goes to its standard input, what it writes is collected, at most
 * `maximum` bytes each (more ends it: ERR_FULL). After `limit_ms` its process group is killed:
 * ERR_TIMEOUT; what it left running in its group is killed at its end too. The members in, out, err of
 * `child` are ignored. A status other than 0 is not an error here. Blocks. child_result_release() afterwards, always.
 */
struct child_input { /* NULL is one of only zeros */
	const void *bytes; /* NULL: /dev/null */
	size_t length;
	size_t maximum;   /* 0: 1 MiB */
	int64_t limit_ms; /* 0: one minute */
	/* What it reads instead of bytes, and where it writes what is then not collected: for one that feeds another. Yours; NULL: neither. */
	const int *from, *to;
};
int child_run(const struct child *child, const struct child_input *input, struct child_result *result, struct err *err);

/*
 * child_run in two parts, for who has something else to do meanwhile. Its output is read only by child_end: what writes more than a
 * pipe holds waits. After child_begin has returned 0 one of the others must follow; child_abandon kills it. argv[0] and `result` must
 * stay until then.
 */
struct child_running { /* nobody else's */
	const char *name;
	pid_t pid;
	int pidfd;
	int fds[2]; /* reading ends of its standard output and error; -1: at its end */
	struct child_result *result;
	int64_t limit_ms, deadline_us;
};
int child_begin(const struct child *child, const struct child_input *input, struct child_result *result, struct child_running *run,
	struct err *err);
int child_end(struct child_running *run, struct err *err);
void child_abandon(struct child_running *run);
void child_result_release(struct child_result *result);

#endif
