/* What a person or a Jenkins job runs: byoci-slave as a client of the slave and land sockets. */
#ifndef BYOCI_SLAVES_CLIENT_H
#define BYOCI_SLAVES_CLIENT_H

#include <stdbool.h>

#include "slaves/common/program.h"

struct client_call {
	const char *spec;   /* file with the spec; "-": standard input */
	const char *result; /* test: file for the signed result, NULL: none; land: file with it */
	bool detach;        /* test: going away does not cancel */
	const char *project, *target; /* approved */
};

/* Each returns the exit status (forge/outcome.h); what went wrong was said on standard error. */

/* Starts a build, copies its log to standard output, and ends with its outcome. Ended by a signal, it cancels the build unless `detach`. */
int client_test(const struct program *program, const struct client_call *call);

/*
 * Asks the slave for one of list, reap and kept, or with a build cancel, keep and discard; prints the answer as JSON. What could
 * not be reaped ends it as infrastructure trouble.
 */
int client_ask(const struct program *program, const char *operation, const char *build);

/* Asks for a landing; prints the answer as JSON. */
int client_land(const struct program *program, const struct client_call *call);

/*
 * Prints the approved proposals of a target, one a line: success when there is one, else "nothing", or "infrastructure" when some could not
 * be read, which are told.
 */
int client_approved(const struct program *program, const struct client_call *call);

#endif
