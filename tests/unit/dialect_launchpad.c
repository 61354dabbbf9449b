#include "forge/dialect_launchpad.h"

#include <stdlib.h>

#include "forge/approve.h"
#include "tests/tap.h"

#define HEAD "1111111111111111111111111111111111111111"
#define TIP "2222222222222222222222222222222222222222"
#define OLD "3333333333333333333333333333333333333333"
#define API "https://api.launchpad.net/devel/"

/* --- events */

static const char created[] = "{\"merge_proposal\": \"/~ann/p/+git/fork/+merge/12\", \"action\": \"created\", \"new\": {"
	"\"registrant\": \"/~ann\", \"source_git_repository\": \"/~ann/p/+git/fork\", \"source_git_path\": \"refs/heads/fix\", "
	"\"target_branch\": null, \"target_git_repository\": \"/~p/p/+git/p\", \"target_git_path\": \"refs/heads/main\", "
	"\"queue_status\": \"Needs review\", \"preview_diff\": null}}";

static int event(struct arena *arena, const char *kind, const char *body, struct dialect_event *found, struct err *err)
{
	return dialect_launchpad_event(arena, kind, body, strlen(body), found, err);
}

static void test_proposal_event(struct arena *arena)
{
	static const char *const others[] = {
		"{\"merge_proposal\":\"/~ann/p/+git/fork/+merge/12\",\"action\":\"deleted\",\"old\":{\"target_git_repository\":\"/~p/p/+git/p\"}}",
		"{\"merge_proposal\":\"/~ann/p/+git/fork/+merge/12\",\"action\":\"reviewed\",\"new\":{\"target_git_repository\":\"/~p/p/+git/p\"},"
		"\"old\":{\"target_git_repository\":\"/~p/p/+git/p\"}}",
		"{\"merge_proposal\":\"/~ann/p/+git/fork/+merge/12\",\"action\":\"of tomorrow\",\"new\":{\"target_git_repository\":\"/~p/p/+git/p\"}}"};
	struct dialect_event found = {.repository = "untouched"};
	struct err err;

	ok(event(arena, "merge-proposal:0.1", created, &found, &err) == 0, "a new proposal, without `old`");
	is(found.repository, "~p/p/+git/p", "for that repository");
	ok(found.proposals[0] && !found.proposals[1] && !found.targets[0], "one proposal, and nothing moved");
	is(found.proposals[0], "12", "by its number");
	is(found.places[0], "~ann/p/+git/fork/+merge/12", "with its place");
	is(dialect_launchpad_place(arena, created, strlen(created), &err), "~ann/p/+git/fork/+merge/12", "and its place");
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		ok(event(arena, "merge-proposal:0.1", others[i], &found, &err) == 0 && strcmp(found.proposals[0], "12") == 0,
			i == 0 ? "a deleted one, without `new`" : i == 1 ? "a review" : "an action that is not known is a hint all the same");
}

static void test_push_event(struct arena *arena)
{
	static const char push[] = "{\"git_repository\": \"/~p/p/+git/p\", \"git_repository_path\": \"~p/p/+git/p\", \"ref_changes\": {"
		"\"refs/heads/main\": {\"old\": {\"commit_sha1\": \"" OLD "\"}, \"new\": {\"commit_sha1\": \"" TIP "\"}}, "
		"\"refs/heads/gone\": {\"old\": {\"commit_sha1\": \"" OLD "\"}, \"new\": null}, "
		"\"refs/heads/bad ref\": {\"old\": null, \"new\": null}, "
		"\"refs/tags/v1\": {\"old\": null, \"new\": {\"commit_sha1\": \"" TIP "\"}}}}";
	struct dialect_event found = {.repository = NULL};
	struct err err;

	ok(event(arena, "git:push:0.1", push, &found, &err) == 0, "a push");
	is(found.repository, "~p/p/+git/p", "to that repository");
	ok(found.targets[0] && found.targets[1] && !found.targets[2] && !found.proposals[0], "two branches moved; no tag, no bad ref");
	ok(event(arena, "git:push:0.1", "{\"git_repository\":\"/~p/p/+git/p\",\"ref_changes\":{}}", &found, &err) == 0 && !found.targets[0],
		"without git_repository_path, and of nothing");
	ok(event(arena, "ping", "{\"ping\": true}", &found, &err) == 0 && !found.repository && !found.proposals[0] && !found.targets[0],
		"a ping is about nothing");
}

