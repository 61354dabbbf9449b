#include "forge/counts.h"

#include "tests/tap.h"

static void test_adding(struct arena *arena)
{
	struct counts counts = {.run = 0}, other = {.run = 0};
	char name[400];

	counts_add(&counts, COUNTS_PASSED, "quick", 5, 20);
	counts_add(&counts, COUNTS_FAILED, "slow and more", 4, 12345);
	counts_add(&counts, COUNTS_SKIPPED, "none", 4, -1);
	is(counts_text(arena, &counts, true), "3 tests, 1 failed, 1 skipped, slowest slow (12.345 s)", "what is counted reads well");
	is(counts_text(arena, &counts, false), "3 tests, 1 failed, 1 skipped, slowest 12.345 s", "also without a name");
	counts_add_many(&other, COUNTS_FAILED, 1);
	is(counts_text(arena, &other, true), "1 test, 1 failed, 0 skipped", "so does one test without a time");
	other.reports = other.broken = 1;
	counts_join(&counts, &other);
	counts.reports++;
	is(counts_text(arena, &counts, true), "4 tests, 2 failed, 1 skipped, slowest slow (12.345 s); 1 of 2 reports broken off",
		"counts are joined");
	memset(name, 'x', sizeof name);
	memcpy(name + COUNTS_NAME_SIZE - 2, "\xc3\xa9", 2);
	counts_add(&counts, COUNTS_PASSED, name, sizeof name, 99999);
	ok(strlen(counts.slowest[0].name) == COUNTS_NAME_SIZE - 2, "a long name is cut between characters");
	ok(counts_valid(&counts), "and all of it is valid");
}

static void test_slowest(void)
{
	struct counts counts = {.run = 0};
	bool sorted = true;
	char name[8];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "t%d", i * 37 % 100);
		counts_add(&counts, COUNTS_PASSED, name, strlen(name), i * 37 % 100);
	}
	for (int64_t i = 0; i < counts.slow_count; i++)
		sorted = sorted && counts.slowest[i].ms == 99 - i;
	ok(counts.slow_count == COUNTS_SLOWEST && sorted, "the slowest are kept, the slowest first");
	is(counts.slowest[9].name, "t90", "each with its name");
}

static void test_limits(void)
{
	struct counts counts = {.run = 0};

	counts_add_many(&counts, COUNTS_FAILED, INT64_MAX);
	counts_add_many(&counts, COUNTS_FAILED, INT64_MAX);
	ok(counts.run == COUNTS_MAXIMUM && counts_valid(&counts), "too many are as many as can be counted");
	counts.failed = -1;
	ok(!counts_valid(&counts), "less than none is no count");
	counts = (struct counts){.run = 1, .skipped = 2};
	ok(!counts_valid(&counts), "nor are more skipped than run");
	counts = (struct counts){.slow_count = 11};
	ok(!counts_valid(&counts), "nor a longer list than there is");
	counts = (struct counts){.slow_count = 1};
	memset(counts.slowest[0].name, 'x', COUNTS_NAME_SIZE);
	ok(!counts_valid(&counts), "nor a name without an end");
}

static void test_json(void)
{
	struct counts counts = {.run = 5, .failed = 2, .skipped = 1, .reports = 1}, back = {.run = 0};
	struct err err = {0};
	json_t *json;

	counts_add(&counts, COUNTS_PASSED, "a\xff", 2, 7);
	json = counts_json(&counts);
	ok(counts_read(json, &back, &err) == 0 && back.run == 6 && back.failed == 2 && back.skipped == 1 && back.slow_count == 1,
		"counts come back from JSON");
	is(back.slowest[0].name, "a?", "a name that is no text is made one");
	json_object_set_new(json, "failed", json_integer(7));
	ok(counts_read(json, &back, &err) < 0 && err.kind == ERR_INPUT, "more failed than run are refused");
	json_object_del(json, "run");
	ok(counts_read(json, &back, &err) < 0, "as is a count that is missing");
	ok(back.run == 6, "and nothing is changed then");
	json_decref(json);
}

int main(void)
{
	struct arena *arena = arena_new();

	test_adding(arena);
	test_slowest();
	test_limits();
	test_json();
	arena_free(arena);
	return tap_done();
}
