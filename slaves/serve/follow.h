/* One reader of a build's log over a connection: what is there, what comes, and at the end the result. */
#ifndef BYOCI_SLAVES_FOLLOW_H
#define BYOCI_SLAVES_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/lines.h"
#include "loop/loop.h"
#include "slaves/common/program.h"

struct follow;

/* The result was sent (or an error, when the log can't be read): the connection is to be closed, the follow to be freed. */
typedef void follow_done_fn(void *cookie);

struct follow_from {
	struct loop *loop;
	struct lines *lines;
	const struct program *program;
	const char *build;
	int64_t offset; /* bytes; the beginning of a line */
};

/*
 * NULL and err: ERR_NOT_FOUND no such build, ERR_INPUT an offset that is not the beginning of a line. `done` may be called
 * at the next turn at the earliest.
 */
struct follow *follow_new(const struct follow_from *from, follow_done_fn *done, void *cookie, struct err *err);
void follow_free(struct follow *follow);

const char *follow_build(const struct follow *follow);

#endif
