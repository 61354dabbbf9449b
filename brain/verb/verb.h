/* What the `byoci` command hands each of its verbs, and the verbs. */
#ifndef BYOCI_VERB_VERB_H
#define BYOCI_VERB_VERB_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf.h"

struct verb_call {
	const char *verb;         /* "status": one function may serve several */
	int argc;                 /* what stands after the verb; -n, -O, --json, --help are taken out (after "--" nothing is) */
	const char *const *argv;  /* NULL-ended */
	bool json;                /* --json */
	struct conf *conf;        /* loaded and checked for -n and -O; NULL for verbs that need none */
	const char *namespace;    /* conf's; NULL like conf */
};

/* Returns the exit status: 0, or one of forge/outcome.h. What went wrong was said on standard error. */
typedef int verb_fn(const struct verb_call *call);

/*
 * Tells `byoci VERB: text` on standard error and returns the exit status that fits err's kind. Where the other side asked to be left
 * alone, {"wait":SECONDS} is printed for the program that called.
 */
int verb_fail(const struct verb_call *call, const struct err *err);

/* That status alone. */
int verb_status(const struct err *err);

/* One option of a verb's own. */
struct verb_option {
	const char *name;   /* "--project", "-m" */
	const char *other;  /* another name; may be NULL */
	const char **value; /* where its value goes: "--project X", "--project=X", "-mX"; NULL: it has none */
	bool *flag;         /* set when it is there; may be NULL */
};

/*
 * Takes the NULL-name-ended options out of call's arguments. At most `room` others go into `rest`, which gets NULL behind them
 * (so it has room + 1 places). -1 with ERR_USAGE: an option that is not there or has no value, or too many others.
 */
int verb_options(const struct verb_call *call, const struct verb_option *options, const char **rest, int room, struct err *err);

/* The folder that stands before /etc: BYOCI_ROOT (tests), or "". */
const char *verb_root(void);

verb_fn ask_verb;             /* ask.c: speaks to the brain's control socket: status, queue, why, show, log, keep … */
verb_fn config_verb;          /* config.c */
verb_fn secrets_verb;         /* secrets.c */
verb_fn author_keys_verb;     /* author_keys.c */
verb_fn propose_verb;         /* propose.c */
verb_fn approve_verb;         /* approve.c */
verb_fn git_read_verb;        /* git_read.c */
verb_fn launchpad_read_verb;  /* launchpad_read.c */
verb_fn launchpad_tell_verb;  /* launchpad_tell.c */
verb_fn launchpad_login_verb; /* launchpad_login.c */
verb_fn jenkins_verb;         /* jenkins.c */
verb_fn git_serve_verb;       /* git_serve.c */
verb_fn git_hook_pre_receive; /* git_hook.c */
verb_fn git_hook_post_receive;

#endif
