#include "slaves/serve/handout.h"

#include <unistd.h>

#include "base/jsonget.h"
#include "slaves/record/artefacts.h"
#include "slaves/serve/wanted.h"

static json_t *page(const struct handout *handout, const char *build, int64_t first, int64_t count, struct err *err)
{
	return artefacts_page(&(struct artefacts_page){.program = handout->program, .arena = handout->arena, .build = build, .first = first,
		.count = count}, err);
}

json_t *handout_list(const struct handout *handout, const json_t *message, struct err *err)
{
	const char *build = wanted_build(message, err);
	int64_t first = 0;

	if (!build || jsonget_integer(message, "first", &first, err) < 0)
		return NULL;
	return page(handout, build, first, HANDOUT_PAGE, err);
}

/* The result of a build lists only the first of its artefacts: who asks for another learns what it is called, and how long it is. */
static json_t *reply(const struct handout *handout, const char *build, int64_t number, bool named, struct err *err)
{
	json_t *one = named ? page(handout, build, number, 1, err) : NULL, *row = json_array_get(json_object_get(one, "artefacts"), 0);
	json_t *answer = NULL;

	if (!named)
		return json_pack("{s:b}", "ok", 1);
	if (row)
		answer = json_pack("{s:b, s:O, s:O}", "ok", 1, "path", json_object_get(row, "path"), "size", json_object_get(row, "size"));
	else if (one)
		err_set(err, ERR_NOT_FOUND, "build %s has kept no such artefact", build);
	json_decref(one);
	return answer;
}

int handout_artefact(const struct handout *handout, const json_t *message, struct err *err)
{
	const char *build = wanted_build(message, err);
	int64_t number = 0;
	int file;

	if (!build || jsonget_integer(message, "number", &number, err) < 0)
		return -1;
	json_t *answer = reply(handout, build, number, jsonget_boolean_or(message, "named", false), err);
	if (!answer)
		return -1;
	file = artefacts_open(handout->program, handout->arena, build, number, err);
	if (file < 0) {
		json_decref(answer);
		return -1;
	}
	lines_send_descriptor(handout->lines, answer, file);
	close(file);
	return 0;
}
