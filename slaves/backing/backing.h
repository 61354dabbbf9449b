/*
 * Backings: root file systems that workers are made from, each as its section says (forge/recipe.h) and named by the digest of that.
 * There may be several generations of one, made from the same inputs at different times; where they are: shelf.h. Files in it belong
 * to 0, 1, … on disk whatever the ids of the workers.
 */
#ifndef BYOCI_SLAVES_BACKING_H
#define BYOCI_SLAVES_BACKING_H

#include <stdbool.h>

#include "base/err.h"
#include "conf/conf.h"
#include "forge/job.h"

/*
 * Descriptor of the root file system of the generation in use; its digest is put into `digest`, also when it is not built yet
 * (ERR_NOT_FOUND and how to). As long as the descriptor, or a copy of it, is open, that generation is not removed: keep it as long as
 * a worker made from it lives.
 */
int backing_open(const struct conf *conf, const char *name, char digest[static JOB_DIGEST_SIZE], struct err *err);

struct backing_want {
	const struct conf *conf;
	const char *name;
	bool refresh; /* make another generation though there is one; it is used when its smoke.command succeeds in a worker made from it */
	int progress; /* lines for people go here */
	int caller;   /* a connection whose closing gives it up (ERR_NETWORK); -1: none */
};

/*
 * Builds it unless it is there, what it is built on before it; waits for somebody who builds it already, and takes that one's. Given
 * up (ERR_TIMEOUT) after an hour. When it fails, or is killed at whatever moment, the generation in use stays in use. Needs real root
 * and the network of the host; the proxies of the environment are used.
 */
int backing_build(const struct backing_want *want, char digest[static JOB_DIGEST_SIZE], struct err *err);

#endif
