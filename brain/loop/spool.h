/* Bytes that come in pieces: in memory while they are few, from then on in an unlinked temporary file (TMPDIR, else /var/tmp). */
#ifndef BYOCI_LOOP_SPOOL_H
#define BYOCI_LOOP_SPOOL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct spool {
	struct buf memory;
	int fd;        /* -1: all is in memory */
	size_t length; /* bytes, wherever they are */
	void *map;
};

/* At most `memory` bytes stay in memory. */
void spool_init(struct spool *spool, size_t memory);
void spool_release(struct spool *spool);

/* -1: the file can't take it; what was there is there still. */
int spool_add(struct spool *spool, const void *bytes, size_t length, struct err *err);

/* All of it, good until the next spool_add or spool_release. NULL only on failure. */
const void *spool_bytes(struct spool *spool, struct err *err);

#endif
