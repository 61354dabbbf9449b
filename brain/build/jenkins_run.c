#include "build/jenkins_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "build/build.h"
#include "gate/item.h"

enum { FIRST_PAUSE_MS = 100, EACH_MS = 25, TROUBLE_MS = 250, TROUBLES_MAXIMUM = 5, TOLD_MAXIMUM = 3 };

struct jenkins_run *jenkins_run_new(struct calls_act *act, const struct jenkins_kind *kind)
{
	struct jenkins_run *run = calloc(1, sizeof *run);

	if (!run)
		err_fatal("out of memory");
	run->act = act;
	run->kind = kind;
	run->arena = arena_new();
	run->spool = -1;
	act->own = run;
	return run;
}

void jenkins_run_free(struct jenkins_run *run)
{
	master_cancel(run->call);
	lookup_cancel(run->ask);
	loop_cancel(run->timer);
	master_cancel(run->ender);
	loop_cancel(run->ender_timer);
	jenkins_log_free(run->log);
	if (run->spool >= 0)
		close(run->spool);
	if (run->one)
		masters_give(run->one);
	arena_free(run->arena);
	free(run);
}

/* Who shows the log hears that there is no more. */
static void heard(const struct jenkins_run *run)
{
	const struct brain *brain = run->act->brain;

	if (run->kind->logged && brain->ears.log_grew)
		brain->ears.log_grew(brain->ears.cookie, run->act->key);
}

void jenkins_run_answer(struct jenkins_run *run, enum outcome outcome, const char *text)
{
	struct calls_act *act = run->act;
	struct arena *arena = arena_new();

	text = arena_strdup(arena, text);
	heard(run);
	jenkins_run_free(run);
	calls_answer(act, outcome, text);
	arena_free(arena);
}

void jenkins_run_again(struct jenkins_run *run, const char *why)
{
	struct calls_act *act = run->act;
	struct arena *arena = arena_new();

	why = arena_strdup(arena, why);
	jenkins_run_free(run);
	calls_again(act, 0, why);
	arena_free(arena);
}

void jenkins_run_after(struct jenkins_run *run, int64_t delay_ms, loop_fn *call)
{
	int64_t least = (int64_t)run->one->users * EACH_MS;

	run->timer = loop_after(run->act->brain->loop, delay_ms > least ? delay_ms : least, call, run);
}

int64_t jenkins_run_pause(struct jenkins_run *run, int64_t maximum)
{
	int64_t now = run->pause_ms ? run->pause_ms : FIRST_PAUSE_MS;

	run->pause_ms = now * 3 / 2 < maximum ? now * 3 / 2 : maximum;
	return now;
}

void jenkins_run_trouble(struct jenkins_run *run, const char *why, loop_fn *call)
{
	if (run->failures < TROUBLES_MAXIMUM)
		run->failures++;
	else if (!run->number) {
		jenkins_run_again(run, why);
		return;
	} else
		jenkins_run_tell(run, why);
	jenkins_run_after(run, (int64_t)TROUBLE_MS << run->failures, call);
}

/* The key begins with the build's id. 1, 0: it is no build of a proposal, -1. */
static int proposal_of(const struct jenkins_run *run, struct arena *arena, int64_t *proposal, struct err *err)
{
	struct brain *brain = run->act->brain;
	struct build_row build;
	struct item item;
	int found = build_find(brain, arena, arena_memdup(arena, run->act->key, strcspn(run->act->key, "/")), &build, err);

	if (found > 0)
		found = item_get(brain, arena, build.item, &item, err);
	if (found > 0)
		*proposal = item.proposal;
	return found;
}

void jenkins_run_tell(struct jenkins_run *run, const char *why)
{
	struct brain *brain = run->act->brain;
	struct brain_reason about = {.stage = "build"};
	struct err err = {.kind = ERR_NONE};
	struct arena *arena;

	if (run->told >= TOLD_MAXIMUM || strncmp(run->waits, why, sizeof run->waits - 1) == 0)
		return;
	run->told++;
	snprintf(run->waits, sizeof run->waits, "%s", why);
	arena = arena_new();
	if (brain_begin(brain, &err) < 0)
		log_error(LOG_WHAT("reason not written"), LOG_TEXT("key", run->act->key), LOG_ERR(&err));
	else if (proposal_of(run, arena, &about.proposal, &err) < 0 ||
		brain_decide(brain, &about, &err, "%s waits for the master: %s", run->job, why) < 0)
		brain_spoil(brain);
	arena_free(arena);
}
