#include "slaves/common/pattern.h"

#include <string.h>

/* One part of a path: up to a `/` or the end. */
struct part {
	const char *at;
	size_t length;
};

static struct part first_part(const char *path)
{
	return (struct part){path, strcspn(path, "/")};
}

/* What follows it, without the `/`. */
static const char *behind(struct part part)
{
	const char *rest = part.at + part.length;

	return rest + strspn(rest, "/");
}

/* Goes back to the last `*` only: no input takes longer than the product of both lengths. */
static bool matches(struct part pattern, struct part text)
{
	size_t p = 0, t = 0, star = pattern.length, from = 0;

	while (t < text.length) {
		if (p < pattern.length && pattern.at[p] == '*') {
			star = p++;
			from = t;
		} else if (p < pattern.length && (pattern.at[p] == '?' || pattern.at[p] == text.at[t])) {
			p++;
			t++;
		} else if (star < pattern.length) {
			p = star + 1;
			t = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.length && pattern.at[p] == '*')
		p++;
	return p == pattern.length;
}

enum pattern_reach pattern_reach(const char *pattern, const char *path)
{
	while (*pattern && *path) {
		struct part wanted = first_part(pattern), part = first_part(path);

		if (wanted.length == 2 && memcmp(wanted.at, "**", 2) == 0) {
			for (; *path; path = behind(first_part(path)))
				if (pattern_reach(behind(wanted), path) == PATTERN_YES)
					return PATTERN_YES;
			return PATTERN_LEADS;
		}
		if (!matches(wanted, part))
			return PATTERN_NO;
		pattern = behind(wanted);
		path = behind(part);
	}
	return *pattern ? PATTERN_LEADS : PATTERN_YES;
}

enum pattern_reach pattern_any(const char *const *patterns, const char *path)
{
	enum pattern_reach best = PATTERN_NO;

	for (; patterns && *patterns && best != PATTERN_YES; patterns++) {
		enum pattern_reach reach = pattern_reach(*patterns, path);

		if (reach > best)
			best = reach;
	}
	return best;
}

bool pattern_path_valid(const char *path)
{
	size_t depth = 0;

	if (!*path || strlen(path) > PATTERN_PATH_MAXIMUM)
		return false;
	for (;;) {
		size_t length = strcspn(path, "/");

		if (length == 0 || length > 255 || ++depth > PATTERN_DEPTH || strncmp(path, ".", length) == 0 ||
			(length == 2 && memcmp(path, "..", 2) == 0))
			return false;
		if (!path[length])
			return true;
		path += length + 1;
	}
}
