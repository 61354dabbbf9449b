#include "proposal/read.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/crypto.h"
#include "base/jsonget.h"
#include "base/strv.h"
#include "calls/runner.h"
#include "proposal/helper.h"
#include "proposal/project.h"

enum {
	OUT_MAXIMUM = 16 * 1024 * 1024,
	LIMIT_MS = 20 * 60 * 1000, /* the first time, all of a repository is fetched */
	TROUBLES = 8, /* attempts before trouble that is not the network's is told to the asker */
	WAIT_MAXIMUM_S = 3600,
	WHY_SIZE = 512
};

char *read_lane(struct arena *arena, const char *project, const char *name)
{
	return arena_printf(arena, "read/%s/%s", project, name);
}

static char *dump(struct arena *arena, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL, *copy = arena_strdup(arena, text);

	json_decref(json);
	free(text);
	return copy;
}

static int waiting(struct brain *brain, const char *kind, const char *lane, struct err *err)
{
	int found = store_one(brain->store, STORE_CALL_WAITING, err, STORE_TEXT(kind), STORE_TEXT(lane));

	if (found == 1)
		store_reset(brain->store, STORE_CALL_WAITING);
	return found;
}

static int ask(struct brain *brain, struct arena *arena, const char *kind, const char *lane, const char *request, struct err *err)
{
	char nonce[17];
	struct calls_intent intent = {.kind = kind, .lane = lane, .request = request, .stage = STAGE_PROPOSAL};
	int found = waiting(brain, kind, lane, err);

	if (found)
		return found < 0 ? -1 : 0;
	if (!request)
		return err_set(err, ERR_SYSTEM, "%s: its request is not UTF-8", lane);
	crypto_random_hex(8, nonce);
	intent.key = arena_printf(arena, "%s/%s", lane, nonce);
	return calls_add(brain, &intent, NULL, err);
}

int read_ask(struct brain *brain, struct arena *arena, const struct read_wish *wish, struct err *err)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "project", wish->project, "name", wish->name, "place",
		wish->place ? wish->place : "", "version", wish->version, "delivery", (json_int_t)wish->delivery, "pushed", wish->pushed);

	return ask(brain, arena, READ_PROPOSAL, read_lane(arena, wish->project, wish->name), dump(arena, json), err);
}

int read_ask_list(struct brain *brain, struct arena *arena, const char *project, struct err *err)
{
	return ask(brain, arena, READ_LIST, arena_printf(arena, "list/%s", project),
		dump(arena, json_pack("{s:s, s:s}", "project", project, "name", "")), err);
}

int read_request(struct arena *arena, const char *request, struct read_wish *wish, struct err *err)
{
	json_t *json = jsonget_parse(request, strlen(request), 64, err);
	const char *project, *name;
	int done = -1;

	if (!json)
		return -1;
	if (jsonget_string(json, "project", &project, err) < 0 || jsonget_string(json, "name", &name, err) < 0)
		goto err1;
	wish->project = arena_strdup(arena, project);
	wish->name = arena_strdup(arena, name);
	wish->place = arena_strdup(arena, jsonget_string_or(json, "place", ""));
	wish->version = arena_strdup(arena, jsonget_string_or(json, "version", ""));
	wish->delivery = jsonget_integer_or(json, "delivery", 0);
	wish->pushed = jsonget_boolean_or(json, "pushed", false);
	done = 0;
err1:
	json_decref(json);
	return done;
}

/* The last line that it wrote to standard error: what people would see. */
static char *last_line(struct arena *arena, const char *errors)
{
	size_t end = strlen(errors), start;

	while (end > 0 && errors[end - 1] == '\n')
		end--;
	start = end;
	while (start > 0 && errors[start - 1] != '\n')
		start--;
	return arena_printf(arena, "%.*s", (int)(end - start < WHY_SIZE ? end - start : WHY_SIZE), errors + start);
}

/* The time that its forge asked to be left alone for, as the reader printed it; 0: it did not. */
static int64_t asked_wait_ms(const char *out, size_t length)
{
	struct err ignored;
	json_t *json = jsonget_parse(out, length, 64, &ignored);
	int64_t seconds = jsonget_integer_or(json, "wait", 0);

	json_decref(json);
	return seconds > 0 && seconds <= WAIT_MAXIMUM_S ? seconds * 1000 : 0;
}

