#include "slaves/common/approval.h"

#include <string.h>
#include <time.h>

#include "slaves/common/readback.h"

int approval_criteria(const struct program *program, const char *project, struct approve_criteria *criteria, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", project);
	const char *account = program_section_option(program, "project", project, "account", err);
	const char *const *own = NULL;
	const char **never;
	int64_t needed = 0;
	size_t count = 0;

	if (!account)
		return -1;
	if (conf_list(program->conf, program->arena, arena_printf(program->arena, "account/%s", account), "own.names", &own, err) < 0)
		return -1;
	while (own && own[count])
		count++;
	never = arena_alloc(program->arena, (count + 3) * sizeof *never);
	for (size_t i = 0; i < count; i++)
		never[i + 2] = own[i];
	*criteria = (struct approve_criteria){.never = never, .now = time(NULL)};
	never[0] = program_option(program, "brain.principal", err);
	never[1] = never[0] ? program_option(program, "landing.principal", err) : NULL;
	if (!never[1] || conf_integer(program->conf, section, "approvals", &needed, err) < 0 ||
		conf_boolean(program->conf, section, "approvals.self", &criteria->self, err) < 0)
		return -1;
	if (needed < 1)
		return err_set(err, ERR_CONFIG, "[%s] approvals: nothing is landed without an approval", section);
	criteria->needed = (unsigned)needed;
	return 0;
}

int approval_holds(const struct program *program, const struct spec *spec, const char **author, const char **why, struct err *err)
{
	const struct spec_merge *merge = &spec->trees[0].merges[0];
	const struct readback which = {.project = spec->project, .name = spec->proposal, .from = merge->from};
	struct approve_criteria criteria;
	struct approve_verdict verdict;
	struct forge_proposal proposal;

	if (readback_proposal(program, &which, &proposal, err) < 0 || approval_criteria(program, spec->project, &criteria, err) < 0)
		return -1;
	approve_decide(&proposal, &criteria, &verdict);
	*author = proposal.proposer;
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
