/*
 * A command in an instance: LXD's exec operation, its streams WebSockets, through libwebsockets; the only file that includes its
 * header. What comes on them is copied to descriptors, and standard input from one. Never on a terminal of LXD's: LXD 5.0 throws away what
 * it reads from one after the command has ended (ExecReaderToChannel of its shared/util_linux.go), which may be its last words.
 */
#ifndef BYOCI_SLAVES_LXD_EXEC_H
#define BYOCI_SLAVES_LXD_EXEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "slaves/lxd/lxd.h"

struct lxd_exec {
	const struct lxd *lxd;
	const char *instance;
	const char *const *argv; /* NULL-ended; argv[0] is a path inside */
	const char *folder;
	const char *const *environment; /* "NAME=VALUE" beside the few that there always are; NULL-ended */
	int in;                  /* -1: it is empty */
	int out, errors;         /* -1: nowhere */
	int64_t limit_ms;        /* LXD is waited for no longer */
};

/* How it ended; shared with the process that sees to it. */
struct lxd_exec_end {
	int status;     /* exit status, 128 + n for signal n */
	struct err err; /* ERR_NONE: `status` is true. Else it is not known, and this says why: trouble of LXD's. */
};

/*
 * Begins it. *pid is a child that copies the streams and ends when the command has ended and its output is written; *end is
 * true then, and stays the caller's to unmap. When the child is killed, so is what it started; the command goes on.
 */
int lxd_exec_start(const struct lxd_exec *exec, pid_t *pid, const struct lxd_exec_end **end, struct err *err);
void lxd_exec_free(const struct lxd_exec_end *end);

#endif
