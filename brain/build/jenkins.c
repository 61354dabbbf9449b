#include "build/jenkins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "build/build.h"
#include "build/jenkins_run.h"
#include "forge/proposal.h"
#include "master/verdict.h"

#define LANE "jenkins/"
enum {
	TRIGGERS = 3,            /* so often a build is triggered that is seen nowhere afterwards */
	REFUSALS = 5,            /* so often an act begins at a master that refuses it */
	LOOKS = 3,               /* so often it must be seen nowhere, and for so long: */
	TAKEN_MS = 3000,         /* after an answer, or a sight of it: between queue and builds it is in neither for up to a second */
	AGAIN_MS = 5000,         /* after a start of the brain: what it sent before may be under way to the queue */
	DOUBT_MS = 15000,        /* after no answer, or one that says nothing: the master may be slow */
	QUEUE_PAUSE_MS = 2000,   /* between two looks at the queue, at most */
	ABSENT_PAUSE_MS = 500,   /* between two looks for what is nowhere */
	TELL_MS = 1500,          /* who waits for longer is told what the master says it waits for */
	ENDER_MS = 10000,        /* between two wishes to end it */
	ENDERS = 12,
	PARAMETER_MAXIMUM = 120000, /* execve(2) passes on up to 128 KiB in one word */
	FORM_MAXIMUM = 190000,      /* servers of Java servlets take up to 200,000 bytes */
	NODES = 50000
};

static void on_look_time(void *cookie);
static void trigger(struct jenkins_run *run);
static void end_it(struct jenkins_run *run);

/* --- what is wanted */

char *jenkins_lane(struct arena *arena, const char *master, const char *build)
{
	return arena_printf(arena, LANE "%s%s%s", master, *master ? "/" : "", build);
}

bool jenkins_is_lane(const char *lane)
{
	return strncmp(lane, LANE, strlen(LANE)) == 0;
}

/* The request is the spec; which master is in the lane. */
static int wish_build(struct arena *arena, const struct calls_act *act, struct jenkins_wish *wish, struct err *err)
{
	json_t *spec = jsonget_parse(act->request, strlen(act->request), NODES, err);
	const char *project, *name = act->lane + strlen(LANE), *slash = strchr(name, '/');
	int done = spec ? jsonget_string(spec, "project", &project, err) : -1;

	if (done == 0)
		*wish = (struct jenkins_wish){.master = slash ? arena_memdup(arena, name, (size_t)(slash - name)) : "",
			.project = arena_strdup(arena, project), .spec = act->request};
	json_decref(spec);
	return done;
}

const struct jenkins_kind jenkins_build = {
	.job = "gate", .begins = "byoci-result-1 ", .logged = true, .wish = wish_build};

static int make_form(struct jenkins_run *run, const struct jenkins_wish *wish, struct err *err)
{
	struct arena *arena = run->arena;
	const char *result = wish->result ? wish->result : "";

	if (strlen(wish->spec) > PARAMETER_MAXIMUM || strlen(result) > PARAMETER_MAXIMUM)
		return err_set(err, ERR_REFUSED, "its spec or its result has over %d bytes, more than a job's parameter can have",
			PARAMETER_MAXIMUM);
	run->form = arena_printf(arena, SIGHTING_NONCE "=%s&SPEC=%s%s%s", site_escape(arena, run->act->key),
		site_escape(arena, wish->spec), wish->result ? "&RESULT=" : "", site_escape(arena, result));
	if (strlen(run->form) > FORM_MAXIMUM)
		return err_set(err, ERR_REFUSED, "its spec and its result are more than a master takes at once: over %d bytes", FORM_MAXIMUM);
	return 0;
}

/* -1: answered already. */
static int prepare(struct jenkins_run *run)
{
	struct jenkins_wish wish;
	struct err err = {.kind = ERR_NONE};

	if (run->kind->wish(run->arena, run->act, &wish, &err) < 0 || make_form(run, &wish, &err) < 0) {
		jenkins_run_answer(run, OUTCOME_REFUSED, err.text);
		return -1;
	}
	run->one = masters_take(run->act->brain->masters, wish.master, &err);
	if (!run->one && run->cancelled && err.kind == ERR_CONFIG) {
		jenkins_run_answer(run, OUTCOME_CANCELLED, err.text);
		return -1;
	}
	if (!run->one) {
		jenkins_run_again(run, err.text);
		return -1;
	}
	run->job = site_job(master_site(run->one->master), run->arena, wish.project, run->kind->job);
	run->path = site_job_path(master_site(run->one->master), run->arena, run->job);
	return 0;
}

