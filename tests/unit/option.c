#include "conf/option.h"

#include <ctype.h>

#include "base/arena.h"
#include "conf/expand.h"
#include "conf/value.h"
#include "tests/tap.h"

/* A row with what the parser, `byoci config` and the manual need of it. */
static bool is_complete(const struct option *row)
{
	size_t length = strlen(row->text);
	bool numeric = row->type == OPTION_INTEGER || row->type == OPTION_DURATION || row->type == OPTION_SIZE;

	if (!row->name[0] || !length || row->text[length - 1] != '.' || !isupper((unsigned char)row->text[0]))
		return false;
	if (row->minimum > row->maximum || (!numeric && row->maximum) || (row->type == OPTION_CHOICE) != (row->choices != NULL))
		return false;
	return !(row->mandatory && row->fallback);
}

static void test_table(void)
{
	bool complete = true, once = true, together = true, references = true;

	for (unsigned i = 0; i < option_count; i++) {
		const struct option *row = &option_table[i];
		enum option_kind kind;

		complete = complete && is_complete(row);
		once = once && option_find(row->kind, row->name) == row;
		together = together && (i == 0 || row[-1].kind <= row->kind);
		references = references && (!row->refers || option_kind_find(row->refers, strlen(row->refers), &kind) == 0);
	}
	ok(complete, "every row is complete");
	ok(once, "no option is there twice");
	ok(together, "the rows of a kind are together");
	ok(references, "what names refer to are kinds of sections");
	ok(option_find(OPTION_JOB, "tests.command") && !option_find(OPTION_PROJECT, "tests.command"),
		"an option is its kind's only");
}

/* Defaults without {…} must be right by their own rows. */
static void test_fallbacks(void)
{
	struct arena *arena = arena_new();
	bool right = true;

	for (unsigned i = 0; i < option_count; i++) {
		const struct option *row = &option_table[i];
		const char *wanted = NULL;
		int64_t number;

		if (!row->fallback || strchr(row->fallback, '{') || value_check(arena, row, row->fallback, &number, &wanted))
			continue;
		right = false;
		printf("# %s = %s: right is %s\n", row->name, row->fallback, wanted);
	}
	ok(right, "every default is right");
	arena_free(arena);
}

static void test_names(void)
{
	enum option_kind kind = OPTION_NAMESPACE;

	is(option_nearest(OPTION_JOB, "test.limit"), "tests.limit", "a letter left out");
	is(option_nearest(OPTION_JOB, "tests.comandd"), "tests.command", "some mixed up");
	is(option_nearest(OPTION_NAMESPACE, "hook.lisetn"), "hook.listen", "neighbours swapped");
	is(option_nearest(OPTION_JOB, "zzzzzz"), NULL, "nothing is like it");
	is(option_kind_name(OPTION_BACKING), "backing", "a kind's name");
	ok(option_kind_find("account/x", 7, &kind) == 0 && kind == OPTION_ACCOUNT, "and its number");
	ok(option_kind_find("namespace", 9, &kind) < 0 && option_kind_find("acc", 3, &kind) < 0 &&
			option_kind_find("", 0, &kind) < 0,
		"of no other");
	ok(option_reserves("git", 3) && option_reserves("byoci", 5) && option_reserves("project", 7) &&
			option_reserves("state", 5),
		"words that options and sections begin with are no namespaces");
	ok(!option_reserves("testing", 7) && !option_reserves("production", 10) && !option_reserves("gi", 2), "others are");
}

static bool valid(enum option_type type, const char *text)
{
	struct arena *arena = arena_new();
	const struct option row = {.type = type, .choices = "git|github"};
	const char *right = NULL;
	int64_t number = 0;
	bool good = value_check(arena, &row, text, &number, &right) != NULL;

	if (!good && !right)
		printf("# no word of what would be right\n");
	good = good || !right;
	arena_free(arena);
	return good;
}

static bool all(enum option_type type, const char *const *texts, bool wanted)
{
	bool good = true;

	for (; *texts; texts++) {
		if (valid(type, *texts) == wanted)
			continue;
		printf("# %s\n", *texts);
		good = false;
	}
	return good;
}

