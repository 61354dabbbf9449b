/* Test reports of each kind, as the programs that make them write them; tests/fuzz has the hostile ones. */
#include "slaves/record/reports.h"

#include "base/file.h"
#include "tests/tap.h"
#include "slaves/record/junit.h"
#include "slaves/record/subunit.h"
#include "slaves/record/taplines.h"

static struct err why;

/* What a file of tests/fuzz is counted to: "run/failed/skipped", and " broken". */
static const char *counted(struct arena *arena, const char *file, struct counts *counts)
{
	struct err err = {0};
	size_t length;
	const char *bytes = file_read(arena, arena_printf(arena, "tests/fuzz/%s", file), 1 << 20, &length, &err);

	*counts = (struct counts){.run = 0};
	why = err;
	if (!bytes)
		return arena_strdup(arena, err.text);
	reports_parse(bytes, length, counts, &why);
	return arena_printf(arena, "%lld/%lld/%lld%s", (long long)counts->run, (long long)counts->failed, (long long)counts->skipped,
		counts->broken ? " broken" : "");
}

static void test_junit(struct arena *arena)
{
	struct counts counts;

	is(counted(arena, "junit.corpus/whole", &counts), "5/2/2", "JUnit: failures, errors and skipped ones are counted once each");
	is(counts_text(arena, &counts, true), "5 tests, 2 failed, 2 skipped, slowest tests.test_a.test_two[<x>] (1234.500 s)",
		"with the slowest");
	ok(counts.slow_count == 3 && counts.slowest[2].ms == 1, "times are rounded down");
	is(counted(arena, "junit.corpus/utf16", &counts), "1/0/0", "UTF-16 is read");
	is(counted(arena, "junit.corpus/latin", &counts), "1/0/0", "and Latin 1");
	is(counts.slowest[0].name, "caf\xc3\xa9", "whose names become UTF-8");
	is(counted(arena, "junit.corpus/bomb", &counts), "0/0/0 broken", "a bomb of entities is refused");
	ok(strstr(why.text, "document type"), "as is any document type, and why is said");
	is(counted(arena, "junit.corpus/external", &counts), "0/0/0 broken", "also one of a file of this host");
	is(counted(arena, "junit.corpus/deep", &counts), "0/0/0 broken", "elements that are nested too deep end it");
	is(counted(arena, "junit.corpus/cut", &counts), "1/0/0 broken", "of a cut report the whole tests are counted");
	ok(strstr(why.text, "line 1: no element found") != NULL, "and where it ends is said");
}

static void test_subunit(struct arena *arena)
{
	struct counts counts;

	is(counted(arena, "subunit.corpus/whole", &counts), "5/2/1", "subunit: every end is counted");
	is(counts_text(arena, &counts, true), "5 tests, 2 failed, 1 skipped, slowest a.b.test_two (2.740 s)", "with the time between two packets");
	is(counted(arena, "subunit.corpus/cut", &counts), "4/1/1 broken", "of a cut stream what is whole is counted");
	is(counted(arena, "subunit.corpus/spoiled", &counts), "5/2/1 broken", "a packet whose sum is wrong does not count");
	is(counted(arena, "subunit.corpus/long", &counts), "1/1/0", "a test that began and did not end has failed");
	counted(arena, "subunit.corpus/text", &counts); /* is taken for TAP by its first byte */
	counts = (struct counts){.run = 0};
	size_t length;
	const char *bytes = file_read(arena, "tests/fuzz/subunit.corpus/text", 1 << 20, &length, &why);
	ok(bytes && subunit_count(bytes, length, &counts, &why) < 0 && counts.run == 5, "packets are found again after other bytes");
}

static void test_tap(struct arena *arena)
{
	struct counts counts;

	is(counted(arena, "taplines.corpus/whole", &counts), "7/2/1", "TAP: a planned test that did not come has failed, a known failure has not");
	is(counts_text(arena, &counts, true), "7 tests, 2 failed, 1 skipped, slowest broken (1.234 s)", "with times");
	is(counted(arena, "taplines.corpus/bail", &counts), "2/1/0 broken", "what bails out is not whole");
	is(counted(arena, "taplines.corpus/skipped", &counts), "0/0/0", "all may be skipped");
	is(counted(arena, "taplines.corpus/twice", &counts), "3/0/0", "several in a row are added up");
	is(counted(arena, "taplines.corpus/none", &counts), "0/0/0 broken", "what is no TAP is told");
	is(counted(arena, "taplines.corpus/plan", &counts), "1000000000000/1000000000000/0", "a plan without an end is as many as can be counted");
}

/* Lies about lengths: each header would have megabytes summed. */
static void test_dear(void)
{
	static unsigned char bytes[4 * 1024 * 1024];
	static const unsigned char header[] = {0xb3, 0x28, 0x00, 0xbf, 0xff, 0xff};
	struct counts counts = {.run = 0};

	for (size_t at = 0; at + sizeof header <= sizeof bytes; at += sizeof header)
		memcpy(bytes + at, header, sizeof header);
	ok(subunit_count(bytes, sizeof bytes, &counts, &why) < 0 && counts.run == 0, "a report that would be dear to check is given up");
	memset(bytes, 'x', sizeof bytes);
	memcpy(bytes, "<t a=\"", 6);
	ok(junit_count(bytes, sizeof bytes, &counts, &why) < 0, "so is one of a single long text");
	for (size_t at = 0; at + 4 <= sizeof bytes; at += 4)
		memcpy(bytes + at, "ok\n ", 4);
	ok(taplines_count(bytes, sizeof bytes, &counts, &why) == 0 && counts.run == 1, "and one of many lines is read");
}

int main(void)
{
	struct arena *arena = arena_new();

	test_junit(arena);
	test_subunit(arena);
	test_tap(arena);
	test_dear();
	arena_free(arena);
	return tap_done();
}
