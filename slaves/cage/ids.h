/*
 * Whether the ids of workers belong to nobody else: no user of this machine, nobody who was given some in /etc/subuid or
 * /etc/subgid (but the line "root:FIRST:…" that setup/byoci writes), no other namespace's workers.
 */
#ifndef BYOCI_SLAVES_IDS_H
#define BYOCI_SLAVES_IDS_H

#include <stdint.h>

#include "base/err.h"
#include "conf/conf.h"

struct ids {
	int64_t first, count;
};

/*
 * ERR_CONFIG with whose they are. `root` is the prefix of /etc, "" but in tests; a namespace that has no workers on this
 * machine, or whose configuration can't be read, does not count, nor does a file that is not there.
 */
int ids_check(const struct ids *ids, const char *namespace, const char *root, struct err *err);

/* Those of a namespace's workers, with one more for what is only tried. */
int ids_read(struct ids *ids, const struct conf *conf, struct err *err);

#endif
