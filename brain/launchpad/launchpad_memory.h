/*
 * What a reader of Launchpad remembers from one run to the next, in a folder of its own user: the last answers that had an ETag, so that
 * what did not change is not sent again (RFC 9110, 13.1.2), and until when Launchpad asked to be left alone.
 * All of it may be lost, cut short or wrong: an answer whose digest does not hold is not there, a wrong tag is answered in full. Nothing
 * here fails: what can't be remembered is asked again.
 */
#ifndef BYOCI_LAUNCHPAD_LAUNCHPAD_MEMORY_H
#define BYOCI_LAUNCHPAD_LAUNCHPAD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* `folder` is made when something is kept; NULL: nothing is remembered. Answers for another `who` (of the token) are others. */
struct launchpad_memory {
	const char *folder, *who;
};

/* One answer; texts in the arena. */
struct launchpad_answer {
	const char *tag;  /* its ETag, as it was sent; NULL: none is known */
	const char *body; /* NUL-ended */
	size_t length;
};
void launchpad_memory_recall(
	const struct launchpad_memory *memory, struct arena *arena, const char *url, struct launchpad_answer *answer);

/* In one of LAUNCHPAD_MEMORY_PLACES, in place of what was there before; not over LAUNCHPAD_MEMORY_MAXIMUM bytes. */
#define LAUNCHPAD_MEMORY_PLACES 4096
#define LAUNCHPAD_MEMORY_MAXIMUM ((size_t)64 * 1024)
void launchpad_memory_keep(const struct launchpad_memory *memory, const char *url, const struct launchpad_answer *answer);

/*
 * Seconds that we still are to wait, at `now` (milliseconds since 1970); 0: none. A time that can't be, as after the clock was set, is
 * none.
 */
int launchpad_memory_wait(const struct launchpad_memory *memory, int64_t now);
void launchpad_memory_set_wait(const struct launchpad_memory *memory, int64_t now, int seconds);

#endif
