#include "calls/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/jsonget.h"
#include "loop/lines.h"

enum { NODES = 50000 };

struct talk {
	struct calls_act *act;
	const struct wire *wire;
	struct lines *lines;
	struct loop_source *limit;
};

static void free_talk(struct talk *talk)
{
	loop_cancel(talk->limit);
	if (talk->lines)
		lines_close(talk->lines);
	free(talk);
}

static void again(struct talk *talk, const char *why)
{
	struct calls_act *act = talk->act;
	bool once = talk->wire->once;

	free_talk(talk);
	if (once)
		calls_answer(act, OUTCOME_UNREACHABLE, why);
	else
		calls_again(act, 0, why);
}

static void take_answer(struct talk *talk, const json_t *message)
{
	struct calls_act *act = talk->act;
	const char *word = jsonget_string_or(message, "outcome", "");
	enum outcome outcome = OUTCOME_INFRASTRUCTURE;
	char *text = json_dumps(message, JSON_COMPACT);

	if (!talk->wire->once)
		CRASH_POINT("wire.answered");
	outcome_from_word(word, &outcome);
	free_talk(talk);
	calls_answer(act, outcome, text ? text : "");
	free(text);
}

static void on_message(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct talk *talk = cookie;

	(void)lines;
	if (message) {
		take_answer(talk, message);
		return;
	}
	talk->lines = NULL;
	again(talk, err->kind != ERR_NONE ? err->text : "the other side closed the connection without an answer");
}

static void on_limit(void *cookie)
{
	struct talk *talk = cookie;

	talk->limit = NULL;
	again(talk, "no answer in time");
}

void wire_begin(struct calls_act *act, const void *about)
{
	const struct wire *wire = about;
	struct brain *brain = act->brain;
	struct talk *talk = calloc(1, sizeof *talk);
	struct err err = {.kind = ERR_NONE};
	json_t *request;
	const char *path;

	if (!wire->once)
		CRASH_POINT("wire.intended");
	if (!talk)
		err_fatal("out of memory");
	talk->act = act;
	talk->wire = wire;
	act->own = talk;
	request = jsonget_parse(act->request, strlen(act->request), NODES, &err);
	if (!request) {
		free_talk(talk);
		calls_answer(act, OUTCOME_USAGE, "");
		return;
	}
	if (conf_text(brain->conf, NULL, wire->option, &path, &err) < 0 ||
		!(talk->lines = lines_connect(brain->loop, path, on_message, talk, &err))) {
		json_decref(request);
		again(talk, err.text);
		return;
	}
	talk->limit = loop_after(brain->loop, wire->limit_ms, on_limit, talk);
	lines_send(talk->lines, request);
	if (!wire->once)
		CRASH_POINT("wire.sent");
}

void wire_drop(struct calls_act *act)
{
	free_talk(act->own);
}
