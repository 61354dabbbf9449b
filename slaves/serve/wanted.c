#include "slaves/serve/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonget.h"
#include "slaves/record/builds.h"

const char *wanted_build(const json_t *message, struct err *err)
{
	const char *build = NULL;

	if (jsonget_string(message, "build", &build, err) < 0)
		return NULL;
	if (spec_build_valid(build))
		return build;
	err_set(err, ERR_INPUT, "build: must be 32 lower-case hex digits");
	return NULL;
}

int wanted_before(const struct program *program, struct arena *arena, const struct wanted *wanted, struct err *err)
{
	struct err absent = {0};
	const char *path = builds_path(program, arena, wanted->build, "spec.json", err);
	const char *old = path ? file_read(arena, path, SPEC_MAXIMUM, NULL, &absent) : NULL;

	if (!old)
		return !path || absent.kind != ERR_NOT_FOUND ? err_set(err, ERR_SYSTEM, "read the spec of build %s: %.500s", wanted->build,
		absent.text) : 0;
	return strcmp(old, wanted->text) == 0 ? 1
		: err_set(err, ERR_REFUSED, "exists: build %s was asked for with another spec", wanted->build);
}

int wanted_spec(struct arena *arena, const json_t *message, struct spec *spec, const char **text, struct err *err)
{
	json_t *json = NULL;

	if (jsonget_object(message, "spec", &json, err) < 0 || spec_parse(arena, json, spec, err) < 0)
		return -1;
	char *dumped = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	if (!dumped)
		abort();
	*text = arena_strdup(arena, dumped);
	free(dumped);
	return strlen(*text) < SPEC_MAXIMUM ? 0 : err_set(err, ERR_INPUT, "spec: more than %d bytes", SPEC_MAXIMUM - 1);
}
