#include "base/jsonget.h"

#include <inttypes.h>
#include <string.h>

#define DEPTH 64

/* What a hostile text costs is known before jansson allocates for it: each of [ { , : is at most one node. */
static int count_nodes(const char *text, size_t length, size_t maximum, struct err *err)
{
	size_t nodes = 0, depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if ((c == ']' || c == '}') && depth)
			depth--;
		else if (c == '[' || c == '{')
			depth++;
		if ((c == '[' || c == '{' || c == ',' || c == ':') && ++nodes > maximum)
			return err_set(err, ERR_INPUT, "JSON with more than %zu values", maximum);
		if (depth > DEPTH)
			return err_set(err, ERR_INPUT, "JSON nested deeper than %d", DEPTH);
	}
	return 0;
}

/* Jansson's text quotes the input: nothing of it may reach a terminal as it is. */
static void clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static json_t *parse(const void *bytes, size_t length, size_t maximum_nodes, size_t flags, struct err *err)
{
	json_error_t why;
	json_t *json;

	if (count_nodes(bytes, length, maximum_nodes, err) < 0)
		return NULL;
	json = json_loadb(bytes, length, flags, &why);
	if (!json) {
		clean(why.text);
		err_set(err, ERR_INPUT, "not JSON: line %d, column %d: %s", why.line, why.column, why.text);
	}
	return json;
}

json_t *jsonget_parse(const void *bytes, size_t length, size_t maximum_nodes, struct err *err)
{
	return parse(bytes, length, maximum_nodes, JSON_REJECT_DUPLICATES, err);
}

json_t *jsonget_parse_last(const void *bytes, size_t length, size_t maximum_nodes, struct err *err)
{
	return parse(bytes, length, maximum_nodes, 0, err);
}

/* The member; NULL after err_set. */
static json_t *member(const json_t *object, const char *key, struct err *err)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_object(object))
		err_set(err, ERR_INPUT, "%s: missing: there is no object to hold it", key);
	else if (!value)
		err_set(err, ERR_INPUT, "%s: missing", key);
	return value;
}

int jsonget_string(const json_t *object, const char *key, const char **value, struct err *err)
{
	const json_t *found = member(object, key, err);

	if (!found)
		return -1;
	if (!json_is_string(found))
		return err_set(err, ERR_INPUT, "%s: must be a string", key);
	*value = json_string_value(found);
	return 0;
}

int jsonget_integer(const json_t *object, const char *key, int64_t *value, struct err *err)
{
	const json_t *found = member(object, key, err);

	if (!found)
		return -1;
	if (!json_is_integer(found))
		return err_set(err, ERR_INPUT, "%s: must be an integer", key);
	*value = json_integer_value(found);
	return 0;
}

int jsonget_array(const json_t *object, const char *key, json_t **value, struct err *err)
{
	json_t *found = member(object, key, err);

	if (!found)
		return -1;
	if (!json_is_array(found))
		return err_set(err, ERR_INPUT, "%s: must be an array", key);
	*value = found;
	return 0;
}

int jsonget_object(const json_t *object, const char *key, json_t **value, struct err *err)
{
	json_t *found = member(object, key, err);

	if (!found)
		return -1;
	if (!json_is_object(found))
		return err_set(err, ERR_INPUT, "%s: must be an object", key);
	*value = found;
	return 0;
}

const char *jsonget_string_or(const json_t *object, const char *key, const char *fallback)
{
	const json_t *found = json_object_get(object, key);

	return json_is_string(found) ? json_string_value(found) : fallback;
}

int64_t jsonget_integer_or(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *found = json_object_get(object, key);

	return json_is_integer(found) ? json_integer_value(found) : fallback;
}

bool jsonget_boolean_or(const json_t *object, const char *key, bool fallback)
{
	const json_t *found = json_object_get(object, key);

	return json_is_boolean(found) ? json_is_true(found) : fallback;
}
