/* What is sent to Launchpad: texts quoted as JSON, choices as they are, all of it escaped. */
#include "launchpad/launchpad_rest.h"

#include "tests/tap.h"

int main(void)
{
	struct arena *arena = arena_new();
	const struct launchpad_rest_value number[] = {{.name = "content", .value = "25"}, {.name = NULL}};
	const struct launchpad_rest_value choices[] = {{.name = "status", .value = "Needs review", .choice = true}, {.name = "revid", .value = NULL},
		{.name = "status", .value = "Approved", .choice = true}, {.name = NULL}};
	const struct launchpad_rest_value text[] = {{.name = "content", .value = "a \"b\"\n\xc3\xa4&c=d"}, {.name = NULL}};

	is(launchpad_rest_form(arena, "createComment", number), "ws.op=createComment&content=%2225%22", "a text that looks like a number is quoted");
	is(launchpad_rest_form(arena, "getMergeProposals", choices), "ws.op=getMergeProposals&status=Needs%20review&status=Approved",
		"choices are not, and what is not given is left out");
	is(launchpad_rest_form(arena, "createComment", text), "ws.op=createComment&content=%22a%20%5C%22b%5C%22%5Cn%C3%A4%26c%3Dd%22",
		"what means something in JSON or in a form does not any more");
	is(launchpad_rest_form(arena, "ping", NULL), "ws.op=ping", "nothing to say");
	arena_free(arena);
	return tap_done();
}
