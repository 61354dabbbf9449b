#include "forge/recipe.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "forge/job.h"
#include "tests/tap.h"

static char folder[] = "/tmp/byoci-recipe.XXXXXX";

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char text[] =
	"[testing]\nbacking.files = {byoci.folder}\n"
	"[backing/plain]\npackages = git,make\n"
	"[backing/tar]\nsource = tarball\ntarball = /srv/root.tar\nsha256 = " HEX "\n"
	"[backing/on]\nsource = backing\nbase = plain\nsetup.command = make me\n"
	"[backing/higher]\nsource = backing\nbase = on\n"
	"[backing/image]\nsource = lxd\nlxd.image = local:bookworm\n"
	"[job/unit]\nbacking = higher\ntests.command = true\n";

/* Loads `text` with up to three overrides, ended by NULL. */
static struct conf *load(struct arena *arena, const char *const *overrides)
{
	const char *file = arena_printf(arena, "%s/byov.conf", folder);
	const char *const files[] = {file, NULL};
	const char *const all[] = {overrides[0], overrides[0] ? overrides[1] : NULL, overrides[0] && overrides[1] ? overrides[2] : NULL, NULL};
	const struct conf_source source = {.namespace = "testing", .files = files, .overrides = all};
	struct conf *conf = NULL;
	struct err err = {0};
	char *whole = arena_strdup(arena, text), *place = strstr(whole, "{byoci.folder}");

