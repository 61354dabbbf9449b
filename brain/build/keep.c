#include "build/keep.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "build/build.h"
#include "calls/calls.h"
#include "forge/spec.h"
#include "forge/text.h"
#include "gate/item.h"
#include "master/site.h"
#include "proposal/proposal.h"

enum { ANSWER_NODES = 10000 };

/* What people and `byoci why` are told of the worker of a build. */
static const struct {
	const char *done, *failed;
} words[] = {
	{"is kept when its tests have ended, as long as keep.limit allows: somebody asked for it",
		"is not kept, though somebody asked for it"},
	{"is kept no more: somebody asked for its end", "is not discarded, though somebody asked for it"},
};

/* The key of a call is "OP BUILD". */
static const char *words_about(struct arena *arena, const char *key, const char *build, const struct err *why)
{
	size_t row = strncmp(key, "keep ", 5) == 0 ? 0 : 1;

	return why->kind == ERR_NONE ? arena_printf(arena, "the worker of build %s %s", build, words[row].done)
		: arena_printf(arena, "the worker of build %s %s: %s", build, words[row].failed, why->text);
}

/* With a master, where this machine's slave is none of its. */
static bool is_elsewhere(const struct brain *brain, struct arena *arena, const struct build_row *row)
{
	struct err ignored;
	json_t *spec = jsonget_parse(row->spec, strlen(row->spec), ANSWER_NODES, &ignored);
	bool master = site_of_project(brain->conf, arena, jsonget_string_or(spec, "project", "")) != NULL;

	json_decref(spec);
	return master && !site_has_us(brain->conf, arena);
}

static int check(struct brain *brain, struct arena *arena, const char *op, const char *build, struct err *err)
{
	struct build_row row;
	int found = spec_build_valid(build) ? build_find(brain, arena, build, &row, err) : 0;

	if (found == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no build %.64s: byoci show NAME says which a proposal has", build);
	if (found > 0 && row.spec && is_elsewhere(brain, arena, &row))
		return err_set(
			err, ERR_REFUSED, "build %.64s is on a slave of a master: byoci-slave shell, on its host, reaches the worker", build);
	if (found < 0 || strcmp(op, "keep") != 0 || strcmp(row.state, "running") == 0)
		return found < 0 ? -1 : 0;
	if (strcmp(row.state, "done") == 0)
		return err_set(err, ERR_INPUT, "build %s has ended; a worker can be kept until then", build);
	return err_set(err, ERR_BUSY, "build %s has not begun: ask again when byoci show %s says that it is running", build, build);
}

int keep_ask(struct brain *brain, struct arena *arena, const char *op, const char *build, int64_t *call, struct err *err)
{
	const char *kind = strcmp(op, "status") == 0 ? KEEP_STATUS_KIND : KEEP_KIND;
	struct calls_intent intent = {.kind = kind, .lane = kind, .key = op, .stage = STAGE_BUILD};

	if (build && check(brain, arena, op, build, err) < 0)
		return -1;
	intent.request = arena_printf(arena, "{\"op\":\"%s\"}", op);
	if (build) {
		intent.lane = arena_printf(arena, "keep/%s", build);
		intent.key = arena_printf(arena, "%s %s", op, build);
		intent.request = arena_printf(arena, "{\"op\":\"%s\",\"build\":\"%s\"}", op, build);
	}
	if (brain_begin(brain, err) < 0)
		return -1;
	if (calls_add(brain, &intent, call, err) == 0)
		return 0;
	if (!store_in_transaction(brain->store)) /* a full disk ends it all */
		brain_spoil(brain);
	return -1;
}

/* The proposal that a build is of. 1, 0: none that we know, -1. */
static int proposal_of(
	struct brain *brain, struct arena *arena, const char *build, struct proposal_row *proposal, struct err *err)
{
	struct build_row row;
	struct item item;
	int found = spec_build_valid(build) ? build_find(brain, arena, build, &row, err) : 0;

	if (found > 0)
		found = item_get(brain, arena, row.item, &item, err);
	return found > 0 ? proposal_get(brain, arena, item.proposal, proposal, err) : found;
}

/* What the slave lists, and which words and times it says of each. */
static const struct listed {
	const char *name, *texts[3], *times[3]; /* NULL-ended */
} listed[] = {
	{"kept", {"build", "job"}, {"since", "expiry"}},
	{"running", {"build", "job"}, {"since"}},
	{"ready", {"job", "state"}, {"since"}},
};

/* Workers as the slave names them, with our names for their builds; of those that somebody built without us, the slave's alone. */
static json_t *workers_json(
	struct brain *brain, struct arena *arena, const struct listed *what, const json_t *rows, struct err *err)
{
	json_t *list = json_array(), *row, *mine;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		struct proposal_row proposal;
		int found = proposal_of(brain, arena, jsonget_string_or(row, "build", ""), &proposal, err);

		if (found < 0) {
			json_decref(list);
			return NULL;
		}
		mine = json_pack("{s:s*, s:s*}", "project", found ? proposal.project : NULL, "proposal", found ? proposal.name : NULL);
		for (const char *const *key = what->texts; *key; key++)
			json_object_set_new(mine, *key, json_string(jsonget_string_or(row, *key, "")));
		for (const char *const *key = what->times; *key; key++)
			json_object_set_new(mine, *key, json_integer(jsonget_integer_or(row, *key, 0)));
		if (json_is_true(json_object_get(row, "copy")))
			json_object_set_new(mine, "copy", json_true());
		json_array_append_new(list, mine);
	}
	return list;
}