#define TEXTS(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}

static void test_values(void)
{
	ok(all(OPTION_TEXT, TEXTS("a b\tc", "é", ""), true), "texts");
	ok(all(OPTION_TEXT, TEXTS("a\nb", "\x1b[2J", "\x7f"), false), "no texts");
	ok(all(OPTION_NAME, TEXTS("a", "0", "a.b_c-9"), true), "names");
	ok(all(OPTION_NAME,
		   TEXTS("", "-a", ".a", "A", "a/b", "a b", "a..\n",
			   "0123456789012345678901234567890123456789012345678901234567890123"),
		   false),
		"no names");
	ok(all(OPTION_NAMES, TEXTS("a", "a,b", " a , b ", "g++,libstdc++6"), true), "lists of names");
	ok(all(OPTION_NAMES, TEXTS("", ",", "a,", "a,,b", "a b", "-a", "a,--b"), false), "no lists of names");
	ok(all(OPTION_LIST, TEXTS("a b, c"), true) && all(OPTION_LIST, TEXTS("a,,b", ","), false), "lists");
	ok(all(OPTION_INTEGER, TEXTS("0", "7", "999999999999999999"), true), "integers");
	ok(all(OPTION_INTEGER, TEXTS("", "-1", "1x", "0x10", "1.0", "9999999999999999999", " 1", "+1"), false), "no integers");
	ok(all(OPTION_BOOLEAN, TEXTS("yes", "no"), true) && all(OPTION_BOOLEAN, TEXTS("", "true", "YES", "1"), false),
		"yes and no");
	ok(all(OPTION_DURATION, TEXTS("250ms", "30s", "10m", "2h", "1d"), true), "durations");
	ok(all(OPTION_DURATION, TEXTS("30", "s", "1 s", "1.5h", "1w", "-1s", "999999999999999999d"), false), "no durations");
	ok(all(OPTION_SIZE, TEXTS("1", "64k", "64K", "512M", "2G", "1T"), true), "sizes");
	ok(all(OPTION_SIZE, TEXTS("", "G", "1KB", "1g", "1.5G", "99999999999999T"), false), "no sizes");
	ok(all(OPTION_PATH, TEXTS("/", "/a b/c", "/a..b"), true) &&
			all(OPTION_PATH, TEXTS("", "a", "./a", "/a/../b", "/a/..", "/.."), false),
		"paths");
	ok(all(OPTION_ADDRESS, TEXTS("127.0.0.1:1", "localhost:65535", "[::1]:80", "0.0.0.0:8810"), true), "addresses");
	ok(all(OPTION_ADDRESS,
		   TEXTS("", ":80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.1:80", "::1:80", "[127.0.0.1]:80",
			   "host:80", "127.0.0.1:080", "127.0.0.1:80 ", "[::1:80", "[]:80"),
		   false),
		"no addresses");
	ok(all(OPTION_URL,
		   TEXTS("https://host/x", "ssh://git@127.0.0.1:8812/sample.git", "file:///srv/x.git", "http://[::1]:8811"),
		   true),
		"URLs");
	ok(all(OPTION_URL,
		   TEXTS("", "host/x", "git@host:x", "ssh://", "ssh://-oProxyCommand=x/y", "ext::sh -c x", "file://host/x",
			   "https://h/a b", "https://user:password@host/x", "javascript:x", "https://h/'x"),
		   false),
		"no URLs");
	ok(all(OPTION_PLACE, TEXTS("/srv/x.git", "ssh://host/x"), true) &&
			all(OPTION_PLACE, TEXTS("srv/x", "/a/../b", "https://u:p@h/x"), false),
		"places");
	ok(all(OPTION_REFS, TEXTS("main", "refs/heads/main", "a/b, c", "1.2"), true), "branches");
	ok(all(OPTION_REFS,
		   TEXTS("", "refs/tags/x", "refs/heads/", "-x", "a..b", "a.lock", "a.lock/b", "a/.b", "/a", "a/", "a//b", "a b",
			   "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@", "a@{0}", "a."),
		   false),
		"no branches");
	ok(all(OPTION_CHOICE, TEXTS("git", "github"), true) &&
			all(OPTION_CHOICE, TEXTS("", "gi", "githu", "git|github", "gitlab"), false),
		"choices");
}

