#include "slaves/readback.h"

#include <string.h>

#include "base/child.h"
#include "base/jsonget.h"
#include "forge/dialect.h"
#include "forge/outcome.h"
#include "slaves/output.h"

#define READBACK_LIMIT_MS (2 * 60 * 1000)
#define READBACK_MAXIMUM ((size_t)16 * 1024 * 1024)
#define READBACK_NODES 500000
#define READBACK_WORDS 600

static int failed(const struct child_result *result, struct err *err)
{
	struct arena *arena = arena_new();
	const char *words = result->err.data ? result->err.data : "";
	bool away = result->status == outcome_exit(OUTCOME_UNREACHABLE);

	const char *line = output_line(arena, words, strlen(words), READBACK_WORDS);
	err_set(err, away ? ERR_NETWORK : ERR_SYSTEM, "byoci git-read ended with %d: %s", result->status, *line ? line : "it said nothing");
	arena_free(arena);
	return -1;
}

/* Runs it with one argument after the project; what it wrote, in program->arena. */
static char *read_forge(const struct program *program, const char *project, const char *what, size_t *length, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	struct child_result result;
	char *text = NULL;

	const char *libexec = program_option(program, "libexec", err);
	if (!libexec)
		return NULL;
	program_command(program, arena_printf(program->arena, "%s/bin/byoci", libexec), &argv, &environment);
	strv_pushl(&argv, "git-read", "--project", project, what, NULL);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.dies_with_parent = true;
	int done = child_run(&child, &(struct child_input){.maximum = READBACK_MAXIMUM, .limit_ms = READBACK_LIMIT_MS}, &result, err);
	if (done == 0 && result.status != 0)
		done = failed(&result, err);
	if (done == 0) {
		text = arena_memdup(program->arena, result.out.data ? result.out.data : "", result.out.length);
		*length = result.out.length;
	}
	child_result_release(&result);
	strv_release(&argv);
	strv_release(&environment);
	return text;
}

int readback_proposal(const struct program *program, const char *project, const char *name, struct forge_proposal *proposal,
	struct err *err)
{
	size_t length = 0;
	const char *account = program_section_option(program, "project", project, "account", err);
	const char *word = account ? program_section_option(program, "account", account, "dialect", err) : NULL;

	if (!word)
		return -1;
	const struct dialect *dialect = dialect_find(word);
	if (!dialect || !dialect->proposal || strcmp(word, "git") != 0)
		return err_set(err, ERR_CONFIG, "project %s: proposals of the forge %s cannot be read yet", project, word);
	const char *text = read_forge(program, project, name, &length, err);
	if (!text)
		return -1;
	if (dialect->proposal(program->arena, text, length, proposal, err) < 0)
		return err_wrap(err, "what byoci git-read says of %s", name);
	return strcmp(proposal->name, name) == 0 ? 0 : err_set(err, ERR_SYSTEM, "byoci git-read answered for another proposal than %s", name);
}

const char *const *readback_names(const struct program *program, const char *project, struct err *err)
{
	const char **names = NULL;
	json_t *list, *value;
	size_t length = 0, count = 0, i;
	const char *text = read_forge(program, project, "--list", &length, err);
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
