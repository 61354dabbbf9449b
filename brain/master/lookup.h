/*
 * Where builds are on a master: in its queue, started, or nowhere. A few whose queue ids are known are asked for by these, where the
 * master has an address for that (Jenkins). However many others ask, there is one request for the queue at a time; what is not in it is
 * looked for by its id, if there are many, and else among the builds of its job: on Jenkins in one list of the newest, on Hudson, which
 * can't cut lists, one by one those that are new since the last look.
 *
 * The queue is read before the builds, as builds go from the one to the others; still a build may be in neither for a second.
 */
#ifndef BYOCI_MASTER_LOOKUP_H
#define BYOCI_MASTER_LOOKUP_H

#include "master/sighting.h"
#include "master/master.h"

struct lookup;
struct lookup_ask;

struct lookup *lookup_new(struct master *master, struct loop *loop);
/* No callbacks any more. NULL is allowed; not from a callback. */
void lookup_free(struct lookup *lookup);

/* `found` is NULL when the master did not say, and then `err` says why (ERR_NOT_FOUND: the job is not there); both are borrowed. */
typedef void lookup_fn(void *cookie, const struct sighting_found *found, const struct err *err);

/* Only what is asked for after this call counts. `path` is site_job_path() of the job; `id` of the queue's item, 0: not known. */
struct lookup_ask *lookup_ask(struct lookup *lookup, const char *path, const char *nonce, int64_t id, lookup_fn *call, void *cookie);
/* No callback any more. NULL is allowed; not after the callback. */
void lookup_cancel(struct lookup_ask *ask);

#endif
