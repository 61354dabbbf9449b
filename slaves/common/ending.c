#include "slaves/common/ending.h"

#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/landed.h"

#define ENDING_NODES 10000

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

struct crypto_key *ending_key(const struct program *program, struct err *err)
{
	static const char lander[] = LANDED_KEY_SUFFIX;
	const char *slave = program_option(program, "slave.name", err);
	const char *path = slave ? program_secret(program, "slave/result.key", err) : NULL;

	if (path && strlen(slave) >= sizeof lander - 1 && strcmp(slave + strlen(slave) + 1 - sizeof lander, lander) == 0) {
		err_set(err, ERR_CONFIG, "slave.name: %s would be the name of a landing daemon's key: choose one that does not end in %s", slave,
			lander);
		return NULL;
	}
	return path ? crypto_key_load_private(path, err) : NULL;
}

static int fill(const struct program *program, const struct spec *spec, const struct ending *ending, struct result *result, struct err *err)
{
	const struct spec_tree *tree = &spec->trees[0];
	const char *slave = program_option(program, "slave.name", err);

	if (!slave)
		return -1;
	*result = (struct result){.build = spec->build,
		.namespace = spec->namespace,
		.project = spec->project,
		.proposal = spec->proposal,
		.target = spec->target,
		.attempt = spec->attempt,
		.slave = slave,
		.base = tree->base,
		.source = tree->merges[0].source,
		.merge = text_or_empty(ending->merge),
		.tree = text_or_empty(ending->tree),
		.outcome = ending->outcome,
		.reason = text_or_empty(ending->reason),
		.time = clock_wall_ms()};
	return 0;
}

int ending_write(const struct program *program, const struct spec *spec, const struct ending *ending, const char *path, struct err *err)
{
	struct arena *arena = arena_new();
	struct result result;
	struct steps steps = ending->steps;
	int done = -1;

	struct crypto_key *key = ending_key(program, err);
	if (!key || fill(program, spec, ending, &result, err) < 0)
		goto err0;
	struct result_job job = {.name = spec->jobs[0].name,
		.digest = spec->jobs[0].digest,
		.backing = text_or_empty(ending->backing),
		.outcome = ending->outcome,
		.exit = ending->ran ? ending->exit : -1,
		.started = ending->ran ? ending->started : 0,
		.ended = ending->ran ? ending->ended : 0,
		.reports = ending->reports,
		.artefacts = ending->artefacts};
	steps_end(&steps);
	result.jobs = &job;
	result.job_count = 1;
	result.steps = steps.list;
	result.step_count = steps.count;

	const char *line = result_sign_line(arena, &result, key, err);
	if (!line)
		goto err0;
	const char *text = arena_printf(arena, "%s\n", line);
	done = file_write(path, text, strlen(text), 0600, err);
err0:
	crypto_key_free(key);
	arena_free(arena);
	return done < 0 ? err_wrap(err, "write the result of build %s", spec->build) : 0;
}

/* The payload of a result line, a new reference. */
static json_t *payload_of(struct arena *arena, const char *line, struct err *err)
{
	static const char head[] = "byoci-result-1 ";
	size_t length = 0;

	if (strncmp(line, head, sizeof head - 1) != 0) {
		err_set(err, ERR_INPUT, "not a result line");
		return NULL;
	}
	const char *start = line + sizeof head - 1;
	const char *bytes = crypto_unbase64(arena, arena_printf(arena, "%.*s", (int)strcspn(start, " \n"), start), &length);
	if (!bytes) {
		err_set(err, ERR_INPUT, "a result line whose payload is not base64");
		return NULL;
	}
	return jsonget_parse(bytes, length, ENDING_NODES, err);
}

int ending_outcome(const char *line, enum outcome *outcome, struct err *err)
{
	struct arena *arena = arena_new();
	const char *word;
	int done = -1;

	json_t *payload = payload_of(arena, line, err);
	if (payload && jsonget_string(payload, "outcome", &word, err) == 0)
		done = outcome_from_word(word, outcome) ? 0 : err_set(err, ERR_INPUT, "outcome: not a word for an outcome");
	json_decref(payload);
	arena_free(arena);
	return done;
}

const char *ending_merge(struct arena *arena, const char *line)
{
	struct err err = {0};
	json_t *payload = payload_of(arena, line, &err);
	const char *merge = payload ? jsonget_string_or(payload, "merge", "") : "";

	merge = *merge ? arena_strdup(arena, merge) : NULL;
	json_decref(payload);
	return merge;
}

const char *ending_reason(struct arena *arena, const char *line)
{
	struct err err = {0};
	json_t *payload = payload_of(arena, line, &err);
	const char *reason = arena_strdup(arena, payload ? jsonget_string_or(payload, "reason", "") : "");

	json_decref(payload);
	return reason;
}

enum outcome ending_of_error(const struct err *err)
{
	switch (err->kind) {
	case ERR_USAGE:
	case ERR_INPUT:
		return OUTCOME_USAGE;
	case ERR_REFUSED:
		return OUTCOME_REFUSED;
	case ERR_CONFLICT:
		return OUTCOME_CONFLICT;
	case ERR_MOVED:
		return OUTCOME_MOVED;
	case ERR_NETWORK:
		return OUTCOME_UNREACHABLE;
	case ERR_NONE:
	case ERR_CONFIG:
	case ERR_SYSTEM:
	case ERR_NOT_FOUND:
	case ERR_BUSY:
	case ERR_FULL:
	case ERR_TIMEOUT:
		break;
	}
	return OUTCOME_INFRASTRUCTURE;
}
