#include "build/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "build/build.h"
#include "loop/lines.h"

enum { BUSY_AGAIN_MS = 1000, SPEC_NODES = 10000, LOG_MODE = 0640 };

struct local {
	struct calls_act *act;
	struct lines *lines;
	struct lines *cancel; /* a connection of its own; NULL: none */
	int log;
	int64_t offset; /* bytes of the log that we have */
	bool taken;     /* the slave has the build; what comes now is its log */
};

static void free_local(struct local *local)
{
	if (local->lines)
		lines_close(local->lines);
	if (local->cancel)
		lines_close(local->cancel);
	close(local->log);
	free(local);
}

static void heard(const struct local *local)
{
	const struct brain *brain = local->act->brain;

	if (brain->ears.log_grew)
		brain->ears.log_grew(brain->ears.cookie, local->act->key);
}

/* `local` is freed first: the answer may be the last thing that the brain does with this act. */
static void answer(struct local *local, enum outcome outcome, const char *text)
{
	struct calls_act *act = local->act;

	heard(local);
	free_local(local);
	calls_answer(act, outcome, text);
}

static void again(struct local *local, int64_t delay_ms, const char *why)
{
	struct calls_act *act = local->act;

	free_local(local);
	calls_again(act, delay_ms, why);
}

static void follow(struct local *local)
{
	CRASH_POINT("build.taken");
	local->taken = true;
	calls_progress(local->act, "began");
	lines_send(local->lines, json_pack("{s:s, s:s, s:I, s:b}", "op", "follow", "build", local->act->key, "offset",
		(json_int_t)local->offset, "cancel_on_close", 0));
}

/*
 * Errors of start: kinds in doc/INTERFACES.md. An error of follow means that our copy of the log does not fit the slave's (we
 * were killed in the middle of a line, or it began anew): it is taken again from the start.
 */
static void take_error(struct local *local, const char *text, const char *kind)
{
	if (local->taken) {
		if (ftruncate(local->log, 0) < 0)
			log_error(LOG_WHAT("log can't be cut"), LOG_TEXT("build", local->act->key), LOG_TEXT("error", strerror(errno)));
		again(local, 0, text);
	} else if (strcmp(kind, "busy") == 0) {
		again(local, BUSY_AGAIN_MS, text);
	} else if (strcmp(kind, "refused") == 0 || strcmp(kind, "input") == 0) {
		answer(local, OUTCOME_REFUSED, text);
	} else {
		answer(local, OUTCOME_INFRASTRUCTURE, text);
	}
}

/* -1: it could not be kept whole, and what is kept is cut back to what it was. */
static int append(struct local *local, const char *text, size_t length)
{
	size_t put = 0;

	while (put < length) {
		ssize_t now = write(local->log, text + put, length - put);

		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0) {
			if (ftruncate(local->log, local->offset) < 0)
				log_error(LOG_WHAT("log can't be cut"), LOG_TEXT("build", local->act->key), LOG_TEXT("error", strerror(errno)));
			return -1;
		}
		put += (size_t)now;
	}
	local->offset += (int64_t)length;
	return 0;
}

static void take_log(struct local *local, const char *text, int64_t offset)
{
	size_t length = strlen(text);

	if (append(local, text, length) < 0) {
		again(local, 0, "its log can't be written: is the disk full?");
		return;
	}
	if (offset != local->offset)
		log_warning(LOG_WHAT("a log has another length than its slave says"), LOG_TEXT("build", local->act->key),
			LOG_NUMBER("here", local->offset), LOG_NUMBER("there", offset));
	heard(local);
}

