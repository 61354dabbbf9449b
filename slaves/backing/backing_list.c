#include "slaves/backing/backing_list.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forge/recipe.h"
#include "slaves/backing/backing_prune.h"
#include "slaves/backing/shelf.h"

static json_t *describe(const struct shelf *shelf, const char *name)
{
	struct shelf_generation generation;

	if (!name)
		return json_null();
	shelf_describe(shelf, name, &generation);
	return json_pack("{s:s, s:I, s:I, s:i}", "generation", name, "made", (json_int_t)generation.made_ms, "bytes",
		(json_int_t)generation.bytes, "users", (int)generation.users);
}

static void set_generation(json_t *row, const struct shelf *shelf)
{
	const char *current = shelf_current(shelf);
	struct shelf_generation generation = {0};

	if (current)
		shelf_describe(shelf, current, &generation);
	json_object_set_new(row, "built", json_boolean(current));
	json_object_set_new(row, "generation", current ? json_string(current) : json_null());
	json_object_set_new(row, "on", generation.on ? json_string(generation.on) : json_null());
	json_object_set_new(row, "made", current ? json_integer(generation.made_ms) : json_null());
	json_object_set_new(row, "bytes", current ? json_integer(generation.bytes) : json_null());
	json_object_set_new(row, "users", json_integer(generation.users));
	json_object_set_new(row, "previous", describe(shelf, shelf_previous(shelf)));
}

static void set_state(json_t *row, const struct shelf *shelf)
{
	struct shelf_state state;

	shelf_read_state(shelf, &state);
	json_object_set_new(row, "tried", state.tried_ms ? json_integer(state.tried_ms) : json_null());
	json_object_set_new(row, "failures", json_integer(state.failures));
	json_object_set_new(row, "error", state.error ? json_string(state.error) : json_null());
}

/* Returns whether it is as it should be. */
static bool add(json_t *list, const struct conf *conf, struct arena *arena, const char *name)
{
	json_t *row = json_pack("{s:s}", "name", name);
	char digest[JOB_DIGEST_SIZE];
	struct recipe recipe;
	struct shelf shelf;
	struct err err = {0};
	bool good;

	if (recipe_read(&recipe, conf, arena, name, &err) < 0 || job_backing_digest(conf, name, digest, &err) < 0 ||
		shelf_find(&shelf, arena, conf, digest, &err) < 0) {
		json_object_set_new(row, "built", json_false());
		json_object_set_new(row, "error", json_string(err.text));
	} else {
		json_object_set_new(row, "source", json_string(recipe_source_name(recipe.source)));
		json_object_set_new(row, "digest", json_string(digest));
		json_object_set_new(row, "refresh", json_integer(recipe.refresh_ms));
		set_generation(row, &shelf);
		set_state(row, &shelf);
	}
	good = !json_is_string(json_object_get(row, "error"));
	json_array_append_new(list, row);
	return good;
}

static void add_unused(json_t *list, const struct shelf *all, const char *const *names)
{
	for (; *names; names++) {
		struct shelf one = *all;
		struct shelf_generation generation;

		one.digest = arena_memdup(all->arena, *names, JOB_DIGEST_SIZE - 1);
		shelf_describe(&one, *names, &generation);
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:i}", "name", *names, "digest", one.digest, "bytes",
			(json_int_t)generation.bytes, "users", (int)generation.users));
	}
}

static int write_all(const char *text, int to, struct err *err)
{
	for (size_t length = strlen(text); length;) {
		ssize_t put = write(to, text, length);

		if (put < 0 && errno != EINTR)
			return err_set_errno(err, errno, "the list of backings cannot be written");
		if (put > 0) {
			text += put;
			length -= (size_t)put;
		}
	}
	return 0;
}

int backing_list_write(const struct conf *conf, int to, struct err *err)
{
	struct arena *arena = arena_new();
	json_t *backings = json_array(), *unused = json_array(), *whole;
	const char *const *names = conf_sections(conf, arena, "backing"), *const *unneeded;
	struct err ignored = {0};
	struct shelf shelf;
	int failed = 0, rc = shelf_find(&shelf, arena, conf, "", err);
	char *text;

	for (; rc == 0 && *names; names++)
		failed += !add(backings, conf, arena, *names);
	if (rc == 0 && (unneeded = backing_prune_unneeded(&shelf, conf, &ignored)))
		add_unused(unused, &shelf, unneeded);
	whole = json_pack("{s:o, s:o, s:i}", "backings", backings, "unused", unused, "failed", failed);
	text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
	if (!text)
		err_fatal("the list of backings cannot be written as JSON");
	if (rc == 0)
		rc = write_all(arena_printf(arena, "%s\n", text), to, err);
	free(text);
	json_decref(whole);
	arena_free(arena);
	return rc;
}
