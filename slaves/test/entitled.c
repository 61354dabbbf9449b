#include "slaves/test/entitled.h"

#include <string.h>

#include "slaves/common/approval.h"
#include "slaves/common/readback.h"

static int decide(const struct program *program, const struct spec *spec, const char **why, struct err *err)
{
	const struct spec_merge *merge = &spec->trees[0].merges[0];
	const struct readback which = {.project = spec->project, .name = spec->proposal, .from = merge->from};
	struct approve_criteria criteria;
	struct approve_verdict verdict;
	struct forge_proposal proposal;

	if (readback_proposal(program, &which, &proposal, err) < 0 || approval_criteria(program, spec->project, &criteria, err) < 0)
		return err_wrap(err, "whether the project's secrets may be used");
	approve_decide(&proposal, &criteria, &verdict);
	if (!verdict.commit)
		*why = arena_printf(program->arena, "not approved: %s", verdict.why);
	else if (strcmp(verdict.commit, merge->source) != 0)
		*why = arena_printf(program->arena, "%.12s is approved, not %.12s", verdict.commit, merge->source);
	else if (strcmp(proposal.target, spec->target) != 0)
		*why = arena_printf(program->arena, "it is for %s, not for %s", proposal.target, spec->target);
	else
		return 1;
	return 0;
}

int entitled(const struct program *program, const struct spec *spec, const char **why, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", spec->project);
	const char *secrets = NULL;
	const struct dialect *dialect;

	*why = NULL;
	if (conf_text(program->conf, section, "secrets", &secrets, err) < 0)
		return -1;
	if (!secrets)
		return 0;
	dialect = readback_dialect(program, spec->project, err);
	if (!dialect)
		return -1;
	if (!dialect->by_name)
		return decide(program, spec, why, err);
	*why = "the slave's user can't read this forge's approvals";
	return 0;
}
