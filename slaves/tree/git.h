/* One git command in one bare repository, hardened (conf/gitenv.h), with what it said kept for people. */
#ifndef BYOCI_SLAVES_GIT_H
#define BYOCI_SLAVES_GIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/child.h"
#include "base/err.h"
#include "conf/conf.h"

#define GIT_ID_SIZE 65 /* 40 or 64 hex digits and a NUL */
#define GIT_LIMIT_MS (10 * 60 * 1000) /* after that a command is killed: ERR_TIMEOUT; unless the call has another limit */

struct git;

/* `repository` need not exist yet. `ssh_key` may be NULL. */
struct git *git_new(const struct conf *conf, const char *repository, const char *ssh_key, struct err *err);
void git_free(struct git *git);

/* Of somebody else's repository on this machine, to be read: no object that is missing there is fetched in ways that are said there. */
struct git *git_elsewhere(const struct conf *conf, const char *repository, struct err *err);

struct git_call {
	const char *const *arguments;   /* subcommand and arguments, NULL-ended */
	const char *const *options;     /* put before the subcommand ("-c", "a=b"), NULL-ended; may be NULL */
	const char *const *environment; /* "NAME=VALUE" beside the hardened ones, NULL-ended; may be NULL */
	const void *input;              /* standard input; may be NULL */
	size_t input_length;
	int64_t limit_ms;               /* 0: GIT_LIMIT_MS */
	size_t maximum;                 /* bytes that it may write; 0: as much as any */
	const int *from, *to;           /* as in struct child_input */
};

#define GIT_ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* 0 whatever the exit status; -1 when it could not be run to its end. child_result_release() always. */
int git_run(const struct git *git, const struct git_call *call, struct child_result *result, struct err *err);

/*
 * git_run in two parts: another command may run meanwhile. Only for commands that write little (child_begin). When git_begin returns -1,
 * job->result is to be released. After git_end it is too; git_abandon does so itself. A job stays where it is;
 * of `call` only arguments[0] is needed any more.
 */
struct git_job {
	struct child_running running;
	struct child_result result;
	const char *subcommand;
};
int git_begin(const struct git *git, const struct git_call *call, struct git_job *job, struct err *err);
int git_end(struct git_job *job, struct err *err);
void git_abandon(struct git_job *job);

/* As git_text, of a job, which is released. */
char *git_end_text(struct git_job *job, struct arena *arena, size_t *length, struct err *err);

/* Must exit 0: what it wrote, without the last newline, in the arena; `length` may be NULL. Else NULL and git_failed(). */
char *git_text(const struct git *git, struct arena *arena, const struct git_call *call, size_t *length, struct err *err);

/*
 * Sets *err from a status other than 0: ERR_NETWORK when the other side is out of reach, else ERR_SYSTEM; git's own words
 * in it. Returns -1.
 */
int git_failed(const struct child_result *result, const char *subcommand, struct err *err);

#endif
