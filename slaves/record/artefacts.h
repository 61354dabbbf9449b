/*
 * What is kept of what a build's tests left: files below {state}/slave/builds/BUILD/artefacts/ that are named 1, 2, …, and
 * artefacts.json, which says what they were called, how long they are and their SHA-256. No name that a test made up is ever one here.
 */
#ifndef BYOCI_SLAVES_ARTEFACTS_H
#define BYOCI_SLAVES_ARTEFACTS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "forge/result.h"
#include "slaves/common/program.h"

struct artefacts_from {
	const struct program *program;
	struct arena *arena; /* lives as long */
	const char *build, *job;
};

/* An empty store, ready to take a stream. NULL and err. */
struct artefacts;
struct artefacts *artefacts_new(const struct artefacts_from *from, struct err *err);
void artefacts_free(struct artefacts *artefacts);

/*
 * Bytes that came out of the worker (slaves/common/newc.h). -1: ERR_INPUT, what came is not of that form, or was not asked for; or it
 * could not be stored. The whole files that came before are kept.
 */
int artefacts_add(struct artefacts *artefacts, const void *bytes, size_t length, struct err *err);

/* Writes the list. ERR_INPUT: the stream has not come to its end; the list has what came. */
int artefacts_end(struct artefacts *artefacts, struct err *err);

/* What a result says of them; in the arena. */
const struct result_artefacts *artefacts_summary(const struct artefacts *artefacts);

/* How many came that artefacts.total has no room for. */
int64_t artefacts_left_out(const struct artefacts *artefacts);

/* The file of one that is a test report, from 0; NULL after the last. `name` is what it was called. */
const char *artefacts_report(const struct artefacts *artefacts, size_t number, const char **name);

/* The file of the one with that number, from 1, to read: a descriptor. ERR_NOT_FOUND. */
int artefacts_open(const struct program *program, struct arena *arena, const char *build, int64_t number, struct err *err);

/*
 * A part of the list, a new reference: {"count":OF_ALL,"artefacts":[{"path","size","sha256","file"}]}. ERR_NOT_FOUND: nothing is kept;
 * ERR_FULL: the list is too long to be looked at while others wait.
 */
struct artefacts_page {
	const struct program *program;
	struct arena *arena;
	const char *build;
	int64_t first, count; /* first: from 1 */
};
json_t *artefacts_page(const struct artefacts_page *page, struct err *err);

/* `byoci-slave artefact BUILD [PATH]`, as the slave's user or root: the list, or the bytes of one, on standard output. */
int artefacts_verb(const struct program *program, const char *build, const char *path);

#endif
