#include "slaves/land/lander.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/landed.h"
#include "slaves/common/approval.h"
#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/readback.h"
#include "slaves/land/draft.h"
#include "slaves/land/land.h"
#include "slaves/land/tell.h"
#include "slaves/tree/check.h"

#define LANDER_NODES 20000
#define LANDER_UNREAD 100 /* proposals that cannot be read; with more it is no trouble of theirs */

/* The reply, or NULL and err. */
typedef json_t *request_fn(const struct program *program, const json_t *request, struct err *err);

/* How long the forge asked to be left alone; NULL: it did not. */
static json_t *wait_json(int seconds)
{
	return seconds ? json_integer(seconds) : NULL;
}

/* The answer in a line that whoever asked can hand on to somebody who does not believe him. NULL: there is no key, or it is no use. */
static const char *sign(const struct program *program, const struct spec *spec, struct land *land)
{
	struct err err = {0};
	const char *slave = program_option(program, "slave.name", &err);
	const char *path = slave ? program_secret(program, "land/result.key", &err) : NULL;
	struct crypto_key *key = path ? crypto_key_load_private(path, &err) : NULL;
	const struct landed landed = {.build = spec->build, .namespace = spec->namespace, .project = spec->project,
		.proposal = spec->proposal, .target = spec->target, .slave = slave, .merge = land->merge ? land->merge : "",
		.target_tip = land->target_tip, .outcome = land->outcome, .reason = land->reason ? land->reason : "", .wait = land->wait,
		.steps = land->steps.list, .step_count = land->steps.count, .time = clock_wall_ms()};
	const char *line = key ? landed_sign_line(program->arena, &landed, key, &err) : NULL;

	crypto_key_free(key);
	if (!line)
		log_warning(LOG_WHAT("the answer is not signed: a job of Jenkins' needs that"), LOG_ERR(&err));
	return line;
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
	return json_pack("{s:s, s:s, s:s?, s:s?, s:o, s:o*, s:s*}", "outcome", outcome_word(land.outcome), "reason",
		land.reason ? land.reason : "", "merge", land.merge, "target_tip", land.target_tip[0] ? land.target_tip : NULL, "steps",
		steps_json(&land.steps), "wait", wait_json(land.wait), "line", sign(program, &spec, &land));
}

static json_t *do_report(const struct program *program, const json_t *request, struct err *err)
{
	struct tell tell = {.merge = jsonget_string_or(request, "merge", NULL), .approval = jsonget_integer_or(request, "approval", 0)};
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

/* What is approved for a target, and what could not be read. */
struct survey {
	const struct program *program;
	const char *project, *ref;
	struct approve_criteria criteria;
	json_t *approved, *unread;
};

/* -1: none can be read, for one of the forge's own troubles is none of that proposal's. */
static int survey_one(const struct survey *survey, const char *name, struct err *err)
{
	const struct readback which = {.project = survey->project, .name = name};
	struct forge_proposal proposal;
	struct approve_verdict verdict;

	if (readback_proposal(survey->program, &which, &proposal, err) < 0) {
		if (err->kind == ERR_NETWORK || json_array_size(survey->unread) >= LANDER_UNREAD)
			return -1;
		json_array_append_new(survey->unread, json_pack("{s:s, s:s}", "proposal", name, "reason",
			output_line(survey->program->arena, err->text, strlen(err->text), sizeof err->text)));
		err_clear(err);
		return 0;
	}
	if (proposal.state != FORGE_OPEN || strcmp(proposal.target, survey->ref) != 0)
		return 0;
	approve_decide(&proposal, &survey->criteria, &verdict);
	if (verdict.commit)
		json_array_append_new(survey->approved, json_pack("{s:s, s:s, s:b}", "proposal", name, "commit", verdict.commit, "rejected",
			proposal.rejected > 0 && proposal.rejected >= approve_newest(&proposal, &survey->criteria)));
	return 0;
}

static json_t *survey_all(struct survey *survey, struct err *err)
{
	const char *const *names = readback_names(survey->program, survey->project, err);
	int done = names ? 0 : -1;

	survey->approved = json_array();
	survey->unread = json_array();
	for (; done == 0 && *names; names++)
		done = survey_one(survey, *names, err);
	if (done == 0)
		return json_pack("{s:o, s:o}", "approved", survey->approved, "unread", survey->unread);
	json_decref(survey->approved);
	json_decref(survey->unread);
	return NULL;
}

static json_t *do_approved(const struct program *program, const json_t *request, struct err *err)
{
	struct survey survey = {.program = program};
	const char *target = NULL;

	if (jsonget_string(request, "project", &survey.project, err) < 0 || jsonget_string(request, "target", &target, err) < 0)
		return NULL;
	if (!conf_has_section(program->conf, arena_printf(program->arena, "project/%s", survey.project))) {
		err_set(err, ERR_REFUSED, "project %.64s is not configured here", survey.project);
		return NULL;
	}
	survey.ref = strncmp(target, "refs/", 5) == 0 ? target : arena_printf(program->arena, "refs/heads/%s", target);
	return approval_criteria(program, survey.project, &survey.criteria, err) < 0 ? NULL : survey_all(&survey, err);
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

/* Whether a build may have its project's secrets, for the slave's user, who can't read the record himself. */
static json_t *do_entitled(const struct program *program, const json_t *request, struct err *err)
{
	const char *why = NULL, *author = NULL;
	json_t *json = NULL;
	struct spec spec;
	int may;

	if (jsonget_object(request, "spec", &json, err) < 0 || spec_parse(program->arena, json, &spec, err) < 0)
		return NULL;
	may = check_spec(program, &spec, err) < 0 ? -1 : approval_holds(program, &spec, &author, &why, err);
	if (may < 0)
		return NULL;
	log_info(LOG_WHAT("secrets asked"), LOG_TEXT("build", spec.build), LOG_TEXT("project", spec.project),
		LOG_TEXT("proposal", spec.proposal), LOG_TEXT("why_not", why));
	return json_pack("{s:b, s:s?, s:s?}", "entitled", may, "why", why, "author", author);
}

static const struct {
	const char *name;
	request_fn *call;
} requests[] = {
	{"land", do_land}, {"report", do_report}, {"approved", do_approved}, {"draft", do_draft}, {"entitled", do_entitled}};

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
	err_set(err, ERR_INPUT, "op: must be one of land, report, approved, draft, entitled, turn");
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