static void test_forms(void)
{
	struct arena *arena = arena_new();
	const struct option refs = {.type = OPTION_REFS}, duration = {.type = OPTION_DURATION}, names = {.type = OPTION_NAMES};
	const struct option range = {.type = OPTION_SIZE, .minimum = 1024, .maximum = 3 << 20};
	const char *right = NULL;
	const char *const *parts;
	int64_t number = 0;

	is(value_check(arena, &refs, "main, refs/heads/a/b", &number, &right), "refs/heads/main,refs/heads/a/b",
		"branches are in full");
	is(value_check(arena, &names, " a ,\tb", &number, &right), "a,b", "lists are without blanks");
	ok(value_check(arena, &duration, "2h", &number, &right) && number == 7200000, "durations are in ms");
	ok(value_check(arena, &range, "3M", &number, &right) && number == 3 << 20, "sizes are in bytes");
	ok(!value_check(arena, &range, "1023", &number, &right) && number == 0, "below the least is wrong");
	is(right, "a size like 64k, 512M, 2G, from 1k to 3M", "… which is said in units");
	ok(!value_check(arena, &range, "4M", &number, &right), "above the most is wrong");
	parts = value_split(arena, "a,b");
	ok(strcmp(parts[0], "a") == 0 && strcmp(parts[1], "b") == 0 && !parts[2], "a list is split");
	ok(!value_split(arena, NULL)[0] && !value_split(arena, "")[0], "no list has no parts");
	arena_free(arena);
}

static int upper(void *cookie, const char *name, const char **value, struct err *err)
{
	struct arena *arena = cookie;
	char *copy = arena_strdup(arena, name);

	if (!*name)
		return err_set(err, ERR_CONFIG, "no name");
	for (char *c = copy; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	*value = copy;
	return 0;
}

static int huge(void *cookie, const char *name, const char **value, struct err *err)
{
	(void)name, (void)err;
	*value = arena_printf(cookie, "%040000d", 0);
	return 0;
}

static void test_expand(void)
{
	struct arena *arena = arena_new();
	struct err err;

	is(expand_text(arena, "plain", upper, arena, &err), "plain", "plain text");
	is(expand_text(arena, "", upper, arena, &err), "", "no text");
	is(expand_text(arena, "a{b}c{d}", upper, arena, &err), "aBcD", "braces");
	is(expand_text(arena, "{{a}b{c}}", upper, arena, &err), "ABC", "braces in braces");
	is(expand_text(arena, "\\{a\\}{b}}\\x\\", upper, arena, &err), "{a}B}\\x\\", "plain braces");
	is(expand_text(arena, "{a\\}b}", upper, arena, &err), "A}B", "… in a name");
	ok(!expand_text(arena, "x{a", upper, arena, &err) && err.kind == ERR_CONFIG, "an open brace is an error");
	is(err.text, "\"{a\" has no } that closes it; a brace that is meant as itself is written \\{", "… which is said");
	ok(!expand_text(arena, "{a{b}", upper, arena, &err), "also outside");
	ok(!expand_text(arena, "{}", upper, arena, &err), "an error in a name ends it");
	is(err.text, "no name", "… with its text");
	ok(!expand_text(arena, "{{{{{{{{{a}}}}}}}}}", upper, arena, &err), "nine braces in each other are too many");
	ok(expand_text(arena, "{a}", huge, arena, &err) && !expand_text(arena, "{a}{b}", huge, arena, &err),
		"a value has a maximum");
	is(err.text, "longer than 65536 bytes when its {…} are filled in", "… which is said");
	arena_free(arena);
}

int main(void)
{
	test_table();
	test_fallbacks();
	test_names();
	test_values();
	test_forms();
	test_expand();
	return tap_done();
}
