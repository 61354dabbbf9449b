/*
 * The way out of a worker, when nothing runs in it any more: the files of its workspace that the job's `artefacts` and `reports` name.
 * They are looked for by a process of its own that has the workspace as its root folder, the worker's own user and no other right, so
 * that a name can lead it nowhere else. It opens plain files below folders, and nothing by way of a link, a device or another mount.
 */
#ifndef BYOCI_SLAVES_COLLECT_H
#define BYOCI_SLAVES_COLLECT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/worker/mask.h"

struct collect {
	const struct conf *conf;
	const char *job;         /* [job/NAME]: what is asked for, and how much */
	int root;                /* O_PATH, of the worker's root folder; stays the caller's, as the others do */
	int64_t user;            /* root of the worker */
	int archive;             /* pipe that the files go into: slaves/common/newc.h */
	int notes;               /* pipe for lines about what is left out, and why */
	const struct mask *mask; /* no value of it comes out; NULL: there is none */
};

/* Returns when all is written. ERR_TIMEOUT: it took too long, and the archive has no end. */
int collect_run(struct arena *arena, const struct collect *collect, struct err *err);

#endif
