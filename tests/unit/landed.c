#include "forge/landed.h"

#include <stdlib.h>
#include <unistd.h>

#include "forge/seal.h"
#include "tests/tap.h"

#define MERGE "3333333333333333333333333333333333333333"
#define TIP "4444444444444444444444444444444444444444"

static struct timing steps[] = {{"check", 1, 2}, {"push", 2, 3}};
static const struct landed sample = {.build = "00112233445566778899aabbccddeeff",
	.namespace = "testing",
	.project = "sample",
	.proposal = "one",
	.target = "refs/heads/main",
	.slave = "local",
	.merge = MERGE,
	.target_tip = TIP,
	.outcome = OUTCOME_SUCCESS,
	.reason = "pushed, and read back",
	.steps = steps,
	.step_count = 2,
	.time = 1234567890123};
static const struct seal_form form = {.header = LANDED_HEADER, .what = "a landing", .maximum = LANDED_LINE_MAXIMUM};

static struct crypto_key *private, *public, *other;

static void make_keys(struct arena *arena)
{
	char folder[] = "/tmp/byoci-landed.XXXXXX";
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
	struct landed landed = {.build = NULL};
	struct err err;
	char *line = landed_sign_line(arena, &sample, private, &err);

	ok(line && strncmp(line, "byoci-landed-1 ", 15) == 0 && !strchr(line, '\n'), "one line");
	ok(landed_read_line(arena, line, public, &landed, &err) == 0, "it is verified and read");
	is(landed_payload(arena, &landed), landed_payload(arena, &sample), "nothing is lost");
	is(landed_slave(arena, line), "local", "whose key it takes is found before");
	ok(landed_read_line(arena, arena_printf(arena, "%s\n", line), public, &landed, &err) == 0, "a newline behind is allowed");
	ok(landed_read_line(arena, arena_printf(arena, "%s\n\n", line), public, &landed, &err) < 0 && err.kind == ERR_INPUT, "two are not");
	landed.build = "untouched";
	ok(landed_read_line(arena, line, other, &landed, &err) < 0 && err.kind == ERR_REFUSED, "another's key is refused");
	is(landed.build, "untouched", "and nothing is set");
}

static void test_cut_and_changed(struct arena *arena)
{
	struct err err;
	char *line = landed_sign_line(arena, &sample, private, &err);
	size_t length = strlen(line);
	unsigned taken = 0;
	struct arena *small = arena_new();

	for (size_t i = 0; i < length; i++) {
		struct landed landed;
		char *copy = arena_memdup(small, line, i);

		taken += landed_read_line(small, copy, public, &landed, &err) == 0;
		copy = arena_memdup(small, line, length);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		taken += landed_read_line(small, copy, public, &landed, &err) == 0;
		arena_reset(small);
	}
	arena_free(small);
	ok(taken == 0, "a line that is cut or changed anywhere is not taken");
}

/* A result of a test is no landing, and the other way round, by whichever key. */
static void test_kinds(struct arena *arena)
{
	static struct result_job job = {.name = "unit", .digest = "d", .backing = "b", .outcome = OUTCOME_SUCCESS};
	struct result result = {.build = sample.build, .namespace = "testing", .project = "sample", .proposal = "one",
		.target = "refs/heads/main", .attempt = 1, .slave = "local", .base = TIP, .source = TIP, .merge = MERGE, .tree = TIP,
		.reason = "", .jobs = &job, .job_count = 1};
	struct landed landed;
	struct err err;
	char *line = result_sign_line(arena, &result, private, &err);

	ok(landed_read_line(arena, line, public, &landed, &err) < 0 && err.kind == ERR_INPUT, "a result of a test is no landing");
	ok(!landed_slave(arena, line), "nor is a slave looked for in it");
	line = landed_sign_line(arena, &sample, private, &err);
	ok(result_read_line(arena, line, public, &result, &err) < 0 && err.kind == ERR_INPUT, "and a landing is no result");
	result.slave = "local-land";
	line = result_sign_line(arena, &result, private, &err);
	ok(result_read_line(arena, line, public, &result, &err) < 0 && err.kind == ERR_INPUT && strstr(err.text, "landing daemon"),
		"no slave is called like a landing daemon's key");
}