/* --- where it is */

static void look(struct jenkins_run *run);

/* It may be on the master, and is looked for; nowhere for so long is absent. */
static void seek(struct jenkins_run *run, int64_t grace_ms)
{
	run->until = clock_boot_ms() + grace_ms;
	run->absent = 0;
	run->pause_ms = 0;
	look(run);
}

/* Seen by this brain, or by the one before it: the master has forgotten what of it could be found. */
static bool was_started(const struct jenkins_run *run)
{
	struct build_row build;
	struct err ignored;

	return run->kind->logged && build_find(run->act->brain, run->arena, run->act->key, &build, &ignored) > 0 &&
		strcmp(build.state, "running") == 0;
}

/* It is not there: if it was not seen to start, it is triggered again. */
static void lost(struct jenkins_run *run)
{
	const char *why = *run->why ? run->why : "the master took it, and has it neither in its queue nor among the builds of its job: is the "
		"job disabled, does somebody cancel what is in the queue, or does the job not declare " SIGHTING_NONCE " (byoci jenkins sync "
		"makes it right)?";

	if (run->cancelled)
		jenkins_run_answer(run, OUTCOME_CANCELLED, "");
	else if (was_started(run))
		jenkins_run_answer(run, OUTCOME_INFRASTRUCTURE,
			arena_printf(run->arena, "%s: it was seen to run, and the master has forgotten it without a result", run->job));
	else if (run->triggers < TRIGGERS)
		trigger(run);
	else
		jenkins_run_answer(run, OUTCOME_INFRASTRUCTURE, arena_printf(run->arena, "%s: %s", run->job, why));
}

static void is_queued(struct jenkins_run *run, const struct sighting_found *found)
{
	CRASH_POINT("jenkins.queued");
	run->id = found->id;
	if (!run->queued)
		run->queued = clock_boot_ms();
	if (found->why && clock_boot_ms() - run->queued >= TELL_MS)
		jenkins_run_tell(run, found->why);
	run->absent = 0;
	run->until = clock_boot_ms() + TAKEN_MS;
	if (run->cancelled)
		end_it(run);
	jenkins_run_after(run, jenkins_run_pause(run, QUEUE_PAUSE_MS), on_look_time);
}

static void is_nowhere(struct jenkins_run *run)
{
	run->id = 0;
	if (++run->absent >= LOOKS && clock_boot_ms() >= run->until)
		lost(run);
	else
		jenkins_run_after(run, jenkins_run_pause(run, ABSENT_PAUSE_MS), on_look_time);
}

/* As much is known of a master that did not answer as of one that was just started. */
static void not_told(struct jenkins_run *run, const struct err *err)
{
	int64_t until = clock_boot_ms() + TAKEN_MS;

	run->absent = 0;
	if (run->until < until)
		run->until = until;
	if (err->kind == ERR_NOT_FOUND && run->act->attempts >= REFUSALS)
		jenkins_run_answer(run, OUTCOME_INFRASTRUCTURE, err->text);
	else if (err->kind == ERR_NOT_FOUND)
		jenkins_run_again(run, err->text);
	else
		jenkins_run_trouble(run, err->text, on_look_time);
}

static void on_look(void *cookie, const struct sighting_found *found, const struct err *err)
{
	struct jenkins_run *run = cookie;

	run->ask = NULL;
	if (!found) {
		not_told(run, err);
		return;
	}
	run->failures = 0;
	switch (found->where) {
	case SIGHTING_NOWHERE:
		is_nowhere(run);
		break;
	case SIGHTING_QUEUED:
		is_queued(run, found);
		break;
	case SIGHTING_CANCELLED:
		jenkins_run_answer(run, run->cancelled ? OUTCOME_CANCELLED : OUTCOME_INFRASTRUCTURE,
			"somebody took it out of the master's queue, or disabled its job");
		break;
	case SIGHTING_STARTED:
		run->number = found->number;
		loop_cancel(run->ender_timer); /* what it waited for was another end */
		run->ender_timer = NULL;
		if (run->cancelled)
			end_it(run);
		jenkins_follow_begin(run);
		break;
	}
}

