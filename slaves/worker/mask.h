/*
 * Secrets made unreadable in bytes that go by: each byte of a value that shows up becomes `*`, so that lengths stay. Values of several
 * lines are looked for as a whole and line by line. Found is what is there byte by byte; what a program encodes, splits or reverses is not.
 */
#ifndef BYOCI_SLAVES_MASK_H
#define BYOCI_SLAVES_MASK_H

#include <stddef.h>

#include "base/arena.h"

#define MASK_LEAST 6 /* bytes: shorter values are in everything */

struct mask;

/* Empty, in the arena. */
struct mask *mask_new(struct arena *arena);

/* A value, and its lines; newlines at its end do not count. What is shorter than MASK_LEAST is passed over. */
void mask_add(struct mask *mask, const void *bytes, size_t length);

/* How many different texts are looked for. */
size_t mask_count(const struct mask *mask);

/*
 * A stream of bytes of its own. All values must have been added. `put` gets them masked, in order; what may be the beginning of a value
 * waits.
 */
struct mask_stream;
typedef int mask_put_fn(void *cookie, const void *bytes, size_t length);
struct mask_stream *mask_stream_new(const struct mask *mask, mask_put_fn *put, void *cookie);

/* 0, or what `put` returned. mask_stream_end() gives out what waits; then it can be used for another stream. */
int mask_stream_add(struct mask_stream *stream, const void *bytes, size_t length);
int mask_stream_end(struct mask_stream *stream);
void mask_stream_free(struct mask_stream *stream);

#endif
