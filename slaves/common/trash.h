/*
 * Folders that are not needed any more, removed without anybody waiting: moved into one folder at once, which a process of its own
 * empties. What a crash leaves there goes the next time.
 */
#ifndef BYOCI_SLAVES_TRASH_H
#define BYOCI_SLAVES_TRASH_H

#include "loop/loop.h"
#include "slaves/common/program.h"

struct trash;

/* Begins to empty what is there. NULL and err. */
struct trash *trash_new(struct loop *loop, const struct program *program, struct err *err);

/* The process goes on. */
void trash_free(struct trash *trash);

/* Moves a folder there; it need not exist. It is gone from its place at once. */
int trash_take(struct trash *trash, const char *path, struct err *err);

#endif
