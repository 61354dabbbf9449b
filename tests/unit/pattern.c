#include "slaves/common/pattern.h"

#include "tests/tap.h"

static const char *const words[] = {[PATTERN_NO] = "no", [PATTERN_LEADS] = "leads", [PATTERN_YES] = "yes"};

int main(void)
{
	static const struct {
		const char *pattern, *path, *reach;
	} cases[] = {
		{"out", "out", "yes"}, {"out", "out/a/b", "yes"}, {"out", "output", "no"}, {"out/", "out/a", "yes"},
		{"out/*.xml", "out", "leads"}, {"out/*.xml", "out/a.xml", "yes"}, {"out/*.xml", "out/a.txt", "no"},
		{"out/*.xml", "out/b/a.xml", "no"}, {"out/*.xml", "other", "no"}, {"*", "a/b/c", "yes"}, {"*.log", "a", "no"},
		{"**/*.xml", "a.xml", "yes"}, {"**/*.xml", "a/b/c.xml", "yes"}, {"**/*.xml", "a/b", "leads"}, {"**", "a/b", "yes"},
		{"a/**/z", "a/z", "yes"}, {"a/**/z", "a/b/c/z", "yes"}, {"a/**/z", "b/z", "no"}, {"a/**/z", "a/b/c", "leads"},
		{"r?n", "run", "yes"}, {"r?n", "rn", "no"}, {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "no"},
		{"*a*b", "xaxxb", "yes"}, {"../x", "x", "no"},
	};
	char longest[PATTERN_PATH_MAXIMUM + 2];
	const char *const list[] = {"a", "b/*.xml", 0};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		is(words[pattern_reach(cases[i].pattern, cases[i].path)], cases[i].reach, cases[i].pattern);
	ok(pattern_any(list, "b") == PATTERN_LEADS && pattern_any(list, "a/x") == PATTERN_YES && pattern_any(list, "c") == PATTERN_NO,
		"of several patterns the best counts");
	ok(pattern_path_valid("a") && pattern_path_valid("a/.b/..c/...") && pattern_path_valid("a b/\xc3\xa9"), "paths are taken");
	ok(!pattern_path_valid("") && !pattern_path_valid("/a") && !pattern_path_valid("a//b") && !pattern_path_valid("a/"), "empty parts are not");
	ok(!pattern_path_valid(".") && !pattern_path_valid("a/./b") && !pattern_path_valid("..") && !pattern_path_valid("a/..") &&
		!pattern_path_valid("../a"), "nor those that lead elsewhere");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	ok(!pattern_path_valid(longest), "nor a path that is too long");
	for (size_t i = 1; i < sizeof longest - 1; i += 2)
		longest[i] = '/';
	longest[2 * PATTERN_DEPTH + 1] = '\0';
	ok(!pattern_path_valid(longest), "or too deep");
	longest[2 * PATTERN_DEPTH - 1] = '\0';
	ok(pattern_path_valid(longest), "as deep as may be");
	return tap_done();
}
