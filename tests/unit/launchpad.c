#include "forge/launchpad.h"

#include <stdlib.h>

#include "tests/tap.h"

static void test_names(void)
{
	static const char *const good[] = {"~o/p/+git/r", "~o/+git/r", "p", "~o/ubuntu/+source/a+b/+git/x.y-z_1", "~o/.p/..."};
	static const char *const bad[] = {"", "/", "/~o", "~o/", "~o//p", "~o/./p", "~o/..", "../p", "~o p", "~o/p?x", "~o/p#x", "~o/%2e", "~o\n",
		"~o/p/\xc3\xa9"};
	char long_name[1100];

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ok(launchpad_name_valid(good[i]), i == 4 ? "three dots are a name" : good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(!launchpad_name_valid(bad[i]), "no name");
	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	ok(!launchpad_name_valid(long_name), "too long");
}

static void test_refs(void)
{
	static const char *const bad[] = {"refs/heads/", "refs/tags/x", "main", "refs/heads/a b", "refs/heads/a..b", "refs/heads/a~1",
		"refs/heads/a:b", "refs/heads/a/", "refs/heads//a", "refs/heads/a@{1}", "refs/heads/\x1b", "refs/heads/a\x7f", "refs/heads/*"};

	ok(launchpad_ref_valid("refs/heads/a/b-c.d", "refs/heads/"), "a branch");
	ok(launchpad_ref_valid("refs/merge/12", "refs/"), "another ref");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(!launchpad_ref_valid(bad[i], "refs/heads/"), "no branch");
}

static void test_places(void)
{
	static const char *const bad[] = {"", "~o/p/+git/r", "/+merge/1", "~o/+merge/", "~o/+merge/01", "~o/+merge/0", "~o/+merge/1x",
		"~o/+merge/1/", "~o/+merge/-1", "~o/+merge/1234567890123456789", "~o/+merge/1/+merge/2", "~o/../+merge/1"};
	static const char *const links[] = {"", "x", "https://host", "https://host/devel", "https://host/devel/", "https://host/devel/~o//p",
		"/devel/~o", "https://host/devel/~o?ws.op=x"};

	is(launchpad_number_of("~o/p/+git/r/+merge/12"), "12", "the number of a proposal");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(!launchpad_number_of(bad[i]), "no place of a proposal");
	is(launchpad_below_root("https://api.launchpad.net/devel/~o/p/+git/r"), "~o/p/+git/r", "below the root");
	is(launchpad_below_root("http://127.0.0.1:80/1.0/~bob"), "~bob", "of a person");
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		ok(!launchpad_below_root(links[i]), "not below a root");
}

static void test_times(void)
{
	static const struct {
		const char *text;
		int64_t wanted;
	} times[] = {{"1970-01-01T00:00:00+00:00", 0}, {"1970-01-01T00:00:00.000001Z", 1}, {"2000-03-01T00:00:00Z", 951868800000000},
		{"2024-02-29T12:34:56.5+00:00", 1709210096500000}, {"2026-11-21T07:34:03.123456+00:00", 1795246443123456},
		{"2100-03-01T00:00:00Z", 4107542400000000}};
	static const char *const bad[] = {"", "x", "2026-11-21", "2026-11-21 07:34:03Z", "2026-11-21T07:34:03", "2026-11-21T07:34:03+01:00",
		"2026-11-21T07:34:03.Z", "2026-11-21T07:34:03.1234567Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T07:60:00Z", "1969-12-31T23:59:59Z", "-026-11-21T07:34:03Z",
		"2026-11-21T07:34:03Zx", "2026-11-21T07:34:+3Z"};

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		ok(launchpad_time(times[i].text) == times[i].wanted, times[i].text);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(launchpad_time(bad[i]) == -1, "no time");
}

static void test_waits(void)
{
	static const int64_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
	static const struct {
		const char *text;
		int wanted;
	} waits[] = {{"0", 0}, {"1", 1}, {"120", 120}, {"3600", 3600}, {"3601", 3600}, {"99999999999999999999", 3600}, {"", 0}, {"-5", 0},
		{"1.5", 0}, {"5 s", 0}, {"soon", 0}, {"Sun, 06 Nov 1994 08:50:37 GMT", 60}, {"Sunday, 06-Nov-94 08:49:47 GMT", 10},
		{"Sun Nov  6 08:49:38 1994", 1}, {"Sun, 06 Nov 1994 08:49:37 GMT", 0}, {"Sun, 06 Nov 1994 07:49:37 GMT", 0},
		{"Mon, 07 Nov 1994 08:49:37 GMT", 3600}, {"Sun, 06 Nov 1994 08:50:37 CET", 0}, {"Sun, 06 Nov 1994 08:50:37 GMT and so on", 0}};

	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		ok(launchpad_wait(waits[i].text, now) == waits[i].wanted, waits[i].text);
}

int main(void)
{
	test_waits();
	test_names();
	test_refs();
	test_places();
	test_times();
	return tap_done();
}
