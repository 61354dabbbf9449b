#include "master/verdict.h"

#include "tests/tap.h"

#define URL "http://ci.example/jenkins/"

static enum verdict trigger(unsigned status, const char *headers, int64_t *item, struct err *err)
{
	const struct http_reply reply = {.status = status, .headers = headers, .body = "", .length = 0};

	*item = 0;
	err_clear(err);
	return verdict_trigger(URL, &reply, "job/x", item, err);
}

static void test_triggers(void)
{
	static const struct {
		unsigned status;
		const char *headers;
		enum verdict verdict;
		int64_t item;
		const char *says, *what;
	} rows[] = {
		{201, "Location: " URL "queue/item/17/\n", VERDICT_QUEUED, 17, "", "Jenkins tells the item"},
		{201, "location: /other/prefix/queue/item/18\n", VERDICT_QUEUED, 18, "", "whatever address a proxy makes of it"},
		{201, "Location: " URL "job/x/\n", VERDICT_TAKEN, 0, "", "201 without an id was taken"},
		{201, "", VERDICT_TAKEN, 0, "", "201 without a Location was, too"},
		{303, "Location: " URL "queue/item/19/\n", VERDICT_QUEUED, 19, "", "303: it was queued already"},
		{302, "Location: " URL "job/x/\n", VERDICT_TAKEN, 0, "", "Hudson tells no item"},
		{302, "Location: " URL "loginEntry?from=x\n", VERDICT_REFUSED, 0, "log in", "a page to log in at is no job"},
		{302, "Location: " URL "login\n", VERDICT_REFUSED, 0, "log in", "whatever its name"},
		{302, "Location: " URL "job/login-tests/\n", VERDICT_TAKEN, 0, "", "a job that is only named so is one"},
		{302, "", VERDICT_TAKEN, 0, "", "302 to nowhere may be taken"},
		{200, "", VERDICT_DOUBT, 0, "proxy", "200 says nothing"},
		{204, "", VERDICT_DOUBT, 0, "proxy", "nor 204"},
		{400, "", VERDICT_REFUSED, 0, "jenkins sync", "a job without parameters"},
		{401, "", VERDICT_REFUSED, 0, "master.secret", "a wrong password"},
		{403, "", VERDICT_REFUSED, 0, "what may that user do", "no right"},
		{404, "", VERDICT_REFUSED, 0, "master.folder", "no such job"},
		{405, "", VERDICT_REFUSED, 0, "POST", "no POST"},
		{409, "", VERDICT_REFUSED, 0, "disabled", "a disabled job"},
		{413, "", VERDICT_REFUSED, 0, "too large", "too much"},
		{429, "Retry-After: 5\n", VERDICT_LATER, 0, "", "too often"},
		{500, "", VERDICT_DOUBT, 0, "its log says why", "500 may come after it was taken"},
		{503, "", VERDICT_DOUBT, 0, "", "503 too"},
		{418, "", VERDICT_REFUSED, 0, "", "what nobody knows"},
		{599, "", VERDICT_DOUBT, 0, "", "either way"},
	};
	struct err err;
	int64_t item;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ok(trigger(rows[i].status, rows[i].headers, &item, &err) == rows[i].verdict, rows[i].what);
		ok(item == rows[i].item && strstr(err.text, rows[i].says), "with its item, or what to do about it");
	}
}

static void test_items(void)
{
	static const struct {
		const char *location;
		int64_t item;
	} rows[] = {
		{"http://a/queue/item/5/", 5}, {"/queue/item/5", 5}, {"http://a/queue/item/1/queue/item/6/", 6},
		{"http://a/queue/item/5/evil", 0}, {"http://a/queue/item/-5/", 0}, {"http://a/queue/item/ 5/", 0}, {"http://a/queue/item//", 0},
		{"http://a/queue/item/99999999999999999999/", 0}, {"", 0}, {"queue/item/5", 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ok(verdict_item(rows[i].location) == rows[i].item, rows[i].location);
}

static bool is_json(const char *body)
{
	const struct http_reply reply = {.status = 200, .headers = "", .body = body, .length = strlen(body)};
	struct err err = {.kind = ERR_NONE};
	json_t *json = verdict_json(&reply, &err);

	json_decref(json);
	return json && err.kind == ERR_NONE;
}

static void test_json(void)
{
	ok(is_json("{\"building\":true,\"number\":1,\"building\":true}"), "keys may be repeated, as Hudson does");
	ok(!is_json("<html>"), "a page is no JSON");
	ok(!is_json(" \n<html>"), "wherever it begins");
	ok(!is_json(""), "nothing is none");
	ok(!is_json("{\"a\":"), "half of it is none");
}

int main(void)
{
	test_triggers();
	test_items();
	test_json();
	return tap_done();
}
