#include "forge/job.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/tap.h"

static char folder[] = "/tmp/byoci-job.XXXXXX";

static const char text[] =
	"[project/sample]\nrepository = ssh://x@localhost:1/sample.git\njobs = unit\n"
	"[job/unit]\nbacking = base\ntests.command = make check\n"
	"[job/lost]\nbacking = base\ntests.command = true\n"
	"[backing/base]\npackages = git,make\n";

/* Loads `text` with up to two overrides. */
static struct conf *load(struct arena *arena, const char *one, const char *two)
{
	const char *file = arena_printf(arena, "%s/byov.conf", folder);
	const char *const files[] = {file, NULL}, *const overrides[] = {one, one ? two : NULL, NULL};
	const struct conf_source source = {.namespace = "testing", .files = files, .overrides = overrides};
	struct conf *conf = NULL;
	struct err err;

	if (file_write(file, text, strlen(text), 0600, &err) < 0 || conf_load(&conf, &source, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return conf;
}

static const char *digest(struct arena *arena, const char *one, const char *two, char out[static JOB_DIGEST_SIZE])
{
	struct conf *conf = load(arena, one, two);
	struct err err;

	if (job_digest(conf, "unit", out, &err) < 0)
		snprintf(out, JOB_DIGEST_SIZE, "%.60s", err.text);
	conf_free(conf);
	return out;
}

static void test_differences(struct arena *arena)
{
	char first[JOB_DIGEST_SIZE], second[JOB_DIGEST_SIZE];

	digest(arena, NULL, NULL, first);
	ok(strspn(first, "0123456789abcdef") == 64, "64 hex digits");
	is(digest(arena, NULL, NULL, second), first, "the same configuration has the same digest");
	is(digest(arena, "job/unit:tests.limit=1h", NULL, second), first, "a default that is written down is no difference");
	is(digest(arena, "job/lost:tests.command=false", NULL, second), first, "nor is another job");
	ok(strcmp(digest(arena, "job/unit:tests.command=true", NULL, second), first) != 0, "another command is");
	ok(strcmp(digest(arena, "job/unit:memory=1G", NULL, second), first) != 0, "another limit is");
	ok(strcmp(digest(arena, "backing/base:packages=git", NULL, second), first) != 0, "another backing is");
	ok(strcmp(digest(arena, "project/sample:secrets=token", NULL, second), first) != 0, "so are the names of its project's secrets");
	ok(strcmp(digest(arena, "project/sample:secrets=token:/etc/token", NULL, first), second) != 0, "and where they go");
	digest(arena, "job/unit:setup.command=a", NULL, second);
	ok(strcmp(digest(arena, "job/unit:setup.command=a\\", NULL, first), second) != 0, "so is a backslash");
}

static void test_backing(struct arena *arena)
{
	struct conf *one = load(arena, NULL, NULL), *two = load(arena, "job/unit:tests.command=false", NULL);
	char first[JOB_DIGEST_SIZE], second[JOB_DIGEST_SIZE];
	struct err err;

	ok(job_backing_digest(one, "base", first, &err) == 0 && job_backing_digest(two, "base", second, &err) == 0,
		"a backing's digest");
	is(second, first, "does not depend on who uses it");
	ok(job_backing_digest(one, "none", first, &err) < 0 && err.kind == ERR_NOT_FOUND, "no such backing");
	ok(job_digest(one, "none", first, &err) < 0 && err.kind == ERR_NOT_FOUND, "no such job");
	is(first, second, "nothing is written then");
	conf_free(one);
	conf_free(two);
	one = load(arena, "job/lost:backing=gone", NULL);
	ok(job_digest(one, "lost", first, &err) < 0 && err.kind == ERR_NOT_FOUND, "a job whose backing is gone");
	conf_free(one);
}

int main(void)
{
	struct arena *arena = arena_new();

	if (!mkdtemp(folder))
		return 1;
	test_differences(arena);
	test_backing(arena);
	unlink(arena_printf(arena, "%s/byov.conf", folder));
	rmdir(folder);
	arena_free(arena);
	return tap_done();
}
