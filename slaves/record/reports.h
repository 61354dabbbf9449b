/*
 * Test reports of a build, counted: JUnit's XML, subunit or TAP, which of them is seen from their bytes. They are what hostile tests
 * wrote, so they are parsed in a process of its own that, once it has read them, may do nothing any more but read, write and end
 * (slaves/common/strict.h): neither the key that results are signed with nor any file is within its reach, whatever the bytes did to it.
 */
#ifndef BYOCI_SLAVES_REPORTS_H
#define BYOCI_SLAVES_REPORTS_H

#include "forge/counts.h"
#include "slaves/common/program.h"

#define REPORTS_MAXIMUM ((size_t)16 * 1024 * 1024) /* bytes of one report */

/*
 * Counts one into *counts. 1: it was not whole, *why says what was wrong with it, as one line, in the arena; what comes before is
 * counted. -1: it could not be done.
 */
int reports_count(const struct program *program, struct arena *arena, const char *path, struct counts *counts, const char **why,
	struct err *err);

/* The process for it: `byoci-slave count`, from standard input to standard output. Returns the exit status. */
int reports_verb(const struct program *program);

/* What that process does with the bytes. -1 and ERR_INPUT: not whole. Without a system call. */
int reports_parse(const void *bytes, size_t length, struct counts *counts, struct err *err);

#endif
