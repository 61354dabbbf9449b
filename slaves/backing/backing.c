#include "slaves/backing/backing.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "forge/recipe.h"
#include "slaves/backing/backing_make.h"
#include "slaves/backing/making.h"
#include "slaves/backing/shelf.h"
#include "slaves/backing/smoke.h"

#define LIMIT_US (3600 * (int64_t)1000000)

struct build {
	const struct backing_want *want;
	const char *digest;
	struct recipe recipe;
	struct shelf shelf;
	struct making making;
	const char *before; /* generation in use when it was begun; NULL: none */
};

int backing_open(const struct conf *conf, const char *name, char digest[static JOB_DIGEST_SIZE], struct err *err)
{
	struct arena *arena = arena_new();
	struct shelf shelf;
	int fd = -1;

	if (job_backing_digest(conf, name, digest, err) == 0 && shelf_find(&shelf, arena, conf, digest, err) == 0)
		fd = shelf_use(&shelf, NULL, err);
	if (fd < 0 && err->kind == ERR_NOT_FOUND && conf_has_section(conf, arena_printf(arena, "backing/%s", name)))
		err_set(err, ERR_NOT_FOUND, "backing %s is not built as it is configured now: byoci-slave -n %s backing build %s", name,
			conf_namespace(conf), name);
	arena_free(arena);
	return fd;
}

static int prepare(struct build *build, struct arena *arena, const struct backing_want *want, char *digest, struct err *err)
{
	*build = (struct build){.want = want, .digest = digest};
	if (recipe_read(&build->recipe, want->conf, arena, want->name, err) < 0 ||
		job_backing_digest(want->conf, want->name, digest, err) < 0 ||
		shelf_find(&build->shelf, arena, want->conf, digest, err) < 0)
		return -1;
	build->making = (struct making){.arena = arena, .conf = want->conf, .recipe = &build->recipe, .folder = build->shelf.temporary,
		.progress = want->progress, .caller = want->caller, .deadline_us = clock_monotonic_us() + LIMIT_US};
	build->making.rootfs = arena_printf(arena, "%s/rootfs", build->making.folder);
	build->before = shelf_current(&build->shelf);
	return 0;
}

/* Bytes on disk; what has several names is counted once for each. */
static int64_t measure(const struct making *making)
{
	char *paths[] = {arena_strdup(making->arena, making->rootfs), NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	const FTSENT *entry;
	int64_t bytes = 0;

	while (tree && (entry = fts_read(tree)))
		if (entry->fts_info != FTS_DP && entry->fts_info != FTS_NS)
			bytes += (int64_t)entry->fts_statp->st_blocks * 512;
	if (tree)
		fts_close(tree);
	return bytes;
}

/* Sooner now than after minutes: it will take as much as the last one, or at least as its tarball has. */
static int check_space(const struct build *build, struct err *err)
{
	struct shelf_generation last = {0};
	struct statvfs disk;
	struct stat tarball;
	int64_t needed, left;

	if (build->before)
		shelf_describe(&build->shelf, build->before, &last);
	needed = last.bytes;
	if (!needed && build->recipe.tarball && stat(build->recipe.tarball, &tarball) == 0)
		needed = (int64_t)tarball.st_size;
	if (statvfs(build->shelf.folder, &disk) < 0)
		return 0;
	left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
	if (needed < left)
		return 0;
	return err_set(err, ERR_FULL, "the disk of %s has %lld MiB left, and it will take some %lld: `byoci-slave backing prune` removes what "
		"nobody needs", build->shelf.folder, (long long)left >> 20, (long long)needed >> 20);
}

/* A file, a section or a base may have been changed while it was built: then this is not what its name says. */
static int check_digest(const struct build *build, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];

	if (job_backing_digest(build->want->conf, build->want->name, digest, err) < 0)
		return -1;
	if (strcmp(digest, build->digest) != 0)
		return err_set(err, ERR_MOVED, "a file that it is made from was changed meanwhile: build it again");
	return 0;
}

static int make(struct build *build, struct err *err)
{
	struct shelf_generation about = {0};

	if (check_space(build, err) < 0)
		return -1;
	if (mkdir(build->making.folder, 0755) < 0 || chmod(build->making.folder, 0755) < 0)
		return err_set_errno(err, errno, "%s: the folder cannot be made", build->making.folder);
	if (backing_make(&build->making, err) < 0 || check_digest(build, err) < 0 || smoke_try(&build->making, err) < 0)
		return -1;
	about.bytes = measure(&build->making);
	about.made_ms = clock_wall_ms();
	about.on = build->making.on;
	if (shelf_write_about(&build->shelf, &about, build->want->name, err) < 0)
		return -1;
	return shelf_put(&build->shelf, about.made_ms, err);
}

