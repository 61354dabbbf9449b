/*
 * Workers that wait for a build, each with the process that will lead it (slaves/test/standby.h). How many: ready.minimum and
 * ready.maximum of each [backing/NAME]. Each is used once, expires after ready.expiry, and is replaced when the configuration changes.
 * A slot that one has is given up when a build of another job needs it.
 */
#ifndef BYOCI_SLAVES_POOL_H
#define BYOCI_SLAVES_POOL_H

#include <jansson.h>

#include "forge/spec.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

struct pool;

struct pool *pool_new(struct loop *loop, const struct program *program);
/* All that wait end. NULL is allowed. */
void pool_free(struct pool *pool);

/* The configuration is another one: what waits is as the old one says, and goes. */
void pool_renew(struct pool *pool);

/*
 * A build of this job may be asked for in a moment: one is started, if none waits or starts and a slot is free. If no build wants it
 * soon it goes, and each time that happens in a row it takes longer until one is started so again.
 */
void pool_expect(struct pool *pool, const char *job);

/*
 * A build begins. 1: one that waited or starts leads it, *pidfd is its process, yours to close and to reap; 0: none did, and a slot is
 * free for the worker that its leader starts. `claim`: its locked leader.pid.
 */
int pool_begin(struct pool *pool, const struct spec *spec, int claim, int *pidfd);

/* A build that an earlier daemon began goes on. */
void pool_found(struct pool *pool);

/* The build has ended: its slot is free. */
void pool_ended(struct pool *pool);

/* [{"job","since","state":"starting|ready"}], a new reference. */
json_t *pool_json(const struct pool *pool);

#endif
