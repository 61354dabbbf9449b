#include "slaves/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "forge/result.h"
#include "forge/spec.h"
#include "loop/lines.h"
#include "slaves/ending.h"

#define CLIENT_REPLY_MS (60 * 1000)
#define CLIENT_LAND_MS (30 * 60 * 1000)     /* the land daemon's own limits end it before */
#define CLIENT_SILENCE_MS (25 * 3600 * 1000LL) /* between two lines of a log */
#define CLIENT_RETURN_MS (60 * 1000)        /* for a daemon that went away to come back */
#define CLIENT_PAUSE_MS 100
#define CLIENT_NODES 10000

static int fail(const char *verb, const struct err *err)
{
	enum outcome outcome = ending_of_error(err);

	fprintf(stderr, "byoci-slave %s: %s\n", verb, err->text);
	return outcome_exit(outcome);
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

/* What a reply that is an error means. */
static int reply_error(const json_t *reply, struct err *err)
{
	static const struct {
		const char *word;
		enum err_kind kind;
	} kinds[] = {{"busy", ERR_BUSY}, {"refused", ERR_REFUSED}, {"input", ERR_INPUT}};
	const char *text = jsonget_string_or(reply, "error", NULL), *word = jsonget_string_or(reply, "kind", "refused");
	enum err_kind kind = ERR_SYSTEM;

	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].word, word) == 0)
			kind = kinds[i].kind;
	return err_set(err, kind, "%s", text);
}

/* One connection: the request goes out, replies are read. */
struct talk {
	int fd;
	struct lines_reader *reader;
};

static void hang_up(struct talk *talk)
{
	lines_reader_free(talk->reader);
	if (talk->fd >= 0)
		close(talk->fd);
	*talk = (struct talk){.fd = -1};
}

static int call(struct talk *talk, const char *path, const json_t *request, struct err *err)
{
	talk->reader = NULL;
	talk->fd = lines_call_open(path, err);
	if (talk->fd < 0)
		return -1;
	talk->reader = lines_reader_new(talk->fd);
	if (lines_call_send(talk->fd, request, err) == 0)
		return 0;
	hang_up(talk);
	return -1;
}

/* One request, one reply (a new reference). */
static json_t *ask(const char *path, const json_t *request, int64_t limit_ms, struct err *err)
{
	struct talk talk;
	json_t *reply = NULL;

	if (call(&talk, path, request, err) < 0)
		return NULL;
	reply = lines_reader_next(talk.reader, limit_ms, err);
	if (!reply && err->kind == ERR_NONE)
		err_set(err, ERR_SYSTEM, "the daemon at %s ended the connection without an answer; see its log", path);
	if (reply && reply_error(reply, err) < 0) {
		json_decref(reply);
		reply = NULL;
	}
	hang_up(&talk);
	return reply;
}

struct following {
	const char *socket, *build, *result;
	bool detach;
	int64_t offset;
	enum outcome outcome;
};

/* 1: that was the last line; 0: go on. */
static int take_line(struct following *following, const json_t *line, struct err *err)
{
	const char *log = jsonget_string_or(line, "log", NULL), *result = jsonget_string_or(line, "result", NULL);

	if (reply_error(line, err) < 0)
		return -1;
	following->offset = jsonget_integer_or(line, "offset", following->offset);
	if (log) {
		fputs(log, stdout);
		fflush(stdout);
	}
	if (!result)
		return 0;
	if (!outcome_from_word(jsonget_string_or(line, "outcome", ""), &following->outcome))
		return err_set(err, ERR_SYSTEM, "the daemon answered with an outcome that is not known here");
	struct arena *arena = arena_new();
	const char *text = arena_printf(arena, "%s\n", result);
	int done = following->result ? file_write(following->result, text, strlen(text), 0644, err) : 0;
	arena_free(arena);
	return done < 0 ? -1 : 1;
}

/* 1: ended with a result; 0: the connection ended without; -1: an error that asking again does not mend. */
static int follow_once(struct following *following, struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:I, s:b}", "op", "follow", "build", following->build, "offset", (json_int_t)following->offset,
		"cancel_on_close", !following->detach);
	struct talk talk;
	json_t *line;
	int done = 0;

	int asked = call(&talk, following->socket, request, err);
	json_decref(request);
	if (asked < 0) {
		err_clear(err);
		return 0;
	}
	while (done == 0 && (line = lines_reader_next(talk.reader, CLIENT_SILENCE_MS, err))) {
		done = take_line(following, line, err);
		json_decref(line);
	}
	hang_up(&talk);
	if (done == 0)
		err_clear(err);
	return done;
}

/* The daemon may be restarted meanwhile: the build goes on, and so do we. */
static int follow(struct following *following, struct err *err)
{
	const struct timespec pause = {.tv_nsec = CLIENT_PAUSE_MS * 1000000L};
	int64_t heard = clock_monotonic_us();

	for (;;) {
		int64_t before = following->offset;
		int done = follow_once(following, err);
		if (done != 0)
			return done;
		if (following->offset != before)
			heard = clock_monotonic_us();
		if (clock_monotonic_us() - heard > CLIENT_RETURN_MS * 1000LL)
			return err_set(err, ERR_SYSTEM, "the slave at %s went away; build %s may go on", following->socket, following->build);
		nanosleep(&pause, NULL);
	}
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
	reply = ask(path, json, CLIENT_REPLY_MS, &err);
	if (!reply)
		goto err0;
	struct following following = {.socket = path, .build = spec.build, .result = request->result, .detach = request->detach};
	done = follow(&following, &err);
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
		reply = ask(path, request, CLIENT_REPLY_MS, &err);
	json_decref(request);
	if (!reply)
		return fail(operation, &err);
	json_dumpf(reply, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(reply);
	return 0;
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
	reply = ask(path, json, CLIENT_LAND_MS, &err);
	done = reply ? print_landing(reply, &err) : -1;
err0:
	json_decref(reply);
	json_decref(json);
	return done < 0 ? fail("land", &err) : done;
}

int client_approved(const struct program *program, const struct client_call *request)
{
	struct err err = {0};
	json_t *json = NULL, *reply = NULL, *list = NULL, *value;
	size_t i;
	int done = -1;

	const char *path = program_option(program, "land.socket", &err);
	if (!path)
		goto err0;
	json = json_pack("{s:s, s:s, s:s}", "op", "approved", "project", request->project, "target", request->target);
	if (!json) {
		err_set(&err, ERR_USAGE, "project or target: not UTF-8");
		goto err0;
	}
	reply = ask(path, json, CLIENT_LAND_MS, &err);
	if (!reply || jsonget_array(reply, "approved", &list, &err) < 0)
		goto err0;
	json_array_foreach(list, i, value)
		printf("%s %s\n", jsonget_string_or(value, "proposal", "?"), jsonget_string_or(value, "commit", "?"));
	done = outcome_exit(json_array_size(list) > 0 ? OUTCOME_SUCCESS : OUTCOME_NOTHING);
err0:
	json_decref(reply);
	json_decref(json);
	return done < 0 ? fail("approved", &err) : done;
}
