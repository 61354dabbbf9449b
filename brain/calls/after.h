/* What is to happen once a turn's COMMIT is known. */
#ifndef BYOCI_CALLS_AFTER_H
#define BYOCI_CALLS_AFTER_H

#include <stdbool.h>
#include <stddef.h>

struct after;

/* `kept` is false when the COMMIT failed. */
typedef void after_fn(void *cookie, bool kept);

struct after *after_new(void);
void after_free(struct after *after); /* calls nobody; NULL is allowed */

void after_add(struct after *after, after_fn *call, void *cookie);

/* Those that were added since the mark are forgotten. */
size_t after_mark(const struct after *after);
void after_back(struct after *after, size_t mark);

/* Calls each once, in their order. What they add waits for the next run. */
void after_run(struct after *after, bool kept);

#endif
