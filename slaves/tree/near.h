/*
 * Fetching from a repository on this machine without git fetch, whose parts run one after the other: what is missing is packed there while
 * it is indexed here, by the same checks (index-pack --strict), and whether all it leads to is here (rev-list, as git fetch asks) is found
 * out while others begin to work with it. Whatever is not quite as usual is left to git fetch.
 */
#ifndef BYOCI_SLAVES_NEAR_H
#define BYOCI_SLAVES_NEAR_H

#include <stdbool.h>

#include "slaves/tree/git.h"

/* What git fetch is told of objects to be checked, as one of its words: mistakes that are let in. */
#define NEAR_LET_IN "zeroPaddedFilemode=ignore,missingSpaceBeforeDate=ignore,badTimezone=ignore,missingEmail=ignore"

#define NEAR_REFS 8

struct near {
	const struct git *ours, *theirs;
	const char *repository;        /* where ours is */
	const char *wanted[NEAR_REFS]; /* refs there */
	const char *kept[NEAR_REFS];   /* the ref that each of them is kept in here */
	size_t count;
	/* Of near_look(): what they are there, commits and their trees, and here. */
	char ids[NEAR_REFS][GIT_ID_SIZE], trees[NEAR_REFS][GIT_ID_SIZE], here[NEAR_REFS][GIT_ID_SIZE];
	struct git_job asking; /* for all that the new ones lead to */
	bool asks, whole;
};

/* In this order; each says 1: go on, 0: it is git fetch's matter. */
int near_look(struct near *near, struct arena *arena);

/* The objects are here then, kept by nothing yet. near_whole() or near_stop() must follow. */
int near_fetch(struct near *near, struct arena *arena);

/* All that they lead to is here. */
int near_whole(struct near *near, struct arena *arena);

/* The refs are what they are there. */
int near_keep(struct near *near, struct arena *arena);
void near_stop(struct near *near);

#endif