static void look(struct jenkins_run *run)
{
	run->ask = lookup_ask(run->one->lookup, run->path, run->act->key, run->id, on_look, run);
}

static void on_look_time(void *cookie)
{
	struct jenkins_run *run = cookie;

	run->timer = NULL;
	look(run);
}

/* --- triggering it */

static void refused(struct jenkins_run *run, const struct err *why)
{
	if (run->act->attempts >= REFUSALS)
		jenkins_run_answer(run, OUTCOME_INFRASTRUCTURE, why->text);
	else
		jenkins_run_again(run, why->text);
}

static void on_trigger(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct jenkins_run *run = cookie;
	struct err why = {.kind = ERR_NONE};
	enum verdict verdict = sent ? VERDICT_DOUBT : VERDICT_LATER;

	run->call = NULL;
	if (reply) {
		CRASH_POINT("jenkins.triggered");
		verdict = verdict_trigger(master_site(run->one->master)->url, reply, run->path, &run->id, &why);
	} else {
		why = *err;
	}
	snprintf(run->why, sizeof run->why, "%.500s", why.text);
	switch (verdict) {
	case VERDICT_QUEUED:
	case VERDICT_TAKEN:
		seek(run, TAKEN_MS);
		break;
	case VERDICT_DOUBT:
		log_warning(LOG_WHAT("a build may have been triggered, and is looked for"), LOG_TEXT("key", run->act->key), LOG_ERR(&why));
		seek(run, DOUBT_MS);
		break;
	case VERDICT_LATER:
		jenkins_run_again(run, why.text);
		break;
	case VERDICT_REFUSED:
		refused(run, &why);
		break;
	}
}

static void trigger(struct jenkins_run *run)
{
	struct arena *arena = arena_new();
	const struct master_request request = {
		.path = arena_printf(arena, "%s/buildWithParameters?delay=0sec", run->path), .form = run->form};

	run->triggers++;
	run->id = 0;
	run->call = master_ask(run->one->master, &request, on_trigger, run);
	arena_free(arena);
	CRASH_POINT("jenkins.asked");
}

/* --- ending it */

static void on_ender_time(void *cookie)
{
	struct jenkins_run *run = cookie;

	run->ender_timer = NULL;
	if (run->enders >= ENDERS)
		jenkins_run_answer(run, OUTCOME_CANCELLED, "the master does not end it");
	else
		end_it(run);
}

/* Whatever was answered: where it is then shows. */
static void on_ender(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct jenkins_run *run = cookie;

	(void)reply;
	(void)sent;
	(void)err;
	run->ender = NULL;
	run->pause_ms = 0;
	run->ender_timer = loop_after(run->act->brain->loop, ENDER_MS, on_ender_time, run);
}

static void end_it(struct jenkins_run *run)
{
	struct arena *arena;
	const char *path;

	if (run->ender || run->ender_timer || (!run->number && !run->id))
		return;
	run->enders++;
	arena = arena_new();
	if (run->number)
		path = arena_printf(arena, "%s/%lld/stop", run->path, (long long)run->number);
	else if (master_dialect(run->one->master) == MASTER_JENKINS)
		path = arena_printf(arena, "queue/cancelItem?id=%lld", (long long)run->id);
	else
		path = arena_printf(arena, "queue/item/%lld/cancelQueue", (long long)run->id);
	run->ender = master_ask(run->one->master, &(struct master_request){.path = path, .form = ""}, on_ender, run);
	arena_free(arena);
}

/* --- the performer */

void jenkins_begin(struct calls_act *act, const void *about)
{
	struct jenkins_run *run = jenkins_run_new(act, about);

	CRASH_POINT("jenkins.intended");
	run->cancelled = act->unwanted;
	if (prepare(run) < 0)
		return;
	if (act->attempts > 1)
		seek(run, AGAIN_MS);
	else
		trigger(run);
}

/* What waits to be triggered again, or to be found, ends when it is known where it is. */
void jenkins_cancel(struct calls_act *act)
{
	struct jenkins_run *run = act->own;

	CRASH_POINT("jenkins.unwanted");
	run->cancelled = true;
	end_it(run);
}

void jenkins_drop(struct calls_act *act)
{
	jenkins_run_free(act->own);
}