static void test_wrong_events(struct arena *arena)
{
	static const char *const bad[] = {"", "x", "[]", "{}", "1", "null", "{\"merge_proposal\":1,\"action\":\"created\",\"new\":{}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\"}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\",\"new\":[]}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\",\"new\":{}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\",\"new\":{\"target_git_repository\":null}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\",\"new\":{\"target_git_repository\":null,\"target_branch\":\"/~a/p/b\"}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/../b\"}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"new\":{\"target_git_repository\":\"/~a/b\"}}",
		"{\"merge_proposal\":\"/~a/+merge/../1\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/b\"}}",
		"{\"merge_proposal\":\"~a/+merge/1\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/b\"}}",
		"{\"merge_proposal\":\"https://evil/~a/+merge/1\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/b\"}}",
		"{\"merge_proposal\":\"/~a/+merge/1\\u0000\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/b\"}}",
		"{\"merge_proposal\":\"/~a/+merge/1\",\"merge_proposal\":\"/~a/+merge/2\",\"action\":\"created\",\"new\":{\"target_git_repository\":\"/~a/b\"}}"};
	static const char *const bad_pushes[] = {"{\"git_repository\":\"/~a/b\"}", "{\"git_repository\":\"/~a/b\",\"ref_changes\":[]}",
		"{\"git_repository\":\"/~a/b\",\"ref_changes\":{\"refs/heads/a\":1}}", "{\"ref_changes\":{}}", "{\"git_repository\":\"~a/b\",\"ref_changes\":{}}"};
	struct dialect_event found = {.repository = "untouched"};
	struct err err;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(event(arena, "merge-proposal:0.1", bad[i], &found, &err) < 0 && err.kind == ERR_INPUT, bad[i]);
	for (size_t i = 0; i < sizeof bad_pushes / sizeof bad_pushes[0]; i++)
		ok(event(arena, "git:push:0.1", bad_pushes[i], &found, &err) < 0 && err.kind == ERR_INPUT, bad_pushes[i]);
	ok(event(arena, "bzr:push:0.1", "{}", &found, &err) < 0 && err.kind == ERR_INPUT, "Bazaar");
	ok(event(arena, "", "{}", &found, &err) < 0 && event(arena, "ping", "[]", &found, &err) < 0, "no kind, no object");
	is(found.repository, "untouched", "what was there stays");
	ok(!dialect_launchpad_place(arena, "{}", 2, &err) && err.kind == ERR_INPUT, "no place");
}

/* --- the proposal, composed of what the API said */

/* What a test changes; NULL: as it is by default. Values are JSON. */
struct record {
	const char *status, *revision, *reviewed, *reviewer, *message, *description, *votes, *diffs, *source, *landed, *prerequisite,
		*prerequisite_landed, *target;
};

#define DIFF(when, source) "{\"source_revision_id\":" source ",\"target_revision_id\":\"" TIP "\",\"date_created\":\"" when "\"}"
#define VOTE(who, word, when, trusted) "{\"vote\":{\"reviewer_link\":\"" API "~" who "\",\"is_pending\":false},\"comment\":{\"vote\":\"" \
	word "\",\"date_created\":\"" when "\"},\"trusted\":" trusted "}"
#define BEFORE "2026-11-21T07:00:00.000000+00:00"
#define AT "2026-11-21T08:00:00.000000+00:00"
#define AFTER "2026-11-21T08:00:00.000001+00:00"

#define OR(value, fallback) ((value) ? (value) : (fallback))

