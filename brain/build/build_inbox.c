#include "build/build_inbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "build/build.h"
#include "build/executor.h"
#include "build/jenkins.h"
#include "build/keep.h"
#include "build/premake.h"
#include "build/slave_key.h"
#include "build/wish.h"
#include "forge/result.h"
#include "forge/spec.h"
#include "gate/item.h"
#include "master/site.h"
#include "proposal/proposal.h"

#define STAGE_NAME "build"
enum { SPEC_NODES = 10000 };

/* The end of a build, told to the gate. `line` NULL: no result that holds. */
struct build_end {
	enum outcome outcome;
	const char *reason, *merged, *line;
};

static int end_build(struct brain *brain, int64_t id, const struct build_end *end, struct err *err)
{
	if (store_run(brain->store, STORE_BUILD_DONE, err, STORE_INTEGER(id), STORE_INTEGER(clock_wall_ms()),
		STORE_TEXT(outcome_word(end->outcome)), STORE_TEXT(end->reason), STORE_TEXT(end->merged), STORE_TEXT(end->line)) < 0)
		return -1;
	return store_changed(brain->store) ? brain_tell(brain, STAGE_GATE, "built", id, 0, err) : 0;
}

static int send_build(struct brain *brain, struct arena *arena, const struct build_row *build, json_t *spec, struct err *err)
{
	char *dumped = json_dumps(spec, JSON_COMPACT), *text = arena_strdup(arena, dumped);
	const char *slave = "local", *master = site_of_project(brain->conf, arena, jsonget_string_or(spec, "project", ""));
	struct calls_intent intent = {.kind = EXECUTOR_KIND, .key = build->build, .request = text, .stage = STAGE_BUILD};
	struct err ignored;

	free(dumped);
	if (conf_text(brain->conf, NULL, "slave.name", &slave, &ignored) < 0)
		slave = "local";
	intent.lane = master ? jenkins_lane(arena, master, build->build) : arena_printf(arena, "slave/%s", slave);
	if (store_run(brain->store, STORE_BUILD_SPEC, err, STORE_INTEGER(build->id), STORE_TEXT(text)) < 0)
		return -1;
	if (calls_add(brain, &intent, NULL, err) < 0)
		return -1;
	CRASH_POINT("build.call-made");
	return 0;
}

static enum outcome outcome_of(enum err_kind kind)
{
	if (kind == ERR_REFUSED || kind == ERR_INPUT)
		return OUTCOME_REFUSED;
	return kind == ERR_MOVED ? OUTCOME_MOVED : OUTCOME_INFRASTRUCTURE;
}

static enum step step_asked(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct build_row build;
	struct item item = {.id = 0};
	struct proposal_row row;
	struct err why = {.kind = ERR_NONE};
	json_t *spec;
	int found = build_get(brain, arena, ref, &build, err), done;

	if (found > 0)
		found = item_get(brain, arena, build.item, &item, err);
	if (found > 0)
		found = proposal_get(brain, arena, item.proposal, &row, err);
	if (found <= 0)
		return brain_step(found);
	if (strcmp(item.state, "building") != 0)
		return brain_step(
			end_build(brain, ref, &(struct build_end){OUTCOME_CANCELLED, "it is not wanted any more", NULL, NULL}, err));
	spec = wish_spec(brain, arena, &(struct wish){
		.build = build.build, .attempt = build.attempt, .source = item.source, .target = item.target}, &row, &why);
	if (!spec)
		return brain_step(end_build(brain, ref, &(struct build_end){outcome_of(why.kind), why.text, NULL, NULL}, err));
	done = send_build(brain, arena, &build, spec, err);
	json_decref(spec);
	return brain_step(done);
}

/* The build that a call is about. 1, 0, -1. */
static int build_of_call(
	struct brain *brain, struct arena *arena, int64_t call, struct calls_answer *answer, struct build_row *build, struct err *err)
{
	int found = calls_get(brain, arena, call, answer, err);

	return found > 0 ? build_find(brain, arena, answer->key, build, err) : found;
}

static enum step step_began(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;
	struct build_row build;
	int found = build_of_call(brain, arena, ref, &answer, &build, err);

	if (found > 0)
		found = store_run(brain->store, STORE_BUILD_RUNNING, err, STORE_INTEGER(build.id), STORE_INTEGER(clock_wall_ms()));
	CRASH_POINT("build.began");
	return brain_step(found);
}

