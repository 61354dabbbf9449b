#include "forge/marker.h"

#include "tests/tap.h"

static const struct marker_parts landed = {.proposal = "one", .approved = "a", .merge = "b", .kind = "landed"};

static bool differs(struct marker_parts other)
{
	char first[MARKER_SIZE], second[MARKER_SIZE];

	return strcmp(marker_make(&landed, first), marker_make(&other, second)) != 0;
}

int main(void)
{
	char one[MARKER_SIZE], two[MARKER_SIZE];
	const struct marker_parts empty = {.proposal = "", .approved = "", .merge = "", .kind = ""}, none = {.proposal = NULL};

	is(marker_make(&landed, one), marker_make(&landed, two), "the same things have the same marker");
	/* printf '14:byoci-marker-1\n3:one\n1:a\n1:b\n6:landed\n' | sha256sum */
	is(one, "2637dc5fcaf22fd1c869c5dd1c05a4f0", "it is the beginning of SHA-256 over its parts");
	ok(strspn(one, "0123456789abcdef") == 32, "32 hex digits");
	ok(differs((struct marker_parts){"two", "a", "b", "landed"}), "another proposal");
	ok(differs((struct marker_parts){"one", "c", "b", "landed"}), "another approved commit");
	ok(differs((struct marker_parts){"one", "a", "c", "landed"}), "another merge");
	ok(differs((struct marker_parts){"one", "a", "b", "rejected"}), "another kind");
	ok(differs((struct marker_parts){"one", "ab", "", "landed"}), "the same bytes in other fields");
	ok(differs((struct marker_parts){"one\n1:a", "b", "landed", ""}), "a field that looks like two");
	is(marker_make(&none, one), marker_make(&empty, two), "nothing counts as empty");
	return tap_done();
}
