/* config: every option, its value and where it came from. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "forge/text.h"
#include "verb/verb.h"

struct printing {
	const char *option;  /* only this one; NULL: all */
	json_t *list;        /* --json; NULL: text */
	const char *section; /* that was printed last */
	unsigned count;
};

static void print_text(struct printing *printing, const struct conf_value *value)
{
	if (printing->option) {
		if (value->value)
			puts(value->value);
		return;
	}
	if (!printing->section || strcmp(printing->section, value->section) != 0) {
		if (*value->section)
			printf("%s[%s]\n", printing->section ? "\n" : "", value->section);
		printing->section = value->section;
	}
	printf("%s = %s  # %s\n", value->option, value->value ? value->value : "", value->value ? value->place : "not set");
}

static int each(const struct conf_value *value, void *cookie)
{
	struct printing *printing = cookie;

	if (printing->option && strcmp(printing->option, value->option) != 0)
		return 0;
	printing->count++;
	if (printing->list)
		json_array_append_new(printing->list,
			json_pack("{s:s, s:s, s:o, s:s}", "section", value->section, "option", value->option, "value",
				value->value ? text_json(value->value) : json_null(), "place", value->place));
	else
		print_text(printing, value);
	return 0;
}

static int print_all(const struct conf *conf, struct printing *printing, struct err *err)
{
	static const char *const kinds[] = {"project", "job", "backing", "account", "slave", "master"};
	struct arena *arena = arena_new();
	int done = conf_each(conf, NULL, each, printing, err);

	for (size_t i = 0; done == 0 && i < sizeof kinds / sizeof kinds[0]; i++)
		for (const char *const *name = conf_sections(conf, arena, kinds[i]); done == 0 && *name; name++)
			done = conf_each(conf, arena_printf(arena, "%s/%s", kinds[i], *name), each, printing, err);
	arena_free(arena);
	return done;
}

/* "project/sample", "hook.listen", "project/sample:target" */
static int print_some(const struct conf *conf, struct printing *printing, const char *what, struct err *err)
{
	struct arena *arena = arena_new();
	const char *colon = strchr(what, ':'), *section = NULL;
	int done;

	if (colon) {
		section = arena_memdup(arena, what, (size_t)(colon - what));
		printing->option = colon + 1;
	} else if (strchr(what, '/')) {
		section = what;
	} else {
		printing->option = what;
	}
	done = conf_each(conf, section, each, printing, err);
	if (done == 0 && printing->count == 0)
		done = err_set(err, ERR_USAGE, "%s: no such option%s%s; byoci config shows all",
			printing->option ? printing->option : what, section ? " in " : "", section ? section : "");
	arena_free(arena);
	return done;
}

int config_verb(const struct verb_call *call)
{
	static const struct verb_option options[] = {{.name = NULL}};
	struct printing printing = {.list = call->json ? json_array() : NULL};
	const char *rest[2];
	struct err err;
	int done = verb_options(call, options, rest, 1, &err);

	if (done == 0)
		done = conf_check(call->conf, &err);
	if (done == 0)
		done = rest[0] ? print_some(call->conf, &printing, rest[0], &err) : print_all(call->conf, &printing, &err);
	if (done == 0 && printing.list) {
		json_dumpf(printing.list, stdout, JSON_INDENT(1));
		putchar('\n');
	}
	json_decref(printing.list);
	return done < 0 ? verb_fail(call, &err) : 0;
}
