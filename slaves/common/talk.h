/* Talking to the daemons' sockets from a command line: one request and its answer, and a build's log to its end. Blocks. */
#ifndef BYOCI_SLAVES_TALK_H
#define BYOCI_SLAVES_TALK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "forge/outcome.h"

#define TALK_REPLY_MS (60 * 1000)
#define TALK_LAND_MS (30 * 60 * 1000) /* the land daemon's own limits end it before */

/* The answer, a new reference. NULL: none, or one that says {"error"}: err has its kind and words. */
json_t *talk_ask(const char *path, const json_t *request, int64_t limit_ms, struct err *err);

/* The same, of a daemon that may say that it is busy: asked again for some minutes. A line on standard output says that we wait. */
json_t *talk_ask_patiently(const char *path, const json_t *request, int64_t limit_ms, struct err *err);

/* The same for what is ours as long as the connection is open: its descriptor, when the answer is no error. -1. */
int talk_hold(const char *path, const json_t *request, struct err *err);

/* Whether it still is: the daemon has not ended. */
bool talk_is_held(int fd);

struct talk_following {
	const char *socket, *build;
	bool detach;          /* going away does not cancel */
	struct arena *arena;  /* for the line */
	int64_t return_ms;    /* a daemon that is away for longer is given up; 0: one minute */
	int64_t offset;       /* where to begin, and how far it got */
	enum outcome outcome; /* set at the end */
	const char *line;     /* the signed result */
};

/* Copies the log to standard output until the result comes; a daemon that is restarted meanwhile is found again. 1, or -1 and err. */
int talk_follow(struct talk_following *following, struct err *err);

#endif
