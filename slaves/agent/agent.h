/*
 * What a Jenkins job runs on a slave's host (`byoci-slave agent KIND`): a client of the daemons whose words come from the environment,
 * where a job's parameters are. Whoever may start a job may put anything there; what is done about it is decided by the daemons, which
 * believe none of it. Its output is fit for a master's log: no control character but the newline, so no console note; capped lines; what
 * tests wrote is prefixed, so that only the last line can look like an answer that is signed.
 */
#ifndef BYOCI_SLAVES_AGENT_H
#define BYOCI_SLAVES_AGENT_H

#include <stdbool.h>

#include "slaves/common/program.h"

struct agent_call {
	const char *kind;    /* test, check, land, away, refresh, reap or health */
	const char *project; /* test, check, land, away */
	const char *target;  /* by hand; NULL: each gated branch of the project */
	const char *script;  /* see slaves/agent/guard.h; NULL: none */
	bool work;           /* this is the guarded process itself */
};

/* Returns the exit status: the outcome's, 130 when nobody waits any more, 64 for a kind or words that are none. */
int agent_verb(const struct program *program, const struct agent_call *call);

#endif
