#include "landing/landing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "build/build.h"
#include "calls/wire.h"
#include "gate/item.h"
#include "landing/by_job.h"
#include "master/site.h"

enum { NODES = 50000 };

static int take_found(struct brain *brain, struct arena *arena, enum store_id id, int found, struct landing_row *row)
{
	struct store *store = brain->store;

	if (found != 1)
		return found;
	*row = (struct landing_row){
		.id = store_integer(store, id, 0),
		.build = store_integer(store, id, 1),
		.item = store_integer(store, id, 2),
		.state = store_text(store, id, 3, arena),
		.asked = store_integer(store, id, 4),
		.ended = store_integer(store, id, 5),
		.outcome = store_text(store, id, 6, arena),
		.reason = store_text(store, id, 7, arena),
		.merged = store_text(store, id, 8, arena),
		.target_tip = store_text(store, id, 9, arena),
		.answer = store_text(store, id, 10, arena),
	};
	store_reset(store, id);
	return 1;
}

int landing_get(struct brain *brain, struct arena *arena, int64_t id, struct landing_row *row, struct err *err)
{
	return take_found(brain, arena, STORE_LANDING_GET, store_one(brain->store, STORE_LANDING_GET, err, STORE_INTEGER(id)), row);
}

int landing_of_item(struct brain *brain, struct arena *arena, int64_t item, struct landing_row *row, struct err *err)
{
	return take_found(
		brain, arena, STORE_LANDING_OF_ITEM, store_one(brain->store, STORE_LANDING_OF_ITEM, err, STORE_INTEGER(item)), row);
}

/* The end of a landing, told to the gate. */
struct landing_end {
	enum outcome outcome;
	const char *reason, *merged, *target_tip, *answer;
};

static int end_landing(struct brain *brain, int64_t id, const struct landing_end *end, struct err *err)
{
	if (store_run(brain->store, STORE_LANDING_DONE, err, STORE_INTEGER(id), STORE_INTEGER(clock_wall_ms()),
		STORE_TEXT(outcome_word(end->outcome)), STORE_TEXT(end->reason), STORE_TEXT(end->merged), STORE_TEXT(end->target_tip),
		STORE_TEXT(end->answer)) < 0)
		return -1;
	return store_changed(brain->store) ? brain_tell(brain, STAGE_GATE, "landed", id, 0, err) : 0;
}

/* `master` NULL: none, the land daemon of this machine is asked. */
static char *make_request(struct arena *arena, const struct build_row *build, const char *master, struct err *why)
{
	json_t *spec = jsonget_parse(build->spec, strlen(build->spec), NODES, why), *json;
	char *dumped, *text;

	if (!spec)
		return NULL;
	json = json_pack("{s:s*, s:s, s:o, s:s}", BY_JOB_MASTER, master, "op", "land", "spec", spec, "result", build->result);
	dumped = json_dumps(json, JSON_COMPACT);
	text = arena_strdup(arena, dumped);
	free(dumped);
	json_decref(json);
	return text;
}

/* The key names the landing, not only the build: another try after trouble is another call. */
static enum step step_asked(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_intent intent = {.kind = LANDING_KIND, .stage = STAGE_LANDING};
	struct landing_row landing;
	struct build_row build;
	struct item item;
	struct err why = {.kind = ERR_NONE};
	int found = landing_get(brain, arena, ref, &landing, err);

	if (found > 0)
		found = build_get(brain, arena, landing.build, &build, err);
	if (found > 0)
		found = item_get(brain, arena, landing.item, &item, err);
	if (found <= 0 || strcmp(item.state, "landing") != 0)
		return brain_step(found);
	if (build.result)
		intent.request = make_request(arena, &build, site_of_project(brain->conf, arena, item.project), &why);
	if (!intent.request)
		return brain_step(end_landing(
			brain, ref, &(struct landing_end){OUTCOME_REFUSED, "there is no signed result to land", NULL, NULL, NULL}, err));
	intent.key = arena_printf(arena, "%s/%lld", build.build, (long long)ref);
	intent.lane = arena_printf(arena, "land/%s/%s", item.project, item.target);
	if (calls_add(brain, &intent, NULL, err) < 0)
		return STEP_FAILED;
	CRASH_POINT("landing.call-made");
	return STEP_DONE;
}

/* 0: a call that is about no landing. */
static int64_t landing_of_call(const struct calls_answer *answer)
{
	const char *slash = strrchr(answer->key, '/');

	return slash ? strtoll(slash + 1, NULL, 10) : 0;
}

static void read_answer(struct arena *arena, const char *text, struct landing_end *end)
{
	struct err why = {.kind = ERR_NONE};
	json_t *json = jsonget_parse(text, strlen(text), NODES, &why);

	end->answer = text;
	end->reason = arena_strdup(arena, jsonget_string_or(json, "reason", jsonget_string_or(json, "error", "")));
	end->merged = arena_strdup(arena, jsonget_string_or(json, "merge", NULL));
	end->target_tip = arena_strdup(arena, jsonget_string_or(json, "target_tip", NULL));
	json_decref(json);
}

/* 1; 0: the landing is not there; -1. */
static int read_line(struct brain *brain, struct arena *arena, int64_t id, const char *line, struct landing_end *end, struct err *err)
{
	struct landing_row landing;
	struct build_row build;
	struct landed landed;
	struct err why = {.kind = ERR_NONE};
	int found = landing_get(brain, arena, id, &landing, err);

	if (found > 0)
		found = build_get(brain, arena, landing.build, &build, err);
	if (found <= 0)
		return found;
	if (by_job_read(brain, arena, line, &build, &landed, &why) < 0) {
		end->outcome = OUTCOME_INFRASTRUCTURE;
		end->reason = arena_printf(arena, "no answer of a landing daemon that holds: %s", why.text);
		return 1;
	}
	read_answer(arena, landed_payload(arena, &landed), end);
	end->outcome = landed.outcome;
	return 1;
}

static enum step step_answer(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;
	struct landing_end end = {.reason = ""};
	int found = calls_get(brain, arena, ref, &answer, err);

	if (found <= 0)
		return brain_step(found);
	end.outcome = answer.outcome;
	if (!by_job_is(answer.request))
		read_answer(arena, answer.text, &end);
	else if (answer.outcome != OUTCOME_SUCCESS)
		end.reason = answer.text;
	else if (read_line(brain, arena, landing_of_call(&answer), answer.text, &end, err) < 0)
		return STEP_FAILED;
	if (end_landing(brain, landing_of_call(&answer), &end, err) < 0)
		return STEP_FAILED;
	CRASH_POINT("landing.end-stored");
	return STEP_DONE;
}

void landing_begin(struct calls_act *act, const void *about)
{
	if (by_job_is(act->request))
		jenkins_begin(act, &by_job_kind);
	else
		wire_begin(act, about);
}

void landing_drop(struct calls_act *act)
{
	if (by_job_is(act->request))
		jenkins_drop(act);
	else
		wire_drop(act);
}

const struct brain_handler landing_handlers[] = {
	{"asked", step_asked},
	{"answer", step_answer},
	{NULL, NULL},
};
