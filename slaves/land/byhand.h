/*
 * The brain's work for one target without the brain (`byoci-slave land-approved`): test each approved proposal, land it, tell its
 * forge. The same spec, merge and marks as the brain makes, so that it sees what was done when it is back. Whatever needs a
 * credential is asked of the land daemon.
 */
#ifndef BYOCI_SLAVES_BYHAND_H
#define BYOCI_SLAVES_BYHAND_H

#include <stdbool.h>

#include "slaves/common/program.h"

struct byhand {
	const char *project;
	const char *target; /* a branch or a ref */
	bool force;         /* although the brain is up; also what was rejected is tested again */
	bool one;           /* ends with the first proposal that is tested */
	bool pass;          /* what was rejected since it was approved, by whomever, is passed over, as the brain does */
	bool test_only;     /* nothing lands and nobody is told, so it may be beside a running brain and beside others */
};

/*
 * Refuses while the brain answers /readyz, and while another one is at work on that target, whoever that is (the landing daemon knows);
 * what a brain that comes up meanwhile has begun is left to it before each proposal. Returns the exit status: success, "nothing" when
 * nothing is approved (or all is passed over), else what the first proposal that did not land ended with. *unread: proposals were left
 * out and told, whatever their target is, for they could not be read.
 */
int byhand_land_approved(const struct program *program, const struct byhand *byhand, bool *unread);

/* Whether the brain answers /readyz, at pages.listen, or where public.url says when that is plain HTTP: 1 and where it does, 0. -1. */
int byhand_brain(const struct program *program, const char **where, struct err *err);

#endif
