#include "slaves/land/proof.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "forge/job.h"
#include "forge/landed.h"
#include "forge/proposal.h"

#define PROOF_KEYS_MAXIMUM 1000

/* Of a slave; the landing daemons' own are NAME-land.pub. */
static int is_key(const struct dirent *entry)
{
	static const char end[] = ".pub", lander[] = LANDED_KEY_SUFFIX ".pub";
	size_t length = strlen(entry->d_name);

	if (entry->d_name[0] == '.' || length < sizeof end || strcmp(entry->d_name + length + 1 - sizeof end, end) != 0)
		return 0;
	return length < sizeof lander || strcmp(entry->d_name + length + 1 - sizeof lander, lander) != 0;
}

/* A line, and the keys that may have signed it. */
struct signing {
	const struct program *program;
	const char *folder, *line;
	struct result *result;
	struct err broken; /* of the first key that is none: it may be the one */
};

/* Whether the line is signed by this key, and names the slave that the key is of. */
static int try_key(struct signing *signing, const char *file, struct err *err)
{
	struct arena *arena = signing->program->arena;
	struct result *result = signing->result;
	struct err broken = {0};
	struct crypto_key *key = crypto_key_load_public(arena_printf(arena, "%s/%s", signing->folder, file), &broken);

	if (!key) {
		if (signing->broken.kind == ERR_NONE)
			signing->broken = broken;
		return err_set(err, ERR_REFUSED, "%s", broken.text);
	}
	int done = result_read_line(arena, signing->line, key, result, err);
	crypto_key_free(key);
	if (done < 0)
		return -1;
	if (strlen(result->slave) + 4 != strlen(file) || strncmp(result->slave, file, strlen(result->slave)) != 0)
		return err_set(err, ERR_REFUSED, "the result says that it is of slave %.64s, and is signed by %.70s", result->slave, file);
	return 0;
}

/* What no key signed is refused; only where one of them is broken, the proposal is not to blame. */
static int read_signed(const struct program *program, const char *line, struct result *result, struct err *err)
{
	struct signing signing = {.program = program, .folder = program_etc(program, "result-keys"), .line = line, .result = result};
	struct dirent **entries = NULL;
	int done = -1;

	int count = scandir(signing.folder, &entries, is_key, alphasort);
	if (count < 0)
		return err_set_errno(err, errno, "read the slaves' keys in %s", signing.folder);
	if (count == 0)
		err_set(err, ERR_CONFIG, "there is no key of a slave in %s, so no result can be believed", signing.folder);
	for (int i = 0; i < count; i++) {
		if (done < 0 && i < PROOF_KEYS_MAXIMUM && (i == 0 || err->kind == ERR_REFUSED)) {
			err_clear(err);
			done = try_key(&signing, entries[i]->d_name, err);
		}
		free(entries[i]);
	}
	free(entries);
	if (done < 0 && err->kind == ERR_INPUT)
		err->kind = ERR_REFUSED;
	if (done < 0 && err->kind == ERR_REFUSED && signing.broken.kind != ERR_NONE)
		return err_set(err, ERR_CONFIG, "%s; no other key signed the result", signing.broken.text);
	return done;
}

static int same(const char *what, const char *got, const char *wanted, struct err *err)
{
	if (strcmp(got, wanted) == 0)
		return 0;
	return err_set(err, ERR_REFUSED, "the result is for another %s: %.100s, not %.100s", what, got, wanted);
}

static int match_spec(const struct spec *spec, const struct result *result, struct err *err)
{
	const struct spec_tree *tree = &spec->trees[0];
	const struct spec_merge *merge = &tree->merges[0];

	if (same("build", result->build, spec->build, err) < 0 || same("namespace", result->namespace, spec->namespace, err) < 0 ||
		same("project", result->project, spec->project, err) < 0 || same("proposal", result->proposal, spec->proposal, err) < 0 ||
		same("target", result->target, spec->target, err) < 0 || same("base", result->base, tree->base, err) < 0 ||
		same("source", result->source, merge->source, err) < 0)
		return -1;
	if (result->attempt != spec->attempt)
		return err_set(err, ERR_REFUSED, "the result is for attempt %lld, not %lld", (long long)result->attempt, (long long)spec->attempt);
	if (result->outcome != OUTCOME_SUCCESS)
		return err_set(err, ERR_REFUSED, "the test did not succeed: %s", outcome_word(result->outcome));
	if (!forge_commit_valid(result->merge) || !forge_commit_valid(result->tree))
		return err_set(err, ERR_REFUSED, "the result has no merge in it");
	return merge->commit ? same("merge", result->merge, merge->commit, err) : 0;
}

static const struct result_job *find_job(const struct result *result, const char *name)
{
	for (size_t i = 0; i < result->job_count; i++)
		if (strcmp(result->jobs[i].name, name) == 0)
			return &result->jobs[i];
	return NULL;
}

static int check_job(const struct program *program, const struct result *result, const char *name, struct err *err)
{
	const struct result_job *job = find_job(result, name);
	const char *backing = program_section_option(program, "job", name, "backing", err);
	char digest[JOB_DIGEST_SIZE], image[JOB_DIGEST_SIZE];

	if (!job)
		return err_set(err, ERR_REFUSED, "job %s is required, and was not run", name);
	if (job->outcome != OUTCOME_SUCCESS || job->exit != 0)
		return err_set(err, ERR_REFUSED, "job %s did not succeed: %s, exit status %lld", name, outcome_word(job->outcome),
			(long long)job->exit);
	if (!backing || job_digest(program->conf, name, digest, err) < 0 || job_backing_digest(program->conf, backing, image, err) < 0)
		return -1;
	if (strcmp(job->digest, digest) != 0 || strcmp(job->backing, image) != 0)
		return err_set(err, ERR_REFUSED, "job %s or its backing %s was configured differently when it ran than it is: test again", name,
			backing);
	return 0;
}

int proof_check(const struct program *program, const struct spec *spec, const char *line, struct result *result, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", spec->project);
	const char *const *jobs = NULL;

	if (read_signed(program, line, result, err) < 0 || match_spec(spec, result, err) < 0)
		return -1;
	if (conf_list(program->conf, program->arena, section, "jobs", &jobs, err) < 0)
		return -1;
	if (!jobs || !*jobs)
		return err_set(err, ERR_CONFIG, "[%s] requires no job: nothing is landed untested", section);
	for (; *jobs; jobs++)
		if (check_job(program, result, *jobs, err) < 0)
			return -1;
	return 0;
}