static char *compose(struct arena *arena, const struct record *record)
{
	char *entry = arena_printf(arena,
		"{\"self_link\":\"" API "~ann/p/+git/fork/+merge/12\",\"web_link\":\"https://code.launchpad.net/~ann/p/+git/fork/+merge/12\","
		"\"registrant_link\":\"" API "~ann\",\"target_git_repository_link\":%s,\"target_git_path\":\"refs/heads/main\","
		"\"source_git_repository_link\":\"" API "~ann/p/+git/fork\",\"source_git_path\":\"refs/heads/fix\",\"queue_status\":%s,\"reviewer_link\":%s,\"date_reviewed\":%s,\"reviewed_revid\":%s,"
		"\"commit_message\":%s,\"description\":%s,\"prerequisite_git_path\":%s}",
		OR(record->target, "\"" API "~p/p/+git/p\""), OR(record->status, "\"Approved\""), OR(record->reviewer, "\"" API "~bob\""),
		OR(record->reviewed, "\"" AT "\""), OR(record->revision, "null"), OR(record->message, "\"Fix it\""),
		OR(record->description, "null"), OR(record->prerequisite, "null"));

	return arena_printf(arena,
		"{\"repository\":\"git.launchpad.net/~p/p/+git/p\",\"repository_name\":\"~p/p/+git/p\",\"proposal\":%s,\"votes\":[%s],"
		"\"diffs\":[%s],\"source_tip\":%s,\"target_tip\":\"" TIP "\",\"source_landed\":%s,\"prerequisite_landed\":%s,"
		"\"target_time\":10,\"head_time\":20,\"author_name\":\"Ann\",\"author_email\":\"ann@example.org\"}",
		entry, OR(record->votes, ""), OR(record->diffs, DIFF(BEFORE, "\"" HEAD "\"")), OR(record->source, "\"" HEAD "\""),
		OR(record->landed, "false"), OR(record->prerequisite_landed, "false"));
}

static int read_text(struct arena *arena, const char *text, struct forge_proposal *found, struct err *err)
{
	return dialect_launchpad_proposal(arena, text, strlen(text), found, err);
}

static int read_record(struct arena *arena, struct record record, struct forge_proposal *found, struct err *err)
{
	return read_text(arena, compose(arena, &record), found, err);
}

static void test_proposal(struct arena *arena)
{
	struct forge_proposal found = {.name = NULL};
	struct err err;

	ok(read_record(arena, (struct record){0}, &found, &err) == 0, "a proposal");
	is(found.name, "12", "its number");
	is(found.url, "https://code.launchpad.net/~ann/p/+git/fork/+merge/12", "what people are told");
	is(found.repository, "git.launchpad.net/~p/p/+git/p", "its repository");
	is(found.target, "refs/heads/main", "its target");
	is(found.target_tip, TIP, "the target's tip");
	is(found.head, HEAD, "its head");
	is(found.proposer, "ann", "its registrant");
	is(found.place, "~ann/p/+git/fork/+merge/12", "its place");
	is(found.source_repository, "git.launchpad.net/~ann/p/+git/fork", "the repository of its source");
	is(found.source_ref, "refs/heads/fix", "and the ref there");
	ok(!found.undecided, "its approval is decided");
	read_record(arena, (struct record){.diffs = DIFF(AFTER, "\"" HEAD "\"")}, &found, &err);
	ok(found.undecided && found.undecided_time == 1795248000, "one from before the newest diff is not");
	read_record(arena, (struct record){.revision = "\"" TIP "\""}, &found, &err);
	is(found.undecided, "pushed over since", "nor one of another revision");
	read_record(arena, (struct record){.diffs = DIFF(AFTER, "\"" HEAD "\""), .status = "\"Needs review\""}, &found, &err);
	ok(!found.undecided, "one that is not given is no question");
	read_record(arena, (struct record){0}, &found, &err);
	is(found.message, "Fix it", "its message");
	ok(found.target_time == 10 && found.head_time == 20 && found.state == FORGE_OPEN, "times and state");
	ok(found.approval_count == 1 && !found.approvals[0].why_not && found.approvals[0].time == 1795248000, "one approval, at its time");
	is(found.approvals[0].who, "bob", "by the reviewer");
	is(found.approvals[0].commit, HEAD, "for the head");
	read_record(arena, (struct record){.message = "\" \\n\"", .description = "\"Long story\""}, &found, &err);
	is(found.message, "Long story", "without a commit message: the description");
	read_record(arena, (struct record){.message = "null"}, &found, &err);
	is(found.message, "Merge fix", "without both: one line");
}

