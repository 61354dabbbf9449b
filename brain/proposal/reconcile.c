#include "proposal/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/proposal.h"
#include "proposal/project.h"
#include "proposal/proposal.h"
#include "proposal/read.h"

enum {
	POLL_MS = 300000,
	NODES = 2000000,
	NAMES_MAXIMUM = 100000,
	AT_ONCE = 1000 /* readings asked for by one list; the next one asks for more */
};

struct reconcile {
	struct brain *brain;
	struct loop_source *timer;
};

static int ask_all(struct brain *brain, struct arena *arena, struct err *err)
{
	const char *const *names = conf_sections(brain->conf, arena, "project");
	struct err project_err;

	if (brain_begin(brain, err) < 0)
		return -1;
	for (; *names; names++) {
		const struct dialect *dialect = project_dialect(brain->conf, arena, *names, &project_err);

		if (!dialect || !dialect->proposal)
			continue;
		if (read_ask_list(brain, arena, *names, err) < 0)
			return -1;
	}
	return 0;
}

static void on_time(void *cookie)
{
	struct reconcile *reconcile = cookie;
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};
	int64_t every_ms = POLL_MS;

	if (conf_integer(reconcile->brain->conf, NULL, "poll", &every_ms, &err) < 0)
		log_error(LOG_WHAT("option poll"), LOG_ERR(&err));
	err_clear(&err);
	reconcile->timer = loop_after(reconcile->brain->loop, every_ms, on_time, reconcile);
	if (ask_all(reconcile->brain, arena, &err) < 0)
		log_error(LOG_WHAT("reconciler"), LOG_ERR(&err));
	arena_free(arena);
}

/* While nobody looked, proposals may have been told something: what is queued is read back first, as if its target had moved. */
static void forget_targets(struct brain *brain)
{
	struct err err = {.kind = ERR_NONE};

	if (brain_begin(brain, &err) < 0 || store_plain(brain->store, STORE_TARGETS_FORGET, &err) < 0)
		log_error(LOG_WHAT("reconciler"), LOG_ERR(&err));
}

struct reconcile *reconcile_new(struct brain *brain)
{
	struct reconcile *reconcile = calloc(1, sizeof *reconcile);

	if (!reconcile)
		err_fatal("out of memory");
	reconcile->brain = brain;
	forget_targets(brain);
	reconcile->timer = loop_after(brain->loop, 0, on_time, reconcile);
	return reconcile;
}

void reconcile_free(struct reconcile *reconcile)
{
	if (!reconcile)
		return;
	loop_cancel(reconcile->timer);
	free(reconcile);
}

/* 1: its version is the stored one, 0: not, -1. */
static int known(
	struct brain *brain, struct arena *arena, const char *project, const char *name, const char *version, struct err *err)
{
	int same = 0, found = store_one(brain->store, STORE_PROPOSAL_FIND, err, STORE_TEXT(project), STORE_TEXT(name));

	if (found <= 0)
		return found;
	same = strcmp(store_text(brain->store, STORE_PROPOSAL_FIND, 1, arena), version) == 0;
	store_reset(brain->store, STORE_PROPOSAL_FIND);
	return same;
}

static int look_at_proposals(struct brain *brain, struct arena *arena, const char *project, const json_t *list, struct err *err)
{
	const json_t *row;
	size_t i, asked = 0;

	json_array_foreach(list, i, row) {
		struct read_wish wish = {.project = project, .name = jsonget_string_or(row, "name", ""),
			.place = jsonget_string_or(row, "place", ""), .version = jsonget_string_or(row, "version", "")};
		int same;

		if (!forge_name_valid(wish.name))
			continue;
		same = known(brain, arena, project, wish.name, wish.version, err);
		if (same < 0 || (!same && read_ask(brain, arena, &wish, err) < 0))
			return -1;
		asked += same == 0;
		if (asked == AT_ONCE)
			break;
	}
	return 0;
}

/* Proposals that we hold open and that are not on the list any more. The list is sorted by nobody: a set is made of it. */
static int look_for_gone(struct brain *brain, struct arena *arena, const char *project, const json_t *list, struct err *err)
{
	const char **open = arena_alloc(arena, NAMES_MAXIMUM * sizeof *open);
	json_t *set = json_object();
	const json_t *row;
	size_t i, count = 0, asked = 0;
	int more, done = -1;

	json_array_foreach(list, i, row)
		json_object_set_new(set, jsonget_string_or(row, "name", ""), json_true());
	if (store_query(brain->store, STORE_PROPOSALS_OPEN, err, STORE_TEXT(project)) < 0)
		goto err1;
	while ((more = store_step(brain->store, STORE_PROPOSALS_OPEN, err)) == 1 && count < NAMES_MAXIMUM)
		open[count++] = store_text(brain->store, STORE_PROPOSALS_OPEN, 0, arena);
	if (more < 0)
		goto err1;
	store_reset(brain->store, STORE_PROPOSALS_OPEN);
	for (i = 0; i < count && asked < AT_ONCE; i++) {
		struct read_wish wish = {.project = project, .name = open[i], .version = ""};

		if (json_object_get(set, open[i]))
			continue;
		wish.place = proposal_place_known(brain, arena, project, open[i], err);
		if (!wish.place || read_ask(brain, arena, &wish, err) < 0)
			goto err1;
		asked++;
	}
	done = 0;
err1:
	json_decref(set);
	return done;
}

static int look_at_targets(struct brain *brain, const char *project, const json_t *list, int64_t seen, struct err *err)
{
	const json_t *row;
	size_t i;

	json_array_foreach(list, i, row) {
		const char *ref = jsonget_string_or(row, "ref", NULL), *tip = jsonget_string_or(row, "tip", NULL);

		if (ref && tip && store_run(brain->store, STORE_TARGET_PUT, err, STORE_TEXT(project), STORE_TEXT(ref), STORE_TEXT(tip),
			STORE_INTEGER(seen)) < 0)
			return -1;
	}
	return 0;
}

int reconcile_answer(struct brain *brain, struct arena *arena, const struct calls_answer *answer, struct err *err)
{
	struct read_wish wish;
	struct err why = {.kind = ERR_NONE};
	json_t *json, *proposals = NULL, *targets = NULL;
	int done = -1;

	if (answer->outcome != OUTCOME_SUCCESS || read_request(arena, answer->request, &wish, &why) < 0) {
		log_warning(LOG_WHAT("proposals not listed"), LOG_TEXT("request", answer->request), LOG_TEXT("why", answer->text));
		return 0;
	}
	json = jsonget_parse(answer->text, strlen(answer->text), NODES, &why);
	if (!json || jsonget_array(json, "proposals", &proposals, &why) < 0 || jsonget_array(json, "targets", &targets, &why) < 0) {
		log_error(LOG_WHAT("list of proposals not understood"), LOG_TEXT("project", wish.project), LOG_ERR(&why));
		json_decref(json);
		return 0;
	}
	if (look_at_targets(brain, wish.project, targets, answer->started, err) == 0 &&
		look_at_proposals(brain, arena, wish.project, proposals, err) == 0)
		done = look_for_gone(brain, arena, wish.project, proposals, err);
	json_decref(json);
	return done;
}
