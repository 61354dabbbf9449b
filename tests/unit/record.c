#include "git/record.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "tests/tap.h"

#define COMMIT "1111111111111111111111111111111111111111"

static char folder[] = "/tmp/byoci-record.XXXXXX";
static const char *signers;

static const char *in_folder(struct arena *arena, const char *name)
{
	return arena_printf(arena, "%s/%s", folder, name);
}

static const char *make_key(struct arena *arena, const char *who)
{
	const char *key = in_folder(arena, who);
	const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, NULL};
	struct child child = CHILD_INIT;
	struct child_result result;
	struct err err;

	child.argv = argv;
	if (child_run(&child, NULL, &result, &err) < 0 || result.status != 0) {
		printf("Bail out! ssh-keygen\n");
		exit(1);
	}
	child_result_release(&result);
	return key;
}

/* "WHO OPTIONS KEY" lines of allowed_signers. */
static const char *signer(struct arena *arena, const char *principals, const char *options, const char *key)
{
	struct err err;
	const char *public = file_read(arena, arena_printf(arena, "%s.pub", key), 4096, NULL, &err);

	return arena_printf(arena, "%s %s %s", principals, options, public);
}

static void allow(const char *text)
{
	struct err err;

	if (file_write(signers, text, strlen(text), 0644, &err) < 0)
		exit(1);
}

static struct record sample(int64_t time)
{
	return (struct record){.kind = RECORD_PROPOSE, .repository = "host/sample", .proposal = "one", .target = "refs/heads/main",
		.commit = COMMIT, .time = time, .ms = 7, .message = "Do it\n\nWell \xc3\xa4."};
}

static char *blob_of(struct arena *arena, const struct record *record, const char *key)
{
	struct err err;
	char *payload = record_payload(arena, record, &err);

	return payload ? record_sign(arena, payload, key, &err) : NULL;
}

/* Who signed it, or "?WHY NOT", or "!NOT A RECORD". */
static const char *judge(struct arena *arena, const char *blob, size_t length)
{
	struct record record;
	struct err err;

	if (record_parse(arena, blob, length, &record, &err) < 0)
		return arena_printf(arena, "!%s", err.text);
	if (record_verify(arena, signers, &record, &err) < 0)
		return arena_printf(arena, "error: %s", err.text);
	return record.who ? record.who : arena_printf(arena, "?%s", record.why_not);
}

static const char *judge_signed(struct arena *arena, const struct record *record, const char *key)
{
	const char *blob = blob_of(arena, record, key);

	return blob ? judge(arena, blob, strlen(blob)) : "not signed";
}

static void test_round(struct arena *arena, const char *alice)
{
	struct record record = sample(1700000000), found;
	const char *blob = blob_of(arena, &record, alice);
	char id[RECORD_ID_SIZE];
	struct err err;

	ok(blob && record_parse(arena, blob, strlen(blob), &found, &err) == 0, "what is signed is a record");
	ok(found.kind == RECORD_PROPOSE && found.time == 1700000000 && found.ms == 7, "kind and time");
	is(found.repository, "host/sample", "repository");
	is(found.commit, COMMIT, "commit");
	is(found.message, record.message, "message");
	ok(!found.who && !found.why_not, "nothing is known of who");
	is(judge(arena, blob, strlen(blob)), "alice", "until it is verified");
	ok(strspn(record_id(blob, strlen(blob), id), "0123456789abcdef") == 32, "its ID");
	record.kind = RECORD_APPROVE;
	record.message = NULL;
	is(judge_signed(arena, &record, alice), "alice", "an approval has no message");
	record.kind = RECORD_PROPOSE;
	is(judge_signed(arena, &record, alice), "!record: message: missing", "a proposal must have one");
}

static void test_signers(struct arena *arena, const char *alice, const char *bob)
{
	const struct record record = sample(1700000000); /* 2023-11-14 */
	static const char not_good[] = "?the signature is not good for this text, or the key is not allowed for it now";
	static const char stranger[] = "?not signed by a key in allowed_signers";

	is(judge_signed(arena, &record, bob), stranger, "a stranger");
	allow(signer(arena, "alice,alias", "", alice));
	is(judge_signed(arena, &record, alice), "alice", "the first of several names");
	allow(signer(arena, "*", "", alice));
	is(judge_signed(arena, &record, alice), "?allowed_signers has a pattern for this key, not a name", "a pattern is nobody");
	allow(signer(arena, "alice", "namespaces=\"git\"", alice));
	is(judge_signed(arena, &record, alice), not_good, "a key that is not for records");
	allow(signer(arena, "alice", "valid-before=\"20200101\"", alice));
	is(judge_signed(arena, &record, alice), stranger, "a key that was not good any more when it was signed");
	allow(signer(arena, "alice", "valid-after=\"20240101\"", alice));
	is(judge_signed(arena, &record, alice), stranger, "a key that was not good yet");
	allow(signer(arena, "alice", "valid-before=\"20250101\"", alice));
	is(judge_signed(arena, &record, alice), not_good, "a key that is not good now, whatever time the record says");
	allow("");
	is(judge_signed(arena, &record, alice), stranger, "an empty file");
	unlink(signers);
	ok(strncmp(judge_signed(arena, &record, alice), "error: ", 7) == 0, "no file is an error, not a verdict");
}