static void test_states(struct arena *arena)
{
	static const struct {
		const char *status, *landed, *source;
		enum forge_state state;
	} states[] = {{"\"Work in progress\"", NULL, NULL, FORGE_OPEN}, {"\"Needs review\"", NULL, NULL, FORGE_OPEN},
		{"\"Approved\"", "true", NULL, FORGE_MERGED}, {"\"Merged\"", "true", NULL, FORGE_MERGED}, {"\"Merged\"", "false", NULL, FORGE_CLOSED},
		{"\"Rejected\"", NULL, NULL, FORGE_CLOSED}, {"\"Superseded\"", NULL, NULL, FORGE_CLOSED}, {"\"Queued\"", NULL, NULL, FORGE_OPEN},
		{"\"Approved\"", NULL, "null", FORGE_CLOSED}, {"\"Approved\"", "true", "null", FORGE_CLOSED}};
	struct forge_proposal found;
	struct err err;

	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		ok(read_record(arena, (struct record){.status = states[i].status, .landed = states[i].landed, .source = states[i].source}, &found,
				&err) == 0 && found.state == states[i].state,
			arena_printf(arena, "%s%s%s", states[i].status, states[i].landed ? ", landed" : "", states[i].source ? ", no source" : ""));
	is(found.head, "", "no source, no head");
}

/* What approve_decide says with one approval needed. */
static const char *decided(struct arena *arena, struct record record, char why[static 256])
{
	struct approve_criteria criteria = {.needed = 1, .now = 1795250000};
	struct approve_verdict verdict;
	struct forge_proposal found;
	struct err err;

	if (read_record(arena, record, &found, &err) < 0)
		return err.text[0] ? "not read" : "";
	approve_decide(&found, &criteria, &verdict);
	memcpy(why, verdict.why, sizeof verdict.why);
	return verdict.commit;
}

/* promise 3. */
static void test_approved_commit(struct arena *arena)
{
	static const struct {
		struct record record;
		const char *commit, *why; /* why: a part of what is said; NULL: anything */
	} cases[] = {
		{{0}, HEAD, "approved by bob"},
		{{.revision = "\"" HEAD "\"", .diffs = ""}, HEAD, NULL},
		{{.revision = "\"" HEAD "\"", .diffs = DIFF(AFTER, "\"" OLD "\"")}, HEAD, NULL},
		{{.revision = "\"" OLD "\""}, NULL, "pushed over since"},
		{{.revision = "\"1111111\""}, NULL, "not a commit id"},
		{{.revision = "\"ann@example.org-2026\""}, NULL, "not a commit id"},
		{{.revision = "\"\""}, NULL, "not a commit id"},
		{{.diffs = ""}, NULL, "no preview diff"},
		{{.diffs = DIFF(AT, "\"" HEAD "\"")}, HEAD, NULL},
		{{.diffs = DIFF(AFTER, "\"" HEAD "\"")}, NULL, "later than it"},
		{{.diffs = DIFF(BEFORE, "\"" OLD "\"")}, NULL, "not of the source now"},
		{{.diffs = DIFF(BEFORE, "null")}, NULL, "not of the source now"},
		{{.diffs = DIFF(AFTER, "\"" HEAD "\"") "," DIFF(BEFORE, "\"" HEAD "\"")}, NULL, "later than it"},
		{{.diffs = DIFF(BEFORE, "\"" HEAD "\"") "," DIFF(AFTER, "\"" OLD "\"")}, NULL, "later than it"},
		{{.diffs = DIFF("2026-11-21T06:00:00+00:00", "\"" OLD "\"") "," DIFF(BEFORE, "\"" HEAD "\"")}, HEAD, NULL},
		{{.diffs = DIFF(BEFORE, "\"" OLD "\"") "," DIFF(BEFORE, "\"" HEAD "\"")}, NULL, "two newest"},
		{{.diffs = DIFF(BEFORE, "\"" HEAD "\"") "," DIFF(BEFORE, "\"" HEAD "\"")}, HEAD, NULL},
		{{.reviewed = "null"}, NULL, "does not say when"},
		{{.reviewed = "\"2099-01-01T00:00:00+00:00\""}, NULL, "in the future"},
		{{.reviewer = "null"}, NULL, "nobody that is known"},
		{{.reviewer = "\"" API "~ann\""}, NULL, "own does not count"},
	};
	char why[256];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		is(decided(arena, cases[i].record, why), cases[i].commit, why);
		ok(!cases[i].why || strstr(why, cases[i].why), OR(cases[i].why, "approved"));
		ok(cases[i].commit || strstr(why, "approve again") || strstr(why, "it is looked at again"), "and what to do");
	}
}