/* NULL: the store failed. */
static json_t *of_slave(struct brain *brain, struct arena *arena, const json_t *answer, bool status, struct err *err)
{
	json_t *reply = json_object(), *list;

	for (size_t i = 0; i < (status ? sizeof listed / sizeof listed[0] : 1); i++) {
		list = workers_json(brain, arena, &listed[i], json_object_get(answer, listed[i].name), err);
		if (!list) {
			json_decref(reply);
			return NULL;
		}
		json_object_set_new(reply, listed[i].name, list);
	}
	if (status) {
		list = json_object_get(answer, "backings");
		json_object_set_new(reply, "backings", json_is_array(list) ? json_incref(list) : json_array());
		list = json_object_get(answer, "trouble");
		json_object_set_new(reply, "trouble", json_is_string(list) ? json_incref(list) : json_null());
	}
	return reply;
}

static enum err_kind kind_of(const char *word)
{
	static const struct {
		const char *word;
		enum err_kind kind;
	} kinds[] = {{"refused", ERR_REFUSED}, {"input", ERR_INPUT}, {"busy", ERR_BUSY}};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].word, word) == 0)
			return kinds[i].kind;
	return ERR_SYSTEM;
}

/* 0: the slave did it, or tells it. */
static int understand(const struct calls_answer *answer, const json_t *json, struct err *why)
{
	const char *error = jsonget_string_or(json, "error", NULL);

	if (error)
		return err_set(why, kind_of(jsonget_string_or(json, "kind", "")), "the slave says: %s", error);
	if (strchr(answer->key, ' ') ? jsonget_boolean_or(json, "ok", false) : json_is_array(json_object_get(json, "kept")))
		return 0;
	if (answer->outcome == OUTCOME_UNREACHABLE)
		return err_set(why, ERR_NETWORK, "the slave is out of reach: ask again when byoci status says that it answers: %s",
			answer->text);
	return err_set(why, ERR_SYSTEM, "the slave's answer is not understood: is it of another version?");
}

/* Records what became of it. A reply for the person; NULL with *why, or when the store failed. */
static json_t *of_build(
	struct brain *brain, struct arena *arena, const struct calls_answer *answer, const struct err *why, struct err *err)
{
	const char *build = strchr(answer->key, ' ') + 1, *text;
	struct proposal_row proposal;
	int found = proposal_of(brain, arena, build, &proposal, err);

	if (found < 0)
		return NULL;
	text = words_about(arena, answer->key, build, why);
	if (found && brain_decide(brain, &(struct brain_reason){.stage = "build", .proposal = proposal.id}, err, "%s", text) < 0)
		return NULL;
	return json_pack("{s:s, s:s}", "build", build, "text", text_utf8(arena, text));
}

int keep_answered(struct brain *brain, struct arena *arena, int64_t call, struct err *err)
{
	struct calls_answer answer;
	struct err why = {.kind = ERR_NONE}, ignored;
	json_t *json, *reply;
	bool status = false;
	int found = calls_get(brain, arena, call, &answer, err), done = -1;

	if (found > 0)
		status = strcmp(answer.kind, KEEP_STATUS_KIND) == 0;
	if (found <= 0 || (!status && strcmp(answer.kind, KEEP_KIND) != 0))
		return found < 0 ? -1 : 0;
	json = jsonget_parse(answer.text, strlen(answer.text), ANSWER_NODES, &ignored);
	understand(&answer, json, &why);
	reply = strchr(answer.key, ' ') ? of_build(brain, arena, &answer, &why, err)
		: of_slave(brain, arena, json, status, err);
	if (reply && store_run(brain->store, STORE_CALL_DELETE, err, STORE_INTEGER(call)) == 0) {
		if (brain->ears.asked)
			brain->ears.asked(brain->ears.asker, call, reply, &why);
		done = 1;
	}
	json_decref(reply);
	json_decref(json);
	return done;
}
