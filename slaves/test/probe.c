#include "slaves/test/probe.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "forge/job.h"
#include "forge/outcome.h"
#include "forge/text.h"
#include "slaves/common/output.h"
#include "slaves/test/trial.h"

#define MIB (1024 * 1024)
#define FILES_MINIMUM 10000 /* names that can still be given on a file system that counts them */
#define BACKINGS_MAXIMUM 8  /* that are tried */

static int check_disk(const struct program *program, struct err *err)
{
	const char *path = program_option(program, "state", err);
	int64_t wanted = 0;
	struct statvfs st;

	if (!path || conf_integer(program->conf, NULL, "slave.disk.minimum", &wanted, err) < 0)
		return -1;
	if (statvfs(path, &st) < 0)
		return err_set_errno(err, errno, "disk: look at %s", path);
	int64_t free = (int64_t)(st.f_bavail * st.f_frsize);
	if (free < wanted)
		return err_set(err, ERR_FULL, "disk: %lld MiB are free in %s, and %lld are wanted", (long long)(free / MIB), path,
			(long long)(wanted / MIB));
	if (wanted > 0 && st.f_files > 0 && st.f_favail < FILES_MINIMUM)
		return err_set(err, ERR_FULL, "disk: %s has room for %llu files", path, (unsigned long long)st.f_favail);
	return 0;
}

/* A worker without a tree starts, is well, and goes. When all that there may be are at work, they are what shows that they start. */
static int check_worker(const struct program *program, const char *job, struct err *err)
{
	struct trial_worker worker;
	char digest[JOB_DIGEST_SIZE];

	if (job_digest(program->conf, job, digest, err) < 0)
		return err_wrap(err, "job %s", job);
	if (trial_ready(program, job, digest, &worker, err) < 0) {
		if (err->kind != ERR_BUSY)
			return err_wrap(err, "container for job %s", job);
		err_clear(err);
		return 0;
	}
	if (trial_check(&worker, err) < 0)
		return err_wrap(err, "container for job %s", job);
	trial_release(&worker);
	return 0;
}

static bool is_among(const char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

/* One job of each backing, of those that projects want. */
static int check_workers(const struct program *program, struct err *err)
{
	const char *tried[BACKINGS_MAXIMUM];
	size_t count = 0;

	for (const char *const *project = conf_sections(program->conf, program->arena, "project"); *project; project++) {
		const char *const *jobs = NULL, *section = arena_printf(program->arena, "project/%s", *project);
		if (conf_list(program->conf, program->arena, section, "jobs", &jobs, err) < 0)
			return -1;
		for (; jobs && *jobs && count < BACKINGS_MAXIMUM; jobs++) {
			const char *backing = program_section_option(program, "job", *jobs, "backing", err);
			if (!backing)
				return -1;
			if (is_among(tried, count, backing))
				continue;
			if (check_worker(program, *jobs, err) < 0)
				return -1;
			tried[count++] = backing;
		}
	}
	return 0;
}

int probe_verb(const struct program *program)
{
	struct err err = {0};
	const char *slave = program_option(program, "slave.name", &err);
	bool well = slave && check_disk(program, &err) == 0 && check_workers(program, &err) == 0;
	const char *reason = well ? "" : output_line(program->arena, err.text, strlen(err.text), sizeof err.text);
	json_t *json = json_pack("{s:b, s:s?, s:o}", "well", well, "slave", slave, "reason", text_json(reason));

	int done = json_dumpf(json, stdout, JSON_COMPACT);
	json_decref(json);
	return done == 0 && fflush(stdout) == 0 ? 0 : outcome_exit(OUTCOME_INFRASTRUCTURE);
}
