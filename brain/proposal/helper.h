/*
 * Readers that stay: for a project whose repository is on this machine, one child `byoci READER --serve` that reads one proposal after
 * the other, since starting a program for each takes longer than reading. Started when it is needed first; anew when it ended, when a
 * read takes too long, and when the configuration is another one.
 */
#ifndef BYOCI_PROPOSAL_HELPER_H
#define BYOCI_PROPOSAL_HELPER_H

#include "calls/brain.h"

struct helpers;

struct helpers *helper_new(struct brain *brain);
/* NULL is allowed. No callback. */
void helper_free(struct helpers *helpers);

/*
 * `status` as of the reader's exit; `text` is what it would have printed, or, with another status than 0, why. -1: the helper ended
 * without an answer; asking again is fine.
 */
typedef void helper_fn(void *cookie, int status, const char *text);

/* One read; `argv` (NULL-ended) starts the project's helper when there is none. -1: it could not be started. */
struct helper_wish {
	const char *project, *what; /* name of a proposal or "--list": no space, no newline */
	const char *const *argv, *const *environment;
	helper_fn *call;
	void *cookie;
};
int helper_ask(struct helpers *helpers, const struct helper_wish *wish, struct err *err);

/* The configuration is another one: the next read starts another helper. */
void helper_renew(struct helpers *helpers);

/* No callback for this one. */
void helper_forget(struct helpers *helpers, const void *cookie);

#endif
