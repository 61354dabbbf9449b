/* What a reader of Launchpad remembers: kept and found again, and nothing when it was harmed. */
#include "launchpad/launchpad_memory.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/tap.h"

#define URL "https://api.launchpad.net/devel/~o/p/+git/r/+merge/12"

static struct launchpad_memory memory = {.who = "token"};
static struct arena *arena;
static struct launchpad_answer answer;

static void recall(const char *url)
{
	launchpad_memory_recall(&memory, arena, url, &answer);
}

static void keep(const char *tag, const char *body)
{
	launchpad_memory_keep(&memory, URL, &(struct launchpad_answer){.tag = tag, .body = body, .length = strlen(body)});
}

static void test_answers(void)
{
	struct launchpad_memory other = memory;
	size_t length = LAUNCHPAD_MEMORY_MAXIMUM + 1;
	char *large = arena_alloc(arena, length + 1);

	recall(URL);
	ok(!answer.tag, "nothing is known");
	keep("\"a-b\"", "{\"x\": 1}\n{}");
	recall(URL);
	is(answer.tag, "\"a-b\"", "an answer is known by its tag");
	is(answer.body, "{\"x\": 1}\n{}", "and by its bytes");
	recall(URL "3");
	ok(!answer.tag, "another one is not");
	other.who = "another";
	launchpad_memory_recall(&other, arena, URL, &answer);
	ok(!answer.tag, "nor is it for another token");
	keep("W/\"c\"", "{}");
	recall(URL);
	is(answer.tag, "W/\"c\"", "a newer one takes its place");
	keep("bad\r\ntag", "{}");
	recall(URL);
	is(answer.tag, "W/\"c\"", "a tag that is none is not kept");
	memset(large, 'x', length);
	keep("\"large\"", large);
	recall(URL);
	is(answer.tag, "W/\"c\"", "nor is what is too large");
	other.folder = NULL;
	launchpad_memory_keep(&other, URL, &answer);
	launchpad_memory_recall(&other, arena, URL, &answer);
	ok(!answer.tag, "without a folder nothing is remembered");
}

static void harm(const char *command, const char *what)
{
	keep("\"t\"", "{\"queue_status\": \"Needs review\"}");
	ok(system(arena_printf(arena, "cd %s && %s", memory.folder, command)) == 0, what);
	recall(URL);
	ok(!answer.tag, "  is not there");
}

static void test_harm(void)
{
	harm("for f in *; do truncate -s -1 $f; done", "one that was cut short");
	harm("sed -i s/Needs/Approved/ *", "one that was changed");
	harm("sed -i 's/\"t\"/\"u\"/' *", "one with another tag");
	harm("for f in *; do head -c 300 /dev/urandom > $f; done", "noise");
	harm("for f in *; do : > $f; done", "an empty file");
	harm("rm *", "one that was lost");
	harm("for f in *; do rm $f; mkdir $f; done", "a folder in its place");
}

static void test_wait(void)
{
	const int64_t now = 1795246443123;

	ok(launchpad_memory_wait(&memory, now) == 0, "nobody asked us to wait");
	launchpad_memory_set_wait(&memory, now, 60);
	ok(launchpad_memory_wait(&memory, now) == 60 && launchpad_memory_wait(&memory, now + 59500) == 1, "a minute");
	ok(launchpad_memory_wait(&memory, now + 60000) == 0, "is over");
	ok(launchpad_memory_wait(&memory, now - 3600000) == 0, "and is over when the clock was set back");
	launchpad_memory_set_wait(&memory, now, 86400);
	ok(launchpad_memory_wait(&memory, now) == 0, "a day is nothing that we would have written");
}

int main(void)
{
	char folder[] = "/tmp/byoci-memory.XXXXXX";

	arena = arena_new();
	if (!mkdtemp(folder))
		return 1;
	memory.folder = arena_printf(arena, "%s/answers", folder);
	test_answers();
	ok(system(arena_printf(arena, "test $(stat -c %%a %s) = 700", memory.folder)) == 0, "the folder is ours alone");
	test_wait();
	test_harm();
	ok(system(arena_printf(arena, "rm -rf %s", folder)) == 0, "cleaned up");
	arena_free(arena);
	return tap_done();
}
