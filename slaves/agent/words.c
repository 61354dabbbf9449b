#include "slaves/agent/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"

#define WORDS_NODES 10000
#define BUILD_MAXIMUM 128

/* What a job may set, and where masters say how they are reached. */
static const char *const names[] = {"BRAIN_BUILD", "SPEC", "RESULT", "FORCE", "JENKINS_URL", "HUDSON_URL"};

static const char *word(const char *name, struct err *err)
{
	const char *text = getenv(name);

	if (!text)
		return "";
	if (strlen(text) >= WORDS_MAXIMUM) {
		err_set(err, ERR_INPUT, "%s: more than %d bytes", name, WORDS_MAXIMUM - 1);
		return NULL;
	}
	return text;
}

static int read_force(const char *text, bool *force, struct err *err)
{
	static const struct {
		const char *word;
		bool value;
	} rows[] = {{"", false}, {"no", false}, {"false", false}, {"off", false}, {"0", false}, {"yes", true}, {"true", true}, {"on", true},
		{"1", true}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strcmp(rows[i].word, text) == 0) {
			*force = rows[i].value;
			return 0;
		}
	return err_set(err, ERR_INPUT, "FORCE: neither yes nor no");
}

/* An id of a build, or what the brain calls a landing: a word without anything that a log or a shell could take for more. */
static bool is_build(const char *text)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-";
	size_t length = strspn(text, good);

	return length > 0 && length <= BUILD_MAXIMUM && !text[length];
}

static int read_spec(struct arena *arena, const char *text, const char *project, struct words *words, struct err *err)
{
	words->json = jsonget_parse(text, strlen(text), WORDS_NODES, err);
	if (!words->json || spec_parse(arena, words->json, &words->spec, err) < 0)
		return err_wrap(err, "SPEC");
	if (project && strcmp(words->spec.project, project) != 0)
		return err_set(err, ERR_INPUT, "SPEC: it is for project %.64s, and this is a job of %.64s", words->spec.project, project);
	return 0;
}

int words_read(struct arena *arena, const char *project, struct words *words, struct err *err)
{
	const char *spec, *force;

	*words = (struct words){.json = NULL};
	if (!(words->build = word("BRAIN_BUILD", err)) || !(words->result = word("RESULT", err)) || !(spec = word("SPEC", err)) ||
		!(force = word("FORCE", err)) || read_force(force, &words->force, err) < 0)
		return -1;
	if (*words->build && !is_build(words->build))
		return err_set(err, ERR_INPUT, "BRAIN_BUILD: not the id of a build");
	if (!*words->build != !*spec)
		return err_set(err, ERR_INPUT, "BRAIN_BUILD and SPEC: there are both, or none of them");
	return *spec ? read_spec(arena, spec, project, words, err) : 0;
}

void words_release(struct words *words)
{
	json_decref(words->json);
	words->json = NULL;
}

void words_pass(struct strv *environment)
{
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (getenv(names[i]))
			strv_pushf(environment, "%s=%s", names[i], getenv(names[i]));
}
