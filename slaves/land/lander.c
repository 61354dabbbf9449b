#include "slaves/land/lander.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "slaves/common/approval.h"
#include "slaves/land/draft.h"
#include "slaves/common/ending.h"
#include "slaves/land/land.h"
#include "slaves/common/output.h"
#include "slaves/common/readback.h"
#include "slaves/land/tell.h"

#define LANDER_NODES 20000

/* The reply, or NULL and err. */
typedef json_t *request_fn(const struct program *program, const json_t *request, struct err *err);

/* How long the forge asked to be left alone; NULL: it did not. */
static json_t *wait_json(int seconds)
{
	return seconds ? json_integer(seconds) : NULL;
}

static json_t *do_land(const struct program *program, const json_t *request, struct err *err)
{
	json_t *json = NULL;
	const char *line = NULL;
	struct spec spec;
	struct land land;

	if (jsonget_object(request, "spec", &json, err) < 0 || spec_parse(program->arena, json, &spec, err) < 0 ||
		jsonget_string(request, "result", &line, err) < 0)
		return NULL;
	land_run(program, &spec, line, &land);
	log_info(LOG_WHAT("landing asked"), LOG_TEXT("build", spec.build), LOG_TEXT("project", spec.project),
		LOG_TEXT("proposal", spec.proposal), LOG_TEXT("merge", land.merge), LOG_TEXT("outcome", outcome_word(land.outcome)),
		LOG_TEXT("reason", land.reason));
	return json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o*}", "outcome", outcome_word(land.outcome), "reason", land.reason ? land.reason : "",
		"merge", land.merge, "target_tip", land.target_tip[0] ? land.target_tip : NULL, "steps", steps_json(&land.steps), "wait",
		wait_json(land.wait));
}

static json_t *do_report(const struct program *program, const json_t *request, struct err *err)
{
	struct tell tell = {.merge = jsonget_string_or(request, "merge", NULL)};
	char marker[MARKER_SIZE] = "";
	struct err trouble = {0};

	if (jsonget_string(request, "project", &tell.project, err) < 0 || jsonget_string(request, "proposal", &tell.proposal, err) < 0 ||
		jsonget_string(request, "kind", &tell.kind, err) < 0 || jsonget_string(request, "approved", &tell.approved, err) < 0 ||
		jsonget_string(request, "text", &tell.text, err) < 0)
		return NULL;
	tell.place = jsonget_string_or(request, "place", NULL);
	int done = tell_forge(program, &tell, marker, &trouble);
	enum outcome outcome = done < 0 ? ending_of_error(&trouble) : OUTCOME_SUCCESS;
	const char *reason = done < 0 ? output_line(program->arena, trouble.text, strlen(trouble.text), sizeof trouble.text) : "";
	log_info(LOG_WHAT("report asked"), LOG_TEXT("project", tell.project), LOG_TEXT("proposal", tell.proposal), LOG_TEXT("kind", tell.kind),
		LOG_TEXT("outcome", outcome_word(outcome)), LOG_TEXT("reason", reason));
	return json_pack("{s:s, s:s, s:s, s:o*}", "outcome", outcome_word(outcome), "reason", reason, "marker", marker, "wait",
		wait_json(trouble.wait));
}

static json_t *do_approved(const struct program *program, const json_t *request, struct err *err)
{
	const char *project = NULL, *target = NULL;
	struct approve_criteria criteria;

	if (jsonget_string(request, "project", &project, err) < 0 || jsonget_string(request, "target", &target, err) < 0)
		return NULL;
	if (!conf_has_section(program->conf, arena_printf(program->arena, "project/%s", project))) {
		err_set(err, ERR_REFUSED, "project %.64s is not configured here", project);
		return NULL;
	}
	const char *ref = strncmp(target, "refs/", 5) == 0 ? target : arena_printf(program->arena, "refs/heads/%s", target);
	if (approval_criteria(program, project, &criteria, err) < 0)
		return NULL;
	const char *const *names = readback_names(program, project, err);
	if (!names)
		return NULL;
	json_t *list = json_array();
	for (; *names; names++) {
		struct forge_proposal proposal;
		struct approve_verdict verdict;
		if (readback_proposal(program, &(struct readback){.project = project, .name = *names}, &proposal, err) < 0) {
			json_decref(list);
			return NULL;
		}
		if (proposal.state != FORGE_OPEN || strcmp(proposal.target, ref) != 0)
			continue;
		approve_decide(&proposal, &criteria, &verdict);
		if (verdict.commit)
			json_array_append_new(list, json_pack("{s:s, s:s}", "proposal", *names, "commit", verdict.commit));
	}
	return json_pack("{s:o}", "approved", list);
}

/* What the brain would ask the slave for, for who works without it. */
static json_t *do_draft(const struct program *program, const json_t *request, struct err *err)
{
	const char *project = NULL, *proposal = NULL;

	if (jsonget_string(request, "project", &project, err) < 0 || jsonget_string(request, "proposal", &proposal, err) < 0)
		return NULL;
	if (!forge_name_valid(proposal)) {
		err_set(err, ERR_INPUT, "proposal: not a name of a proposal");
		return NULL;
	}
	json_t *spec = draft_spec(program, project, proposal, err);
	return spec ? json_pack("{s:o}", "spec", spec) : NULL;
}

static const struct {
	const char *name;
	request_fn *call;
} requests[] = {{"land", do_land}, {"report", do_report}, {"approved", do_approved}, {"draft", do_draft}};

static json_t *work(const struct program *program, const struct buf *text, struct err *err)
{
	json_t *request = jsonget_parse(text->data ? text->data : "", text->length, LANDER_NODES, err), *reply = NULL;
	const char *name = NULL;

	if (!request || jsonget_string(request, "op", &name, err) < 0)
		goto err0;
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
		if (strcmp(requests[i].name, name) == 0) {
			reply = requests[i].call(program, request, err);
			goto err0;
		}
	err_set(err, ERR_INPUT, "op: must be one of land, report, approved, draft");
err0:
	json_decref(request);
	return reply;
}

static json_t *error_reply(const struct program *program, const struct err *err)
{
	const char *words = output_line(program->arena, err->text, strlen(err->text), sizeof err->text);
	enum outcome outcome = ending_of_error(err);

	return json_pack("{s:s, s:s, s:s, s:s}", "error", words, "kind", outcome == OUTCOME_USAGE ? "input" : outcome_word(outcome), "outcome",
		outcome_word(outcome), "reason", words);
}

int lander_verb(const struct program *program)
{
	struct err err = {0};
	struct buf text;
	char bytes[4096];
	ssize_t length;

	buf_init(&text, LANDER_REQUEST_MAXIMUM);
	while ((length = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
		if (buf_add(&text, bytes, (size_t)length) < 0)
			break;
	json_t *reply = work(program, &text, &err);
	if (!reply)
		reply = error_reply(program, &err);
	CRASH_POINT("lander.answer-ready");
	int done = reply ? json_dumpf(reply, stdout, JSON_COMPACT) : -1;
	json_decref(reply);
	buf_release(&text);
	return done == 0 && fflush(stdout) == 0 ? 0 : outcome_exit(OUTCOME_INFRASTRUCTURE);
}