static void test_lines(struct arena *arena)
{
	struct landed landed;
	struct err err;
	char *huge = arena_alloc(arena, LANDED_LINE_MAXIMUM + 100);
	static const char *const bad[] = {"", "\n", "byoci-landed-1", "byoci-landed-1 ", "byoci-landed-1 e30=", "byoci-landed-1 e30= e30=",
		"byoci-landed-2 e30= AA==", "byoci-landed-1 !!! AA==", " byoci-landed-1 e30= AA=="};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(landed_read_line(arena, bad[i], public, &landed, &err) < 0 && err.kind == ERR_INPUT && !landed_slave(arena, bad[i]),
			"no such line");
	memset(huge, 'A', LANDED_LINE_MAXIMUM + 99);
	memcpy(huge, "byoci-landed-1 ", 15);
	ok(landed_read_line(arena, huge, public, &landed, &err) < 0 && err.kind == ERR_INPUT && !landed_slave(arena, huge), "a line over the cap");
}

static void test_payloads(struct arena *arena)
{
	static const char *const keys[] = {"landed", "build", "namespace", "project", "proposal", "target", "slave", "merge", "target_tip",
		"outcome", "reason", "wait", "steps", "time", "name", "started", "ended"};
	static const struct {
		const char *from, *to;
	} wrong[] = {{"\"landed\":1", "\"landed\":2"}, {"\"success\"", "\"fine\""}, {MERGE, ""}, {MERGE, "zz"}, {TIP, "HEAD"},
		{"\"sample\"", "\"../x\""}, {"00112233445566778899aabbccddeeff", "0011"}, {"\"local\"", "\"a/b\""}, {"\"wait\":0", "\"wait\":-1"}};
	const char *payload = landed_payload(arena, &sample);
	struct landed landed = {.build = NULL};
	struct err err;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *key = arena_printf(arena, "\"%s\":", keys[i]), *at = strstr(payload, key);
		const char *without = arena_printf(arena, "%.*s\"other\":%s", (int)(at - payload), payload, at + strlen(key));
		const char *typed = arena_printf(arena, "%.*s%strue,\"x\":%s", (int)(at - payload), payload, key, at + strlen(key));

		ok(landed_read_line(arena, seal_line(arena, &form, without, private, &err), public, &landed, &err) < 0 &&
			err.kind == ERR_INPUT, arena_printf(arena, "without %s", keys[i]));
		ok(landed_read_line(arena, seal_line(arena, &form, typed, private, &err), public, &landed, &err) < 0 && err.kind == ERR_INPUT,
			arena_printf(arena, "%s of another type", keys[i]));
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		const char *at = strstr(payload, wrong[i].from);
		const char *text = arena_printf(arena, "%.*s%s%s", (int)(at - payload), payload, wrong[i].to, at + strlen(wrong[i].from));

		ok(landed_read_line(arena, seal_line(arena, &form, text, private, &err), public, &landed, &err) < 0 && err.kind == ERR_INPUT,
			wrong[i].to[0] ? wrong[i].to : "a success without a merge");
	}
}

static void test_text(struct arena *arena)
{
	struct landed landed = sample, read;
	struct err err;

	landed.reason = "bytes \xff and \xc3\xa4 and \x1b[8mha:";
	landed.outcome = OUTCOME_REFUSED;
	landed.merge = landed.target_tip = "";
	landed.step_count = 0;
	landed.wait = 60;
	ok(landed_read_line(arena, landed_sign_line(arena, &landed, private, &err), public, &read, &err) == 0, "a refusal, without a merge");
	is(read.reason, "bytes ? and \xc3\xa4 and \x1b[8mha:", "bytes that are not UTF-8 are replaced");
	ok(read.outcome == OUTCOME_REFUSED && read.wait == 60 && *read.merge == '\0', "the rest is as it was");
}

int main(void)
{
	struct arena *arena = arena_new();

	make_keys(arena);
	test_round(arena);
	test_cut_and_changed(arena);
	test_kinds(arena);
	test_lines(arena);
	test_payloads(arena);
	test_text(arena);
	crypto_key_free(private);
	crypto_key_free(public);
	crypto_key_free(other);
	arena_free(arena);
	return tap_done();
}
