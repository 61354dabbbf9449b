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
	const char *project, *target; /* a branch or a ref */
	bool force;                   /* although the brain is up */
};

/*
 * Refuses while the brain answers /readyz, and while another one is at work on that target on this host. Returns the exit status:
 * success, "nothing" when nothing is approved, else what the first proposal that did not land ended with.
 */
int byhand_land_approved(const struct program *program, const struct byhand *byhand);

#endif
