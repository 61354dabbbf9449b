#include "forge/merge.h"

#include "tests/tap.h"

#define HEAD "1111111111111111111111111111111111111111"
#define TIP "2222222222222222222222222222222222222222"
#define OLD "3333333333333333333333333333333333333333"

static const struct forge_proposal sample = {.name = "one",
	.url = "ssh://host/sample.git#one",
	.target_tip = TIP,
	.target_time = 1000,
	.head = HEAD,
	.head_time = 2000,
	.author_name = "Alice",
	.author_email = "a@example.org",
	.message = "Do it\n\nWell.\n \n"};

int main(void)
{
	struct arena *arena = arena_new();
	struct forge_proposal proposal = sample;
	struct merge_plan plan = {.base = NULL}, again = {.base = NULL};
	struct err err;

	ok(merge_plan(arena, &proposal, HEAD, 2000, &plan, &err) == 0, "a plan");
	is(plan.base, TIP, "it is merged into the tip of the target");
	is(plan.source, HEAD, "the source is the approved commit");
	is(plan.message, "Do it\n\nWell.\n\nMerged from ssh://host/sample.git#one",
		"the message is the proposal's, and where it came from");
	is(plan.author_name, "Alice", "the author is the source commit's");
	is(plan.author_email, "a@example.org", "with the mail address");
	ok(plan.date == 2000, "the date is the later one: the source's");
	proposal.proposer = "somebody else";
	ok(merge_plan(arena, &proposal, HEAD, 99999999, &again, &err) == 0 && again.date == plan.date &&
			strcmp(again.message, plan.message) == 0,
		"neither who proposed nor when it is planned is in it");
	proposal.target_time = 3000;
	ok(merge_plan(arena, &proposal, HEAD, 2000, &plan, &err) == 0 && plan.date == 3000, "or the target's");

	proposal = sample;
	ok(merge_plan(arena, &proposal, HEAD, 1400, &plan, &err) == 0, "a source ten minutes ahead");
	ok(merge_plan(arena, &proposal, HEAD, 1399, &plan, &err) < 0 && err.kind == ERR_REFUSED,
		"more than ten minutes ahead is refused");
	ok(strstr(err.text, "in the future") != NULL, "and says so");
	ok(merge_plan(arena, &proposal, OLD, 2000, &plan, &err) < 0 && err.kind == ERR_MOVED,
		"a source that is not the head any more");
	proposal.message = " \n";
	ok(merge_plan(arena, &proposal, HEAD, 2000, &plan, &err) < 0 && err.kind == ERR_INPUT, "no message");
	arena_free(arena);
	return tap_done();
}
