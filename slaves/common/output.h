/*
 * Foreign bytes made safe for people: what a test writes ends in log files, terminals and pages. Control bytes, terminal
 * escapes, C1 and bidirectional controls and invalid UTF-8 are written as \xHH; printable UTF-8 and tabs stay.
 */
#ifndef BYOCI_SLAVES_OUTPUT_H
#define BYOCI_SLAVES_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define OUTPUT_LINE 4096 /* bytes of one line in a log, its prefix and newline counted; the rest of a longer one is cut with a note */

/* Adds the escaped bytes, without the newlines at their end. Returns 0, or -1 when `to` is full (then a part may be there). */
int output_escape(struct buf *to, const char *bytes, size_t length);

/* The same as one line in the arena, at most `maximum` bytes; newlines in it become " / ". */
char *output_line(struct arena *arena, const char *bytes, size_t length, size_t maximum);

/* One log file that several streams and we ourselves write lines to; each line is one write(2), so that followers see whole lines. */
struct output;

/* Appends to `path` (made with mode 0600). At most `limit` bytes of foreign text are taken. */
struct output *output_open(const char *path, int64_t limit, struct err *err);
void output_close(struct output *output);

/* A line of our own: "byoci: TEXT". */
int output_say(struct output *output, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A stream into it. `prefix` is put before each line. It ends with the output. */
struct output_stream;
struct output_stream *output_stream(struct output *output, const char *prefix);

/*
 * Takes bytes as they come; whole lines are written. -1: ERR_FULL when the limit of all streams together is passed (what fits
 * is written), or the file could not be written. output_stream_end() writes an unfinished last line.
 */
int output_stream_add(struct output_stream *stream, const char *bytes, size_t length, struct err *err);
int output_stream_end(struct output_stream *stream, struct err *err);

#endif
