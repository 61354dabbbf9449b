/*
 * What there is of backings, as one JSON text:
 *   {"backings":[BACKING…],"unused":[{"name","digest","bytes","users"}…],"failed":N}
 *   BACKING: {"name","source","digest","built","generation","on","made","bytes","users","previous":{"generation","made","bytes","users"},
 *     "refresh","tried","failures","error"}: null where there is none; times are milliseconds since 1970, "refresh" is milliseconds.
 * "unused" are generations that `prune` would remove; "failed" is how many backings did not come out right the last time, or are not
 * configured rightly.
 */
#ifndef BYOCI_SLAVES_BACKING_LIST_H
#define BYOCI_SLAVES_BACKING_LIST_H

#include "base/err.h"
#include "conf/conf.h"

/* Writes it, and a newline, to a descriptor. */
int backing_list_write(const struct conf *conf, int to, struct err *err);

#endif