/* Of this machine's slave, or, when a master ran it, of the one that the line names. */
static struct crypto_key *load_key(
	const struct brain *brain, struct arena *arena, const struct calls_answer *answer, struct err *err)
{
	json_t *payload = jenkins_is_lane(answer->lane) ? result_line_payload(arena, answer->text) : NULL;
	struct crypto_key *key = slave_key_load(brain, arena, jsonget_string_or(payload, "slave", NULL), "", err);

	json_decref(payload);
	return key;
}

/* Whether the result is about exactly what was asked for: anything else is another build's, or the slave's mistake. */
static int check_result(struct arena *arena, const struct build_row *build, const struct result *result, struct err *err)
{
	struct spec spec;
	json_t *json = jsonget_parse(build->spec, strlen(build->spec), SPEC_NODES, err);
	bool same;

	if (!json)
		return -1;
	if (spec_parse(arena, json, &spec, err) < 0) {
		json_decref(json);
		return -1;
	}
	json_decref(json);
	same = strcmp(result->build, spec.build) == 0 && strcmp(result->namespace, spec.namespace) == 0 &&
		strcmp(result->project, spec.project) == 0 && strcmp(result->proposal, spec.proposal) == 0 &&
		strcmp(result->target, spec.target) == 0 && result->attempt == spec.attempt &&
		strcmp(result->base, spec.trees[0].base) == 0 && strcmp(result->source, spec.trees[0].merges[0].source) == 0;
	if (!same)
		return err_set(err, ERR_REFUSED, "the signed result is about something else than this build");
	if (result->outcome == OUTCOME_SUCCESS && (result->job_count != 1 || strcmp(result->jobs[0].name, spec.jobs[0].name) != 0 ||
		strcmp(result->jobs[0].digest, spec.jobs[0].digest) != 0 || result->jobs[0].outcome != OUTCOME_SUCCESS ||
		!forge_commit_valid(result->merge)))
		return err_set(
			err, ERR_REFUSED, "the signed result says success, but not of the job %s as it is configured", spec.jobs[0].name);
	return 0;
}

static int read_result(struct brain *brain, struct arena *arena, const struct build_row *build,
	const struct calls_answer *answer, struct result *result, struct err *err)
{
	struct crypto_key *key = load_key(brain, arena, answer, err);
	int read;

	if (!key)
		return -1;
	read = result_read_line(arena, answer->text, key, result, err);
	crypto_key_free(key);
	return read < 0 ? -1 : check_result(arena, build, result, err);
}

static enum step step_answer(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct calls_answer answer;
	struct build_row build;
	struct result result;
	struct err why = {.kind = ERR_NONE};
	struct build_end end = {.merged = NULL, .line = NULL};
	int other = premake_answered(brain, arena, ref, err), found;

	if (other == 0)
		other = keep_answered(brain, arena, ref, err);
	if (other)
		return other < 0 ? STEP_FAILED : STEP_DONE;
	found = build_of_call(brain, arena, ref, &answer, &build, err);
	if (found <= 0)
		return brain_step(found);
	if (answer.outcome != OUTCOME_SUCCESS) {
		end.outcome = answer.outcome;
		end.reason = answer.text;
	} else if (read_result(brain, arena, &build, &answer, &result, &why) < 0) {
		end.outcome = OUTCOME_INFRASTRUCTURE;
		end.reason = arena_printf(arena, "no result that holds: %s", why.text);
	} else {
		end.outcome = result.outcome;
		end.reason = result.reason;
		end.merged = *result.merge ? result.merge : NULL;
		end.line = answer.text;
	}
	if (end_build(brain, build.id, &end, err) < 0)
		return STEP_FAILED;
	CRASH_POINT("build.end-stored");
	return STEP_DONE;
}

static enum step step_unwanted(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct build_row build;
	int found = build_of_item(brain, arena, ref, &build, err);

	if (found > 0 && strcmp(build.state, "done") != 0)
		found = calls_cancel(brain, EXECUTOR_KIND, build.build, err);
	return brain_step(found);
}

const struct brain_handler build_inbox_handlers[] = {
	{"asked", step_asked},
	{"began", step_began},
	{"answer", step_answer},
	{"unwanted", step_unwanted},
	{"seen", premake_step},
	{NULL, NULL},
};
