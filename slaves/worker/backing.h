/*
 * Backings: root file systems that workers are made from, each in WORKER/backings/DIGEST/rootfs, named by the digest of the
 * section [backing/NAME] as it is configured (job_backing_digest), owned by 0, 1, … on disk whatever the ids of the workers.
 * A folder with that name is whole: it is built beside, and renamed when it is done.
 */
#ifndef BYOCI_SLAVES_BACKING_H
#define BYOCI_SLAVES_BACKING_H

#include "base/err.h"
#include "conf/conf.h"
#include "forge/job.h"

/*
 * Descriptor (O_PATH) of its root file system; its digest is put into `digest`, also when it is not built yet (ERR_NOT_FOUND
 * and how to).
 */
int backing_open(const struct conf *conf, const char *name, char digest[static JOB_DIGEST_SIZE], struct err *err);

/*
 * Builds it by mmdebstrap unless it is there; waits for somebody who builds it already. Lines for people go to the descriptor
 * `progress`. Given up (ERR_TIMEOUT) after an hour, or (ERR_NETWORK) when the other end of the connection `caller` goes away;
 * -1: no caller. Needs real root and the network of the host; the proxies of the environment are used.
 */
int backing_build(const struct conf *conf, const char *name, int progress, int caller, char digest[static JOB_DIGEST_SIZE],
	struct err *err);

#endif
