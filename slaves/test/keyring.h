/*
 * Which of some authors have an ssh key, by what their forges publish (author.h). All forges that must be asked are asked at the same time,
 * each by a process of its own, so that one that does not answer keeps nobody from being known by another; and there is an end to it.
 */
#ifndef BYOCI_SLAVES_KEYRING_H
#define BYOCI_SLAVES_KEYRING_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slaves/common/program.h"
#include "slaves/test/author.h"

#define KEYRING_MAXIMUM 64

#define KEYRING_WAIT_MS (AUTHOR_FETCH_MS + 2000) /* for somebody who has it */
#define KEYRING_MORE_MS 2000                     /* for others who have it as well */

struct keyring {
	const struct program *program;
	const struct author *authors; /* `count` of them, at most KEYRING_MAXIMUM; theirs who made it */
	size_t count;
	const char *key;
	const char *build;         /* its author is enough; NULL: no build in particular */
	bool one;                  /* one of them is enough */
	bool has[KEYRING_MAXIMUM]; /* what was found */
	/* nobody else's */
	pid_t copies[KEYRING_MAXIMUM];        /* 0: none is under way */
	struct pollfd ends[KEYRING_MAXIMUM];
	int64_t begin_us;
};

/* Fills `has`, as far as is known when it is enough, or by the end of the time. keyring_finish() afterwards, always. */
void keyring_find(struct keyring *ring);

/* What is still under way comes to its end, and is remembered for the next one who asks; what goes on for too long is killed. */
void keyring_finish(struct keyring *ring);

#endif