static void on_read(void *cookie, int status, const char *out, size_t length, const char *errors)
{
	struct calls_act *act = cookie;
	struct arena *arena = arena_new();
	enum outcome outcome = OUTCOME_INFRASTRUCTURE;
	const char *why = last_line(arena, errors);

	CRASH_POINT("read.answered");
	if (status == -1)
		why = "it took too long, or printed too much";
	else if (!*why)
		why = arena_printf(arena, "the reader of the forge ended with status %d", status);
	outcome_from_exit(status, &outcome);
	if (outcome == OUTCOME_SUCCESS)
		calls_answer(act, outcome, out);
	else if (outcome == OUTCOME_UNREACHABLE)
		calls_again(act, asked_wait_ms(out, length), why);
	else if (outcome == OUTCOME_INFRASTRUCTURE && (act->attempts < TROUBLES || strcmp(act->kind, READ_LIST) == 0))
		calls_again(act, 0, why);
	else
		calls_answer(act, outcome, why);
	arena_free(arena);
}

static const char *what_of(const struct read_wish *wish)
{
	return *wish->place ? wish->place : *wish->name ? wish->name : "--list";
}

static void on_helped(void *cookie, int status, const char *text)
{
	on_read(cookie, status, status == 0 ? text : "", status == 0 ? strlen(text) : 0, status == 0 ? "" : text);
}

/* Whether it is read by a reader that stays: its repository is on this machine. */
static bool is_helped(const struct brain *brain, struct arena *arena, const struct read_wish *wish)
{
	const struct dialect *dialect;
	const char *place = NULL;
	struct err ignored;

	dialect = project_dialect(brain->conf, arena, wish->project, &ignored);
	return dialect && dialect->serves && !strpbrk(what_of(wish), " \n") &&
		conf_text(brain->conf, arena_printf(arena, "project/%s", wish->project), "repository.read", &place, &ignored) == 0 && place &&
		place[0] == '/';
}

/* Without what is read: that comes last. */
static int command(const struct brain *brain, const struct read_wish *wish, struct arena *arena, struct strv *argv, struct err *err)
{
	const struct dialect *dialect = project_dialect(brain->conf, arena, wish->project, err);

	if (!dialect)
		return -1;
	if (!dialect->reader)
		return err_set(err, ERR_CONFIG, "this byoci does not read proposals of %s", dialect->name);
	strv_push(argv, arena_printf(arena, "%s/byoci", brain->programs));
	strv_pushl(argv, "-n", brain->namespace, NULL);
	for (const char *const *override = brain->overrides; override && *override; override++)
		strv_pushl(argv, "-O", *override, NULL);
	strv_pushl(argv, dialect->reader, "--project", wish->project, NULL);
	return 0;
}

/* By a process of its own, which is the act's. */
static int read_by_child(struct calls_act *act, const struct read_wish *wish, struct strv *argv, struct strv *environment, struct err *err)
{
	strv_push(argv, what_of(wish));
	act->own = runner_start(act->brain->loop, &(struct runner_spec){
		.argv = (const char *const *)argv->v,
		.environment = (const char *const *)environment->v,
		.maximum = OUT_MAXIMUM,
		.limit_ms = LIMIT_MS,
	}, on_read, act, err);
	return act->own ? 0 : -1;
}

static int read_by_helper(
	struct calls_act *act, const struct read_wish *wish, struct strv *argv, const struct strv *environment, struct err *err)
{
	strv_push(argv, "--serve");
	act->own = NULL;
	return helper_ask(act->brain->helpers, &(struct helper_wish){
		.project = wish->project,
		.what = what_of(wish),
		.argv = (const char *const *)argv->v,
		.environment = (const char *const *)environment->v,
		.call = on_helped,
		.cookie = act,
	}, err);
}

void read_begin(struct calls_act *act, const void *about)
{
	struct arena *arena = arena_new();
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct read_wish wish;
	struct err err = {.kind = ERR_NONE};
	int done;

	(void)about;
	CRASH_POINT("read.intended");
	if (read_request(arena, act->request, &wish, &err) < 0 || command(act->brain, &wish, arena, &argv, &err) < 0) {
		calls_answer(act, OUTCOME_USAGE, err.text);
		goto err1;
	}
	if (wish.pushed && act->attempts == 1 && act->brain->ears.pushed)
		act->brain->ears.pushed(act->brain, wish.project, wish.name);
	strv_pushl(&environment, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "LC_ALL=C.UTF-8", NULL);
	if (*act->brain->root)
		strv_pushf(&environment, "BYOCI_ROOT=%s", act->brain->root);
	done = is_helped(act->brain, arena, &wish) ? read_by_helper(act, &wish, &argv, &environment, &err)
		: read_by_child(act, &wish, &argv, &environment, &err);
	CRASH_POINT("read.asked");
	if (done < 0)
		calls_again(act, 0, err.text);
err1:
	strv_release(&environment);
	strv_release(&argv);
	arena_free(arena);
}

void read_drop(struct calls_act *act)
{
	helper_forget(act->brain->helpers, act);
	runner_drop(act->own);
}
