#include "forge/outcome.h"

#include <stddef.h>
#include <string.h>

struct row {
	const char *word;
	int exit;
};

static const struct row rows[] = {
	[OUTCOME_SUCCESS] = {"success", 0},
	[OUTCOME_FAILURE] = {"failure", 1},
	[OUTCOME_CONFLICT] = {"conflict", 2},
	[OUTCOME_NOTHING] = {"nothing", 3},
	[OUTCOME_LANDED] = {"landed", 4},
	[OUTCOME_MOVED] = {"moved", 5},
	[OUTCOME_USAGE] = {"usage", 64},
	[OUTCOME_UNREACHABLE] = {"unreachable", 69},
	[OUTCOME_INFRASTRUCTURE] = {"infrastructure", 75},
	[OUTCOME_REFUSED] = {"refused", 77},
	[OUTCOME_TIMEOUT] = {"timeout", 124},
	[OUTCOME_CANCELLED] = {"cancelled", 130},
};

#define ROWS (sizeof rows / sizeof rows[0])

/* A value that is none of ours is trouble of ours. */
static const struct row *row(enum outcome outcome)
{
	return &rows[(size_t)outcome < ROWS ? (size_t)outcome : (size_t)OUTCOME_INFRASTRUCTURE];
}

const char *outcome_word(enum outcome outcome)
{
	return row(outcome)->word;
}

int outcome_exit(enum outcome outcome)
{
	return row(outcome)->exit;
}

bool outcome_from_word(const char *word, enum outcome *outcome)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].word, word) == 0) {
			*outcome = (enum outcome)i;
			return true;
		}
	return false;
}

bool outcome_from_exit(int code, enum outcome *outcome)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].exit == code) {
			*outcome = (enum outcome)i;
			return true;
		}
	return false;
}
