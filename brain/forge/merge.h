/*
 * What a merge commit is made of, derived only from what is merged, so that the same parents give the same id on every host
 * (promise 4). Message: the proposal's message, blank line, "Merged from URL"; no reviewers. Author: the source commit's.
 * Date (both): the later of the committer dates of source and target tip.
 */
#ifndef BYOCI_FORGE_MERGE_H
#define BYOCI_FORGE_MERGE_H

#include "forge/proposal.h"

struct merge_plan {
	const char *base, *source;
	const char *message;
	const char *author_name, *author_email;
	int64_t date; /* seconds, written as +0000 */
};

/* ERR_REFUSED when the source is dated more than 600 s after `now`. Texts are in the arena. */
int merge_plan(struct arena *arena, const struct forge_proposal *proposal, const char *source, int64_t now,
	struct merge_plan *plan, struct err *err);

#endif
