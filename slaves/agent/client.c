#include "slaves/agent/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "forge/result.h"
#include "forge/spec.h"
#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/talk.h"

#define CLIENT_NODES 10000

static int fail(const char *verb, const struct err *err)
{
	struct arena *arena = arena_new();

	fprintf(stderr, "byoci-slave %s: %s\n", verb, output_line(arena, err->text, strlen(err->text), sizeof err->text));
	arena_free(arena);
	return outcome_exit(ending_of_error(err));
}

static char *read_input(struct arena *arena, const char *path, size_t maximum, size_t *length, struct err *err)
{
	struct buf text;
	char bytes[4096], *copy = NULL;
	size_t got;

	if (strcmp(path, "-") != 0)
		return file_read(arena, path, maximum, length, err);
	buf_init(&text, maximum);
	while ((got = fread(bytes, 1, sizeof bytes, stdin)) > 0)
		if (buf_add(&text, bytes, got) < 0) {
			err_set(err, ERR_INPUT, "standard input has more than %zu bytes", maximum);
			goto err0;
		}
	copy = arena_memdup(arena, text.data ? text.data : "", text.length);
	*length = text.length;
err0:
	buf_release(&text);
	return copy;
}

static json_t *read_spec(struct arena *arena, const char *path, struct spec *spec, struct err *err)
{
	size_t length = 0;
	const char *text = path ? read_input(arena, path, SPEC_MAXIMUM, &length, err) : NULL;
	json_t *json;

	if (!text)
		return NULL;
	json = jsonget_parse(text, length, CLIENT_NODES, err);
	if (json && spec_parse(arena, json, spec, err) == 0)
		return json;
	json_decref(json);
	err_wrap(err, "%s", path);
	return NULL;
}

static int write_result(const struct program *program, const char *path, const char *line, struct err *err)
{
	const char *text = arena_printf(program->arena, "%s\n", line);

	return file_write(path, text, strlen(text), 0644, err);
}

int client_test(const struct program *program, const struct client_call *request)
{
	struct spec spec;
	struct err err = {0};
	json_t *json = NULL, *reply = NULL;
	int done = -1;

	const char *path = program_option(program, "slave.socket", &err);
	if (!path || !(json = read_spec(program->arena, request->spec, &spec, &err)))
		goto err0;
	json = json_pack("{s:s, s:o}", "op", "start", "spec", json);
	reply = talk_ask(path, json, TALK_REPLY_MS, &err);
	if (!reply)
		goto err0;
	struct talk_following following = {
		.socket = path, .build = spec.build, .detach = request->detach, .arena = program->arena};
	done = talk_follow(&following, &err);
	if (done > 0 && request->result)
		done = write_result(program, request->result, following.line, &err);
err0:
	json_decref(reply);
	json_decref(json);
	return done < 0 ? fail("test", &err) : outcome_exit(following.outcome);
}

int client_ask(const struct program *program, const char *operation, const char *build)
{
	struct err err = {0};
	const char *path = program_option(program, "slave.socket", &err);
	json_t *request = json_pack("{s:s, s:s*}", "op", operation, "build", build);
	json_t *reply = NULL;

	if (path && request)
		reply = talk_ask(path, request, TALK_REPLY_MS, &err);
	json_decref(request);
	if (!reply)
		return fail(operation, &err);
	json_dumpf(reply, stdout, JSON_COMPACT);
	putchar('\n');
	bool all = json_array_size(json_object_get(reply, "left")) == 0; /* reap's */
	json_decref(reply);
	return all ? 0 : outcome_exit(OUTCOME_INFRASTRUCTURE);
}

/* The answer of the land daemon, for people and programs alike. */
static int print_landing(const json_t *reply, struct err *err)
{
	enum outcome outcome;

	if (!outcome_from_word(jsonget_string_or(reply, "outcome", ""), &outcome))
		return err_set(err, ERR_SYSTEM, "the land daemon answered without an outcome");
	json_dumpf(reply, stdout, JSON_COMPACT);
	putchar('\n');
	return outcome_exit(outcome);
}

int client_land(const struct program *program, const struct client_call *request)
{
	struct spec spec;
	struct err err = {0};
	json_t *json = NULL, *reply = NULL;
	int done = -1;

	const char *path = program_option(program, "land.socket", &err);
	char *line = path ? file_read(program->arena, request->result, RESULT_LINE_MAXIMUM + 1, NULL, &err) : NULL;
	if (!line || !(json = read_spec(program->arena, request->spec, &spec, &err)))
		goto err0;
	line[strcspn(line, "\n")] = 0;
	json = json_pack("{s:s, s:o, s:s}", "op", "land", "spec", json, "result", line);
	if (!json) {
		err_set(&err, ERR_INPUT, "%s: not a result line", request->result);
		goto err0;
	}
	reply = talk_ask(path, json, TALK_LAND_MS, &err);
	done = reply ? print_landing(reply, &err) : -1;
err0:
	json_decref(reply);
	json_decref(json);
	return done < 0 ? fail("land", &err) : done;
}

/* As the outcome of a list: none of them is on it, so an empty one is no answer. */
static enum outcome print_approved(const struct program *program, const json_t *list, const json_t *unread)
{
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
		printf("%s %s\n", jsonget_string_or(value, "proposal", "?"), jsonget_string_or(value, "commit", "?"));
	json_array_foreach(unread, i, value) {
		const char *reason = jsonget_string_or(value, "reason", "");
		fprintf(stderr, "byoci-slave approved: %s cannot be read: %s\n", jsonget_string_or(value, "proposal", "?"),
			output_line(program->arena, reason, strlen(reason), OUTPUT_LINE));
	}
	if (json_array_size(list) > 0)
		return OUTCOME_SUCCESS;
	return json_array_size(unread) > 0 ? OUTCOME_INFRASTRUCTURE : OUTCOME_NOTHING;
}

int client_approved(const struct program *program, const struct client_call *request)
{
	struct err err = {0};
	json_t *json = NULL, *reply = NULL, *list = NULL;
	int done = -1;

	const char *path = program_option(program, "land.socket", &err);
	if (!path)
		goto err0;
	json = json_pack("{s:s, s:s, s:s}", "op", "approved", "project", request->project, "target", request->target);
	if (!json) {
		err_set(&err, ERR_USAGE, "project or target: not UTF-8");
		goto err0;
	}
	reply = talk_ask(path, json, TALK_LAND_MS, &err);
	if (!reply || jsonget_array(reply, "approved", &list, &err) < 0)
		goto err0;
	done = outcome_exit(print_approved(program, list, json_object_get(reply, "unread")));
err0:
	json_decref(reply);
	json_decref(json);
	return done < 0 ? fail("approved", &err) : done;
}
