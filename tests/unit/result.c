#include "forge/result.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/tap.h"

#define BASE "1111111111111111111111111111111111111111"
#define SOURCE "2222222222222222222222222222222222222222"
#define MERGE "3333333333333333333333333333333333333333"
#define TREE "4444444444444444444444444444444444444444"

static struct result_job job = {
	.name = "unit", .digest = "d", .backing = "b", .outcome = OUTCOME_SUCCESS, .exit = 0, .started = 5, .ended = 9};
static struct timing steps[] = {{"fetch", 1, 2}, {"merge", 2, 3}};
static const struct result sample = {.build = "00112233445566778899aabbccddeeff",
	.namespace = "testing",
	.project = "sample",
	.proposal = "one",
	.target = "refs/heads/main",
	.attempt = 2,
	.slave = "local",
	.base = BASE,
	.source = SOURCE,
	.merge = MERGE,
	.tree = TREE,
	.outcome = OUTCOME_SUCCESS,
	.reason = "",
	.jobs = &job,
	.job_count = 1,
	.steps = steps,
	.step_count = 2,
	.time = 1234567890123};

static struct crypto_key *private, *public, *other;

static void make_keys(struct arena *arena)
{
	char folder[] = "/tmp/byoci-result.XXXXXX";
	struct err err;
	const char *files[4];

	if (!mkdtemp(folder))
		exit(1);
	for (int i = 0; i < 4; i++)
		files[i] = arena_printf(arena, "%s/%d", folder, i);
	if (crypto_key_generate(files[0], files[1], &err) < 0 || crypto_key_generate(files[2], files[3], &err) < 0)
		exit(1);
	private = crypto_key_load_private(files[0], &err);
	public = crypto_key_load_public(files[1], &err);
	other = crypto_key_load_public(files[3], &err);
	for (int i = 0; i < 4; i++)
		unlink(files[i]);
	rmdir(folder);
}

static void test_round(struct arena *arena)
{
	struct result result = {.build = NULL};
	struct err err;
	char *line = result_sign_line(arena, &sample, private, &err);

	ok(line && strncmp(line, "byoci-result-1 ", 15) == 0 && !strchr(line, '\n'), "one line");
	ok(result_read_line(arena, line, public, &result, &err) == 0, "it is verified and read");
	is(result_payload(arena, &result), result_payload(arena, &sample), "nothing is lost");
	ok(result_read_line(arena, arena_printf(arena, "%s\n", line), public, &result, &err) == 0, "a newline behind is allowed");
	ok(result_read_line(arena, arena_printf(arena, "%s\n\n", line), public, &result, &err) < 0 && err.kind == ERR_INPUT,
		"two are not");
	result.build = "untouched";
	ok(result_read_line(arena, line, other, &result, &err) < 0 && err.kind == ERR_REFUSED, "another slave's key is refused");
	is(result.build, "untouched", "and nothing is set");
}

/* Every byte of the line matters. */
static void test_cut_and_changed(struct arena *arena)
{
	struct err err;
	char *line = result_sign_line(arena, &sample, private, &err);
	size_t length = strlen(line);
	unsigned taken = 0;
	struct arena *small = arena_new();

	for (size_t i = 0; i < length; i++) {
		struct result result;
		char *copy = arena_memdup(small, line, i);

		taken += result_read_line(small, copy, public, &result, &err) == 0;
		copy = arena_memdup(small, line, length);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		taken += result_read_line(small, copy, public, &result, &err) == 0;
		arena_reset(small);
	}
	arena_free(small);
	ok(taken == 0, "a line that is cut or changed anywhere is not taken");
}

static void test_lines(struct arena *arena)
{
	struct result result;
	struct err err;
	char *huge = arena_alloc(arena, RESULT_LINE_MAXIMUM + 100);
	static const char *const bad[] = {"", "\n", "byoci-result-1", "byoci-result-1 ", "byoci-result-1  ",
		"byoci-result-1 e30=", "byoci-result-1 e30= ", "byoci-result-1 e30= e30=", "byoci-result-2 e30= AA==",
		"byoci-result-1 !!! AA==", " byoci-result-1 e30= AA=="};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(result_read_line(arena, bad[i], public, &result, &err) < 0 && err.kind == ERR_INPUT, "no such line");
	memset(huge, 'A', RESULT_LINE_MAXIMUM + 99);
	memcpy(huge, "byoci-result-1 ", 15);
	ok(result_read_line(arena, huge, public, &result, &err) < 0 && err.kind == ERR_INPUT, "a line over the cap");
}

/* A payload of anybody's making, well signed. */
static int signed_payload(struct arena *arena, const char *payload, struct result *result, struct err *err)
{
	unsigned char signature[CRYPTO_SIGNATURE_SIZE];
	const char *head = arena_printf(arena, "byoci-result-1 %s", crypto_base64(arena, payload, strlen(payload)));

	if (crypto_sign(private, head, strlen(head), signature, err) < 0)
		return 1;
	return result_read_line(
		arena, arena_printf(arena, "%s %s", head, crypto_base64(arena, signature, sizeof signature)), public, result, err);
}