static void test_what_stops(struct arena *arena)
{
	static const struct {
		struct record record;
		const char *commit, *why;
	} cases[] = {
		{{.status = "\"Needs review\""}, NULL, "approve it"},
		{{.status = "\"Needs review\"", .votes = VOTE("eve", "Approve", AT, "true")}, NULL, "status is Needs review"},
		{{.votes = VOTE("eve", "Disapprove", BEFORE, "true")}, NULL, "eve's vote is Disapprove"},
		{{.votes = VOTE("eve", "Disapprove", BEFORE, "false")}, HEAD, "bob"},
		{{.votes = VOTE("eve", "Needs Fixing", BEFORE, "true")}, HEAD, "bob"},
		{{.prerequisite = "\"refs/heads/first\""}, NULL, "prerequisite refs/heads/first has not landed"},
		{{.prerequisite = "\"refs/heads/first\"", .prerequisite_landed = "true"}, HEAD, "bob"},
		{{.prerequisite = "\"refs/heads/first\"", .prerequisite_landed = "1"}, NULL, "has not landed"},
	};
	char why[256];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		is(decided(arena, cases[i].record, why), cases[i].commit, why);
		ok(strstr(why, cases[i].why), cases[i].why);
	}
}

static void test_votes(struct arena *arena)
{
	static const char pending[] = "{\"vote\":{\"reviewer_link\":\"" API "~dan\",\"is_pending\":true},\"comment\":null,\"trusted\":true}";
	struct forge_proposal found;
	struct err err;

	ok(read_record(arena, (struct record){.votes = VOTE("carol", "Approve", AT, "true") "," VOTE("eve", "Approve", AT, "false") ","
			VOTE("fay", "Approve", "2026-11-21T06:59:59+00:00", "true") "," VOTE("gus", "Abstain", AT, "true") ","
			VOTE("hal", "Of tomorrow", AT, "true") ",",
		.diffs = NULL}, &found, &err) < 0, "a comma too many");
	ok(read_record(arena, (struct record){.votes = VOTE("carol", "Approve", AT, "true") "," VOTE("eve", "Approve", AT, "false") ","
			VOTE("fay", "Approve", "2026-11-21T06:59:59+00:00", "true") "," VOTE("gus", "Abstain", AT, "true") ","
			VOTE("hal", "Of tomorrow", AT, "true")}, &found, &err) == 0 && found.approval_count == 4, "the votes that approve, and the status");
	is(found.approvals[1].who, "carol", "a vote");
	is(found.approvals[1].commit, HEAD, "counts for what was to be seen");
	ok(!found.approvals[1].why_not && strstr(found.approvals[2].why_not, "not a reviewer"), "a stranger's does not");
	ok(!found.approvals[3].commit && strstr(found.approvals[3].why_not, "later than it"), "nor one from before the newest diff");
	ok(read_record(arena, (struct record){.votes = pending}, &found, &err) == 0 && found.approval_count == 1, "what was only asked for is none");
	ok(read_record(arena, (struct record){.revision = "\"" HEAD "\"", .votes = VOTE("carol", "Approve", BEFORE, "true"),
		.diffs = DIFF(AT, "\"" HEAD "\"")}, &found, &err) == 0 && found.approvals[0].commit && !found.approvals[1].commit,
		"the reviewed revision is the reviewer's, not the voters'");
}

