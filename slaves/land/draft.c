#include "slaves/land/draft.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/crypto.h"
#include "forge/job.h"
#include "forge/merge.h"
#include "forge/spec.h"
#include "slaves/common/ending.h"
#include "slaves/common/readback.h"

static const char *first_job(const struct program *program, const char *project, struct err *err)
{
	const char *const *jobs = NULL;

	if (conf_list(program->conf, program->arena, arena_printf(program->arena, "project/%s", project), "jobs", &jobs, err) < 0)
		return NULL;
	if (!jobs || !jobs[0] || jobs[1]) {
		err_set(err, ERR_CONFIG, "[project/%s] jobs: exactly one is supported", project);
		return NULL;
	}
	return jobs[0];
}

json_t *draft_spec(const struct program *program, const char *project, const char *name, struct err *err)
{
	struct arena *arena = program->arena;
	struct forge_proposal proposal;
	struct merge_plan plan;
	char build[SPEC_BUILD_SIZE], digest[JOB_DIGEST_SIZE];

	if (!conf_has_section(program->conf, arena_printf(arena, "project/%s", project))) {
		err_set(err, ERR_USAGE, "there is no [project/%s] in the configuration", project);
		return NULL;
	}
	const char *job = first_job(program, project, err);
	if (!job || job_digest(program->conf, job, digest, err) < 0 ||
		readback_proposal(program, &(struct readback){.project = project, .name = name}, &proposal, err) < 0)
		return NULL;
	if (proposal.state == FORGE_CLOSED) {
		err_set(err, ERR_REFUSED, "the proposal %s is closed, or never was", name);
		return NULL;
	}
	if (merge_plan(arena, &proposal, proposal.head, time(NULL), &plan, err) < 0)
		return NULL;
	struct spec_merge merge = {.source = plan.source,
		.method = "merge",
		.message = plan.message,
		.author = spec_author_join(arena, plan.author_name, plan.author_email),
		.date = plan.date,
		.from = proposal.source_repository,
		.ref = proposal.source_ref};
	struct spec_tree tree = {.repository = proposal.repository, .base = plan.base, .path = "", .merges = &merge, .merge_count = 1};
	struct spec_job one = {.name = job, .digest = digest};
	crypto_random_hex(16, build);
	const struct spec spec = {.build = build,
		.namespace = conf_namespace(program->conf),
		.project = project,
		.proposal = name,
		.target = proposal.target,
		.attempt = 1,
		.trees = &tree,
		.tree_count = 1,
		.jobs = &one,
		.job_count = 1};
	return spec_build(&spec, err);
}

int draft_verb(const struct program *program, const char *project, const char *proposal)
{
	struct err err = {0};
	json_t *json = draft_spec(program, project, proposal, &err);

	if (!json) {
		fprintf(stderr, "byoci-slave spec: %s\n", err.text);
		return outcome_exit(ending_of_error(&err));
	}
	json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
	return 0;
}
