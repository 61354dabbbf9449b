#include "master/sighting.h"

#include <stdlib.h>

#include "tests/tap.h"

#define OURS "\"actions\":[{},{\"parameters\":[{\"name\":\"SPEC\",\"value\":\"BRAIN_BUILD\"},{\"name\":\"BRAIN_BUILD\",\"value\":\"n1\"}]},{}]"
#define OTHER "\"actions\":[{\"parameters\":[{\"name\":\"BRAIN_BUILD\",\"value\":\"n2\"}]}]"

typedef int look_fn(const json_t *json, const char *nonce, struct sighting_found *found, struct err *err);

/* What a look gives, in words. */
static const char *seen(look_fn *look, const char *text)
{
	static const char *const words[] = {"nowhere", "queued", "started", "cancelled"};
	static char said[100];
	struct sighting_found found;
	struct err err = {.kind = ERR_NONE};
	json_t *json = json_loads(text, 0, NULL);

	if (look(json, "n1", &found, &err) < 0)
		snprintf(said, sizeof said, "error: %.80s", err.text);
	else
		snprintf(said, sizeof said, "%s %lld %lld", words[found.where], (long long)found.id, (long long)found.number);
	json_decref(json);
	return said;
}

static void test_queue(void)
{
	is(seen(sighting_queue, "{\"items\":[{\"id\":3," OTHER "},{\"id\":4,\"why\":\"waits\"," OURS "}]}"), "queued 4 0", "one of many");
	is(seen(sighting_queue, "{\"items\":[]}"), "nowhere 0 0", "an empty queue");
	is(seen(sighting_queue, "{\"items\":[{\"id\":3," OTHER "},{\"actions\":[]},{\"actions\":[null,{},{\"parameters\":null}]}]}"), "nowhere 0 0",
		"others', with and without parameters");
	is(seen(sighting_queue, "{}"), "error: queue: items: missing", "no list is no absence");
	is(seen(sighting_queue, "{\"items\":\"x\"}"), "error: queue: items: must be an array", "nor is another thing");
	is(seen(sighting_queue, "{\"items\":[{\"id\":\"4\"," OURS "}]}"), "error: queue: items[0]: id: must be an integer", "nor ours without an id");
}

/* Whatever does not say whose it is may be ours: it is no absence. */
static void test_silent(void)
{
	static const char *const items[][2] = {
		{"{\"id\":4}", "error: queue: items[0]: actions: missing"},
		{"{\"id\":4,\"actions\":null}", "error: queue: items[0]: actions: must be an array"},
		{"{\"id\":4,\"actions\":{}}", "error: queue: items[0]: actions: must be an array"},
		{"{\"id\":4,\"actions\":[7]}", "error: queue: items[0]: actions: must be objects"},
		{"{\"id\":4,\"actions\":[{\"parameters\":{}}]}", "error: queue: items[0]: actions: parameters: must be an array"},
		{"{\"id\":4,\"actions\":[{\"parameters\":[{\"name\":\"BRAIN_BUILD\",\"value\":7}]}]}",
			"error: queue: items[0]: BRAIN_BUILD: value: must be a string"},
		{"{\"id\":4,\"actions\":[{\"parameters\":[{\"name\":\"BRAIN_BUILD\"}]}]}",
			"error: queue: items[0]: BRAIN_BUILD: value: missing"},
		{"{\"id\":4,\"actions\":[{\"parameters\":[{\"name\":\"BRAIN_BUILD\",\"value\":null}]}]}", "nowhere 0 0"},
		{"7", "error: queue: items[0]: actions: missing: there is no object to hold it"},
		{"null", "error: queue: items[0]: actions: missing: there is no object to hold it"},
	};
	char text[300];

	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++) {
		snprintf(text, sizeof text, "{\"items\":[%s]}", items[i][0]);
		is(seen(sighting_queue, text), items[i][1], items[i][0]);
	}
}

static void test_item(void)
{
	is(seen(sighting_item, "{\"id\":4," OURS "}"), "queued 4 0", "it waits");
	is(seen(sighting_item, "{\"id\":4,\"executable\":null," OURS "}"), "queued 4 0", "it is just leaving");
	is(seen(sighting_item, "{\"id\":4,\"executable\":{\"number\":9},\"cancelled\":false," OURS "}"), "started 4 9", "it is a build");
	is(seen(sighting_item, "{\"id\":4,\"cancelled\":true," OURS "}"), "cancelled 4 0", "somebody cancelled it");
	is(seen(sighting_item, "{\"id\":4,\"executable\":{\"number\":9}," OTHER "}"), "nowhere 4 0", "an id that is another's now");
	is(seen(sighting_item, "{\"id\":4,\"executable\":{\"number\":\"9\"}," OURS "}"), "error: item: executable: number: must be an integer",
		"a number that is none");
	is(seen(sighting_item, "{\"id\":4,\"executable\":{\"number\":-9}," OURS "}"), "error: item: executable: number: must be over 0",
		"a number that is no build's");
	is(seen(sighting_item, "{" OURS "}"), "error: item: id: missing", "no id");
}

static void test_end(void)
{
	static const struct {
		const char *text;
		int done;
		bool building;
		const char *result;
	} rows[] = {
		{"{\"building\":true,\"result\":null}", 0, true, ""},
		{"{\"building\":false,\"result\":\"ABORTED\"}", 0, false, "ABORTED"},
		{"{\"building\":false}", 0, false, ""},
		{"{\"result\":\"SUCCESS\"}", -1, false, ""},
		{"{\"building\":\"no\"}", -1, false, ""},
		{"[]", -1, false, ""},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *json = json_loads(rows[i].text, 0, NULL);
		struct sighting_end end = {.result = ""};
		struct err err;

		ok(sighting_end(json, &end, &err) == rows[i].done, rows[i].text);
		ok(end.building == rows[i].building && strcmp(end.result, rows[i].result) == 0, "with its end");
		json_decref(json);
	}
}

int main(void)
{
	test_queue();
	test_silent();
	test_item();
	test_end();
	return tap_done();
}
