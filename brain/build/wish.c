#include "build/wish.h"

#include "base/clock.h"
#include "forge/job.h"
#include "forge/merge.h"
#include "forge/spec.h"

json_t *wish_spec(struct brain *brain, struct arena *arena, const struct wish *wish, const struct proposal_row *row, struct err *why)
{
	const char *const *jobs, *section = arena_printf(arena, "project/%s", row->project);
	char digest[JOB_DIGEST_SIZE];
	struct forge_proposal proposal;
	struct merge_plan plan;

	if (proposal_parse(arena, row, &proposal, why) < 0 ||
		merge_plan(arena, &proposal, wish->source, clock_wall_ms() / 1000, &plan, why) < 0 ||
		conf_list(brain->conf, arena, section, "jobs", &jobs, why) < 0)
		return NULL;
	if (!jobs[0] || jobs[1]) {
		err_set(why, ERR_REFUSED, "[%s] jobs: exactly one job is supported", section);
		return NULL;
	}
	if (job_digest(brain->conf, jobs[0], digest, why) < 0)
		return NULL;
	return spec_build(&(struct spec){
		.build = wish->build,
		.namespace = brain->namespace,
		.project = row->project,
		.proposal = row->name,
		.target = wish->target,
		.attempt = wish->attempt,
		.trees = &(struct spec_tree){
			.repository = proposal.repository,
			.base = plan.base,
			.path = "",
			.merges = &(struct spec_merge){
				.source = plan.source,
				.method = "merge",
				.message = plan.message,
				.author = spec_author_join(arena, plan.author_name, plan.author_email),
				.date = plan.date,
				.from = proposal.source_repository,
				.ref = proposal.source_ref,
			},
			.merge_count = 1,
		},
		.tree_count = 1,
		.jobs = &(struct spec_job){.name = jobs[0], .digest = digest},
		.job_count = 1,
	}, why);
}
