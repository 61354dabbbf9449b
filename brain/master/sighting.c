#include "master/sighting.h"

#include <string.h>

#include "base/jsonget.h"

/* 1: it has the nonce. 0: it has not. */
static int look(const json_t *action, const char **nonce, struct err *err)
{
	const json_t *parameters = json_object_get(action, "parameters"), *parameter;
	size_t i;

	if (!json_is_object(action) && !json_is_null(action))
		return err_set(err, ERR_INPUT, "actions: must be objects");
	if (parameters && !json_is_array(parameters) && !json_is_null(parameters))
		return err_set(err, ERR_INPUT, "actions: parameters: must be an array");
	json_array_foreach(parameters, i, parameter) {
		if (strcmp(jsonget_string_or(parameter, "name", ""), SIGHTING_NONCE) != 0)
			continue;
		if (json_is_null(json_object_get(parameter, "value"))) /* ours always has one */
			return 0;
		return jsonget_string(parameter, "value", nonce, err) < 0 ? err_wrap(err, SIGHTING_NONCE) : 1;
	}
	return 0;
}

int sighting_nonce(const json_t *thing, const char **nonce, struct err *err)
{
	json_t *actions, *action;
	size_t i;

	*nonce = "";
	if (jsonget_array(thing, "actions", &actions, err) < 0)
		return -1;
	json_array_foreach(actions, i, action) {
		int found = look(action, nonce, err);

		if (found)
			return found < 0 ? -1 : 0;
	}
	return 0;
}

/* 1, 0, -1. */
static int is_ours(const json_t *thing, const char *nonce, struct err *err)
{
	const char *found;

	return sighting_nonce(thing, &found, err) < 0 ? -1 : strcmp(found, nonce) == 0;
}

int sighting_queue(const json_t *queue, const char *nonce, struct sighting_found *found, struct err *err)
{
	json_t *items, *item;
	size_t i;

	*found = (struct sighting_found){.where = SIGHTING_NOWHERE};
	if (jsonget_array(queue, "items", &items, err) < 0)
		return err_wrap(err, "queue");
	json_array_foreach(items, i, item) {
		int ours = is_ours(item, nonce, err);

		if (ours == 0)
			continue;
		if (ours < 0 || jsonget_integer(item, "id", &found->id, err) < 0)
			return err_wrap(err, "queue: items[%zu]", i);
		found->where = SIGHTING_QUEUED;
		found->why = jsonget_string_or(item, "why", NULL);
		return 0;
	}
	return 0;
}

int sighting_item(const json_t *item, const char *nonce, struct sighting_found *found, struct err *err)
{
	const json_t *executable = json_object_get(item, "executable");
	int ours;

	*found = (struct sighting_found){.where = SIGHTING_NOWHERE};
	if (jsonget_integer(item, "id", &found->id, err) < 0)
		return err_wrap(err, "item");
	ours = is_ours(item, nonce, err);
	if (ours <= 0)
		return ours < 0 ? err_wrap(err, "item") : 0;
	found->where = jsonget_boolean_or(item, "cancelled", false) ? SIGHTING_CANCELLED : SIGHTING_QUEUED;
	found->why = jsonget_string_or(item, "why", NULL);
	if (!json_is_object(executable))
		return 0;
	found->where = SIGHTING_STARTED;
	if (jsonget_integer(executable, "number", &found->number, err) < 0)
		return err_wrap(err, "item: executable");
	return found->number > 0 ? 0 : err_set(err, ERR_INPUT, "item: executable: number: must be over 0");
}

int sighting_end(const json_t *build, struct sighting_end *end, struct err *err)
{
	const json_t *building = json_object_get(build, "building");

	if (!json_is_boolean(building))
		return err_set(err, ERR_INPUT, "building: must be yes or no");
	end->building = json_is_true(building);
	end->result = jsonget_string_or(build, "result", "");
	return 0;
}
