#include "slaves/test/prepared.h"

#include <jansson.h>
#include <stddef.h>

#include "base/jsonget.h"

int prepared_write(int fd, const struct ending *ending)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "outcome", outcome_word(ending->outcome), "reason", ending->reason, "merge",
		ending->merge, "tree", ending->tree, "steps", steps_json(&ending->steps));
	int done = json ? json_dumpfd(json, fd, JSON_COMPACT) : -1;

	json_decref(json);
	return done;
}

static const char *non_empty(struct arena *arena, const char *text)
{
	return *text ? arena_strdup(arena, text) : NULL;
}

int prepared_read(struct arena *arena, const void *bytes, size_t length, struct ending *ending, struct err *err)
{
	const char *word, *reason, *commit, *tree;
	json_t *steps = NULL;
	int done = -1;

	json_t *json = jsonget_parse(bytes, length, 1000, err);
	if (!json || jsonget_string(json, "outcome", &word, err) < 0 || jsonget_string(json, "reason", &reason, err) < 0 ||
		jsonget_string(json, "merge", &commit, err) < 0 || jsonget_string(json, "tree", &tree, err) < 0 ||
		jsonget_array(json, "steps", &steps, err) < 0 || steps_read(&ending->steps, arena, steps, err) < 0)
		goto err0;
	if (!outcome_from_word(word, &ending->outcome)) {
		err_set(err, ERR_INPUT, "outcome: not a word for an outcome");
		goto err0;
	}
	ending->reason = arena_strdup(arena, reason);
	ending->merge = non_empty(arena, commit);
	ending->tree = non_empty(arena, tree);
	done = 0;
err0:
	json_decref(json);
	return done;
}