static void test_forms(struct arena *arena, const char *alice)
{
	static const struct {
		const char *payload, *why;
	} wrong[] = {
		{"\n", "!record: not JSON"},
		{"hello\n", "!record: not JSON"},
		{"[]\n", "!record: byoci: missing"},
		{"{\"byoci\":2}\n", "!record: kind: missing"},
		{"{\"byoci\":1,\"kind\":\"vote\"}\n", "!record: kind: must be"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"..\",\"target\":\"refs/heads/"
		 "main\",\"commit\":\"" COMMIT "\",\"time\":1}\n",
			"!record: proposal: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"main\",\"commit\":\"" COMMIT
		 "\",\"time\":1}\n",
			"!record: target: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/"
		 "main\",\"commit\":\"HEAD\","
		 "\"time\":1}\n",
			"!record: commit: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/"
		 "main\",\"commit\":\"" COMMIT "\",\"time\":-1}\n",
			"!record: time: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/"
		 "main\",\"commit\":\"" COMMIT "\",\"time\":1e3}\n",
			"!record: time: must"},
		{"{\"byoci\":1,\"kind\":\"propose\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/"
		 "main\",\"commit\":\"" COMMIT "\",\"time\":1,\"message\":\"\\u001b[2J\"}\n",
			"!record: message: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/\\u001bb\",\"proposal\":\"x\",\"target\":\"refs/heads/main\","
		 "\"commit\":\"" COMMIT "\",\"time\":1}\n",
			"!record: repository: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/a "
	     "b\",\"commit\":\"" COMMIT "\",\"time\":1}\n",
			"!record: target: must"},
		{"{\"byoci\":1,\"kind\":\"approve\",\"repository\":\"a/b\",\"proposal\":\"x\",\"target\":\"refs/heads/"
	     "a\",\"commit\":\"" COMMIT "\",\"time\":1,\"ms\":1000}\n",
			"!record: time: must"},
		{"{\"byoci\":1,\"byoci\":1}\n", "!record: not JSON"},
	};
	struct err err;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		const char *blob = record_sign(arena, wrong[i].payload, alice, &err);
		const char *verdict = blob ? judge(arena, blob, strlen(blob)) : "not signed";

		if (!ok(strncmp(verdict, wrong[i].why, strlen(wrong[i].why)) == 0, wrong[i].why))
			printf("# %s\n", verdict);
	}
}

/* Nothing that differs in a byte from what was signed is alice's, and nothing breaks the parser. */
static void test_mutations(struct arena *arena, const char *alice)
{
	const struct record record = sample(1700000000);
	const char *blob = blob_of(arena, &record, alice);
	size_t length = strlen(blob), payload = strcspn(blob, "\n") + 1;
	unsigned taken = 0, parsed = 0;
	struct arena *small = arena_new();

	for (size_t i = 0; i < length; i++) {
		char *copy = arena_memdup(small, blob, length);
		struct record found;
		struct err err;

		if (record_parse(small, blob, i, &found, &err) == 0)
			taken++;
		copy[i] ^= 1;
		if (record_parse(small, copy, length, &found, &err) == 0)
			parsed++;
		if (i % 16 == 0 && i < payload && strcmp(judge(small, copy, length), "alice") == 0)
			taken++;
		arena_reset(small);
	}
	arena_free(small);
	ok(taken == 0, "a record that is cut or changed is nobody's");
	ok(parsed > 0, "though some of them look like one");
	ok(judge(arena, arena_printf(arena, "%s\n", blob), length + 1)[0] == '!', "nothing may stand behind the signature");
	ok(judge(arena, arena_printf(arena, "%s%s", blob, blob + payload), 2 * length - payload)[0] == '!', "nor a second one");
	ok(judge(arena, "", 0)[0] == '!', "nothing is no record");
}

int main(void)
{
	struct arena *arena = arena_new();
	const char *alice, *bob;

	if (!mkdtemp(folder))
		return 1;
	signers = in_folder(arena, "allowed_signers");
	alice = make_key(arena, "alice");
	bob = make_key(arena, "bob");
	allow(signer(arena, "alice", "namespaces=\"byoci-record@v1\"", alice));
	test_round(arena, alice);
	test_forms(arena, alice);
	test_mutations(arena, alice);
	test_signers(arena, alice, bob);
	for (const char *const *name = (const char *const[]){"alice", "alice.pub", "bob", "bob.pub", "allowed_signers", NULL}; *name;
		 name++)
		unlink(in_folder(arena, *name));
	rmdir(folder);
	arena_free(arena);
	return tap_done();
}
