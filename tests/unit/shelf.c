#include "slaves/backing/shelf.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/tap.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FIRST DIGEST ".20260101T000000000Z"
#define SECOND DIGEST ".20260101T000000001Z"
#define THIRD DIGEST ".20260101T000000002Z"
#define BEGIN INT64_C(1767225600000) /* 2026-01-01 */

static char folder[] = "/tmp/byoci-shelf.XXXXXX";
static struct err err;

static struct conf *load(struct arena *arena)
{
	const char *file = arena_printf(arena, "%s/byov.conf", folder), *text = arena_printf(arena, "[testing]\nstate = %s/state\n", folder);
	const char *const files[] = {file, NULL};
	const struct conf_source source = {.namespace = "testing", .files = files};
	struct conf *conf = NULL;

	if (file_write(file, text, strlen(text), 0600, &err) < 0 || conf_load(&conf, &source, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return conf;
}

/* One that was just made, at so many milliseconds after BEGIN. */
static int put(const struct shelf *shelf, int64_t ms)
{
	const struct shelf_generation about = {.made_ms = BEGIN + ms, .bytes = 4096};

	if (mkdir(shelf->temporary, 0755) < 0 || mkdir(arena_printf(shelf->arena, "%s/rootfs", shelf->temporary), 0755) < 0 ||
		shelf_write_about(shelf, &about, "one", &err) < 0)
		return -1;
	return shelf_put(shelf, BEGIN + ms, &err);
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static void test_generations(const struct shelf *shelf)
{
	struct shelf_generation generation;

	ok(!shelf_current(shelf) && !shelf_previous(shelf) && !*shelf_generations(shelf), "nothing is there yet");
	ok(shelf_use(shelf, NULL, &err) < 0 && err.kind == ERR_NOT_FOUND, "so nothing can be used");
	ok(put(shelf, 0) == 0, "one is brought into use");
	is(shelf_current(shelf), FIRST, "by a name with its digest and its time");
	ok(!shelf_previous(shelf), "there is none before it");
	ok(access(shelf->temporary, F_OK) < 0, "what was being made is no more");
	ok(put(shelf, 1) == 0 && put(shelf, 2) == 0, "two more");
	is(shelf_current(shelf), THIRD, "the last is used");
	is(shelf_previous(shelf), SECOND, "the one before it is known");
	ok(count(shelf_generations(shelf)) == 3, "all are there");
	is(shelf_generations(shelf)[0], FIRST, "the oldest first");
	shelf_describe(shelf, THIRD, &generation);
	ok(generation.made_ms == BEGIN + 2 && generation.bytes == 4096 && generation.users == 0 && !generation.on, "and are described");
}

static void test_use(const struct shelf *shelf)
{
	struct shelf_generation generation;
	int one = shelf_use(shelf, NULL, &err), two = shelf_use(shelf, FIRST, &err);

	ok(one >= 0 && two >= 0, "two are used");
	shelf_describe(shelf, FIRST, &generation);
	ok(generation.users == 1, "which is counted");
	err_clear(&err);
	ok(shelf_take_away(shelf, FIRST, &err) < 0 && err.kind == ERR_BUSY, "what is used is not taken away");
	close(two);
	ok(shelf_take_away(shelf, FIRST, &err) == 0, "what nobody uses is");
	ok(count(shelf_generations(shelf)) == 2 && count(shelf_gone(shelf)) == 1, "it is no generation any more");
	ok(shelf_use(shelf, FIRST, &err) < 0 && err.kind == ERR_NOT_FOUND, "and nobody gets it");
	close(one);
}

static void test_lock(const struct shelf *shelf)
{
	int held = shelf_lock(shelf, &err);

	ok(held >= 0, "one builds");
	ok(shelf_lock(shelf, &err) < 0 && err.kind == ERR_BUSY, "and nobody else");
	close(held);
	held = shelf_lock(shelf, &err);
	ok(held >= 0, "until it is done");
	close(held);
}

static void test_tidy(const struct shelf *shelf)
{
	ok(mkdir(shelf->temporary, 0755) == 0 && shelf_tidy(shelf, &err) == 0, "what a killed build has left");
	ok(access(shelf->temporary, F_OK) < 0 && count(shelf_gone(shelf)) == 2, "is moved aside");
	is(shelf_current(shelf), THIRD, "what is used stays so");
	ok(unlink(arena_printf(shelf->arena, "%s/%s", shelf->folder, DIGEST)) == 0 && !shelf_current(shelf), "killed before the last step");
	ok(shelf_tidy(shelf, &err) == 0, "what was whole");
	is(shelf_current(shelf), THIRD, "is used");
	ok(symlink("../../../etc", arena_printf(shelf->arena, "%s/%s", shelf->folder, OTHER)) == 0, "a link to elsewhere");
	struct shelf other = *shelf;
	other.digest = OTHER;
	ok(!shelf_current(&other), "is none");
	ok(count(shelf_digests(shelf)) == 2, "digests that there is something of");
	shelf_forget(&other);
	ok(count(shelf_digests(shelf)) == 1, "until it is forgotten");
}

static void test_state(const struct shelf *shelf)
{
	const struct shelf_state bad = {.tried_ms = 7, .made_ms = 3, .failures = 2, .error = "member k\xf6nig"};
	struct shelf_state state;

	shelf_read_state(shelf, &state);
	ok(state.tried_ms == 0 && !state.error, "nothing is known of how it went");
	ok(shelf_write_state(shelf, &bad, &err) == 0, "how it went is written down");
	shelf_read_state(shelf, &state);
	ok(state.tried_ms == 7 && state.made_ms == 3 && state.failures == 2, "and read");
	is(state.error, "member k?nig", "as text, whatever a tarball's names are");
}

int main(void)
{
	struct arena *arena = arena_new();
	struct conf *conf;
	struct shelf shelf;
	struct stat st = {0};

	if (!mkdtemp(folder))
		return 1;
	conf = load(arena);
	ok(shelf_find(&shelf, arena, conf, DIGEST, &err) == 0 && shelf_make(&shelf, &err) == 0, "a place for backings");
	ok(stat(shelf.folder, &st) == 0 && (st.st_mode & 07777) == 0700, "which nobody else may enter");
	test_generations(&shelf);
	test_use(&shelf);
	test_lock(&shelf);
	test_tidy(&shelf);
	test_state(&shelf);
	conf_free(conf);
	ok(system(arena_printf(arena, "rm -rf %s", folder)) == 0, "cleared up");
	arena_free(arena);
	return tap_done();
}
