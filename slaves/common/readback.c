#include "slaves/common/readback.h"

#include <string.h>

#include "base/child.h"
#include "base/jsonget.h"
#include "forge/launchpad.h"
#include "forge/outcome.h"
#include "slaves/common/output.h"

#define READBACK_LIMIT_MS (20 * 60 * 1000) /* the first time, all of a repository is fetched */
#define READBACK_MAXIMUM ((size_t)16 * 1024 * 1024)
#define READBACK_NODES 500000
#define READBACK_WAIT_MAXIMUM 3600 /* seconds */
#define READBACK_WORDS 600

/* Seconds that the forge asked to be left alone for, as the verb printed them. */
static int asked_wait(const struct child_result *result)
{
	struct err ignored;
	json_t *json = jsonget_parse(result->out.data ? result->out.data : "", result->out.length, READBACK_NODES, &ignored);
	int64_t seconds = jsonget_integer_or(json, "wait", 0);

	json_decref(json);
	return seconds > 0 && seconds <= READBACK_WAIT_MAXIMUM ? (int)seconds : 0;
}

static int failed(const char *verb, const struct child_result *result, struct err *err)
{
	struct arena *arena = arena_new();
	const char *words = result->err.data ? result->err.data : "";
	bool away = result->status == outcome_exit(OUTCOME_UNREACHABLE), refused = result->status == outcome_exit(OUTCOME_REFUSED);

	const char *line = output_line(arena, words, strlen(words), READBACK_WORDS);
	err_set(err, away ? ERR_NETWORK : refused ? ERR_REFUSED : ERR_SYSTEM, "byoci %s ended with %d: %s", verb, result->status,
		*line ? line : "it said nothing");
	err->wait = away ? asked_wait(result) : 0;
	arena_free(arena);
	return -1;
}

char *readback_run(const struct program *program, const struct readback_verb *verb, size_t *length, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	struct child_result result;
	char *text = NULL;

	const char *libexec = program_option(program, "libexec", err);
	if (!libexec)
		return NULL;
	program_command(program, arena_printf(program->arena, "%s/bin/byoci", libexec), &argv, &environment);
	strv_pushl(&argv, verb->verb, "--project", verb->project, verb->what, verb->option, NULL);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.dies_with_parent = true;
	const struct child_input input = {.bytes = verb->input,
		.length = verb->input ? strlen(verb->input) : 0,
		.maximum = READBACK_MAXIMUM,
		.limit_ms = verb->limit_ms ? verb->limit_ms : READBACK_LIMIT_MS};
	int done = child_run(&child, &input, &result, err);
	if (done == 0 && result.status != 0)
		done = failed(verb->verb, &result, err);
	if (done == 0) {
		text = arena_memdup(program->arena, result.out.data ? result.out.data : "", result.out.length);
		*length = result.out.length;
	}
	child_result_release(&result);
	strv_release(&argv);
	strv_release(&environment);
	return text;
}

const struct dialect *readback_dialect(const struct program *program, const char *project, struct err *err)
{
	const char *account = program_section_option(program, "project", project, "account", err);
	const char *word = account ? program_section_option(program, "account", account, "dialect", err) : NULL;
	const struct dialect *dialect = word ? dialect_find(word) : NULL;

	if (dialect && dialect->proposal && dialect->reader)
		return dialect;
	if (word)
		err_set(err, ERR_CONFIG, "project %s: proposals of the forge %s cannot be read yet", project, word);
	return NULL;
}

int readback_proposal(const struct program *program, const struct readback *which, struct forge_proposal *proposal, struct err *err)
{
	const struct dialect *dialect = readback_dialect(program, which->project, err);
	const char *name = which->name;
	size_t length = 0;

	if (!dialect)
		return -1;
	struct readback_verb verb = {.verb = dialect->reader, .project = which->project, .what = name, .option = dialect->anew};
	if (dialect->by_name && which->from)
		verb.what = launchpad_place(program->arena, forge_path(which->from), name);
	const char *text = readback_run(program, &verb, &length, err);
	if (!text)
		return -1;
	if (dialect->proposal(program->arena, text, length, proposal, err) < 0)
		return err_wrap(err, "what byoci %s says of %s", verb.verb, name);
	if (strcmp(proposal->name, name) != 0)
		return err_set(err, ERR_SYSTEM, "byoci %s answered for another proposal than %s", verb.verb, name);
	return 0;
}

const char *const *readback_names(const struct program *program, const char *project, struct err *err)
{
	const char **names = NULL;
	json_t *list, *value;
	size_t length = 0, count = 0, i;
	const struct dialect *dialect = readback_dialect(program, project, err);
	const struct readback_verb verb = {.verb = dialect ? dialect->reader : NULL, .project = project, .what = "--list",
		.option = dialect ? dialect->anew : NULL};
	const char *text = dialect ? readback_run(program, &verb, &length, err) : NULL;
	json_t *json = text ? jsonget_parse(text, length, READBACK_NODES, err) : NULL;

	if (!json || jsonget_array(json, "proposals", &list, err) < 0)
		goto err0;
	names = arena_alloc(program->arena, (json_array_size(list) + 1) * sizeof *names);
	json_array_foreach(list, i, value) {
		const char *name = jsonget_string_or(value, "name", "");
		if (forge_name_valid(name))
			names[count++] = arena_strdup(program->arena, name);
	}
err0:
	json_decref(json);
	return names;
}
