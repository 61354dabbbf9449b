#include "slaves/tree/git.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/strv.h"
#include "conf/gitenv.h"
#include "slaves/common/output.h"

#define GIT_OUTPUT_MAXIMUM ((size_t)256 * 1024 * 1024)
#define GIT_WORDS_MAXIMUM 600

struct git {
	char *repository;
	struct strv environment;
};

/*
 * What is written may be lost with the machine's power, and is then fetched or made anew: a cache is not waited for. One pack at a time is
 * a change or two.
 */
static const char *const cache_options[] = {"-c", "core.fsync=none", "-c", "pack.threads=1", NULL};

struct git *git_new(const struct conf *conf, const char *repository, const char *ssh_key, struct err *err)
{
	struct git *git = calloc(1, sizeof *git);

	if (!git || !(git->repository = strdup(repository)))
		abort();
	if (gitenv_make(conf, &(struct gitenv){.ssh_key = ssh_key}, &git->environment, err) < 0) {
		git_free(git);
		return NULL;
	}
	return git;
}

struct git *git_elsewhere(const struct conf *conf, const char *repository, struct err *err)
{
	static const char allow[] = "GIT_ALLOW_PROTOCOL=";
	struct git *git = git_new(conf, repository, NULL, err);
	struct strv environment = STRV_INIT;

	if (!git)
		return NULL;
	for (size_t i = 0; i < git->environment.count; i++)
		if (strncmp(git->environment.v[i], allow, sizeof allow - 1) != 0)
			strv_push(&environment, git->environment.v[i]);
	strv_pushf(&environment, "%snone", allow);
	strv_release(&git->environment);
	git->environment = environment;
	return git;
}

void git_free(struct git *git)
{
	if (!git)
		return;
	strv_release(&git->environment);
	free(git->repository);
	free(git);
}

static void push_all(struct strv *strv, const char *const *texts)
{
	for (; texts && *texts; texts++)
		strv_push(strv, *texts);
}

int git_begin(const struct git *git, const struct git_call *call, struct git_job *job, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;

	gitenv_command(&argv, git->repository);
	push_all(&argv, cache_options);
	push_all(&argv, call->options);
	push_all(&argv, call->arguments);
	push_all(&environment, (const char *const *)git->environment.v);
	push_all(&environment, call->environment);

	struct child child = CHILD_INIT;
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.dies_with_parent = true;
	const struct child_input input = {.bytes = call->input,
		.length = call->input_length,
		.maximum = call->maximum ? call->maximum : GIT_OUTPUT_MAXIMUM,
		.limit_ms = call->limit_ms ? call->limit_ms : GIT_LIMIT_MS,
		.from = call->from,
		.to = call->to};
	int done = child_begin(&child, &input, &job->result, &job->running, err);
	job->running.name = "git";
	job->subcommand = call->arguments[0];
	if (done < 0)
		err_wrap(err, "git %s", job->subcommand);
	strv_release(&argv);
	strv_release(&environment);
	return done;
}

int git_end(struct git_job *job, struct err *err)
{
	return child_end(&job->running, err) < 0 ? err_wrap(err, "git %s", job->subcommand) : 0;
}

void git_abandon(struct git_job *job)
{
	child_abandon(&job->running);
	child_result_release(&job->result);
}

int git_run(const struct git *git, const struct git_call *call, struct child_result *result, struct err *err)
{
	struct git_job job;
	int done = git_begin(git, call, &job, err);

	if (done == 0)
		done = git_end(&job, err);
	*result = job.result;
	return done;
}

/* Its output, and it is released. */
static char *take_text(struct git_job *job, struct arena *arena, size_t *length, struct err *err)
{
	const struct child_result *result = &job->result;
	char *text = NULL;

	if (result->status != 0) {
		git_failed(result, job->subcommand, err);
	} else {
		size_t bytes = result->out.length;
		if (bytes > 0 && result->out.data[bytes - 1] == '\n')
			bytes--;
		text = arena_memdup(arena, bytes > 0 ? result->out.data : "", bytes);
		if (length)
			*length = bytes;
	}
	child_result_release(&job->result);
	return text;
}

char *git_end_text(struct git_job *job, struct arena *arena, size_t *length, struct err *err)
{
	if (git_end(job, err) == 0)
		return take_text(job, arena, length, err);
	child_result_release(&job->result);
	return NULL;
}

char *git_text(const struct git *git, struct arena *arena, const struct git_call *call, size_t *length, struct err *err)
{
	struct git_job job;

	if (git_begin(git, call, &job, err) == 0)
		return git_end_text(&job, arena, length, err);
	child_result_release(&job.result);
	return NULL;
}

/* What git and ssh say when the other side cannot be reached, does not let us in or breaks off (LC_ALL=C.UTF-8). */
static bool out_of_reach(const char *words)
{
	static const char *const signs[] = {
		"Could not read from remote repository",
		"does not appear to be a git repository",
		"unable to access",
		"Could not resolve hostname",
		"Connection refused",
		"the remote end hung up",
		"unexpected disconnect",
		"early EOF", /* of what comes from there: one of our own packs that is cut off is told in other words */
		"RPC failed",
		"on the remote side",
	};

	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (strstr(words, signs[i]))
			return true;
	return false;
}

int git_failed(const struct child_result *result, const char *subcommand, struct err *err)
{
	const char *words = result->err.data ? result->err.data : "";
	struct arena *arena = arena_new();

	const char *line = output_line(arena, words, strlen(words), GIT_WORDS_MAXIMUM);
	err_set(err, out_of_reach(words) ? ERR_NETWORK : ERR_SYSTEM, "git %s ended with %d: %s", subcommand, result->status,
		*line ? line : "it said nothing");
	arena_free(arena);
	return -1;
}
