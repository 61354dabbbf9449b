#include "base/jsonget.h"

#include <stdlib.h>
#include <time.h>

#include "tests/tap.h"

static bool refused(const char *text, const char *wanted)
{
	struct err err;
	json_t *json;

	err_clear(&err);
	json = jsonget_parse(text, strlen(text), 1000, &err);
	json_decref(json);
	return !json && err.kind == ERR_INPUT && strncmp(err.text, wanted, strlen(wanted)) == 0;
}

static bool good(const char *text)
{
	struct err err;
	json_t *json = jsonget_parse(text, strlen(text), 1000, &err);

	json_decref(json);
	return json != NULL;
}

static void test_syntax(void)
{
	ok(good("{}") && good("[]") && good(" {\"a\":[1,2.5,true,null,\"\\u00e9\"]}\n"), "JSON is read");
	ok(refused("", "not JSON"), "nothing is not JSON");
	ok(refused("{", "not JSON") && refused("{}x", "not JSON") && refused("{'a':1}", "not JSON"),
		"nor is half of it, or more than it");
	ok(refused("{\"a\":1,}", "not JSON") && refused("{\"a\":01}", "not JSON"), "nor what only some take");
	ok(refused("\"text\"", "not JSON") && refused("1", "not JSON"), "a text must be an object or an array");
	ok(refused("{\"a\":1,\"a\":2}", "not JSON: line 1, column 10: duplicate object key"), "duplicate keys are refused");
	ok(refused("{\"a\":1,\"\\u0061\":2}", "not JSON"), "… however they are written");
	ok(refused("{\"a\":\"x\\u0000y\"}", "not JSON"), "a NUL in a string is refused");
	ok(refused("{\"a\\u0000b\":1}", "not JSON"), "… and in a key");
	ok(refused("{\"a\":\"\xff\"}", "not JSON") && refused("{\"a\":\"\xc0\x80\"}", "not JSON") &&
			refused("{\"a\":\"\xed\xa0\x80\"}", "not JSON"),
		"what is not UTF-8 is refused");
	ok(refused("{\"a\":\"\\ud800\"}", "not JSON"), "half a surrogate pair is refused");
	ok(refused("{\"a\":99999999999999999999}", "not JSON"), "an integer that does not fit is refused");
	ok(refused("{\"a\":1e999}", "not JSON"), "so is a number that does not");
	ok(refused("{\"a\":\"line\nfeed\"}", "not JSON"), "a control character in a string is refused");
}

static void test_nul_byte(void)
{
	struct err err;

	ok(!jsonget_parse("{}\0", 3, 10, &err) && err.kind == ERR_INPUT, "a NUL byte after it is refused");
	ok(!jsonget_parse("{\"a\":\"\0\"}", 9, 10, &err) && err.kind == ERR_INPUT, "and one in it");
	ok(!jsonget_parse("\0", 1, 10, &err), "and one alone");
	ok(!jsonget_parse(NULL, 0, 10, &err), "and no bytes at all");
}

/* The text of an error goes into logs and to terminals. */
static void test_clean(void)
{
	struct err err;
	bool clean = true;

	jsonget_parse("[\x1b[31m\x07]", 8, 10, &err);
	for (const char *c = err.text; *c; c++)
		clean = clean && *c >= ' ' && *c <= '~';
	ok(clean, "what is quoted of it has no control characters");
}

static void test_counting(void)
{
	struct err err;
	json_t *json = jsonget_parse("[1,2,3,4]", 9, 4, &err);

	ok(json != NULL, "[ and three commas are 4");
	json_decref(json);
	ok(!jsonget_parse("[1,2,3,4,5]", 11, 4, &err), "one more is refused");
	is(err.text, "JSON with more than 4 values", "… and said");
	json = jsonget_parse("[\"[[[,,,{{{:::\\\"[[[\"]", 21, 1, &err);
	ok(json != NULL, "what is in strings does not count");
	json_decref(json);
}

static char *nested(size_t depth, size_t *length)
{
	char *text = malloc(2 * depth);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	*length = 2 * depth;
	return text;
}

