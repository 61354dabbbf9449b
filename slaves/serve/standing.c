#include "slaves/serve/standing.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/spec.h"
#include "slaves/common/output.h"
#include "slaves/record/builds.h"
#include "slaves/serve/backings.h"
#include "slaves/serve/listing.h"

#define TEXT_MAXIMUM 400 /* bytes of an error */

static json_t *running_json(const struct program *program, struct arena *arena, const char *build)
{
	json_t *list = json_array();
	struct err unread = {0};
	struct spec spec;

	if (build)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "build", build, "job",
			builds_spec(program, arena, build, &spec, &unread) == 0 ? spec.jobs[0].name : "", "since",
			(json_int_t)builds_started(program, arena, build)));
	return list;
}

json_t *standing_json(const struct program *program, struct arena *arena, const char *running, json_t *ready, struct err *err)
{
	json_t *kept = listing_kept(program, arena, err);

	if (!kept) {
		json_decref(ready);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:[], s:n}", "running", running_json(program, arena, running), "ready", ready, "kept", kept,
		"backings", "trouble");
}

/* What tools said is in there. */
static json_t *line(struct arena *arena, const char *text)
{
	return json_string(output_line(arena, text, strlen(text), TEXT_MAXIMUM));
}

static json_t *copy(const json_t *row, const char *key)
{
	json_t *value = json_object_get(row, key);

	return value ? json_incref(value) : json_null();
}

static void add_failed(json_t *standing, struct arena *arena, const json_t *whole)
{
	json_t *failed = json_object_get(standing, "backings"), *row;
	const char *error;
	size_t i;

	json_array_foreach(json_object_get(whole, "backings"), i, row)
		if ((error = jsonget_string_or(row, "error", NULL)))
			json_array_append_new(failed, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "name", jsonget_string_or(row, "name", "?"),
				"error", line(arena, error), "failures", copy(row, "failures"), "tried", copy(row, "tried"), "made",
				copy(row, "made"), "generation", copy(row, "generation")));
}

void standing_backings(json_t *standing, int list, const struct err *err)
{
	struct arena *arena = arena_new();
	struct err trouble = *err;
	json_t *whole = trouble.kind == ERR_NONE ? backings_read(arena, list, &trouble) : NULL;

	if (whole)
		add_failed(standing, arena, whole);
	else
		json_object_set_new(standing, "trouble", line(arena, trouble.text));
	json_decref(whole);
	arena_free(arena);
}
