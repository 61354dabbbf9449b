/*
 * What a stopped worker has written, once more for a copy of it: the upper layers of its overlays, with their whiteouts, for other ids.
 * What is copied is a test's and may be anything; nobody changes it meanwhile. No link is followed, holes stay holes, values of secrets
 * become `*`. Devices, what belongs to none of the worker's ids, and what lies deeper than REPLICA_DEPTH folders are left out.
 */
#ifndef BYOCI_SLAVES_REPLICA_H
#define BYOCI_SLAVES_REPLICA_H

#include <stdint.h>

#include "base/err.h"
#include "slaves/worker/mask.h"

#define REPLICA_DEPTH 200

struct replica {
	int from, to;             /* the folders of both disks (rootfs_written()) */
	int64_t from_ids, to_ids; /* root in there */
	const struct mask *mask;  /* NULL: there were no secrets */
	unsigned left_out;        /* set: how much was */
};

/* ERR_FULL: the other disk has no room for it. */
int replica_make(struct replica *replica, struct err *err);

#endif
