#include "slaves/test/trust.h"

#include <stdbool.h>
#include <string.h>

#include "slaves/common/readback.h"

static bool names(const char *const *list, const char *who)
{
	for (; *list; list++)
		if (who && strcmp(*list, who) == 0)
			return true;
	return false;
}

int trust_needed(const struct program *program, const struct spec *spec, struct err *err)
{
	const char *backing = program_section_option(program, "job", spec->jobs[0].name, "backing", err);
	const char *workers = backing ? program_section_option(program, "backing", backing, "workers", err) : NULL;

	return !workers ? -1 : strcmp(workers, "dir") == 0;
}

/* Only there is the proposer's name under a signature, and of one commit. */
static int check_forge(const struct program *program, const char *project, struct err *err)
{
	const struct dialect *dialect = readback_dialect(program, project, err);

	if (!dialect)
		return -1;
	if (strcmp(dialect->name, "git") != 0)
		return err_set(err, ERR_REFUSED, "workers = dir: %s does not say for certain who made a commit; use contained workers",
			dialect->name);
	return 0;
}

static int judge(const struct forge_proposal *proposal, const struct spec *spec, const char *const *trusted, struct err *err)
{
	const char *commit = spec->trees[0].merges[0].source;

	if (strcmp(proposal->head, commit) != 0)
		return err_set(err, ERR_MOVED, "workers = dir: %s is at %.12s now, and %.12s was to be tested", proposal->name,
			proposal->head, commit);
	if (!names(trusted, proposal->proposer))
		return err_set(err, ERR_REFUSED,
			"workers = dir: nothing contains these tests, and %s is not one of [project/%s] dir.trusted: use contained workers",
			proposal->proposer ? proposal->proposer : "whoever pushed this", spec->project);
	for (size_t i = 0; i < proposal->approval_count; i++)
		if (!proposal->approvals[i].why_not && !names(trusted, proposal->approvals[i].who))
			return err_set(err, ERR_REFUSED, "workers = dir: it was approved by %s, who is not one of [project/%s] dir.trusted",
				proposal->approvals[i].who, spec->project);
	return 0;
}

int trust_check(const struct program *program, const struct spec *spec, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", spec->project);
	const struct readback which = {.project = spec->project, .name = spec->proposal};
	const char *const *trusted = NULL;
	struct forge_proposal proposal;
	int needed = trust_needed(program, spec, err);

	if (needed <= 0)
		return needed;
	if (strcmp(conf_namespace(program->conf), "production") == 0)
		return err_set(err, ERR_REFUSED, "workers = dir: nothing contains them, so never in production");
	if (conf_list(program->conf, program->arena, section, "dir.trusted", &trusted, err) < 0)
		return -1;
	if (!trusted || !*trusted)
		return err_set(err, ERR_REFUSED, "workers = dir: nothing contains these tests, and [%s] dir.trusted names nobody", section);
	if (check_forge(program, spec->project, err) < 0 || readback_proposal(program, &which, &proposal, err) < 0)
		return -1;
	return judge(&proposal, spec, trusted, err);
}
