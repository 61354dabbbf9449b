#include "build/watch.h"

#include <stdlib.h>

#include "tests/tap.h"

static struct arena *arena;
static struct watch_word word;

static bool says(const char *log)
{
	word = (struct watch_word){.reason = "?"};
	return watch_read(arena, log, strlen(log), "one", &word);
}

static void test_read(void)
{
	ok(says("Started\nbyoci-health-1 one well\nFinished: SUCCESS\n") && word.well, "well");
	ok(says("byoci-health-1 one unwell disk: 3 % free\r\nFinished: FAILURE\r\n") && !word.well, "unwell, as Hudson ends lines");
	is(word.reason, "disk: 3 % free", "with its reason");
	ok(says("byoci-health-1 one unwell\n") && !word.well && !*word.reason, "without one");
	ok(says("byoci-health-1 one unwell x\nbyoci-health-1 one well") && word.well, "the last line counts");
	ok(!says("byoci-health-1 other well\n"), "another slave's is nothing");
	ok(!says("byoci-health-1 one wellish\n") && !says("byoci-health-1 one unwellish\n") && !says("byoci-health-1 one "), "other words");
	ok(!says(" byoci-health-1 one well\n"), "only at the beginning of a line");
	ok(!says(""), "an empty log");
	says("byoci-health-1 one unwell <b>\"x\"</b>\x1b[2J \xc3\xa4\n");
	is(word.reason, " b  x  /b  [2J   ", "a reason is only plain letters");
	ok(says(arena_printf(arena, "byoci-health-1 one unwell %0500d\n", 1)) && strlen(word.reason) == 200, "and not long");
}

static void test_decide(void)
{
	const struct watch_word well = {.well = true, .reason = ""}, unwell = {.well = false, .reason = "disk"};

	ok(watch_decide(&well, false, "") == WATCH_LEAVE, "well and online");
	ok(watch_decide(&unwell, false, "") == WATCH_AWAY, "unwell: taken offline");
	ok(watch_decide(&unwell, true, "byoci: disk") == WATCH_LEAVE, "once");
	ok(watch_decide(&well, true, "byoci: disk\n") == WATCH_BACK, "well again: back");
	ok(watch_decide(&well, true, "\nDisconnected by byoci : byoci: disk") == WATCH_BACK, "as Hudson says it");
	ok(watch_decide(&well, true, "new memory\n") == WATCH_LEAVE, "what a person took offline stays so");
}

int main(void)
{
	arena = arena_new();
	test_read();
	test_decide();
	arena_free(arena);
	return tap_done();
}
