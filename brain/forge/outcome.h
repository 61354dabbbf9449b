/* How a test or a landing ended: the word in results, rows and pages, and the exit code of the program that did it. One table. */
#ifndef BYOCI_FORGE_OUTCOME_H
#define BYOCI_FORGE_OUTCOME_H

#include <stdbool.h>

enum outcome {
	OUTCOME_SUCCESS,        /* "success", 0 */
	OUTCOME_FAILURE,        /* "failure", 1: the tests said no */
	OUTCOME_CONFLICT,       /* "conflict", 2: does not merge */
	OUTCOME_NOTHING,        /* "nothing", 3: nothing to do */
	OUTCOME_LANDED,         /* "landed", 4: was on the target already */
	OUTCOME_MOVED,          /* "moved", 5: target or approval changed since; test again */
	OUTCOME_USAGE,          /* "usage", 64 */
	OUTCOME_UNREACHABLE,    /* "unreachable", 69 */
	OUTCOME_INFRASTRUCTURE, /* "infrastructure", 75 */
	OUTCOME_REFUSED,        /* "refused", 77 */
	OUTCOME_TIMEOUT,        /* "timeout", 124 */
	OUTCOME_CANCELLED       /* "cancelled", 130 */
};

const char *outcome_word(enum outcome outcome);
int outcome_exit(enum outcome outcome);

/* False: not such a word or code; *outcome is untouched. */
bool outcome_from_word(const char *word, enum outcome *outcome);
bool outcome_from_exit(int code, enum outcome *outcome);

#endif
