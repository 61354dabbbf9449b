#include "forge/dialect.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "tests/tap.h"

#define HEAD "1111111111111111111111111111111111111111"
#define TIP "2222222222222222222222222222222222222222"

/* What a forge would put into its header. */
static const char *signature(const struct dialect *dialect, const char *secret, const char *body, char out[static 256])
{
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	char hex[2 * CRYPTO_DIGEST_MAXIMUM + 1];
	struct crypto_hmac *hmac;
	struct err err;

	hmac = crypto_hmac_new(dialect->signature.digest, secret, strlen(secret), &err);
	if (!hmac)
		return err.text[0] ? "no digest" : "";
	crypto_hmac_add(hmac, body, strlen(body));
	crypto_hex(digest, crypto_hmac_end(hmac, digest), hex);
	crypto_hmac_free(hmac);
	snprintf(out, 256, "%s: %s%s", dialect->signature.header, dialect->signature.prefix, hex);
	return out;
}

/* Launchpad: lib/lp/services/webhooks/tests/test_job.py. GitHub: "Validating webhook deliveries". The others: openssl dgst -hmac.
 */
static void test_signatures(void)
{
	static const struct {
		const char *dialect, *secret, *body, *header;
	} vectors[] = {
		{"launchpad", "sekrit", "{\"foo\": \"bar\"}", "X-Hub-Signature: sha1=de75f136c37d89f5eb24834468c1ecd602fa95dd"},
		{"github", "It's a Secret to Everybody", "Hello, World!",
			"X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		{"gitea", "It's a Secret to Everybody", "Hello, World!",
			"X-Gitea-Signature: 757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		{"git", "It's a Secret to Everybody", "Hello, World!",
			"X-Byoci-Signature: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
	};
	char out[256];

	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		is(signature(dialect_find(vectors[i].dialect), vectors[i].secret, vectors[i].body, out), vectors[i].header,
			vectors[i].dialect);
	is(dialect_find("gitlab")->signature.header, "X-Gitlab-Token", "gitlab sends the secret itself");
	ok(dialect_find("gitlab")->signature.digest == NULL, "and signs nothing");
}

static void test_table(void)
{
	ok(dialect_count == 5, "five forges");
	for (unsigned i = 0; i < dialect_count; i++) {
		ok(dialect_find(dialect_table[i].name) == &dialect_table[i], dialect_table[i].name);
		ok(dialect_table[i].signature.header && dialect_table[i].signature.prefix && dialect_table[i].event_header &&
				dialect_table[i].delivery_header, "its headers");
	}
	ok(!dialect_find("Git") && !dialect_find("") && !dialect_find("gerrit"), "no others");
	ok(dialect_find("git")->event && dialect_find("git")->proposal, "git is read");
	ok(!dialect_find("github")->event && !dialect_find("gitea")->proposal, "the others are stored, not read yet");
}

static int event(struct arena *arena, const char *kind, const char *body, struct dialect_event *found, struct err *err)
{
	return dialect_find("git")->event(arena, kind, body, strlen(body), found, err);
}

static void test_event(struct arena *arena)
{
	static const char body[] = "{\"repository\":\"host/sample\",\"pusher\":\"alice\",\"time\":1,\"refs\":["
		"{\"ref\":\"refs/proposals/one/head\",\"old\":null,\"new\":\"" HEAD "\"},"
		"{\"ref\":\"refs/proposals/one/records/00\",\"old\":null,\"new\":\"" HEAD "\"},"
		"{\"ref\":\"refs/proposals/two/reports/00\",\"old\":null,\"new\":\"" HEAD "\"},"
		"{\"ref\":\"refs/proposals/../head\",\"old\":null,\"new\":\"" HEAD "\"},"
		"{\"ref\":\"refs/tags/v1\",\"old\":null,\"new\":\"" HEAD "\"},"
		"{\"ref\":\"refs/heads/main\",\"old\":null,\"new\":\"" HEAD "\"}]}";
	struct dialect_event found = {.repository = "untouched"};
	struct err err;

	ok(event(arena, "push", body, &found, &err) == 0, "a push");
	is(found.repository, "host/sample", "of that repository");
	ok(found.proposals[0] && !found.proposals[1], "one proposal, named once; no report, no bad name");
	is(found.proposals[0], "one", "that one");
	ok(found.targets[0] && !found.targets[1], "one branch");
	is(found.targets[0], "refs/heads/main", "that one");
	ok(found.pushed[0] && !found.pushed[1] && strcmp(found.pushed[0], "one") == 0, "whose commit is another now");

	static const char *const bad[] = {"", "x", "[]", "{}", "{\"repository\":1,\"refs\":[]}", "{\"repository\":\"a/b\"}",
		"{\"repository\":\"a/b\",\"refs\":{}}", "{\"repository\":\"a/b\",\"refs\":[1]}", "{\"repository\":\"a/b\",\"refs\":[{}]}",
		"{\"repository\":\"a/b\",\"refs\":[{\"ref\":null}]}", "{\"repository\":\"a/b\",\"refs\":[]}x",
		"{\"repository\":\"a\\u0000b\",\"refs\":[]}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(event(arena, "push", bad[i], &found, &err) < 0 && err.kind == ERR_INPUT, bad[i]);
	ok(event(arena, "issue", body, &found, &err) < 0 && err.kind == ERR_INPUT, "another kind of event");
	is(found.repository, "host/sample", "what was there stays");
	ok(event(arena, "push", "{\"repository\":\"a/b\",\"refs\":[{\"ref\":\"refs/proposals/one/records/00\"}]}", &found, &err) == 0 &&
			found.proposals[0] && !found.pushed[0],
		"an approval pushes no commit");
	ok(event(arena, "push", "{\"repository\":\"a/b\",\"refs\":[]}", &found, &err) == 0 && !found.proposals[0] &&
			!found.targets[0],
		"nothing pushed");
}

static const char reply[] =
	"{\"proposal\":\"one\",\"repository\":\"host/sample\",\"url\":\"ssh://host/sample.git#one\",\"target\":\"refs/heads/main\","
	"\"target_tip\":\"" TIP "\",\"target_time\":10,\"head\":\"" HEAD
	"\",\"head_time\":20,\"author_name\":\"A\",\"author_email\":\"a@b\","
	"\"state\":\"open\",\"proposer\":\"alice\",\"message\":\"Do it\",\"records\":["
	"{\"kind\":\"propose\",\"who\":\"alice\",\"commit\":\"" HEAD "\",\"time\":5,\"target\":\"refs/heads/main\",\"why_not\":null},"
	"{\"kind\":\"approve\",\"who\":\"bob\",\"commit\":\"" HEAD "\",\"time\":6,\"target\":\"refs/heads/main\",\"why_not\":null},"
	"{\"kind\":\"approve\",\"who\":\"carol\",\"commit\":\"" HEAD "\",\"time\":6,\"target\":\"refs/heads/next\",\"why_not\":null},"
	"{\"kind\":\"approve\",\"who\":null,\"commit\":\"\",\"time\":0,\"target\":\"\",\"why_not\":\"bad\"}]}";

static int proposal(struct arena *arena, const char *text, size_t length, struct forge_proposal *found, struct err *err)
{
	return dialect_find("git")->proposal(arena, text, length, found, err);
}

static void test_proposal(struct arena *arena)
{
	struct forge_proposal found = {.name = NULL};
	struct err err;

	ok(proposal(arena, reply, strlen(reply), &found, &err) == 0, "a proposal");
	is(found.name, "one", "its name");
	is(found.target_tip, TIP, "its target's tip");
	is(found.head, HEAD, "its head");
	is(found.proposer, "alice", "its proposer");
	is(found.message, "Do it", "its message");
	ok(found.state == FORGE_OPEN && found.head_time == 20 && found.target_time == 10, "state and times");
	ok(found.approval_count == 3, "three approvals, the proposal is none");
	ok(found.approvals[0].why_not == NULL && strcmp(found.approvals[0].who, "bob") == 0, "the first may count");
	is(found.approvals[1].why_not, "it is for refs/heads/next", "one for another target does not");
	is(found.approvals[2].why_not, "bad", "nor what was not verified");
	ok(found.approvals[2].who == NULL && found.approvals[2].commit == NULL, "which is nobody's");
}

/* Replaces the first `from` by `to`. */
static int changed(struct arena *arena, const char *from, const char *to, struct forge_proposal *found, struct err *err)
{
	const char *at = strstr(reply, from);
	const char *text = arena_printf(arena, "%.*s%s%s", (int)(at - reply), reply, to, at + strlen(from));

	return proposal(arena, text, strlen(text), found, err);
}

/* What is said of how it ended, which readings of before did not have. */
static void test_ended(struct arena *arena)
{
	struct forge_proposal found = {.name = NULL};
	struct err err;
	static const char merged[] = "\"state\":\"merged\",\"merge\":\"" TIP "\",\"rejected\":7,";

	ok(proposal(arena, reply, strlen(reply), &found, &err) == 0 && !found.merge && found.rejected == 0, "nothing is said of its end");
	ok(changed(arena, "\"state\":\"open\",", merged, &found, &err) == 0 && found.state == FORGE_MERGED, "one that is merged");
	is(found.merge, TIP, "by which commit");
	ok(found.rejected == 7, "rejected under which approval");
	ok(changed(arena, "\"state\":\"open\",", "\"state\":\"merged\",\"merge\":\"HEAD\",", &found, &err) < 0 &&
			err.kind == ERR_INPUT,
		"a merge that is no commit's id");
}

static void test_wrong(struct arena *arena)
{
	static const char *const keys[] = {"proposal", "repository", "url", "target", "target_tip", "target_time", "head",
		"head_time", "author_name", "author_email", "state", "message", "records", "kind"};
	static const struct {
		const char *from, *to;
	} wrong[] = {{"\"one\"", "\"../x\""}, {"refs/heads/main", "refs/tags/x"}, {TIP, "main"}, {"\"" HEAD "\"", "\"\""},
		{"\"open\"", "\"new\""}, {"\"open\"", "1"}, {":10", ":\"10\""}, {"\"Do it\"", "null"},
		{"\"kind\":\"approve\"", "\"kind\":7"}, {"\"bob\",\"commit\":\"" HEAD, "\"bob\",\"commit\":\"zz"}};
	struct forge_proposal found = {.name = "untouched"};
	struct err err;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		ok(changed(arena, arena_printf(arena, "\"%s\":", keys[i]), "\"other\":", &found, &err) < 0 && err.kind == ERR_INPUT,
			keys[i]);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ok(changed(arena, wrong[i].from, wrong[i].to, &found, &err) < 0 && err.kind == ERR_INPUT, wrong[i].to);
	is(found.name, "untouched", "what was there stays");
	ok(changed(arena, "\"proposer\":\"alice\"", "\"proposer\":null", &found, &err) == 0 && !found.proposer,
		"nobody may have proposed it");
	ok(changed(arena, "\"Do it\"", "\" \"", &found, &err) == 0 && strcmp(found.message, "Merge one") == 0,
		"a message is never empty");
	for (size_t length = 0; length < strlen(reply); length++)
		if (proposal(arena, reply, length, &found, &err) == 0)
			break;
	ok(err.kind == ERR_INPUT, "no part of it is a proposal");
}

/* One byte changed, everywhere and to anything: an answer, whatever it is. */
static void test_mutations(struct arena *arena)
{
	char text[sizeof reply];
	unsigned read = 0, refused = 0, seed = 7;

	for (size_t i = 0; i < 20 * sizeof reply; i++) {
		struct forge_proposal found = {.name = NULL};
		struct err err;

		memcpy(text, reply, sizeof reply);
		seed = seed * 1103515245 + 12345;
		text[i % (sizeof reply - 1)] = (char)(seed >> 16);
		if (proposal(arena, text, sizeof reply - 1, &found, &err) == 0)
			read++;
		else
			refused += err.kind == ERR_INPUT;
		arena_reset(arena);
	}
	ok(read + refused == 20 * sizeof reply, "changed bytes are read or refused");
}

int main(void)
{
	struct arena *arena = arena_new();

	test_table();
	test_signatures();
	test_event(arena);
	test_proposal(arena);
	test_ended(arena);
	test_wrong(arena);
	test_mutations(arena);
	arena_free(arena);
	return tap_done();
}
