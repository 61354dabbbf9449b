#include "slaves/backing/backing_prune.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "forge/recipe.h"
#include "slaves/backing/making.h"

#define LIMIT_US (3600 * (int64_t)1000000)

static size_t count_of(const char *const *list)
{
	size_t count = 0;

	while (list[count])
		count++;
	return count;
}

/* Digests of all sections; NULL-ended. */
static const char *const *configured(const struct conf *conf, struct arena *arena, struct err *err)
{
	const char *const *names = conf_sections(conf, arena, "backing");
	const char **digests = arena_alloc(arena, (count_of(names) + 1) * sizeof *digests);

	for (size_t i = 0; names[i]; i++) {
		char digest[JOB_DIGEST_SIZE];

		if (job_backing_digest(conf, names[i], digest, err) < 0)
			return NULL;
		digests[i] = arena_strdup(arena, digest);
	}
	return digests;
}

static bool has(const char *const *list, const char *text)
{
	for (; *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static bool same(const char *one, const char *other)
{
	return one && strcmp(one, other) == 0;
}

/* A folder of an earlier release counts as a generation. */
static const char *const *all_of(const struct shelf *shelf)
{
	const char *const *generations = shelf_generations(shelf);
	const char *current = shelf_current(shelf);
	const char **list;

	if (*generations || !current)
		return generations;
	list = arena_alloc(shelf->arena, 2 * sizeof *list);
	list[0] = current;
	return list;
}

static bool is_needed(const struct shelf *shelf, bool wanted, const char *name)
{
	return wanted && (same(shelf_current(shelf), name) || same(shelf_previous(shelf), name));
}

/* Of one digest; they are added to the list. */
static void add_unneeded(const struct shelf *shelf, bool wanted, const char **list, size_t *count)
{
	for (const char *const *name = all_of(shelf); *name; name++)
		if (!is_needed(shelf, wanted, *name))
			list[(*count)++] = *name;
}

static struct shelf at(const struct shelf *shelf, const char *digest)
{
	struct shelf one = *shelf;

	one.digest = digest;
	one.temporary = arena_printf(shelf->arena, "%s/.%s", shelf->folder, digest);
	one.log = arena_printf(shelf->arena, "%s/%s.log", shelf->folder, digest);
	return one;
}

const char *const *backing_prune_unneeded(const struct shelf *shelf, const struct conf *conf, struct err *err)
{
	const char *const *wanted = configured(conf, shelf->arena, err);
	const char *const *digests = shelf_digests(shelf);
	size_t count = 0, most = 1;
	const char **list;

	if (!wanted)
		return NULL;
	for (const char *const *digest = digests; *digest; digest++) {
		const struct shelf one = at(shelf, *digest);

		most += count_of(all_of(&one));
	}
	list = arena_alloc(shelf->arena, most * sizeof *list);
	for (; *digests; digests++) {
		const struct shelf one = at(shelf, *digests);

		add_unneeded(&one, has(wanted, *digests), list, &count);
	}
	list[count] = NULL;
	return list;
}

struct prune {
	const struct making *making;
	const char *const *wanted; /* digests */
	unsigned removed, used;
	int64_t bytes;
};

/* With the lock: what is needed does not change. What is in use stays: no error. */
static int take_away(struct prune *prune, const struct shelf *shelf, struct err *err)
{
	for (const char *const *name = all_of(shelf); *name; name++) {
		struct shelf_generation generation;
		struct err busy = {0};

		if (is_needed(shelf, has(prune->wanted, shelf->digest), *name))
			continue;
		shelf_describe(shelf, *name, &generation);
		if (shelf_take_away(shelf, *name, &busy) == 0) {
			prune->removed++;
			prune->bytes += generation.bytes;
		} else if (busy.kind == ERR_BUSY) {
			prune->used++;
			making_say(prune->making, "%s is in use and stays", *name);
		} else {
			*err = busy;
			return -1;
		}
	}
	return 0;
}

static int remove_gone(const struct prune *prune, const struct shelf *shelf, struct err *err)
{
	int rc = 0;

	for (const char *const *path = shelf_gone(shelf); *path; path++)
		if (making_remove(prune->making, *path, err) < 0)
			rc = -1;
	return rc;
}

static int prune_digest(struct prune *prune, const struct shelf *shelf, struct err *err)
{
	struct err busy = {0};
	int held = shelf_lock(shelf, &busy), rc;

	if (held < 0 && busy.kind == ERR_BUSY) {
		making_say(prune->making, "%.12s is being built and stays", shelf->digest);
		return 0;
	}
	if (held < 0) {
		*err = busy;
		return -1;
	}
	rc = shelf_tidy(shelf, err);
	if (rc == 0)
		rc = take_away(prune, shelf, err);
	if (rc == 0)
		rc = remove_gone(prune, shelf, err);
	if (rc == 0 && !has(prune->wanted, shelf->digest) && !*all_of(shelf))
		shelf_forget(shelf);
	close(held);
	return rc;
}

int backing_prune(const struct conf *conf, int progress, struct err *err)
{
	struct arena *arena = arena_new();
	const struct recipe recipe = {.name = "prune"};
	const struct making making = {.arena = arena, .conf = conf, .recipe = &recipe, .folder = "/", .progress = progress, .caller = -1,
		.deadline_us = clock_monotonic_us() + LIMIT_US};
	struct prune prune = {.making = &making};
	struct shelf shelf;
	int rc = shelf_find(&shelf, arena, conf, "", err);

	if (rc == 0 && access(shelf.folder, F_OK) < 0)
		goto err0; /* nothing was ever built */
	if (rc < 0 || !(prune.wanted = configured(conf, arena, err))) {
		rc = err_wrap(err, "nothing is removed, since it can't be said what is needed");
		goto err0;
	}
	for (const char *const *digest = shelf_digests(&shelf); *digest; digest++) {
		const struct shelf one = at(&shelf, *digest);

		if (prune_digest(&prune, &one, err) < 0)
			rc = -1;
	}
	making_say(&making, "%u removed (%lld MiB), %u in use", prune.removed, (long long)prune.bytes >> 20, prune.used);
err0:
	arena_free(arena);
	return rc;
}
