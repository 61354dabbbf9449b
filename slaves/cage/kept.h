/* Workers that are kept for people after their build has failed: where their records are (slot.h), as anybody may read them. */
#ifndef BYOCI_SLAVES_KEPT_H
#define BYOCI_SLAVES_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"

#define KEPT_MAXIMUM 64 /* what worker.kept can be */

/* So many may work and be kept at a time. Slots are 0 … working - 1, then one for new backings, then the rest. */
struct kept_room {
	unsigned working, kept;
};

/* The folder of the slots, and how many there are, by the configuration; in the arena. */
int kept_place(const struct conf *conf, struct arena *arena, const char **folder, struct kept_room *room, struct err *err);

/* FOLDER/N.socket, in the arena: where the holder of a kept one listens. */
char *kept_socket(struct arena *arena, const char *folder, unsigned number);

struct kept {
	unsigned number;
	const char *build, *job;
	int64_t since, expiry; /* ms since 1970 */
	bool copy;             /* somebody is let into it, and nobody else: it goes with its connection */
};

/*
 * What records say is kept, read without locks by anybody who may pass through the folder. Returns how many of `list` were
 * filled; texts are in the arena. Some may be gone already.
 */
size_t kept_list(struct arena *arena, const char *folder, struct kept_room room, struct kept *list, size_t count);

/* Whether a worker of that build is kept, or a copy of one is there: then the build's tree is needed still. Also when that is not known. */
bool kept_needs(const struct conf *conf, const char *build);

#endif
