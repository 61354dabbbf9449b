#include "landing/by_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "build/slave_key.h"
#include "forge/spec.h"

enum { NODES = 50000 };

bool by_job_is(const char *request)
{
	static const char begins[] = "{\"" BY_JOB_MASTER "\":";

	return strncmp(request, begins, strlen(begins)) == 0;
}

static int wish(struct arena *arena, const struct calls_act *act, struct jenkins_wish *wish, struct err *err)
{
	json_t *json = jsonget_parse(act->request, strlen(act->request), NODES, err), *spec;
	const char *project;
	char *text;
	int done = json ? jsonget_object(json, "spec", &spec, err) : -1;

	if (done == 0)
		done = jsonget_string(spec, "project", &project, err);
	if (done == 0) {
		text = json_dumps(spec, JSON_COMPACT);
		*wish = (struct jenkins_wish){.master = arena_strdup(arena, jsonget_string_or(json, BY_JOB_MASTER, "")),
			.project = arena_strdup(arena, project), .spec = arena_strdup(arena, text),
			.result = arena_strdup(arena, jsonget_string_or(json, "result", ""))};
		free(text);
	}
	json_decref(json);
	return done;
}

const struct jenkins_kind by_job_kind = {.job = "land", .begins = LANDED_HEADER, .logged = false, .wish = wish};

static bool is_about(const struct landed *landed, const struct spec *spec)
{
	return strcmp(landed->build, spec->build) == 0 && strcmp(landed->namespace, spec->namespace) == 0 &&
		strcmp(landed->project, spec->project) == 0 && strcmp(landed->proposal, spec->proposal) == 0 &&
		strcmp(landed->target, spec->target) == 0;
}

static int check(struct arena *arena, const struct build_row *build, const struct landed *landed, struct err *err)
{
	json_t *json = jsonget_parse(build->spec, strlen(build->spec), NODES, err);
	struct spec spec;
	int done = json ? spec_parse(arena, json, &spec, err) : -1;

	json_decref(json);
	if (done == 0 && !is_about(landed, &spec))
		done = err_set(err, ERR_REFUSED, "the signed answer is about something else than this landing");
	return done;
}

int by_job_read(struct brain *brain, struct arena *arena, const char *line, const struct build_row *build, struct landed *landed,
	struct err *err)
{
	struct crypto_key *key = slave_key_load(brain, arena, landed_slave(arena, line), LANDED_KEY_SUFFIX, err);
	int done = key ? landed_read_line(arena, line, key, landed, err) : -1;

	crypto_key_free(key);
	return done < 0 ? -1 : check(arena, build, landed, err);
}
