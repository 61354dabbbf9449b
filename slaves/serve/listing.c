#include "slaves/serve/listing.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "slaves/cage/kept.h"
#include "slaves/common/ending.h"
#include "slaves/record/builds.h"

#define LISTING_MAXIMUM 500 /* builds, the newest */

struct listed {
	const char *build;
	int64_t started;
};

static int newer(const void *one, const void *other)
{
	const struct listed *a = one, *b = other;

	return a->started < b->started ? 1 : a->started > b->started ? -1 : strcmp(a->build, b->build);
}

static json_t *one_json(const struct program *program, struct arena *arena, const struct listed *listed)
{
	struct err err = {0};
	enum outcome outcome;
	const char *line = builds_result(program, arena, listed->build, &err);
	bool known_outcome = line && ending_outcome(line, &outcome, &err) == 0;

	return json_pack("{s:s, s:s, s:s?, s:I}", "build", listed->build, "state", line ? "done" : "running", "outcome",
		known_outcome ? outcome_word(outcome) : NULL, "started", (json_int_t)listed->started);
}

/* The newest first, in the arena. NULL and err. */
static struct listed *sorted(const struct program *program, struct arena *arena, size_t *count, struct err *err)
{
	const char *const *builds = builds_list(program, arena, err);

	*count = 0;
	if (!builds)
		return NULL;
	while (builds[*count])
		++*count;
	struct listed *listed = arena_alloc(arena, (*count + 1) * sizeof *listed);
	for (size_t i = 0; i < *count; i++)
		listed[i] = (struct listed){.build = builds[i], .started = builds_started(program, arena, builds[i])};
	qsort(listed, *count, sizeof *listed, newer);
	return listed;
}

json_t *listing_builds(const struct program *program, struct arena *arena, struct err *err)
{
	size_t count = 0;
	struct listed *listed = sorted(program, arena, &count, err);

	if (!listed)
		return NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < count && i < LISTING_MAXIMUM; i++)
		json_array_append_new(list, one_json(program, arena, &listed[i]));
	return list;
}

json_t *listing_kept(const struct program *program, struct arena *arena, struct err *err)
{
	struct kept kept[KEPT_MAXIMUM];
	struct kept_room room;
	const char *folder;

	if (kept_place(program->conf, arena, &folder, &room, err) < 0)
		return NULL;
	json_t *list = json_array();
	size_t count = kept_list(arena, folder, room, kept, KEPT_MAXIMUM);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:o*}", "build", kept[i].build, "job", kept[i].job, "since",
			(json_int_t)kept[i].since, "expiry", (json_int_t)kept[i].expiry, "copy", kept[i].copy ? json_true() : NULL));
	return list;
}
