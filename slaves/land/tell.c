#include "slaves/land/tell.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "forge/launchpad.h"
#include "forge/proposal.h"
#include "slaves/common/approval.h"
#include "slaves/common/readback.h"
#include "slaves/land/landing_tree.h"

static int check(const struct program *program, const struct tell *tell, struct err *err)
{
	size_t kind = strspn(tell->kind, "abcdefghijklmnopqrstuvwxyz-");

	if (!conf_has_section(program->conf, arena_printf(program->arena, "project/%s", tell->project)))
		return err_set(err, ERR_REFUSED, "project %.64s is not configured here", tell->project);
	if (!forge_name_valid(tell->proposal))
		return err_set(err, ERR_INPUT, "proposal: not a name of a proposal");
	if (kind == 0 || kind > 32 || tell->kind[kind])
		return err_set(err, ERR_INPUT, "kind: must be a word of lower-case letters");
	if (!forge_commit_valid(tell->approved) || (tell->merge && !forge_commit_valid(tell->merge)))
		return err_set(err, ERR_INPUT, "approved, merge: must be the full id of a commit");
	if (tell->place && *tell->place && !launchpad_number_of(tell->place))
		return err_set(err, ERR_INPUT, "place: not that of a proposal");
	if (strlen(tell->text) > TELL_TEXT_MAXIMUM)
		return err_set(err, ERR_INPUT, "text: more than %d bytes", TELL_TEXT_MAXIMUM);
	return 0;
}

/*
 * Of a rejection: the newest approval that it is about, none newer than the forge has. Who reads the report later (a brain that was away,
 * somebody who works by hand) knows by it that there is nothing to try again, until another approval is newer. NULL: of none, or not known.
 */
static json_t *approval_json(const struct program *program, const struct tell *tell)
{
	struct forge_proposal proposal;
	struct approve_criteria criteria;
	struct err ignored = {0};

	if (strcmp(tell->kind, "rejected") != 0 || approval_criteria(program, tell->project, &criteria, &ignored) < 0 ||
		readback_proposal(program, &(struct readback){.project = tell->project, .name = tell->proposal}, &proposal, &ignored) < 0)
		return NULL;
	int64_t newest = approve_newest(&proposal, &criteria);
	if (tell->approval > 0 && tell->approval < newest)
		newest = tell->approval;
	return newest > 0 ? json_integer(newest) : NULL;
}

/* The report as bytes. */
static char *report_text(const struct program *program, const struct tell *tell, const char *repository, struct err *err)
{
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s?, s:s, s:o*}", "byoci", 1, "kind", tell->kind, "repository", repository,
		"proposal", tell->proposal, "approved", tell->approved, "merge", tell->merge, "text", tell->text, "approval",
		approval_json(program, tell));
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		err_set(err, ERR_INPUT, "text: not UTF-8");
	return text;
}

static const char *write_blob(const struct program *program, struct tree *tree, const char *text, struct err *err)
{
	const struct git_call call = {
		.arguments = GIT_ARGUMENTS("hash-object", "-w", "-t", "blob", "--stdin"), .input = text, .input_length = strlen(text)};

	return git_text(tree_git(tree), program->arena, &call, NULL, err);
}

/* git-ls-remote(1) matches the ends of names: a branch may be called like the ref that is looked for, with refs/heads/ before it. */
static bool has_ref(const char *text, const char *ref)
{
	size_t length = strlen(ref);

	for (const char *tab = strchr(text, '\t'); tab; tab = strchr(tab + 1, '\t'))
		if (strncmp(tab + 1, ref, length) == 0 && (tab[1 + length] == '\n' || !tab[1 + length]))
			return true;
	return false;
}

/* 1: it is there; 0: not; -1. */
static int is_there(const struct program *program, struct tree *tree, const char *project, const char *ref, struct err *err)
{
	const char *url = program_section_option(program, "project", project, "repository.read", err);

	if (!url)
		return -1;
	const struct git_call call = {.arguments = GIT_ARGUMENTS("ls-remote", "--", url, ref)};
	const char *text = git_text(tree_git(tree), program->arena, &call, NULL, err);
	return text ? has_ref(text, ref) : -1;
}

/* By the verb of `byoci` that speaks to that forge. */
static int run_teller(
	const struct program *program, const struct tell *tell, const char *teller, const char *marker, struct err *err)
{
	json_t *json = json_pack("{s:s, s:s, s:s?, s:s, s:s}", "kind", tell->kind, "approved", tell->approved, "merge", tell->merge, "text",
		tell->text, "marker", marker);
	char *input = json ? json_dumps(json, JSON_COMPACT) : NULL;
	size_t length = 0;
	int done = -1;

	json_decref(json);
	if (!input)
		return err_set(err, ERR_INPUT, "text: not UTF-8");
	const struct readback_verb verb = {
		.verb = teller, .project = tell->project, .what = tell->place && *tell->place ? tell->place : tell->proposal, .input = input};
	if (readback_run(program, &verb, &length, err))
		done = 0;
	free(input);
	return done;
}

int tell_forge(const struct program *program, const struct tell *tell, char marker[static MARKER_SIZE], struct err *err)
{
	struct tree *tree = NULL;
	int done = -1;

	if (check(program, tell, err) < 0)
		return -1;
	marker_make(&(struct marker_parts){.proposal = tell->proposal, .approved = tell->approved, .merge = tell->merge,
		.kind = tell->kind}, marker);
	const struct dialect *dialect = readback_dialect(program, tell->project, err);
	if (!dialect)
		return -1;
	if (dialect->teller)
		return run_teller(program, tell, dialect->teller, marker, err);
	const char *url = program_section_option(program, "project", tell->project, "repository", err);
	const char *identity = url ? forge_identity(program->arena, url) : NULL;
	if (!identity)
		return url ? err_set(err, ERR_CONFIG, "[project/%s] repository: not an address", tell->project) : -1;
	char *text = report_text(program, tell, identity, err);
	if (!text || !(tree = landing_tree_open(program, tell->project, err)))
		goto err0;
	const char *ref = arena_printf(program->arena, "refs/proposals/%s/reports/%s", tell->proposal, marker);
	const char *blob = write_blob(program, tree, text, err);
	if (!blob)
		goto err0;
	const struct landing_tree_push push = {.project = tell->project, .ref = ref, .old = "", .value = blob};
	CRASH_POINT("lander.report-made");
	done = landing_tree_push(program, tree, &push, err);
	CRASH_POINT("lander.report-pushed");
	if (done < 0) {
		struct err second = {0};
		if (is_there(program, tree, tell->project, ref, &second) == 1)
			done = 0;
	}
err0:
	free(text);
	tree_free(tree);
	return done;
}
