/* What a master answers: status, Location, and a body in place of a queue, an item and a build; then a log. */
#include "build/jenkins_log.h"
#include "master/sighting.h"
#include "master/verdict.h"
#include "fuzz.h"

#define NONCE "n1"

static void check_found(int done, const struct sighting_found *found, const struct err *err)
{
	MUST(done == 0 || err->kind == ERR_INPUT);
	MUST(done < 0 || found->where <= SIGHTING_CANCELLED);
	MUST(done < 0 || found->where != SIGHTING_STARTED || found->number > 0);
}

static void check_body(const char *body)
{
	const struct http_reply reply = {.status = 200, .headers = "", .body = body, .length = strlen(body)};
	struct err err = {.kind = ERR_NONE};
	struct sighting_found found;
	struct sighting_end end = {.building = false, .result = ""};
	const char *nonce;
	json_t *json = verdict_json(&reply, &err);

	MUST(json || err.kind == ERR_INPUT);
	check_found(sighting_queue(json, NONCE, &found, &err), &found, &err);
	check_found(sighting_item(json, NONCE, &found, &err), &found, &err);
	MUST(sighting_nonce(json, &nonce, &err) < 0 || strlen(nonce) <= strlen(body));
	MUST(sighting_nonce(json_array_get(json_object_get(json, "builds"), 0), &nonce, &err) < 0 || strlen(nonce) <= strlen(body));
	MUST(sighting_end(json, &end, &err) < 0 || end.result);
	json_decref(json);
}

static void check_trigger(unsigned status, const char *location)
{
	struct arena *arena = arena_new();
	const struct http_reply reply = {
		.status = status, .headers = arena_printf(arena, "Location: %s\n", location), .body = "", .length = 0};
	struct err err = {.kind = ERR_NONE};
	int64_t item = 0;
	enum verdict verdict = verdict_trigger("http://h/", &reply, "job/x", &item, &err);

	MUST((verdict == VERDICT_QUEUED) == (item > 0));
	MUST((verdict <= VERDICT_TAKEN) == (err.kind == ERR_NONE));
	arena_free(arena);
}

static void check_log(const char *text)
{
	struct err err = {.kind = ERR_NONE};
	struct jenkins_log *log = jenkins_log_open(NULL, "line-1 ", &err);
	size_t length = strlen(text), half = length / 2;
	const char *line;

	MUST(jenkins_log_add(log, text, half, &err) == 0 && jenkins_log_add(log, text + half, length - half, &err) == 0);
	line = jenkins_log_line(log);
	MUST(!line || (strncmp(line, "line-1 ", 7) == 0 && !strchr(line, '\n') && strstr(text, "line-1 ")));
	jenkins_log_free(log);
}

/* First line: a status; second: a Location; the rest: a body. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *text = fuzz_text(bytes, length), *rest = text, *status = strsep(&rest, "\n"), *location = rest ? strsep(&rest, "\n") : NULL;

	check_trigger((unsigned)strtoul(status, NULL, 10) % 1000, location ? location : "");
	if (rest) {
		check_body(rest);
		check_log(rest);
	}
	free(text);
	return 0;
}
