#include "slaves/land/land.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/crash.h"
#include "forge/merge.h"
#include "slaves/common/approval.h"
#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/readback.h"
#include "slaves/land/landing_tree.h"
#include "slaves/land/proof.h"
#include "slaves/tree/check.h"

#define AHEAD_WAIT_S 3600 /* at a time */

struct landing {
	const struct program *program;
	const struct spec *spec;
	const char *line;
	const char *source;
	struct result result;
	struct forge_proposal proposal;
	struct merge_plan plan;
	struct tree *tree;
	struct tree_want wants[2]; /* target, source */
	struct land *land;
};

/* A check says 0 to go on, 1 when *land holds the end, -1 and err. */
typedef int check_fn(struct landing *landing, struct err *err);

static int end(struct landing *landing, enum outcome outcome, const char *reason)
{
	landing->land->outcome = outcome;
	landing->land->reason = reason;
	return 1;
}

static int check_proof(struct landing *landing, struct err *err)
{
	steps_begin(&landing->land->steps, "check");
	if (check_spec(landing->program, landing->spec, err) < 0 ||
		proof_check(landing->program, landing->spec, landing->line, &landing->result, err) < 0)
		return -1;
	landing->land->merge = landing->result.merge;
	CRASH_POINT("lander.result-checked");
	return 0;
}

static int fetch(struct landing *landing, struct err *err)
{
	struct check_source source;

	steps_begin(&landing->land->steps, "fetch");
	if (!landing->tree && !(landing->tree = landing_tree_open(landing->program, landing->spec->project, err)))
		return -1;
	if (check_source(landing->program, landing->spec, &source, err) < 0)
		return -1;
	landing->wants[0].remote = landing->spec->target;
	landing->wants[1].remote = source.ref;
	if (tree_fetch(landing->tree, landing->wants, source.url ? 1 : 2, err) < 0 ||
		(source.url && tree_fetch_from(landing->tree, source.url, &landing->wants[1], err) < 0))
		return -1;
	snprintf(landing->land->target_tip, sizeof landing->land->target_tip, "%s", landing->wants[0].commit);
	if (!landing->wants[0].commit[0])
		return err_set(err, ERR_REFUSED, "the target %s does not exist", landing->spec->target);
	return 0;
}

/* Whether the tested merge is on the target: then it has landed, whatever happened since. */
static int check_landed(struct landing *landing, struct err *err)
{
	bool there = false;
	struct err unknown = {0};

	if (tree_descends(landing->tree, landing->result.merge, landing->wants[0].commit, &there, &unknown) < 0) {
		if (unknown.kind == ERR_NOT_FOUND)
			return 0;
		*err = unknown;
		return -1;
	}
	return there ? end(landing, OUTCOME_LANDED, "the tested merge is on the target already") : 0;
}

/* It is dated ahead of this host's clock, which the brain's is not: who asks asks again when that has come. */
static int ahead(const struct approve_criteria *criteria, const struct approve_verdict *verdict, struct err *err)
{
	int64_t seconds = verdict->later - criteria->now;

	err_set(err, ERR_NETWORK, "not approved: %s", verdict->why);
	err->wait = seconds < AHEAD_WAIT_S ? (int)seconds : AHEAD_WAIT_S;
	return -1;
}

/* The approval, from the forge itself. */
static int check_approval(struct landing *landing, struct err *err)
{
	struct approve_criteria criteria;
	struct approve_verdict verdict;

	if (approval_criteria(landing->program, landing->spec->project, &criteria, err) < 0)
		return -1;
	approve_decide(&landing->proposal, &criteria, &verdict);
	if (!verdict.commit && verdict.later)
		return ahead(&criteria, &verdict, err);
	if (!verdict.commit)
		return err_set(err, ERR_REFUSED, "not approved: %s", verdict.why);
	if (strcmp(verdict.commit, landing->source) != 0)
		return err_set(err, ERR_MOVED, "what is approved is %.12s now, not %.12s", verdict.commit, landing->source);
	return 0;
}

static int check_proposal(struct landing *landing, struct err *err)
{
	const struct forge_proposal *proposal = &landing->proposal;
	const struct spec *spec = landing->spec;

	steps_begin(&landing->land->steps, "read");
	const struct readback which = {.project = spec->project, .name = spec->proposal, .from = spec->trees[0].merges[0].from};

	if (readback_proposal(landing->program, &which, &landing->proposal, err) < 0)
		return -1;
	if (strcmp(proposal->repository, spec->trees[0].repository) != 0)
		return err_set(err, ERR_REFUSED, "the proposal is for %.200s, not for %.200s", proposal->repository, spec->trees[0].repository);
	if (proposal->state == FORGE_CLOSED)
		return err_set(err, ERR_REFUSED, "the proposal %s is closed", spec->proposal);
	if (strcmp(proposal->head, landing->source) != 0 || strcmp(landing->wants[1].commit, landing->source) != 0)
		return err_set(err, ERR_MOVED, "the proposal %s is at %.12s now, and %.12s was tested", spec->proposal, proposal->head,
			landing->source);
	if (strcmp(proposal->target, spec->target) != 0)
		return err_set(err, ERR_MOVED, "the proposal %s is for %.200s now, not for %.200s", spec->proposal, proposal->target, spec->target);
	landing->land->merge = proposal->state == FORGE_MERGED ? proposal->merge : landing->land->merge; /* not the tested one */
	if (proposal->state == FORGE_MERGED)
		return end(landing, OUTCOME_LANDED, "its commits are on the target already, by another way than this merge");
	CRASH_POINT("lander.proposal-read");
	return check_approval(landing, err);
}

