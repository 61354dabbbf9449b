/* Making backings anew when it is time: option refresh of each section. */
#ifndef BYOCI_SLAVES_REFRESH_H
#define BYOCI_SLAVES_REFRESH_H

#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"

/*
 * Milliseconds until a backing that is built is to be made anew; 0: now; at most `most`. One whose base was made anew is too, and one
 * that would come out the same is not. After a failure it is tried again after an hour, or sooner where the interval is shorter.
 */
int64_t refresh_wait_ms(const struct conf *conf, int64_t most);

/*
 * Makes all those whose time it is, one after another, at the lowest priority. Each one's lines are in its log: shelf.h. One that
 * fails is told of, and does not keep the others. -1: not now: one failed in such a way that it would be tried again at once.
 */
int refresh_all(const struct conf *conf);

/* ERR_SYSTEM with the reason and what to do: the last building of it failed, and an older one is in use. */
int refresh_check(const struct conf *conf, const char *name, struct err *err);

#endif
