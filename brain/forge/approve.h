/* Which commit was approved: a pure function of the forge's record, the same in brain and land daemon (promise 3). */
#ifndef BYOCI_FORGE_APPROVE_H
#define BYOCI_FORGE_APPROVE_H

#include "forge/proposal.h"

#define APPROVE_AHEAD 600 /* seconds that an approval may be dated after now */

struct approve_criteria {
	unsigned needed;          /* distinct people, at least 1 */
	bool self;                /* the proposer's own approval counts */
	const char *const *never; /* principals that never count (the brain's and the landing account); NULL-ended */
	int64_t now;              /* seconds; an approval dated more than APPROVE_AHEAD later does not count */
};

struct approve_verdict {
	const char *commit; /* NULL: not approved */
	char why[256];      /* one line for people: who approved, or what is missing */
	int64_t later;      /* seconds since 1970, not approved: when an approval that is dated ahead may count; 0: there is none */
};

/* Whether this one of its approvals counts towards `needed`. */
bool approve_counts(const struct forge_proposal *proposal, const struct approve_criteria *criteria,
	const struct forge_approval *approval);

void approve_decide(
	const struct forge_proposal *proposal, const struct approve_criteria *criteria, struct approve_verdict *verdict);

/* When the newest one that counts was given, seconds since 1970; 0: none does. */
int64_t approve_newest(const struct forge_proposal *proposal, const struct approve_criteria *criteria);

#endif
