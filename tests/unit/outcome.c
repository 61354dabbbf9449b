#include "forge/outcome.h"

#include "tests/tap.h"

static const struct {
	enum outcome outcome;
	const char *word;
	int exit;
} wanted[] = {
	{OUTCOME_SUCCESS, "success", 0}, {OUTCOME_FAILURE, "failure", 1}, {OUTCOME_CONFLICT, "conflict", 2},
	{OUTCOME_NOTHING, "nothing", 3}, {OUTCOME_LANDED, "landed", 4}, {OUTCOME_MOVED, "moved", 5}, {OUTCOME_USAGE, "usage", 64},
	{OUTCOME_UNREACHABLE, "unreachable", 69}, {OUTCOME_INFRASTRUCTURE, "infrastructure", 75}, {OUTCOME_REFUSED, "refused", 77},
	{OUTCOME_TIMEOUT, "timeout", 124}, {OUTCOME_CANCELLED, "cancelled", 130},
};

int main(void)
{
	enum outcome found = OUTCOME_MOVED;

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		is(outcome_word(wanted[i].outcome), wanted[i].word, "the word");
		ok(outcome_exit(wanted[i].outcome) == wanted[i].exit, "the exit code");
		ok(outcome_from_word(wanted[i].word, &found) && found == wanted[i].outcome, "the word's outcome");
		ok(outcome_from_exit(wanted[i].exit, &found) && found == wanted[i].outcome, "the code's outcome");
	}
	found = OUTCOME_MOVED;
	ok(!outcome_from_word("Success", &found) && !outcome_from_word("", &found), "no other word is one");
	ok(!outcome_from_exit(-1, &found) && !outcome_from_exit(137, &found), "no other code is one");
	ok(found == OUTCOME_MOVED, "what was there stays then");
	return tap_done();
}