/* After the approval, so that who asks for what is not approved learns that first. */
static int check_target(struct landing *landing, struct err *err)
{
	const char *base = landing->spec->trees[0].base;

	if (strcmp(landing->wants[0].commit, base) != 0 || strcmp(landing->proposal.target_tip, base) != 0)
		return err_set(err, ERR_MOVED, "%s is at %.12s now, and the test was made on %.12s: test again", landing->spec->target,
			landing->wants[0].commit, base);
	return 0;
}

/* The same inputs with another result are trouble; other inputs are a changed record, the gate's to decide. */
static int differs(struct landing *landing, const char *made, struct err *err)
{
	const struct spec_merge *tested = &landing->spec->trees[0].merges[0];
	const struct merge_plan *plan = &landing->plan;
	const char *author = spec_author_join(landing->program->arena, plan->author_name, plan->author_email);

	if (strcmp(tested->message, plan->message) != 0 || strcmp(tested->author, author) != 0 || tested->date != plan->date)
		return err_set(err, ERR_MOVED, "the proposal's record has changed since the test (message, author or date): test again");
	return err_set(err, ERR_SYSTEM, "the merge made here is %s, and %s was tested: slave and land host merge differently", made,
		landing->result.merge);
}

static int check_merge(struct landing *landing, struct err *err)
{
	struct arena *arena = landing->program->arena;
	struct tree_merge request = {.base = landing->spec->trees[0].base, .source = landing->source};
	struct tree_merged merged;

	steps_begin(&landing->land->steps, "merge");
	if (merge_plan(arena, &landing->proposal, landing->source, time(NULL), &landing->plan, err) < 0)
		return -1;
	request.message = landing->plan.message;
	request.date = landing->plan.date;
	const char *author = spec_author_join(arena, landing->plan.author_name, landing->plan.author_email);
	if (!spec_author_split(arena, author, &request.author, &request.mail))
		return err_set(err, ERR_REFUSED, "the author of %s cannot be written into a merge", landing->source);
	if (tree_merge(landing->tree, arena, &request, &merged, err) < 0) {
		if (err->kind == ERR_CONFLICT)
			return err_set(err, ERR_SYSTEM, "what merged when it was tested does not merge here: %s", arena_strdup(arena, err->text));
		return -1;
	}
	if (strcmp(merged.commit, landing->result.merge) != 0 || strcmp(merged.tree, landing->result.tree) != 0)
		return differs(landing, merged.commit, err);
	return 0;
}

static int push(struct landing *landing, struct err *err)
{
	const char *base = landing->spec->trees[0].base, *merge = landing->result.merge;
	const struct landing_tree_push request = {
		.project = landing->spec->project, .ref = landing->spec->target, .old = base, .value = merge};
	bool descends = false;

	steps_begin(&landing->land->steps, "push");
	if (tree_descends(landing->tree, base, merge, &descends, err) < 0)
		return -1;
	if (!descends)
		return err_set(err, ERR_REFUSED, "%s does not descend from %s", merge, base);
	return landing_tree_push(landing->program, landing->tree, &request, err);
}

/* Whatever the push said: what the forge has now is what happened. `pushed` is what it said. */
static int prove(struct landing *landing, const struct err *pushed, struct err *err)
{
	bool there = false;

	if (fetch(landing, err) < 0)
		return -1;
	landing->land->steps.list[landing->land->steps.count - 1].name = "proof";
	int done = check_landed(landing, err);
	if (done < 0)
		return -1;
	there = done == 1;
	if (there && pushed->kind == ERR_NONE)
		return end(landing, OUTCOME_SUCCESS, "pushed, and read back");
	if (there)
		return end(landing, OUTCOME_LANDED, "the tested merge is on the target, though the push said otherwise");
	if (strcmp(landing->wants[0].commit, landing->spec->trees[0].base) != 0)
		return err_set(err, ERR_MOVED, "%s is at %.12s now: test again", landing->spec->target, landing->wants[0].commit);
	if (pushed->kind == ERR_NONE)
		return err_set(err, ERR_SYSTEM, "the forge took the push, and %s is still at %.12s", landing->spec->target,
		landing->wants[0].commit);
	*err = *pushed;
	return -1;
}

static int push_and_prove(struct landing *landing, struct err *err)
{
	struct err pushed = {0};

	CRASH_POINT("lander.merge-made");
	push(landing, &pushed);
	CRASH_POINT("lander.pushed");
	int done = prove(landing, &pushed, err);
	CRASH_POINT("lander.proved");
	return done;
}

void land_run(const struct program *program, const struct spec *spec, const char *line, struct land *land)
{
	static check_fn *const checks[] = {
		check_proof, fetch, check_landed, check_proposal, check_target, check_merge, push_and_prove};
	struct landing landing = {
		.program = program, .spec = spec, .line = line, .source = spec->trees[0].merges[0].source, .land = land};
	struct err err = {0};
	int done = 0;

	*land = (struct land){.outcome = OUTCOME_INFRASTRUCTURE};
	for (size_t i = 0; i < sizeof checks / sizeof checks[0] && done == 0; i++)
		done = checks[i](&landing, &err);
	if (done < 0) {
		land->outcome = err.kind == ERR_INPUT ? OUTCOME_REFUSED : ending_of_error(&err);
		land->reason = output_line(program->arena, err.text, strlen(err.text), sizeof err.text);
		land->wait = err.wait;
	}
	steps_end(&land->steps);
	tree_free(landing.tree);
}
