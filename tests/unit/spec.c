#include "forge/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "tests/tap.h"

#define BASE "1111111111111111111111111111111111111111"
#define SOURCE "2222222222222222222222222222222222222222"
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct spec_merge merge = {.source = SOURCE, .commit = NULL, .method = "merge", .message = "Do it\n\nWell \xc3\xa4.",
	.author = "Alice \xc3\x84 <a@example.org>", .date = 1700000000};
static struct spec_tree tree = {
	.repository = "127.0.0.1:8812/sample", .base = BASE, .path = "", .merges = &merge, .merge_count = 1};
static struct spec_job job = {.name = "unit", .digest = DIGEST};
static const struct spec sample = {.build = "00112233445566778899aabbccddeeff",
	.namespace = "testing",
	.project = "sample",
	.proposal = "one",
	.target = "refs/heads/main",
	.attempt = 1,
	.trees = &tree,
	.tree_count = 1,
	.jobs = &job,
	.job_count = 1};

static char *text_of(void)
{
	struct err err;
	json_t *json = spec_build(&sample, &err);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static int parse(struct arena *arena, const char *text, size_t length, struct spec *spec, struct err *err)
{
	json_t *json = jsonget_parse(text, length, 4096, err);
	int done = json ? spec_parse(arena, json, spec, err) : -1;

	json_decref(json);
	return done;
}

static void test_round(struct arena *arena)
{
	char *text = text_of();
	struct spec spec = {.build = NULL};
	struct err err;

	ok(text && parse(arena, text, strlen(text), &spec, &err) == 0, "what is built is parsed");
	is(spec.build, sample.build, "build");
	is(spec.target, sample.target, "target");
	is(spec.trees[0].repository, tree.repository, "repository");
	is(spec.trees[0].merges[0].message, merge.message, "message");
	is(spec.trees[0].merges[0].author, merge.author, "author");
	ok(spec.trees[0].merges[0].commit == NULL && spec.trees[0].merges[0].date == merge.date, "no commit yet, the date");
	is(spec.jobs[0].digest, DIGEST, "digest");
	merge.commit = BASE;
	free(text);
	text = text_of();
	ok(parse(arena, text, strlen(text), &spec, &err) == 0 && spec.trees[0].merges[0].commit, "with the merge's commit");
	ok(!spec.trees[0].merges[0].from && !spec.trees[0].merges[0].ref, "the source is in the tree's own repository");
	merge.commit = NULL;
	free(text);
	merge.from = "127.0.0.1:8812/~ann/fork";
	merge.ref = "refs/heads/fix";
	text = text_of();
	ok(parse(arena, text, strlen(text), &spec, &err) == 0, "a source elsewhere");
	is(spec.trees[0].merges[0].from, merge.from, "where");
	is(spec.trees[0].merges[0].ref, merge.ref, "and at which ref");
	free(text);
	merge.ref = NULL;
	text = text_of();
	ok(parse(arena, text, strlen(text), &spec, &err) < 0 && strstr(err.text, "ref: missing"), "not one without the other");
	free(text);
	merge.ref = "refs/heads/a..b";
	text = text_of();
	ok(parse(arena, text, strlen(text), &spec, &err) < 0 && strstr(err.text, "ref: must be"), "nor with what is no ref");
	free(text);
	merge.from = merge.ref = NULL;
	merge.message = "\xff";
	text = text_of();
	ok(!text && spec_build(&sample, &err) == NULL && err.kind == ERR_INPUT, "a message that is not UTF-8 is not built");
	merge.message = "Do it";
}

/* The text with the first `from` replaced. */
static int changed(struct arena *arena, const char *from, const char *to, struct err *err)
{
	char *text = text_of();
	const char *at = strstr(text, from), *other;
	struct spec spec = {.build = "untouched"};
	int done;

	other = arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	free(text);
	done = parse(arena, other, strlen(other), &spec, err);
	return done < 0 && strcmp(spec.build, "untouched") != 0 ? 1 : done;
}

static void test_wrong(struct arena *arena)
{
	static const char *const keys[] = {"spec", "build", "namespace", "project", "proposal", "target", "attempt", "trees",
		"repository", "base", "path", "merges", "source", "commit", "method", "message", "author", "date", "jobs", "name",
		"digest"};
	struct err err;

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const char *from = arena_printf(arena, "\"%s\":", keys[i]);

		ok(changed(arena, from, "\"other\":", &err) < 0 && err.kind == ERR_INPUT, arena_printf(arena, "without %s", keys[i]));
		ok(changed(arena, from, arena_printf(arena, "\"more\":1,%s", from), &err) < 0,
			arena_printf(arena, "with more beside %s", keys[i]));
		ok(changed(arena, from, arena_printf(arena, "%strue,\"x\":", from), &err) < 0,
			arena_printf(arena, "%s of another type", keys[i]));
	}
}