/* Generations before the previous one that nobody uses, and what was moved aside. Also when nobody waits any more. */
static void clean(const struct build *build)
{
	const char *current = shelf_current(&build->shelf), *previous = shelf_previous(&build->shelf);
	struct making after = build->making;
	struct err ignored = {0};

	for (const char *const *name = shelf_generations(&build->shelf); *name; name++)
		if ((!current || strcmp(*name, current) != 0) && (!previous || strcmp(*name, previous) != 0))
			shelf_take_away(&build->shelf, *name, &ignored);
	after.caller = -1;
	after.deadline_us = clock_monotonic_us() + LIMIT_US;
	for (const char *const *path = shelf_gone(&build->shelf); *path; path++)
		if (making_remove(&after, *path, &ignored) < 0)
			log_warning(LOG_WHAT("what is left of a backing stays"), LOG_TEXT("folder", *path), LOG_ERR(&ignored));
}

/* How it went, for whoever looks later. Not to have been wanted any more is no failure. */
static void record(const struct build *build, int rc, const struct err *err)
{
	struct shelf_state state;
	struct err unwritten = {0};

	if (rc < 0 && err->kind == ERR_NETWORK)
		return;
	shelf_read_state(&build->shelf, &state);
	state.tried_ms = clock_wall_ms(); /* its end: the next is tried so long after it */
	state.error = rc < 0 ? err->text : NULL;
	state.failures = rc < 0 ? state.failures + 1 : 0;
	if (rc == 0)
		state.made_ms = state.tried_ms;
	if (shelf_write_state(&build->shelf, &state, &unwritten) < 0)
		log_warning(LOG_WHAT("how building a backing went cannot be written down"), LOG_ERR(&unwritten));
	if (rc < 0 && build->before)
		log_error(LOG_WHAT("a backing could not be refreshed: the one of before stays in use"), LOG_TEXT("backing", build->want->name),
			LOG_NUMBER("failures", state.failures), LOG_ERR(err),
			LOG_TEXT("then", arena_printf(build->shelf.arena, "byoci-slave -n %s backing build --refresh %s",
				conf_namespace(build->want->conf), build->want->name)));
}

static int make_or_clean(struct build *build, struct err *err)
{
	struct err ignored = {0};
	int rc;

	making_say(&build->making, "%s", build->before ? "refreshing it" : "building it");
	rc = make(build, err);
	if (rc < 0 && shelf_tidy(&build->shelf, &ignored) < 0)
		log_warning(LOG_WHAT("an unfinished backing stays"), LOG_TEXT("folder", build->making.folder), LOG_ERR(&ignored));
	record(build, rc, err);
	if (rc == 0)
		making_say(&build->making, "%s", build->before ? "refreshed" : "built");
	return rc;
}

/* One build of one backing at a time; the lock is let go of with the descriptor. */
static int lock(const struct build *build, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	struct err busy = {0};
	int fd;

	while ((fd = shelf_lock(&build->shelf, &busy)) < 0) {
		if (busy.kind != ERR_BUSY) {
			*err = busy;
			return -1;
		}
		if (making_wanted(&build->making, "waiting for somebody else to build it", err) < 0)
			return -1;
		nanosleep(&pause, NULL);
	}
	return fd;
}

static bool same(const char *one, const char *other)
{
	return one && other && strcmp(one, other) == 0;
}

static int build_locked(struct build *build, struct err *err)
{
	int held = lock(build, err), rc;
	const char *current;

	if (held < 0)
		return -1;
	rc = shelf_tidy(&build->shelf, err);
	clean(build); /* it may need the room */
	current = shelf_current(&build->shelf);
	if (build->before && strcmp(build->before, build->digest) == 0)
		build->before = current; /* it was of an earlier release, and has a new name */
	/* There is one; or a refresh is wanted, and somebody else has made it while we waited. */
	if (rc == 0 && (!current || (build->want->refresh && same(current, build->before)))) {
		build->before = current;
		rc = make_or_clean(build, err);
	}
	clean(build);
	close(held);
	return rc;
}

static int build_base(const struct build *build, struct err *err)
{
	struct backing_want base = *build->want;
	char digest[JOB_DIGEST_SIZE];

	base.name = build->recipe.base;
	base.refresh = false;
	return backing_build(&base, digest, err);
}

int backing_build(const struct backing_want *want, char digest[static JOB_DIGEST_SIZE], struct err *err)
{
	struct arena *arena = arena_new();
	struct build build;
	int rc = prepare(&build, arena, want, digest, err);

	if (rc < 0)
		goto err0;
	if (build.before && !want->refresh)
		goto err0;
	rc = shelf_make(&build.shelf, err);
	if (rc == 0 && build.recipe.base)
		rc = build_base(&build, err);
	if (rc == 0)
		rc = build_locked(&build, err);
	if (rc < 0)
		err_wrap(err, "backing %s", want->name);
err0:
	arena_free(arena);
	return rc;
}
