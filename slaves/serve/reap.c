#include "slaves/serve/reap.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "slaves/cage/kept.h"
#include "slaves/record/builds.h"

/* `before`: an ended build that was asked for earlier is past. */
static int reap_one(const struct reap *reap, struct arena *arena, const char *build, int64_t before, json_t *left)
{
	struct err err = {0};
	const char *running = running_build(reap->running);
	int64_t started = builds_started(reap->program, arena, build);

	if ((running && strcmp(running, build) == 0) || kept_needs(reap->program->conf, build))
		return 0;
	bool old = started < before;
	const char *path = builds_path(reap->program, arena, build, old ? NULL : "layer", &err);
	struct err absent = {0};
	if (!old && !builds_result(reap->program, arena, build, &absent)) {
		json_array_append_new(left, json_string(build));
		return 0;
	}
	if (path && !old && access(path, F_OK) < 0)
		return 0;
	if (path && trash_take(reap->trash, path, &err) == 0)
		return 1;
	log_warning(LOG_WHAT("what a build has left cannot be removed"), LOG_TEXT("build", build), LOG_ERR(&err));
	json_array_append_new(left, json_string(build));
	return 0;
}

int reap_builds(const struct reap *reap, struct arena *arena, json_t *left, struct err *err)
{
	const char *const *builds = builds_list(reap->program, arena, err);
	int64_t keep_ms = 0;
	int removed = 0;

	if (!builds || conf_integer(reap->program->conf, NULL, "builds.keep", &keep_ms, err) < 0)
		return -1;
	for (int64_t before = clock_wall_ms() - keep_ms; *builds; builds++)
		removed += reap_one(reap, arena, *builds, before, left);
	return removed;
}

void reap_quietly(const struct reap *reap)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	json_t *left = json_array();

	if (reap_builds(reap, arena, left, &err) < 0)
		log_warning(LOG_WHAT("builds cannot be listed"), LOG_ERR(&err));
	json_decref(left);
	arena_free(arena);
}
