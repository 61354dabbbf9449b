/*
 * Lets the user in who authors come in as (options author.listen, author.user, author.socket): each connection gets a process of its own,
 * `byoci-slave usher`, with it as standard input. So what a stranger sends is never read by the daemon. The socket is SOCK_SEQPACKET.
 */
#ifndef BYOCI_SLAVES_DOORMAN_H
#define BYOCI_SLAVES_DOORMAN_H

#include "loop/loop.h"
#include "slaves/common/program.h"

struct doorman;

/* NULL without err: nobody is to be let in. `program` outlives it. */
struct doorman *doorman_new(struct loop *loop, const struct program *program, struct err *err);

/* Those that were let in go on. NULL is allowed. */
void doorman_free(struct doorman *doorman);

#endif
