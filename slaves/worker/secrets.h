/*
 * Secrets of a project inside a worker: option `secrets` of [project/NAME], SOURCE or SOURCE:PATH. Sources are root's files below
 * {secrets}/worker/; each is found at PATH (/run/secrets/SOURCE), a file of mode 0400 of root's in the worker. Their bytes are on a tmpfs
 * that is mounted nowhere but in the worker, file by file, and is gone with its mounts, when it ends. Nobody but byoci-worker reads them.
 */
#ifndef BYOCI_SLAVES_SECRETS_H
#define BYOCI_SLAVES_SECRETS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/worker/mask.h"

struct secrets {
	const struct conf *conf;
	const char *project;
	int mounts;        /* of the worker, for setns(2) */
	int64_t ids;       /* root in it */
	struct mask *mask; /* the values are added */
};

/* Puts them there; how many there are. Once, before anything runs in it. ERR_REFUSED, ERR_CONFIG, ERR_NOT_FOUND: says which and why. */
int secrets_reveal(struct arena *arena, const struct secrets *secrets, struct err *err);

#endif