	whole = arena_printf(arena, "%.*s%s%s", (int)(place - whole), whole, folder, place + strlen("{byoci.folder}"));
	if (file_write(file, whole, strlen(whole), 0600, &err) < 0 || conf_load(&conf, &source, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return conf;
}

#define LOAD(...) load(arena, (const char *const[]){__VA_ARGS__, NULL, NULL, NULL})

/* The digest, or what is wrong, in the arena. */
static const char *digest(struct arena *arena, struct conf *conf, const char *name)
{
	char out[JOB_DIGEST_SIZE];
	struct err err = {0};
	int rc = job_backing_digest(conf, name, out, &err);

	conf_free(conf);
	return arena_strdup(arena, rc < 0 ? err.text : out);
}

#define DIGEST(name, ...) digest(arena, LOAD(__VA_ARGS__), name)

static void differs(const char *one, const char *other, const char *what)
{
	ok(strlen(one) == 64 && strlen(other) == 64 && strcmp(one, other) != 0, what);
}

static void put(struct arena *arena, const char *name, const char *bytes, mode_t mode)
{
	struct err err = {0};

	if (file_write(arena_printf(arena, "%s/%s", folder, name), bytes, strlen(bytes), mode, &err) < 0)
		printf("Bail out! %s\n", err.text);
}

static void test_inputs(struct arena *arena)
{
	const char *plain = DIGEST("plain", NULL), *tar = DIGEST("tar", NULL);

	is(DIGEST("plain", "backing/plain:refresh=7d"), plain, "how often it is refreshed is no input");
	is(DIGEST("plain", "backing/plain:refresh=0"), plain, "nor that it never is");
	differs(DIGEST("plain", "backing/plain:suite=trixie"), plain, "the suite is");
	differs(DIGEST("plain", "backing/plain:packages=git"), plain, "packages are");
	differs(DIGEST("plain", "backing/plain:setup.command=true"), plain, "the setup command is");
	differs(DIGEST("plain", "backing/plain:smoke.command=ls"), plain, "what it was tried with is");
	differs(DIGEST("plain", "backing/plain:mirror=http://deb.test/"), plain, "the mirror is");
	differs(DIGEST("tar", "backing/tar:sha256=f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), tar,
		"the tarball's digest is");
	differs(DIGEST("tar", "backing/tar:tarball.setuid=yes"), tar, "what the tarball may have is");
	differs(DIGEST("image", "backing/image:lxd.fingerprint=" HEX), DIGEST("image", NULL), "an image's fingerprint is");
}

static void test_bases(struct arena *arena)
{
	const char *on = DIGEST("on", NULL), *higher = DIGEST("higher", NULL);
	char one[JOB_DIGEST_SIZE], two[JOB_DIGEST_SIZE];
	struct err err = {0};
	struct conf *conf;

	differs(DIGEST("on", "backing/plain:packages=git"), on, "an input of the base is one");
	differs(DIGEST("higher", "backing/plain:packages=git"), higher, "also of the base of the base");
	is(DIGEST("on", "backing/plain:refresh=7d"), on, "but not what is none there");
	conf = LOAD(NULL);
	ok(job_digest(conf, "unit", one, &err) == 0, "a job on top of them");
	conf_free(conf);
	conf = LOAD("backing/plain:packages=git");
	ok(job_digest(conf, "unit", two, &err) == 0 && strcmp(one, two) != 0, "is another one with another base");
	conf_free(conf);
	ok(strstr(DIGEST("on", "backing/on:base=none"), "there is no section [backing/none]"), "an unknown base");
	ok(strstr(DIGEST("on", "backing/on:base=on"), "on → on: this goes in a circle"), "a base that is itself");
	ok(strstr(DIGEST("higher", "backing/on:base=higher"), "higher → on → higher: this goes in a circle"), "two that are on one another");
	ok(strstr(DIGEST("on", "backing/on:base=higher"), "circle"), "seen from the other");
	conf = LOAD("backing/plain:source=backing", "backing/plain:base=on");
	ok(strstr(digest(arena, conf, "higher"), "circle"), "a circle further down");
	differs(DIGEST("on", "backing/on:base=image"), on, "an image can be one, too");
}

static void test_wrong(struct arena *arena)
{
	ok(strstr(DIGEST("plain", "backing/plain:base=on"), "base: has no meaning with source = mmdebstrap"), "an option of another source");
	ok(strstr(DIGEST("tar", "backing/tar:lxd.server=https://a.test"), "lxd.server: has no meaning with source = tarball"), "an image server");
	ok(strstr(DIGEST("tar", "backing/tar:sha256="), "sha256: must be set where source = tarball"), "a tarball without a digest");
	ok(strstr(DIGEST("tar", "backing/tar:sha256=abc"), "must be 64 digits"), "one that is none");
	ok(strstr(DIGEST("plain", "backing/plain:files=../x:/x"), "must be SOURCE:/DESTINATION"), "a file from elsewhere");
	ok(strstr(DIGEST("plain", "backing/plain:files=/x:/x"), "must be SOURCE:/DESTINATION"), "a file by its path");
	ok(strstr(DIGEST("plain", "backing/plain:files=x:/a/../x"), "must be SOURCE:/DESTINATION"), "a file to elsewhere");
	ok(strstr(DIGEST("plain", "backing/plain:files=x"), "must be SOURCE:/DESTINATION"), "a file to nowhere");
}

static void test_files(struct arena *arena)
{
	const char *first, *path = arena_printf(arena, "%s/ca.pem", folder);

	ok(strstr(DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem"), "there is no such file"), "a file that is not there");
	put(arena, "ca.pem", "one", 0644);
	first = DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem");
	differs(first, DIGEST("plain", NULL), "a file is an input");
	put(arena, "ca.pem", "one", 0600);
	is(DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem"), first, "who may read it is none");
	put(arena, "ca.pem", "two", 0644);
	differs(DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem"), first, "what is in it is");
	put(arena, "ca.pem", "one", 0755);
	differs(DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem"), first, "that it can be run is");
	differs(DIGEST("on", "backing/plain:files=ca.pem:/etc/ca.pem"), DIGEST("on", NULL), "so it is for what is built on it");
	chmod(path, 0666);
	ok(strstr(DIGEST("plain", "backing/plain:files=ca.pem:/etc/ca.pem"), "files: "), "a file that everybody may write is refused");
	unlink(path);
}

int main(void)
{
	struct arena *arena = arena_new();

	if (!mkdtemp(folder))
		return 1;
	test_inputs(arena);
	test_bases(arena);
	test_wrong(arena);
	test_files(arena);
	unlink(arena_printf(arena, "%s/byov.conf", folder));
	rmdir(folder);
	arena_free(arena);
	return tap_done();
}
