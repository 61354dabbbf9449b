#include "forge/result.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "forge/proposal.h"
#include "forge/seal.h"
#include "forge/spec.h"
#include "forge/text.h"

#define NODES 16384
#define JOBS 64
#define LANDER "-land" /* forge/landed.h */

static const struct seal_form form = {.header = "byoci-result-1 ", .what = "a result", .maximum = RESULT_LINE_MAXIMUM};

static json_t *artefacts_json(const struct result_artefacts *artefacts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < artefacts->listed; i++)
		json_array_append_new(list, json_pack("{s:o, s:I, s:o}", "path", text_json(artefacts->list[i].path), "size",
			(json_int_t)artefacts->list[i].size, "sha256", text_json(artefacts->list[i].sha256)));
	return json_pack("{s:I, s:I, s:o}", "count", (json_int_t)artefacts->count, "bytes", (json_int_t)artefacts->bytes, "list", list);
}

static json_t *job_json(const struct result_job *job)
{
	json_t *json = json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:I}", "name", text_json(job->name), "digest", text_json(job->digest),
		"backing", text_json(job->backing), "outcome", outcome_word(job->outcome), "exit", (json_int_t)job->exit, "started",
		(json_int_t)job->started, "ended", (json_int_t)job->ended);

	if (job->reports)
		json_object_set_new(json, "reports", counts_json(job->reports));
	if (job->artefacts)
		json_object_set_new(json, "artefacts", artefacts_json(job->artefacts));
	return json;
}

#define TEXT(name) SEAL_TEXT(result, name)
static const struct seal_text texts[] = {TEXT(build), TEXT(namespace), TEXT(project), TEXT(proposal), TEXT(target),
	TEXT(slave), TEXT(base), TEXT(source), TEXT(merge), TEXT(tree), TEXT(reason)};
#define TEXTS (sizeof texts / sizeof texts[0])

char *result_payload(struct arena *arena, const struct result *result)
{
	json_t *json = json_object(), *jobs = json_array();
	char *text, *copy;

	json_object_set_new(json, "result", json_integer(1));
	seal_put_texts(json, texts, TEXTS, result);
	json_object_set_new(json, "attempt", json_integer(result->attempt));
	json_object_set_new(json, "outcome", json_string(outcome_word(result->outcome)));
	for (size_t i = 0; i < result->job_count; i++)
		json_array_append_new(jobs, job_json(&result->jobs[i]));
	json_object_set_new(json, "jobs", jobs);
	json_object_set_new(json, "steps", timing_json(result->steps, result->step_count));
	json_object_set_new(json, "time", json_integer(result->time));
	text = json_dumps(json, JSON_COMPACT);
	if (!text)
		err_fatal("out of memory");
	copy = arena_strdup(arena, text);
	free(text);
	json_decref(json);
	return copy;
}

char *result_sign_line(struct arena *arena, const struct result *result, const struct crypto_key *key, struct err *err)
{
	return seal_line(arena, &form, result_payload(arena, result), key, err);
}

static int read_outcome(const json_t *json, enum outcome *outcome, struct err *err)
{
	const char *word;

	if (jsonget_string(json, "outcome", &word, err) < 0)
		return -1;
	return outcome_from_word(word, outcome) ? 0 : err_set(err, ERR_INPUT, "outcome: no such word");
}

static int read_artefact(struct arena *arena, const json_t *json, struct result_artefact *artefact, struct err *err)
{
	const char *path, *sha256;

	if (jsonget_string(json, "path", &path, err) < 0 || jsonget_string(json, "sha256", &sha256, err) < 0 ||
		jsonget_integer(json, "size", &artefact->size, err) < 0)
		return -1;
	if (artefact->size < 0)
		return err_set(err, ERR_INPUT, "size: less than nothing");
	artefact->path = arena_strdup(arena, path);
	artefact->sha256 = arena_strdup(arena, sha256);
	return 0;
}

static int read_artefacts(struct arena *arena, const json_t *json, struct result_job *job, struct err *err)
{
	struct result_artefacts *artefacts = arena_alloc(arena, sizeof *artefacts);
	json_t *list;

	if (jsonget_integer(json, "count", &artefacts->count, err) < 0 || jsonget_integer(json, "bytes", &artefacts->bytes, err) < 0 ||
		jsonget_array(json, "list", &list, err) < 0)
		return -1;
	artefacts->listed = json_array_size(list);
	if (artefacts->listed > RESULT_ARTEFACTS || artefacts->count < (int64_t)artefacts->listed || artefacts->bytes < 0)
		return err_set(err, ERR_INPUT, "count, bytes, list: do not fit each other");
	artefacts->list = arena_alloc(arena, (artefacts->listed + 1) * sizeof *artefacts->list);
	for (size_t i = 0; i < artefacts->listed; i++)
		if (read_artefact(arena, json_array_get(list, i), &artefacts->list[i], err) < 0)
			return err_wrap(err, "list[%zu]", i);
	job->artefacts = artefacts;
	return 0;
}

/* What results of before did not have. */
static int read_left(struct arena *arena, const json_t *json, struct result_job *job, struct err *err)
{
	const json_t *reports = json_object_get(json, "reports"), *artefacts = json_object_get(json, "artefacts");

	if (reports) {
		struct counts *counts = arena_alloc(arena, sizeof *counts);

		if (counts_read(reports, counts, err) < 0)
			return err_wrap(err, "reports");
		job->reports = counts;
	}
	if (artefacts && read_artefacts(arena, artefacts, job, err) < 0)
		return err_wrap(err, "artefacts");
	return 0;
}