static void test_payloads(struct arena *arena)
{
	static const char *const keys[] = {"result", "build", "namespace", "project", "proposal", "target", "attempt", "slave",
		"base", "source", "merge", "tree", "outcome", "reason", "jobs", "steps", "time", "name", "digest", "backing", "exit",
		"started", "ended"};
	static const struct {
		const char *from, *to;
	} wrong[] = {{"\"result\":1", "\"result\":2"}, {"\"success\"", "\"fine\""}, {MERGE, ""}, {MERGE, "zz"}, {BASE, "HEAD"},
		{"\"sample\"", "\"../x\""}, {"00112233445566778899aabbccddeeff", "0011"}, {"\"unit\"", "\"\""}};
	const char *payload = result_payload(arena, &sample);
	struct result result = {.build = NULL};
	struct err err;

	ok(signed_payload(arena, payload, &result, &err) == 0, "its own payload is read");
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *key = arena_printf(arena, "\"%s\":", keys[i]), *at = strstr(payload, key);
		const char *without = arena_printf(arena, "%.*s\"other\":%s", (int)(at - payload), payload, at + strlen(key));
		const char *typed = arena_printf(arena, "%.*s%strue,\"x\":%s", (int)(at - payload), payload, key, at + strlen(key));

		ok(signed_payload(arena, without, &result, &err) < 0 && err.kind == ERR_INPUT,
			arena_printf(arena, "without %s", keys[i]));
		ok(signed_payload(arena, typed, &result, &err) < 0 && err.kind == ERR_INPUT,
			arena_printf(arena, "%s of another type", keys[i]));
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		const char *at = strstr(payload, wrong[i].from);
		const char *text = arena_printf(arena, "%.*s%s%s", (int)(at - payload), payload, wrong[i].to, at + strlen(wrong[i].from));

		ok(signed_payload(arena, text, &result, &err) < 0 && err.kind == ERR_INPUT,
			wrong[i].to[0] ? wrong[i].to : "a success without a merge");
	}
	ok(signed_payload(arena, "[]", &result, &err) < 0 && signed_payload(arena, "", &result, &err) < 0, "no object");
}

static void test_text(struct arena *arena)
{
	struct result result = sample, read;
	struct err err;

	result.reason = "bytes \xff\xc0\x80 and \xc3\xa4 and \xed\xa0\x80";
	result.outcome = OUTCOME_CONFLICT;
	result.merge = result.tree = "";
	result.job_count = 0;
	ok(result_read_line(arena, result_sign_line(arena, &result, private, &err), public, &read, &err) == 0,
		"a conflict, without merge and jobs");
	is(read.reason, "bytes ??? and \xc3\xa4 and ???", "bytes that are not UTF-8 are replaced");
	ok(read.outcome == OUTCOME_CONFLICT && read.job_count == 0 && *read.merge == '\0', "the rest is as it was");
}

/* What the tests left: counts and artefacts. A result of before has neither. */
static void test_left(struct arena *arena)
{
	static struct result_artefact list[RESULT_ARTEFACTS + 1] = {{.path = "out/log.txt", .sha256 = "ab", .size = 12}};
	struct result_artefacts artefacts = {.count = 3, .bytes = 50, .list = list, .listed = 1};
	struct counts counts = {.run = 412, .failed = 3, .skipped = 5, .reports = 2};
	struct result result = sample, back = {.build = NULL};
	struct result_job left = job;
	struct err err = {0};
	char *line;

	left.reports = &counts;
	left.artefacts = &artefacts;
	result.jobs = &left;
	counts_add(&counts, COUNTS_PASSED, "slow", 4, 900);
	line = result_sign_line(arena, &result, private, &err);
	ok(line && result_read_line(arena, line, public, &back, &err) == 0, "a result with counts and artefacts is read");
	is(result_payload(arena, &back), result_payload(arena, &result), "and nothing of it is lost");
	ok(back.jobs[0].reports->failed == 3 && back.jobs[0].artefacts->count == 3, "neither the counts nor the list");
	line = result_sign_line(arena, &sample, private, &err);
	ok(result_read_line(arena, line, public, &back, &err) == 0 && !back.jobs[0].reports && !back.jobs[0].artefacts,
		"a result without is read, too");
	counts.failed = 1000;
	line = result_sign_line(arena, &result, private, &err);
	ok(result_read_line(arena, line, public, &back, &err) < 0 && strstr(err.text, "jobs[0]: reports"), "counts that can't be are refused");
	counts.failed = 0;
	artefacts.count = artefacts.listed = RESULT_ARTEFACTS + 1;
	for (size_t i = 0; i <= RESULT_ARTEFACTS; i++)
		list[i] = list[0];
	line = result_sign_line(arena, &result, private, &err);
	ok(result_read_line(arena, line, public, &back, &err) < 0 && strstr(err.text, "jobs[0]: artefacts"), "as are more artefacts than are listed");
}

int main(void)
{
	struct arena *arena = arena_new();

	make_keys(arena);
	test_round(arena);
	test_cut_and_changed(arena);
	test_lines(arena);
	test_payloads(arena);
	test_text(arena);
	test_left(arena);
	crypto_key_free(private);
	crypto_key_free(public);
	crypto_key_free(other);
	arena_free(arena);
	return tap_done();
}
