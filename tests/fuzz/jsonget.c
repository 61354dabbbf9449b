/* Bytes that somebody says are JSON. */
#include "base/jsonget.h"
#include "fuzz.h"

enum { NODES = 256 };

static void get_all(const json_t *json)
{
	struct err err = {.kind = ERR_NONE};
	const char *text;
	int64_t number;
	json_t *value;

	if (jsonget_string(json, "a", &text, &err) == 0)
		MUST(strcmp(jsonget_string_or(json, "a", NULL), text) == 0);
	if (jsonget_integer(json, "a", &number, &err) == 0)
		MUST(jsonget_integer_or(json, "a", ~number) == number);
	if (jsonget_array(json, "a", &value, &err) == 0)
		MUST(json_is_array(value) && json_array_size(value) <= NODES);
	if (jsonget_object(json, "a", &value, &err) == 0)
		get_all(value);
	jsonget_boolean_or(json, "a", true);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct err err = {.kind = ERR_NONE};
	json_t *json = jsonget_parse(bytes, length, NODES, &err);

	if (json)
		get_all(json);
	else
		MUST(err.kind == ERR_INPUT && *err.text);
	json_decref(json);
	return 0;
}
