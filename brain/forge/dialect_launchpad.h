/*
 * Launchpad, git: what its webhooks say, and a merge proposal as reading it back composes it. Bazaar is not read.
 * Sources: Launchpad manual, "Webhooks" and "Web service"; lp/services/webhooks/client.py, lp/code/subscribers/branchmergeproposal.py,
 * lp/code/interfaces/{branchmergeproposal,diff,codereviewvote,codereviewcomment}.py, lp/code/model/branchmergeproposal.py.
 */
#ifndef BYOCI_FORGE_DIALECT_LAUNCHPAD_H
#define BYOCI_FORGE_DIALECT_LAUNCHPAD_H

#include "forge/dialect.h"

#define DIALECT_LAUNCHPAD_REFS 4096          /* refs in one push that are looked at */
#define DIALECT_LAUNCHPAD_VOTES 1024         /* of one proposal */
#define DIALECT_LAUNCHPAD_DIFFS 1024
#define DIALECT_LAUNCHPAD_MESSAGE (64 * 1024) /* bytes of a proposal's message */

/*
 * Kinds: "merge-proposal:0.1" (payload without `old` when it was created, without `new` when it was deleted), "git:push:0.1",
 * "ping". A payload names no host: event->repository is the target's unique name without the first slash, "~o/p/+git/r". A
 * proposal's name is the number in "/~o/p/+git/r/+merge/NUMBER", which is unique on the whole of Launchpad.
 */
int dialect_launchpad_event(
	struct arena *arena, const char *kind, const void *body, size_t length, struct dialect_event *event, struct err *err);

/* Where the proposal of a "merge-proposal:0.1" payload is, below an API root: "~o/p/+git/r/+merge/12", in the arena. NULL and err. */
char *dialect_launchpad_place(struct arena *arena, const void *body, size_t length, struct err *err);

/*
 * The composed reply, one JSON object; what is in capitals is an entry of the REST API (devel), as it came:
 *  {"repository": identity of the project's repository (forge_identity),
 *   "repository_name": its unique name on Launchpad, "~o/p/+git/r": a proposal for another target is refused,
 *   "proposal": BRANCH_MERGE_PROPOSAL,
 *   "votes": [{"vote": CODE_REVIEW_VOTE_REFERENCE, "comment": CODE_REVIEW_COMMENT or null, "trusted": bool}…],
 *   "diffs": [PREVIEW_DIFF…], newest first (their dates count, not their order),
 *   "source_tip": commit of source_git_path now, or null when that ref is gone,
 *   "target_tip": commit of target_git_path now,
 *   "source_landed": bool: source_tip is an ancestor of target_tip,
 *   "prerequisite_landed": bool: the tip of prerequisite_git_path is an ancestor of target_tip; of no meaning without one,
 *   "head_time", "target_time": committer dates of the tips, seconds, "author_name", "author_email": of source_tip}
 * "trusted" says that the voter may review for the target's repository: anybody may vote on Launchpad, and the API does not say it.
 *
 * State: merged when source_landed; else closed for Merged (anybody may set it), Rejected, Superseded, and when the source ref is
 * gone; else open. Message: commit_message, else description, else one line. Proposer: the registrant.
 * Approvals: the status Approved, which only a trusted reviewer can set, by `reviewer` at date_reviewed, and each trusted vote
 * "Approve". None counts while the status is another one, a trusted vote is Disapprove, or the prerequisite has not landed.
 * The commit that one was given for (promise 3): reviewed_revid if set (for the status); else the source tip, if the newest
 * preview diff is not later than the approval and was made of that tip; else none, with why_not, and undecided for the status.
 */
int dialect_launchpad_proposal(
	struct arena *arena, const void *reply, size_t length, struct forge_proposal *proposal, struct err *err);

#endif