static void test_nesting(void)
{
	struct err err;
	size_t length;
	char *text = nested(64, &length);
	json_t *json = jsonget_parse(text, length, 1000000, &err);

	ok(json != NULL, "64 levels are read");
	json_decref(json);
	free(text);
	text = nested(65, &length);
	ok(!jsonget_parse(text, length, 1000000, &err), "65 are not");
	is(err.text, "JSON nested deeper than 64", "… and said");
	free(text);
	text = nested(1000000, &length);
	ok(!jsonget_parse(text, length, 10000000, &err), "a million levels do not overflow the stack");
	free(text);
}

/* jansson would take more than a gigabyte for it. */
static void test_hostile(void)
{
	size_t size = 25 * 1024 * 1024;
	char *text = malloc(size);
	struct err err;
	clock_t start;

	for (size_t i = 0; i < size; i++)
		text[i] = "[],"[i % 3];
	memcpy(text, "[[]", 3);
	text[size - 1] = ']';
	start = clock(); /* of this process: a busy machine makes nothing of it longer */
	ok(!jsonget_parse(text, size, 100000, &err) && err.kind == ERR_INPUT, "25 MB of [], are refused");
	ok(clock() - start < CLOCKS_PER_SEC / 10, "… within 100 ms");
	memset(text, '"', size);
	ok(!jsonget_parse(text, size, 100000, &err) && err.kind == ERR_INPUT, "so are 25 MB of quotes");
	memset(text, '\\', size);
	ok(!jsonget_parse(text, size, 100000, &err) && err.kind == ERR_INPUT, "and of backslashes");
	free(text);
}

static void test_getters(void)
{
	static const char text[] =
		"{\"s\":\"text\",\"i\":-9223372036854775808,\"a\":[1],\"o\":{},\"b\":true,\"n\":null,\"r\":1.0,\"e\":\"\"}";
	struct err err;
	json_t *json = jsonget_parse(text, sizeof text - 1, 100, &err);
	const char *string = "kept";
	int64_t integer = 42;
	json_t *value = NULL;

	ok(jsonget_string(json, "s", &string, &err) == 0 && strcmp(string, "text") == 0, "a string");
	ok(jsonget_string(json, "e", &string, &err) == 0 && !*string, "an empty string");
	ok(jsonget_integer(json, "i", &integer, &err) == 0 && integer == INT64_MIN, "the least integer");
	ok(jsonget_array(json, "a", &value, &err) == 0 && json_array_size(value) == 1, "an array");
	ok(jsonget_object(json, "o", &value, &err) == 0 && json_is_object(value), "an object");
	ok(jsonget_string(json, "x", &string, &err) < 0 && err.kind == ERR_INPUT, "what is missing is ERR_INPUT");
	is(err.text, "x: missing", "… by its name");
	ok(jsonget_string(json, "n", &string, &err) < 0, "null is no string");
	is(err.text, "n: must be a string", "… and said");
	integer = 42;
	ok(jsonget_integer(json, "r", &integer, &err) < 0 && integer == 42, "1.0 is no integer; the value is kept");
	is(err.text, "r: must be an integer", "… and said");
	ok(jsonget_array(json, "o", &value, &err) < 0, "an object is no array");
	is(err.text, "o: must be an array", "… and said");
	ok(jsonget_object(json, "a", &value, &err) < 0, "an array is no object");
	is(err.text, "a: must be an object", "… and said");
	ok(jsonget_string(json_object_get(json, "a"), "s", &string, &err) < 0 && jsonget_string(NULL, "s", &string, &err) < 0,
		"where there is no object nothing is found");
	is(jsonget_string_or(json, "s", "d"), "text", "a string, or");
	is(jsonget_string_or(json, "i", "d"), "d", "… the default");
	ok(jsonget_integer_or(json, "i", 1) == INT64_MIN && jsonget_integer_or(json, "s", 1) == 1, "an integer, or the default");
	ok(jsonget_boolean_or(json, "b", false) && jsonget_boolean_or(json, "n", true) && !jsonget_boolean_or(NULL, "b", false),
		"a boolean, or the default");
	json_decref(json);
}

int main(void)
{
	test_syntax();
	test_nul_byte();
	test_clean();
	test_counting();
	test_nesting();
	test_hostile();
	test_getters();
	return tap_done();
}
