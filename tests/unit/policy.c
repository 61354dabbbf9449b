/* What the gate chooses, for everything that it may know. */
#include "gate/policy.h"

#include "tests/tap.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MAIN "refs/heads/main"

struct row {
	const char *what;
	struct policy_facts facts;
	enum policy_act act;
	const char *words; /* that are in the reason; NULL: it has none */
};

#define IN(its_state, is_gated) .state = (its_state), .head = A, .target = MAIN, .gated = (is_gated), .why = "0 of 1 approval"
#define OPEN IN("open", true)
#define APPROVED_IN(its_state, is_gated, commit, time) IN(its_state, is_gated), .approved = (commit), .approved_time = (time)
#define APPROVED(commit, time) APPROVED_IN("open", true, commit, time)
#define ITEM(its_state, its_source, its_time) \
	{.there = true, .state = (its_state), .source = (its_source), .target = MAIN, .approved = (its_time)}

static const struct row rows[] = {
	{"not approved", {OPEN}, POLICY_NOTHING, "not approved: 0 of 1"},
	{"approved, and nobody can tell what", {OPEN, .undecided = "no diff", .undecided_time = 5}, POLICY_REFUSE, "not approved"},
	{"told so before", {OPEN, .undecided = "no diff", .undecided_time = 5, .last = ITEM("removed", A, 5)}, POLICY_NOTHING, "not approved"},
	{"told so before, approved so once more", {OPEN, .undecided = "no diff", .undecided_time = 6, .last = ITEM("removed", A, 5)}, POLICY_REFUSE,
		"not approved"},
	{"approved so while queued", {OPEN, .undecided = "no diff", .undecided_time = 6, .live = ITEM("queued", A, 5)}, POLICY_REMOVE,
		"not approved"},
	{"approved so, for a branch that is not gated", {IN("open", false), .undecided = "no diff"}, POLICY_NOTHING, "no gated branch"},
	{"approved", {APPROVED(A, 5)}, POLICY_QUEUE, "queued for " MAIN},
	{"approved, for a branch that is not gated", {APPROVED_IN("open", false, A, 5)}, POLICY_NOTHING, "no gated branch"},
	{"approved and merged", {APPROVED_IN("merged", true, A, 5)}, POLICY_NOTHING, "it is merged"},
	{"merged, by us", {APPROVED_IN("merged", true, A, 5), .last = ITEM("landed", A, 5)}, POLICY_NOTHING, NULL},
	{"approved and closed", {APPROVED_IN("closed", true, A, 5)}, POLICY_NOTHING, "it is closed"},
	{"approved and queued", {APPROVED(A, 5), .live = ITEM("queued", A, 5)}, POLICY_NOTHING, NULL},
	{"approved and being tested", {APPROVED(A, 5), .live = ITEM("building", A, 5)}, POLICY_NOTHING, NULL},
	{"approval lost while queued", {OPEN, .live = ITEM("queued", A, 5)}, POLICY_REMOVE, "not approved"},
	{"approval lost while tested", {OPEN, .live = ITEM("building", A, 5)}, POLICY_REMOVE, "not approved"},
	{"approval lost while landing: the land daemon decides", {OPEN, .live = ITEM("landing", A, 5)}, POLICY_NOTHING, NULL},
	{"closed while queued", {APPROVED_IN("closed", true, A, 5), .live = ITEM("queued", A, 5)}, POLICY_REMOVE, "it is closed"},
	{"on the target while held", {APPROVED_IN("merged", true, A, 5), .live = ITEM("held", A, 5)}, POLICY_LANDED, NULL},
	{"on the target, read again after a landing that moved", {APPROVED_IN("merged", true, A, 5), .live = ITEM("rereading", A, 5)},
		POLICY_LANDED, NULL},
	{"on the target, but not the commit that is queued", {APPROVED_IN("merged", true, A, 5), .live = ITEM("queued", B, 5)},
		POLICY_REMOVE, "it is merged"},
	{"another commit approved while queued", {APPROVED(B, 6), .live = ITEM("queued", A, 5)}, POLICY_REPLACE,
		"now bbbbbbbbbbbb and not aaaaaaaaaaaa"},
	{"another commit approved while held", {APPROVED(B, 6), .live = ITEM("held", A, 5)}, POLICY_REPLACE, "now bbbbbbbbbbbb"},
	{"another target while queued",
		{APPROVED(A, 5), .live = {.there = true, .state = "queued", .source = A, .target = "refs/heads/old", .approved = 5}},
		POLICY_REPLACE, "its target is now"},
	{"read again as wished, unchanged", {APPROVED(A, 5), .live = ITEM("rereading", A, 5)}, POLICY_GO, NULL},
	{"read again as wished, not approved any more", {OPEN, .live = ITEM("rereading", A, 5)}, POLICY_REMOVE, "not approved"},
	{"held", {APPROVED(A, 5), .live = ITEM("held", A, 5)}, POLICY_NOTHING, NULL},
	{"held, and approved once more", {APPROVED(A, 6), .live = ITEM("held", A, 5)}, POLICY_RELEASE, "approved once more"},
	{"rejected by hand under this approval", {APPROVED(A, 5), .rejected = 5}, POLICY_NOTHING, "was rejected"},
	{"rejected by hand, and approved once more", {APPROVED(A, 6), .rejected = 5}, POLICY_QUEUE, "queued"},
	{"rejected by hand while queued", {APPROVED(A, 5), .rejected = 5, .live = ITEM("queued", A, 5)}, POLICY_REJECTED, "as its report says"},
	{"rejected by hand while tested", {APPROVED(A, 5), .rejected = 5, .live = ITEM("building", A, 5)}, POLICY_REJECTED, "as its report says"},
	{"rejected by hand, and read again as wished", {APPROVED(A, 5), .rejected = 6, .live = ITEM("rereading", A, 5)}, POLICY_REJECTED,
		"as its report says"},
	{"rejected by hand while held", {APPROVED(A, 5), .rejected = 5, .live = ITEM("held", A, 5)}, POLICY_REJECTED, "as its report says"},
	{"rejected by hand, and queued by a newer approval", {APPROVED(A, 6), .rejected = 5, .live = ITEM("queued", A, 6)}, POLICY_NOTHING, NULL},
	{"rejected by hand while landing: the land daemon decides", {APPROVED(A, 5), .rejected = 5, .live = ITEM("landing", A, 5)},
		POLICY_NOTHING, NULL},
	{"landed before", {APPROVED(A, 5), .last = ITEM("landed", A, 5)}, POLICY_NOTHING, "landed already"},
	{"landed before, another commit now", {APPROVED(B, 6), .last = ITEM("landed", A, 5)}, POLICY_QUEUE, "queued"},
	{"rejected before", {APPROVED(A, 5), .last = ITEM("rejected", A, 5)}, POLICY_NOTHING, "was rejected"},
	{"rejected before, approved once more", {APPROVED(A, 6), .last = ITEM("rejected", A, 5)}, POLICY_QUEUE, "queued"},
	{"rejected before, another commit now", {APPROVED(B, 5), .last = ITEM("rejected", A, 5)}, POLICY_QUEUE, "queued"},
	{"taken out before, approved again", {APPROVED(A, 5), .last = ITEM("removed", A, 5)}, POLICY_QUEUE, "queued"},
};