/* --- what is not a proposal */

static const char *replaced(struct arena *arena, const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	return at ? arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) : "";
}

static void test_wrong(struct arena *arena)
{
	static const char *const keys[] = {"repository", "repository_name", "proposal", "votes", "diffs", "target_tip", "target_time",
		"head_time", "author_name", "author_email", "self_link", "web_link", "target_git_repository_link", "target_git_path",
		"source_git_path", "queue_status"};
	static const struct {
		const char *from, *to;
	} wrong[] = {{"+merge/12", "+merge/0"}, {"+merge/12", "+merge/12/comments/1"}, {"\"https://code", "\"javascript:"},
		{"refs/heads/main", "refs/tags/x"},
		{"refs/heads/main", "refs/heads/../x"}, {"refs/heads/fix", "main"},
		{"\"target_tip\":\"" TIP, "\"target_tip\":\"main"}, {"\"source_tip\":\"" HEAD, "\"source_tip\":\""},
		{"\"source_tip\":\"1", "\"source_tip\":\"A"}, {"\"Approved\"", "\"approved\""}, {"\"Approved\"", "null"}, {AT, "yesterday"},
		{AT, "2026-11-21T08:00:00+01:00"}, {"devel/~bob", "devel/bob"}, {"devel/~bob", "devel/~bob/x"},
		{"devel/~bob", "devel/~"}, {":10,", ":\"10\","},
		{"\"Fix it\"", "1"}, {"\"repository_name\":\"~p/p", "\"repository_name\":\"~p/q"}, {"devel/~p/p/+git/p", "devel/~evil/p/+git/p"},
		{"\"reviewed_revid\":null", "\"reviewed_revid\":7"}, {BEFORE, "never"}, {"\"date_created\"", "\"date\""}};
	const char *text = compose(arena, &(struct record){0});
	struct forge_proposal found = {.name = "untouched"};
	struct err err;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		ok(read_text(arena, replaced(arena, text, arena_printf(arena, "\"%s\":", keys[i]), "\"other\":"), &found, &err) < 0 &&
			err.kind == ERR_INPUT, keys[i]);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ok(read_text(arena, replaced(arena, text, wrong[i].from, wrong[i].to), &found, &err) < 0 && err.kind == ERR_INPUT, wrong[i].to);
	ok(read_record(arena, (struct record){.target = "null"}, &found, &err) < 0 && strstr(err.text, "only git"), "a Bazaar proposal");
	ok(read_record(arena, (struct record){.votes = "1"}, &found, &err) < 0 && err.kind == ERR_INPUT, "a vote that is a number");
	ok(read_record(arena, (struct record){.votes = "{\"vote\":null}"}, &found, &err) < 0 && err.kind == ERR_INPUT, "a vote that is none");
	ok(read_record(arena, (struct record){.diffs = "null"}, &found, &err) < 0 && err.kind == ERR_INPUT, "a diff that is none");
	is(found.name, "untouched", "what was there stays");
	for (size_t length = 0; length < strlen(text); length++)
		if (dialect_launchpad_proposal(arena, text, length, &found, &err) == 0)
			break;
	ok(err.kind == ERR_INPUT && strcmp(found.name, "untouched") == 0, "no part of it is a proposal");
}

static char *repeated(struct arena *arena, const char *one, unsigned count)
{
	size_t length = strlen(one);
	char *all = arena_alloc(arena, count * (length + 1) + 1);

	for (unsigned i = 0; i < count; i++) {
		memcpy(all + i * (length + 1), one, length);
		all[i * (length + 1) + length] = ',';
	}
	all[count * (length + 1) - 1] = '\0';
	return all;
}

