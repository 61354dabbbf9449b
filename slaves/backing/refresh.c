#include "slaves/backing/refresh.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "forge/recipe.h"
#include "slaves/backing/backing.h"
#include "slaves/backing/backing_make.h"
#include "slaves/backing/shelf.h"

#define RETRY_MS (3600 * INT64_C(1000))
#define NICE 19
#define IO_PRIORITY_IDLE (3 << 13) /* ioprio_set(2) */
#define WHO_PROCESS 1

/* Whether its base has another generation than the one it was made on. */
static bool is_behind(const struct conf *conf, struct arena *arena, const struct recipe *recipe, const char *on)
{
	char digest[JOB_DIGEST_SIZE];
	struct err err = {0};
	struct shelf base;
	const char *current;

	if (!recipe->base || !on || job_backing_digest(conf, recipe->base, digest, &err) < 0 ||
		shelf_find(&base, arena, conf, digest, &err) < 0)
		return false;
	current = shelf_current(&base);
	return current && strcmp(current, on) != 0;
}

/* When the time of one comes; -1: never. A section that does not hold is told of by whoever needs it. */
static int64_t wait_of(const struct conf *conf, struct arena *arena, const char *name, int64_t now_ms)
{
	struct shelf_generation generation;
	char digest[JOB_DIGEST_SIZE];
	struct shelf_state state;
	struct recipe recipe;
	struct shelf shelf;
	struct err err = {0};
	int64_t interval_ms, last_ms;
	const char *current;
	bool behind;

	if (recipe_read(&recipe, conf, arena, name, &err) < 0 || !recipe.refresh_ms ||
		job_backing_digest(conf, name, digest, &err) < 0 || shelf_find(&shelf, arena, conf, digest, &err) < 0)
		return -1;
	current = shelf_current(&shelf);
	if (!current)
		return -1;
	shelf_describe(&shelf, current, &generation);
	shelf_read_state(&shelf, &state);
	behind = is_behind(conf, arena, &recipe, generation.on);
	if (!behind && !backing_make_varies(&recipe))
		return -1;
	interval_ms = behind && !state.failures ? 0 : recipe.refresh_ms;
	if (state.failures && interval_ms > RETRY_MS)
		interval_ms = RETRY_MS;
	last_ms = state.tried_ms > generation.made_ms ? state.tried_ms : generation.made_ms;
	if (last_ms > now_ms) /* the clock was set */
		return 0;
	return last_ms + interval_ms > now_ms ? last_ms + interval_ms - now_ms : 0;
}

/* The one whose time comes first, those that others are built on before these; NULL: none does. */
static const char *next(const struct conf *conf, struct arena *arena, int64_t *wait_ms)
{
	const char *const *names = conf_sections(conf, arena, "backing");
	const char *first = NULL;
	bool first_built_on = false;
	int64_t now_ms = clock_wall_ms();

	for (; *names; names++) {
		int64_t own_ms = wait_of(conf, arena, *names, now_ms);
		const char *base = NULL;
		struct err err = {0};

		if (own_ms < 0 || conf_text(conf, arena_printf(arena, "backing/%s", *names), "base", &base, &err) < 0)
			continue;
		if (first && (own_ms > *wait_ms || (own_ms == *wait_ms && (base || !first_built_on))))
			continue;
		first = *names;
		first_built_on = base != NULL;
		*wait_ms = own_ms;
	}
	return first;
}

int64_t refresh_wait_ms(const struct conf *conf, int64_t most)
{
	struct arena *arena = arena_new();
	int64_t wait_ms = most;

	if (!next(conf, arena, &wait_ms) || wait_ms > most)
		wait_ms = most;
	arena_free(arena);
	return wait_ms;
}

static int open_log(const struct conf *conf, struct arena *arena, const char *name, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];
	struct shelf shelf;

	if (job_backing_digest(conf, name, digest, err) < 0 || shelf_find(&shelf, arena, conf, digest, err) < 0)
		return -1;
	return open(shelf.log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
}

static int refresh_one(const struct conf *conf, struct arena *arena, const char *name)
{
	struct backing_want want = {.conf = conf, .name = name, .refresh = true, .caller = -1};
	char digest[JOB_DIGEST_SIZE];
	struct err err = {0};
	int rc;

	want.progress = open_log(conf, arena, name, &err);
	rc = backing_build(&want, digest, &err); /* tells of its failure itself */
	if (rc == 0)
		log_info(LOG_WHAT("a backing was refreshed"), LOG_TEXT("backing", name), LOG_TEXT("digest", digest));
	if (want.progress >= 0)
		close(want.progress);
	return rc;
}

int refresh_all(const struct conf *conf)
{
	struct arena *arena = arena_new();
	const char *const *names = conf_sections(conf, arena, "backing");
	const char *name;
	int64_t wait_ms;
	size_t most = 0;
	int rc = 0;

	while (names[most])
		most++;
	if (setpriority(PRIO_PROCESS, 0, NICE) < 0 || syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO_PRIORITY_IDLE) < 0)
		log_debug(LOG_WHAT("backings are refreshed at the usual priority"));
	/* Each once, and once more after its base; whatever the clock does. */
	for (size_t i = 0; rc == 0 && i < 2 * most && (name = next(conf, arena, &wait_ms)) && wait_ms <= 0; i++)
		if (refresh_one(conf, arena, name) < 0 && wait_of(conf, arena, name, clock_wall_ms()) == 0)
			rc = -1; /* it was not even written down that it failed */
	arena_free(arena);
	return rc;
}

int refresh_check(const struct conf *conf, const char *name, struct err *err)
{
	struct arena *arena = arena_new();
	char digest[JOB_DIGEST_SIZE];
	struct shelf_state state = {0};
	struct shelf shelf;
	int rc = job_backing_digest(conf, name, digest, err) < 0 ? -1 : shelf_find(&shelf, arena, conf, digest, err);

	if (rc == 0)
		shelf_read_state(&shelf, &state);
	if (state.error)
		rc = err_set(err, ERR_SYSTEM, "backing %s was not refreshed (%lld times): %s", name, (long long)state.failures, state.error);
	arena_free(arena);
	return rc;
}
