#include "slaves/tree/check.h"

#include <string.h>

#include "forge/dialect.h"
#include "forge/job.h"
#include "forge/proposal.h"

/* A source elsewhere is at the same host, and only forges with such proposals have one. */
static int check_from(const struct program *program, const struct spec *spec, struct err *err)
{
	const struct spec_merge *merge = &spec->trees[0].merges[0];
	const char *account, *word;
	const struct dialect *dialect;

	if (!merge->from)
		return 0;
	account = program_section_option(program, "project", spec->project, "account", err);
	word = account ? program_section_option(program, "account", account, "dialect", err) : NULL;
	dialect = word ? dialect_find(word) : NULL;
	if (!dialect)
		return word ? err_set(err, ERR_CONFIG, "[account/%s] dialect: %s is not known here", account, word) : -1;
	if (!dialect->by_name)
		return err_set(err, ERR_REFUSED, "a source in another repository is none of the forge %s", word);
	if (!forge_same_host(merge->from, spec->trees[0].repository))
		return err_set(err, ERR_REFUSED, "the source is in %.200s, at another host than %.200s", merge->from, spec->trees[0].repository);
	return 0;
}

static int check_tree(const struct program *program, const struct spec *spec, struct err *err)
{
	const char *repository = program_section_option(program, "project", spec->project, "repository", err);

	if (!repository)
		return -1;
	const char *identity = forge_identity(program->arena, repository);
	if (!identity || strcmp(identity, spec->trees[0].repository) != 0)
		return err_set(err, ERR_REFUSED, "project %s is in %s here, not in %.200s", spec->project, identity ? identity : repository,
			spec->trees[0].repository);
	if (spec->trees[0].path[0])
		return err_set(err, ERR_REFUSED, "a tree below the workspace is not supported: its path must be empty");
	if (strcmp(spec->trees[0].merges[0].method, "merge") != 0)
		return err_set(err, ERR_REFUSED, "method %.40s is not supported: only merge is", spec->trees[0].merges[0].method);
	return check_from(program, spec, err);
}

/* Targets may be written as branch names or as refs. */
static bool same_ref(const char *configured, const char *ref)
{
	static const char heads[] = "refs/heads/";

	if (strncmp(configured, "refs/", 5) == 0)
		return strcmp(configured, ref) == 0;
	return strncmp(ref, heads, sizeof heads - 1) == 0 && strcmp(ref + sizeof heads - 1, configured) == 0;
}

static bool in_list(const char *const *list, const char *text, bool refs)
{
	for (; list && *list; list++)
		if (refs ? same_ref(*list, text) : strcmp(*list, text) == 0)
			return true;
	return false;
}

int check_gated(const struct program *program, const char *project, const char *ref, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", project);
	const char *const *targets = NULL;

	if (!conf_has_section(program->conf, section))
		return err_set(err, ERR_REFUSED, "project %.64s is not configured here", project);
	if (conf_list(program->conf, program->arena, section, "target", &targets, err) < 0)
		return -1;
	return in_list(targets, ref, true) ? 0 : err_set(err, ERR_REFUSED, "%.200s is not a target of project %s here", ref, project);
}

static int check_lists(const struct program *program, const struct spec *spec, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", spec->project);
	const char *const *jobs = NULL;

	if (check_gated(program, spec->project, spec->target, err) < 0 ||
		conf_list(program->conf, program->arena, section, "jobs", &jobs, err) < 0)
		return -1;
	if (!in_list(jobs, spec->jobs[0].name, false))
		return err_set(err, ERR_REFUSED, "%.64s is not a job of project %s here", spec->jobs[0].name, spec->project);
	return 0;
}

static int check_all(const struct program *program, const struct spec *spec, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];

	if (strcmp(spec->namespace, conf_namespace(program->conf)) != 0)
		return err_set(err, ERR_REFUSED, "this is the namespace %s, and the spec is for %.40s", conf_namespace(program->conf),
		spec->namespace);
	if (!conf_has_section(program->conf, arena_printf(program->arena, "project/%s", spec->project)))
		return err_set(err, ERR_REFUSED, "project %.64s is not configured here: there is no [project/%.64s]", spec->project, spec->project);
	if (check_tree(program, spec, err) < 0 || check_lists(program, spec, err) < 0)
		return -1;
	if (job_digest(program->conf, spec->jobs[0].name, digest, err) < 0)
		return -1;
	if (strcmp(digest, spec->jobs[0].digest) != 0)
		return err_set(err, ERR_REFUSED,
			"job %s or its backing is configured differently here (digest %.12s) than where the spec was made (%.12s): give both the same "
			"configuration and restart their daemons",
			spec->jobs[0].name, digest, spec->jobs[0].digest);
	return 0;
}

int check_spec(const struct program *program, const struct spec *spec, struct err *err)
{
	struct program brief = *program; /* its arena ends here */

	brief.arena = arena_new();
	int done = check_all(&brief, spec, err);
	arena_free(brief.arena);
	return done;
}

int check_source(const struct program *program, const struct spec *spec, struct check_source *source, struct err *err)
{
	const struct spec_merge *merge = &spec->trees[0].merges[0];
	const char *repository, *read;

	*source = (struct check_source){.ref = arena_printf(program->arena, "refs/proposals/%s/head", spec->proposal)};
	if (!merge->from)
		return 0;
	repository = program_section_option(program, "project", spec->project, "repository", err);
	read = repository ? program_section_option(program, "project", spec->project, "repository.read", err) : NULL;
	if (!read)
		return -1;
	source->ref = merge->ref;
	source->url = forge_beside(program->arena, read[0] == '/' ? repository : read, forge_path(merge->from));
	if (!source->url)
		return err_set(err, ERR_REFUSED, "%.200s is not the path of a repository", merge->from);
	return 0;
}
