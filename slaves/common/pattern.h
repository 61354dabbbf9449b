/*
 * Patterns of paths below a folder, as artefacts are asked for: `*` and `?` stand for anything but `/`, `**` as a part of its own for any
 * number of folders. A pattern that a folder matches has everything in it.
 */
#ifndef BYOCI_SLAVES_PATTERN_H
#define BYOCI_SLAVES_PATTERN_H

#include <stdbool.h>

enum pattern_reach {
	PATTERN_NO,    /* neither it nor anything in it */
	PATTERN_LEADS, /* it does not match; something in it may */
	PATTERN_YES
};

/* `path` is relative, without `.`, `..` and empty parts. */
enum pattern_reach pattern_reach(const char *pattern, const char *path);

/* The best of a NULL-ended list. */
enum pattern_reach pattern_any(const char *const *patterns, const char *path);

/* Whether a path is one that may come out of a worker: relative, no empty part, no `.` or `..`, not too long or too deep. */
#define PATTERN_PATH_MAXIMUM 1024 /* bytes */
#define PATTERN_DEPTH 32          /* parts */
bool pattern_path_valid(const char *path);

#endif
