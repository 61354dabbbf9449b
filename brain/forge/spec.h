/*
 * Spec v1: what is to be merged and tested, made by the brain, checked by the slave. One JSON text (doc/INTERFACES.md).
 * Pure. Commands, limits and backings are never in it.
 */
#ifndef BYOCI_FORGE_SPEC_H
#define BYOCI_FORGE_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define SPEC_BUILD_SIZE 33 /* 32 lower-case hex digits and a NUL */
#define SPEC_MAXIMUM (256 * 1024) /* bytes of its JSON text */

struct spec_merge {
	const char *source;  /* what is merged into what is there */
	const char *commit;  /* the merge's expected id; NULL: not known yet */
	const char *method;  /* "merge" */
	const char *message; /* never empty, UTF-8 */
	const char *author;  /* "Name <mail>": author and committer */
	int64_t date;        /* seconds since 1970, of author and committer, +0000 */
	const char *from;    /* identity of the repository that the source is in; NULL: the tree's own, refs/proposals/PROPOSAL/head */
	const char *ref;     /* there; NULL with `from` */
};

struct spec_tree {
	const char *repository; /* identity, see forge_identity() */
	const char *base;       /* the target's tip that is merged into */
	const char *path;       /* below the workspace; "" */
	struct spec_merge *merges;
	size_t merge_count;     /* 1 */
};

struct spec_job {
	const char *name;
	const char *digest; /* see forge/job.h */
};

struct spec {
	const char *build, *namespace, *project, *proposal;
	const char *target; /* refs/heads/main */
	int64_t attempt;    /* from 1 */
	struct spec_tree *trees;
	size_t tree_count;  /* 1 */
	struct spec_job *jobs;
	size_t job_count;   /* 1 */
};

/*
 * Strict: every field is there and of its form, no unknown field, lists of exactly one. ERR_INPUT with the field's path
 * ("spec: trees[0].merges[0].date: …"). Nothing is looked up: that project, repository and job are configured is the caller's
 * check. Texts are copied into the arena.
 */
int spec_parse(struct arena *arena, const json_t *json, struct spec *spec, struct err *err);

/* A new reference; what spec_parse takes. NULL (ERR_INPUT) when a text is not UTF-8. */
json_t *spec_build(const struct spec *spec, struct err *err);

bool spec_build_valid(const char *build); /* 32 lower-case hex digits */

/* "Name <mail>" in parts, in the arena. False: not of that form, or with control characters, or an empty part. */
bool spec_author_split(struct arena *arena, const char *author, const char **name, const char **mail);

/* "Name <mail>" of what a commit says, in the arena: no '<', '>' and control characters; an empty part becomes "unknown". */
char *spec_author_join(struct arena *arena, const char *name, const char *mail);

#endif
