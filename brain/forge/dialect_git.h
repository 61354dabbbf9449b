/* The built-in forge, a plain bare repository: what its hook posts, what `byoci git-read` prints (doc/INTERFACES.md). */
#ifndef BYOCI_FORGE_DIALECT_GIT_H
#define BYOCI_FORGE_DIALECT_GIT_H

#include "forge/dialect.h"

#define DIALECT_GIT_REFS 4096    /* refs in one push that are looked at */
#define DIALECT_GIT_RECORDS 1024 /* records of one proposal */
#define DIALECT_GIT_MESSAGE (64 * 1024) /* bytes of a proposal's message */

/* "refs/proposals/NAME/REST" → NAME, in the arena; NULL: not such a ref, or no valid name. */
char *dialect_git_proposal_of(struct arena *arena, const char *ref);

int dialect_git_event(
	struct arena *arena, const char *kind, const void *body, size_t length, struct dialect_event *event, struct err *err);

/*
 * The reply's records become the approvals, those of other targets with why_not. `state` closed: head "", author "", target_tip
 * may be "". A reply without a valid propose record: proposer NULL, and the message is what git-read puts there.
 */
int dialect_git_proposal(struct arena *arena, const void *reply, size_t length, struct forge_proposal *proposal, struct err *err);

#endif