static void test_values(struct arena *arena)
{
	static const struct {
		const char *from, *to, *path;
	} wrong[] = {
		{"\"spec\":1", "\"spec\":2", "spec: spec"},
		{"00112233445566778899aabbccddeeff", "00112233445566778899AABBCCDDEEFF", "spec: build"},
		{"00112233445566778899aabbccddeeff", "../../etc", "spec: build"},
		{"\"testing\"", "\"Testing\"", "spec: namespace"},
		{"\"testing\"", "\"abcdefghijklmnopq\"", "spec: namespace"},
		{"\"sample\"", "\"a/b\"", "spec: project"},
		{"\"one\"", "\"..\"", "spec: proposal"},
		{"refs/heads/main", "main", "spec: target"},
		{"refs/heads/main", "refs/heads/", "spec: target"},
		{"refs/heads/main", "refs/heads/../x", "spec: target"},
		{"refs/heads/main", "refs/heads/a b", "spec: target"},
		{"refs/heads/main", "refs/heads/-x", "spec: target"},
		{"refs/heads/main", "refs/heads/x.lock", "spec: target"},
		{"refs/heads/main", "refs/heads/a\\nb", "spec: target"},
		{"\"attempt\":1", "\"attempt\":0", "spec: attempt"},
		{"127.0.0.1:8812/sample", "a b/c", "spec: trees[0].repository"},
		{"127.0.0.1:8812/sample", "sample", "spec: trees[0].repository"},
		{"127.0.0.1:8812/sample", "host/../x", "spec: trees[0].repository"},
		{"\"" BASE "\"", "\"HEAD\"", "spec: trees[0].base"},
		{"\"path\":\"\"", "\"path\":\"../x\"", "spec: trees[0].path"},
		{"\"" SOURCE "\"", "\"--upload-pack=x\"", "spec: trees[0].merges[0].source"},
		{"\"commit\":null", "\"commit\":\"\"", "spec: trees[0].merges[0].commit"},
		{"\"merge\"", "\"squash\"", "spec: trees[0].merges[0].method"},
		{"\"Do it\"", "\" \\n\"", "spec: trees[0].merges[0].message"},
		{"\"Do it\"", "\"\\u001b[2J\"", "spec: trees[0].merges[0].message"},
		{"<a@example.org>", "a@example.org", "spec: trees[0].merges[0].author"},
		{"<a@example.org>", "<a@example.org> ", "spec: trees[0].merges[0].author"},
		{"<a@example.org>", "<a@example.org>\\n", "spec: trees[0].merges[0].author"},
		{"1700000000", "-1", "spec: trees[0].merges[0].date"},
		{"1700000000", "999999999999999", "spec: trees[0].merges[0].date"},
		{"1700000000", "1.5", "spec: trees[0].merges[0].date"},
		{"\"unit\"", "\"-x\"", "spec: jobs[0].name"},
		{DIGEST, "0123", "spec: jobs[0].digest"},
		{"\"jobs\":[{", "\"jobs\":[{},{", "spec: jobs"},
		{"\"trees\":[{", "\"trees\":[1,{", "spec: trees"},
		{"\"merges\":[{", "\"merges\":[{},{", "spec: trees[0].merges"},
	};
	struct err err;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		bool good = changed(arena, wrong[i].from, wrong[i].to, &err) < 0 && err.kind == ERR_INPUT;

		if (!ok(good && strncmp(err.text, wrong[i].path, strlen(wrong[i].path)) == 0, wrong[i].path))
			printf("# %s: %s\n", wrong[i].to, good ? err.text : "was taken");
	}
}

static void test_mutations(struct arena *arena)
{
	char *text = text_of(), *copy = strdup(text);
	size_t length = strlen(text);
	unsigned bad = 0, seed = 3;

	for (size_t i = 0; i < 40 * length; i++) {
		struct spec spec;
		struct err err = {.kind = ERR_NONE};

		memcpy(copy, text, length);
		seed = seed * 1103515245 + 12345;
		copy[i % length] = (char)(seed >> 16);
		if (parse(arena, copy, length, &spec, &err) < 0 && err.kind != ERR_INPUT)
			bad++;
		if (parse(arena, text, i % length, &spec, &err) == 0)
			bad++;
		arena_reset(arena);
	}
	ok(bad == 0, "changed bytes are parsed or refused, cut texts refused");
	free(copy);
	free(text);
}

static void test_authors(struct arena *arena)
{
	static const char *const bad[] = {"", "Alice", "<a@b>", " <a@b>", "Alice <>", "Alice <a@b", "Alice <a@b> x", "Al<ice <a@b>",
		"Alice <a<b>", "Alice <a>b>", "Alice  <a@b>", "Alice < a@b>", "Alice <a@b >", "A\nB <a@b>", "A\x7f <a@b>"};
	const char *name, *mail;

	ok(spec_author_split(arena, "Alice B <a@b>", &name, &mail), "a name and a mail address");
	is(name, "Alice B", "the name");
	is(mail, "a@b", "the address");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(!spec_author_split(arena, bad[i], &name, &mail), "not an author");
	is(spec_author_join(arena, "Alice", "a@b"), "Alice <a@b>", "joined");
	is(spec_author_join(arena, " <A>\nB ", ">"), "AB <unknown>", "what would break it is left out");
	is(spec_author_join(arena, "", ""), "unknown <unknown>", "nothing is unknown");
	ok(spec_author_split(arena, spec_author_join(arena, "<<", "\t"), &name, &mail), "what is joined can be split");
}

int main(void)
{
	struct arena *arena = arena_new();

	test_round(arena);
	test_wrong(arena);
	test_values(arena);
	test_authors(arena);
	test_mutations(arena);
	arena_free(arena);
	return tap_done();
}
