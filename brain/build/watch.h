/*
 * Whether slaves can test, as the health jobs on their masters say: a node is taken offline with the reason when the last of them said
 * that its slave is unwell, and comes back by itself when one says that it is well again. Nodes that a person took offline are theirs.
 */
#ifndef BYOCI_BUILD_WATCH_H
#define BYOCI_BUILD_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "calls/brain.h"

struct watch;

/* Looks each time that option master.health says. */
struct watch *watch_new(struct brain *brain);
/* Before masters_free(). NULL is allowed. */
void watch_free(struct watch *watch);

struct watch_word {
	bool well;
	const char *reason; /* for people, plain letters; "" */
};

/* The last line of a health job's log about that slave. False: there is none. */
bool watch_read(struct arena *arena, const char *log, size_t length, const char *slave, struct watch_word *word);

enum watch_act { WATCH_LEAVE, WATCH_AWAY, WATCH_BACK };

/* `taken`: the node was taken offline, for `cause`. */
enum watch_act watch_decide(const struct watch_word *word, bool taken, const char *cause);

#endif
