#include "forge/approve.h"

#include "tests/tap.h"

#define HEAD "1111111111111111111111111111111111111111"
#define OLD "2222222222222222222222222222222222222222"
#define NOW 1000000

static const char *const never[] = {"brain", "landing", NULL};

struct given {
	const char *who, *commit;
	int64_t time;
	const char *why_not;
};

static struct approve_verdict decide_by(const char *proposer, unsigned needed, bool self, const struct given *given)
{
	struct forge_approval approvals[16];
	struct forge_proposal proposal = {.name = "one", .head = HEAD, .proposer = proposer, .approvals = approvals};
	const struct approve_criteria criteria = {.needed = needed, .self = self, .never = never, .now = NOW};
	struct approve_verdict verdict;

	for (; given->commit || given->who; given++)
		approvals[proposal.approval_count++] = (struct forge_approval){given->who, given->commit, given->time, given->why_not};
	approve_decide(&proposal, &criteria, &verdict);
	return verdict;
}

#define GIVEN(...) ((const struct given[]){__VA_ARGS__, {.who = NULL}})
#define NONE ((const struct given[]){{.who = NULL}})

static void refuses(struct approve_verdict verdict, const char *why, const char *what)
{
	ok(verdict.commit == NULL, what);
	if (!ok(strstr(verdict.why, why) != NULL, "and says why"))
		printf("# %s\n", verdict.why);
}

static void test_one(void)
{
	struct approve_verdict verdict = decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW, NULL}));

	is(verdict.commit, HEAD, "somebody else approved the head");
	ok(strstr(verdict.why, "bob") != NULL, "it says who");
	refuses(decide_by("alice", 1, false, NONE), "0 of 1 approval for 111111111111: approve it", "nobody approved");
	refuses(decide_by("alice", 1, false, GIVEN({"bob", OLD, NOW, NULL})), "pushed over since: approve again",
		"another commit was approved");
	refuses(decide_by("alice", 1, false, GIVEN({"bob", NULL, NOW, NULL})), "approve again", "an approval that names no commit");
	refuses(decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW, "bad signature"})), "bad signature",
		"an approval that does not count");
	refuses(decide_by("alice", 1, false, GIVEN({NULL, HEAD, NOW, NULL})), "nobody", "an approval by nobody");
	refuses(decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW + 601, NULL})), "future", "an approval from the future");
	ok(decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW + 601, NULL}, {"eve", HEAD, NOW + 700, NULL})).later == NOW + 1,
		"which says when that has come");
	ok(decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW, NULL}, {"eve", HEAD, NOW + 700, NULL})).later == 0, "but when it is approved");
	ok(decide_by("alice", 1, false, GIVEN({"bob", OLD, NOW, NULL})).later == 0, "or nothing is dated ahead");
	ok(decide_by("alice", 1, false, GIVEN({"bob", HEAD, NOW + 600, NULL})).commit != NULL, "a clock may be ten minutes ahead");
	refuses(decide_by("alice", 1, false, GIVEN({"bob", "", NOW, NULL})), "approve again", "an empty commit");
}

static void test_who(void)
{
	refuses(decide_by("alice", 1, false, GIVEN({"brain", HEAD, NOW, NULL})), "never counts", "the brain approves");
	refuses(decide_by("alice", 1, false, GIVEN({"landing", HEAD, NOW, NULL})), "never counts", "the landing account approves");
	refuses(decide_by("alice", 1, false, GIVEN({"alice", HEAD, NOW, NULL})), "approvals.self", "the proposer approves");
	ok(decide_by("alice", 1, true, GIVEN({"alice", HEAD, NOW, NULL})).commit != NULL, "unless that is allowed");
	refuses(decide_by("brain", 1, true, GIVEN({"brain", HEAD, NOW, NULL})), "never counts", "never the brain's");
	refuses(decide_by(NULL, 1, true, GIVEN({"bob", HEAD, NOW, NULL})), "propose again", "nobody proposed it");
}

static void test_several(void)
{
	refuses(decide_by("alice", 2, false, GIVEN({"bob", HEAD, NOW, NULL}, {"bob", HEAD, NOW - 1, NULL})), "1 of 2 approvals",
		"one person twice is one");
	ok(decide_by("alice", 2, false, GIVEN({"bob", HEAD, NOW, NULL}, {"carol", HEAD, NOW, NULL})).commit != NULL, "two are two");
	refuses(decide_by("alice", 2, false, GIVEN({"bob", HEAD, NOW, NULL}, {"carol", OLD, NOW, NULL})), "carol",
		"one of them for another commit");
	ok(decide_by("alice", 0, false, GIVEN({"bob", HEAD, NOW, NULL})).commit != NULL, "none needed is one needed");
	refuses(decide_by("alice", 0, false, NONE), "0 of 1", "never none");
	ok(decide_by("alice", 1, false, GIVEN({"mallory", HEAD, NOW, "bad"}, {"bob", HEAD, NOW - 9, NULL})).commit != NULL,
		"a bad one does not spoil a good one");
}

static void test_proposal(void)
{
	struct forge_proposal proposal = {.name = "one", .head = "", .proposer = "alice"};
	const struct approve_criteria criteria = {.needed = 1, .now = NOW};
	struct approve_verdict verdict;

	approve_decide(&proposal, &criteria, &verdict);
	refuses(verdict, "no source commit", "a closed proposal");
	proposal.head = NULL;
	approve_decide(&proposal, &criteria, &verdict);
	refuses(verdict, "no source commit", "a proposal without a head");
}

static void test_long(void)
{
	char name[4096];
	struct approve_verdict verdict;

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	verdict = decide_by("alice", 1, false, GIVEN({name, HEAD, NOW, NULL}));
	ok(verdict.commit && strlen(verdict.why) < sizeof verdict.why, "a long name is cut");
	for (size_t i = 0; i + 2 < sizeof name; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	verdict = decide_by("alice", 1, false, GIVEN({name, HEAD, NOW, NULL}));
	ok(verdict.commit && verdict.why[strspn(verdict.why, "?abcdefghijklmnopqrstuvwxyz1 ")] == '\0',
		"and what is cut stays a text");
	verdict = decide_by("alice", 1, false, GIVEN({name, HEAD, NOW, name}));
	ok(!verdict.commit && strlen(verdict.why) < sizeof verdict.why, "a long reason is cut");
}

int main(void)
{
	test_one();
	test_who();
	test_several();
	test_proposal();
	test_long();
	return tap_done();
}