static void on_message(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct local *local = cookie;
	const char *error = jsonget_string_or(message, "error", NULL), *text;

	(void)lines;
	if (!message) {
		local->lines = NULL;
		again(local, 0, err->kind != ERR_NONE ? err->text : "the slave closed the connection");
	} else if (error) {
		take_error(local, error, jsonget_string_or(message, "kind", ""));
	} else if (!local->taken) {
		if (jsonget_boolean_or(message, "ok", false))
			follow(local);
		else
			answer(local, OUTCOME_INFRASTRUCTURE, "the slave's answer is not understood: is it of another version?");
	} else if ((text = jsonget_string_or(message, "log", NULL))) {
		take_log(local, text, jsonget_integer_or(message, "offset", -1));
	} else if ((text = jsonget_string_or(message, "result", NULL))) {
		CRASH_POINT("build.answered");
		answer(local, OUTCOME_SUCCESS, text);
	}
}

static int open_log(struct local *local, struct err *err)
{
	struct arena *arena = arena_new();
	const char *path = build_log_path(local->act->brain, arena, local->act->key);
	struct stat status;
	int done = -1;

	local->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
	if (local->log < 0 || fstat(local->log, &status) < 0)
		err_set_errno(err, errno, "%s", path);
	else
		done = 0;
	if (done == 0)
		local->offset = status.st_size;
	arena_free(arena);
	return done;
}

static struct lines *connect_slave(struct local *local, lines_fn *call, struct err *err)
{
	struct brain *brain = local->act->brain;
	const char *path;

	if (conf_text(brain->conf, NULL, "slave.socket", &path, err) < 0)
		return NULL;
	return lines_connect(brain->loop, path, call, local, err);
}

/* Begun by a brain that is no more, or before trouble: it is ended, and not begun for that. */
static void on_unwanted(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct local *local = cookie;

	(void)lines;
	if (message) {
		answer(local, OUTCOME_CANCELLED, "");
		return;
	}
	local->lines = NULL;
	again(local, 0, err->kind != ERR_NONE ? err->text : "the slave closed the connection");
}

static void end_unwanted(struct local *local)
{
	struct err err = {.kind = ERR_NONE};

	local->lines = connect_slave(local, on_unwanted, &err);
	if (local->lines)
		lines_send(local->lines, json_pack("{s:s, s:s}", "op", "cancel", "build", local->act->key));
	else
		again(local, 0, err.text);
}

void local_begin(struct calls_act *act, const void *about)
{
	struct local *local = calloc(1, sizeof *local);
	struct err err = {.kind = ERR_NONE};
	json_t *spec;

	(void)about;
	CRASH_POINT("build.intended");
	if (!local)
		err_fatal("out of memory");
	*local = (struct local){.act = act, .log = -1};
	act->own = local;
	if (act->unwanted) {
		end_unwanted(local);
		return;
	}
	spec = jsonget_parse(act->request, strlen(act->request), SPEC_NODES, &err);
	if (!spec) {
		answer(local, OUTCOME_REFUSED, err.text);
		return;
	}
	if (!(local->lines = connect_slave(local, on_message, &err)) || open_log(local, &err) < 0) {
		json_decref(spec);
		again(local, 0, err.text);
		return;
	}
	lines_send(local->lines, json_pack("{s:s, s:o}", "op", "start", "spec", spec));
	CRASH_POINT("build.sent");
}

/* Whatever the slave says to it: the build's own connection tells how it ends. */
static void on_cancelled(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct local *local = cookie;

	(void)err;
	if (message)
		lines_close(lines);
	local->cancel = NULL;
}

void local_cancel(struct calls_act *act)
{
	struct local *local = act->own;
	struct err err = {.kind = ERR_NONE};

	CRASH_POINT("build.unwanted");
	if (local->cancel)
		return;
	local->cancel = connect_slave(local, on_cancelled, &err);
	if (local->cancel)
		lines_send(local->cancel, json_pack("{s:s, s:s}", "op", "cancel", "build", act->key));
	else
		log_warning(LOG_WHAT("a build can't be cancelled"), LOG_TEXT("build", act->key), LOG_ERR(&err));
}

void local_drop(struct calls_act *act)
{
	free_local(act->own);
}