static void choices(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct policy_choice choice = {.act = POLICY_NOTHING};
		bool good;

		policy_choose(&rows[i].facts, &choice);
		good = choice.act == rows[i].act && (rows[i].words ? strstr(choice.why, rows[i].words) != NULL : choice.why[0] == '\0');
		if (!ok(good, rows[i].what))
			printf("# act %d: %s\n", (int)choice.act, choice.why);
	}
}

static void outcomes(void)
{
	ok(policy_after_build(OUTCOME_SUCCESS) == POLICY_LAND, "a build that succeeds is landed");
	ok(policy_after_build(OUTCOME_FAILURE) == POLICY_REJECT && policy_after_build(OUTCOME_TIMEOUT) == POLICY_REJECT,
		"one that fails is not");
	ok(policy_after_build(OUTCOME_CONFLICT) == POLICY_REJECT, "nor one that does not merge");
	ok(policy_after_build(OUTCOME_INFRASTRUCTURE) == POLICY_AGAIN && policy_after_build(OUTCOME_UNREACHABLE) == POLICY_AGAIN,
		"trouble of ours is no vote against it");
	ok(policy_after_build(OUTCOME_MOVED) == POLICY_REREAD, "a target that moved is merged again");
	ok(policy_after_landing(OUTCOME_SUCCESS) == POLICY_DONE && policy_after_landing(OUTCOME_LANDED) == POLICY_DONE,
		"landed, or landed already, is done");
	ok(policy_after_landing(OUTCOME_MOVED) == POLICY_REREAD, "a landing that came too late is tested again");
	ok(policy_after_landing(OUTCOME_REFUSED) == POLICY_REJECT, "what the land daemon refuses is rejected");
	ok(policy_after_landing(OUTCOME_UNREACHABLE) == POLICY_AGAIN, "a forge out of reach is asked again");
	for (int outcome = OUTCOME_SUCCESS; outcome <= OUTCOME_CANCELLED; outcome++)
		if (outcome != OUTCOME_SUCCESS && policy_after_build((enum outcome)outcome) == POLICY_LAND)
			ok(false, "nothing but success is landed");
}

static void delays(void)
{
	int64_t last = 0, trouble = 1;

	for (; policy_delay_ms(trouble) >= 0; trouble++) {
		if (policy_delay_ms(trouble) <= last)
			break;
		last = policy_delay_ms(trouble);
	}
	ok(policy_delay_ms(trouble) == -1, "each delay is longer than the one before, and there is an end");
	ok(trouble > 3 && trouble < 12, "after a few");
	ok(last <= 600000, "none is over ten minutes");
	ok(policy_wait_ms(90, 0) == 90000, "who asks for time gets it");
	ok(policy_wait_ms(86400, 5000) == 3600000, "an hour at a time");
	ok(policy_wait_ms(1, 0) == policy_delay_ms(1), "and is not asked all the time");
	ok(policy_wait_ms(0, 0) == 0 && policy_wait_ms(-5, 0) == 0, "who does not ask gets none");
	ok(policy_wait_ms(90, 86399999) == 90000 && policy_wait_ms(90, 86400000) == 0, "nor who has asked for a day");
	ok(policy_wait_ms(90, -86400000) == 90000, "a clock that was set back takes none away");
}

int main(void)
{
	choices();
	outcomes();
	delays();
	return tap_done();
}
