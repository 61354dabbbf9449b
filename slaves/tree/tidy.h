/* Packing the clones of a host now and then, and dropping what nothing refers to any more, in a process of its own. */
#ifndef BYOCI_SLAVES_TIDY_H
#define BYOCI_SLAVES_TIDY_H

#include "loop/loop.h"
#include "slaves/common/program.h"

struct tidy;

/* Every TIDY_EVERY_MS `byoci-slave tidy WHOSE` is run, never twice at once. `whose`: "slave" or "land", must live on. */
#define TIDY_EVERY_MS (6 * 3600 * 1000)
struct tidy *tidy_new(struct loop *loop, const struct program *program, const char *whose);
void tidy_free(struct tidy *tidy);

/*
 * Every clone in {state}/WHOSE/trees that has gathered loose objects or packs (git-gc(1), --auto). What
 * fetches that did not come to their end have left goes after a day. Returns the exit status.
 */
int tidy_verb(const struct program *program, const char *whose);

#endif