static void test_too_much(struct arena *arena)
{
	const char *vote = VOTE("carol", "Approve", AT, "true"), *diff = DIFF(BEFORE, "\"" HEAD "\"");
	char *message = arena_alloc(arena, DIALECT_LAUNCHPAD_MESSAGE + 4);
	struct forge_proposal found = {.name = NULL};
	struct err err;

	ok(read_record(arena, (struct record){.votes = repeated(arena, vote, DIALECT_LAUNCHPAD_VOTES)}, &found, &err) == 0 &&
		found.approval_count == DIALECT_LAUNCHPAD_VOTES + 1, "as many votes as there may be");
	ok(read_record(arena, (struct record){.votes = repeated(arena, vote, DIALECT_LAUNCHPAD_VOTES + 1)}, &found, &err) < 0, "one more");
	ok(read_record(arena, (struct record){.diffs = repeated(arena, diff, DIALECT_LAUNCHPAD_DIFFS + 1)}, &found, &err) < 0, "too many diffs");
	ok(read_record(arena, (struct record){.votes = repeated(arena, "[", 1000)}, &found, &err) < 0, "nested");
	memset(message, 'x', DIALECT_LAUNCHPAD_MESSAGE + 3);
	message[0] = message[DIALECT_LAUNCHPAD_MESSAGE + 2] = '"';
	ok(read_record(arena, (struct record){.message = message}, &found, &err) < 0 && strstr(err.text, "message"), "too long a message");
}

/* One byte changed, everywhere and to anything: an answer, whatever it is; and never another commit as approved than the head. */
static void test_mutations(struct arena *arena)
{
	struct arena *mine = arena_new();
	char *text = compose(arena, &(struct record){.votes = VOTE("carol", "Approve", AT, "true")});
	size_t length = strlen(text), read = 0, refused = 0, wrong = 0;
	unsigned seed = 7;

	for (size_t i = 0; i < 20 * length; i++) {
		struct forge_proposal found;
		struct err err;
		char before = text[i % length];

		seed = seed * 1103515245 + 12345;
		text[i % length] = (char)(seed >> 16);
		if (dialect_launchpad_proposal(mine, text, length, &found, &err) == 0) {
			read++;
			for (size_t k = 0; k < found.approval_count; k++)
				wrong += found.approvals[k].commit && !found.approvals[k].why_not && strcmp(found.approvals[k].commit, found.head) != 0;
		} else {
			refused += err.kind == ERR_INPUT;
		}
		text[i % length] = before;
		arena_reset(mine);
	}
	ok(read + refused == 20 * length && read > 0 && refused > 0, "changed bytes are read or refused");
	ok(wrong == 0, "and no approval is for another commit than the head");
	arena_free(mine);
}

static void test_event_mutations(void)
{
	struct arena *mine = arena_new();
	char text[sizeof created];
	size_t read = 0, refused = 0;
	unsigned seed = 3;

	for (size_t i = 0; i < 20 * sizeof created; i++) {
		struct dialect_event found;
		struct err err;

		memcpy(text, created, sizeof created);
		seed = seed * 1103515245 + 12345;
		text[i % (sizeof created - 1)] = (char)(seed >> 16);
		if (dialect_launchpad_event(mine, "merge-proposal:0.1", text, sizeof created - 1, &found, &err) == 0)
			read += forge_name_valid(found.proposals[0]) && !strstr(found.repository, "..");
		else
			refused += err.kind == ERR_INPUT;
		arena_reset(mine);
	}
	ok(read + refused == 20 * sizeof created && read > 0 && refused > 0, "changed bytes are an event of good names, or refused");
	arena_free(mine);
}

int main(void)
{
	struct arena *arena = arena_new();

	test_proposal_event(arena);
	test_push_event(arena);
	test_wrong_events(arena);
	test_proposal(arena);
	test_states(arena);
	test_approved_commit(arena);
	test_what_stops(arena);
	test_votes(arena);
	test_wrong(arena);
	test_too_much(arena);
	test_mutations(arena);
	test_event_mutations();
	arena_free(arena);
	return tap_done();
}
