/* git in one repository: every command is bounded in time and output, and hardened (conf/gitenv.h) unless it is the caller's own.
 */
#ifndef BYOCI_GIT_REPO_H
#define BYOCI_GIT_REPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/child.h"
#include "base/err.h"
#include "base/strv.h"
#include "conf/conf.h"

struct repo;

/* A bare repository on this host, hardened: nothing is fetched or pushed there. The folder must be there. */
struct repo *repo_open(const struct conf *conf, const char *folder, struct err *err);

/* A bare one of its own in a temporary folder; repo_close() removes it. */
struct repo *repo_temporary(const struct conf *conf, struct err *err);

/*
 * A bare one of ours that is kept: made when it is not there. For one process at a time: waits for who has it open, and lets go with
 * repo_close().
 */
struct repo *repo_kept(const struct conf *conf, const char *folder, struct err *err);

/* The caller's own clone, with the caller's own environment and configuration. `folder` NULL: where the process is. */
struct repo *repo_own(const char *folder, struct err *err);

/* NULL is allowed. */
void repo_close(struct repo *repo);

/* Adds NAME=VALUE; the last of a name wins. */
void repo_environment(struct repo *repo, const char *name, const char *value);

/* From now on ssh uses this key alone (NULL: none) and the known_hosts of the namespace. */
int repo_ssh(struct repo *repo, const struct conf *conf, const char *key, struct err *err);

struct repo_call {
	const char *const *arguments; /* subcommand and its arguments, NULL-ended */
	const void *input;            /* NULL: none */
	size_t input_length;
	size_t maximum;               /* bytes of output; 0: 1 MiB */
	int64_t limit_ms;             /* 0: a minute */
	bool heard;                   /* what the server says to the caller of a push that worked goes to standard error */
};
#define REPO_ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What it wrote, without the newline at its end, in the arena. NULL when it failed; ERR_NETWORK: the other side is out of reach.
 */
char *repo_text(const struct repo *repo, struct arena *arena, const struct repo_call *call, size_t *length, struct err *err);

/* Its exit status; -1 when it could not be run. What it wrote is dropped. */
int repo_status(const struct repo *repo, const struct repo_call *call, struct err *err);

/*
 * repo_status in two parts: another command may run meanwhile. After repo_begin has returned 0 one of the others must follow; a job stays
 * where it is until then, and of `call` the arguments[0].
 */
struct repo_job {
	struct child_running running;
	struct child_result result;
	const char *subcommand;
};
int repo_begin(const struct repo *repo, const struct repo_call *call, struct repo_job *job, struct err *err);
int repo_end(struct repo_job *job, struct err *err);
void repo_abandon(struct repo_job *job);

#endif