static int read_job(struct arena *arena, const json_t *json, struct result_job *job, struct err *err)
{
	const char *name, *digest, *backing;

	if (jsonget_string(json, "name", &name, err) < 0 || jsonget_string(json, "digest", &digest, err) < 0 ||
		jsonget_string(json, "backing", &backing, err) < 0 || read_outcome(json, &job->outcome, err) < 0)
		return -1;
	if (jsonget_integer(json, "exit", &job->exit, err) < 0 || jsonget_integer(json, "started", &job->started, err) < 0 ||
		jsonget_integer(json, "ended", &job->ended, err) < 0)
		return -1;
	if (!forge_name_valid(name))
		return err_set(err, ERR_INPUT, "name: must be the name of a job");
	job->name = arena_strdup(arena, name);
	job->digest = arena_strdup(arena, digest);
	job->backing = arena_strdup(arena, backing);
	return read_left(arena, json, job, err);
}

static int read_lists(struct arena *arena, const json_t *json, struct result *result, struct err *err)
{
	json_t *jobs, *steps;

	if (jsonget_array(json, "jobs", &jobs, err) < 0 || jsonget_array(json, "steps", &steps, err) < 0)
		return -1;
	result->job_count = json_array_size(jobs);
	if (result->job_count > JOBS)
		return err_set(err, ERR_INPUT, "over %d jobs", JOBS);
	result->jobs = arena_alloc(arena, (result->job_count + 1) * sizeof *result->jobs);
	for (size_t i = 0; i < result->job_count; i++)
		if (read_job(arena, json_array_get(jobs, i), &result->jobs[i], err) < 0)
			return err_wrap(err, "jobs[%zu]", i);
	return timing_read(arena, steps, &result->steps, &result->step_count, err);
}

static bool commit_or_empty(const char *text)
{
	return *text == '\0' || forge_commit_valid(text);
}

/* What its key is a file's name by; never the landing daemon's, which signs other things. */
static int check_slave(const char *slave, struct err *err)
{
	size_t length = strlen(slave), end = strlen(LANDER);

	if (!forge_name_valid(slave))
		return err_set(err, ERR_INPUT, "slave: must be a name");
	if (length > end && strcmp(slave + length - end, LANDER) == 0)
		return err_set(err, ERR_INPUT, "slave: a name that ends in " LANDER " is that of a landing daemon's key");
	return 0;
}

/* What is compared with other ids later must have the form of one. */
static int check_forms(const struct result *result, struct err *err)
{
	if (!spec_build_valid(result->build))
		return err_set(err, ERR_INPUT, "build: must be 32 hex digits");
	if (!forge_name_valid(result->project) || !forge_name_valid(result->proposal))
		return err_set(err, ERR_INPUT, "project, proposal: must be names");
	if (check_slave(result->slave, err) < 0)
		return -1;
	if (!forge_commit_valid(result->base) || !forge_commit_valid(result->source))
		return err_set(err, ERR_INPUT, "base, source: must be commit ids");
	if (!commit_or_empty(result->merge) || !commit_or_empty(result->tree))
		return err_set(err, ERR_INPUT, "merge, tree: must be ids or empty");
	if (result->outcome == OUTCOME_SUCCESS && (*result->merge == '\0' || *result->tree == '\0'))
		return err_set(err, ERR_INPUT, "outcome: success, but no merge or tree");
	return 0;
}

static int read_payload(struct arena *arena, const json_t *json, struct result *result, struct err *err)
{
	int64_t version;

	if (jsonget_integer(json, "result", &version, err) < 0)
		return -1;
	if (version != 1)
		return err_set(err, ERR_INPUT, "result: version %lld; this program reads 1", (long long)version);
	if (seal_get_texts(arena, json, texts, TEXTS, result, err) < 0)
		return -1;
	if (jsonget_integer(json, "attempt", &result->attempt, err) < 0 || jsonget_integer(json, "time", &result->time, err) < 0)
		return -1;
	if (read_outcome(json, &result->outcome, err) < 0 || read_lists(arena, json, result, err) < 0)
		return -1;
	return check_forms(result, err);
}

int result_read_line(struct arena *arena, const char *line, const struct crypto_key *key, struct result *result, struct err *err)
{
	struct result found = {.build = NULL};
	size_t length;
	const char *payload = seal_open(arena, &form, line, key, &length, err);
	json_t *json = payload ? jsonget_parse(payload, length, NODES, err) : NULL;
	int done;

	if (!json)
		return -1;
	done = read_payload(arena, json, &found, err);
	json_decref(json);
	if (done < 0)
		return err_wrap(err, "result");
	*result = found;
	return 0;
}

json_t *result_line_payload(struct arena *arena, const char *line)
{
	return seal_peek(arena, &form, line, NODES);
}

bool result_line_counts(struct arena *arena, const char *line, struct counts *counts)
{
	json_t *payload = result_line_payload(arena, line);
	const json_t *job;
	bool any = false;
	size_t i;

	*counts = (struct counts){.run = 0};
	json_array_foreach(json_object_get(payload, "jobs"), i, job) {
		const json_t *reports = json_object_get(job, "reports");
		struct counts found;
		struct err ignored;

		if (!reports || counts_read(reports, &found, &ignored) < 0)
			continue;
		counts_join(counts, &found);
		any = true;
	}
	json_decref(payload);
	return any;
}
