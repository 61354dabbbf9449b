/*
 * How git is run: nothing of the caller's, the machine's or the repository's configuration that could run code or go elsewhere.
 * ctl and slaves build every git command line and environment here.
 */
#ifndef BYOCI_CONF_GITENV_H
#define BYOCI_CONF_GITENV_H

#include "base/err.h"
#include "base/strv.h"
#include "conf/conf.h"

struct gitenv {
	const char *ssh_key;     /* GIT_SSH_COMMAND uses this key only; NULL: none (ssh uses none and never asks) */
	const char *known_hosts; /* file; NULL: known_hosts beside option git.config (/etc/byoci/NAMESPACE); a host that is not in it
	                            is refused */
	const char *home;        /* HOME; NULL: "/" (no file is read from it) */
};

/*
 * The whole environment for git: PATH, HOME, LC_ALL=C.UTF-8, TZ=UTC, GIT_CONFIG_NOSYSTEM, GIT_CONFIG_GLOBAL (option git.config
 * when that file exists, else /dev/null), GIT_TERMINAL_PROMPT=0, GIT_ALLOW_PROTOCOL=file:ssh:https, GIT_SSH_COMMAND,
 * GIT_ATTR_NOSYSTEM=1, GIT_NO_REPLACE_OBJECTS=1 … Author and committer are the caller's to add (strv_pushf). `env` is empty or
 * holds what shall come first. `how` may be NULL.
 */
int gitenv_make(const struct conf *conf, const struct gitenv *how, struct strv *env, struct err *err);

/*
 * Begins a command line: git, the -c options that shut hooks, helpers, fsmonitor, submodules, gc and credentials out, and, unless
 * `repository` is NULL, --git-dir=REPOSITORY. The subcommand and its arguments are the caller's to push.
 */
void gitenv_command(struct strv *argv, const char *repository);

#endif
