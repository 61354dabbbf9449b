#include "verb/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forge/outcome.h"

static const enum outcome outcomes[] = {
	[ERR_NONE] = OUTCOME_INFRASTRUCTURE,
	[ERR_USAGE] = OUTCOME_USAGE,
	[ERR_CONFIG] = OUTCOME_USAGE,
	[ERR_SYSTEM] = OUTCOME_INFRASTRUCTURE,
	[ERR_INPUT] = OUTCOME_INFRASTRUCTURE,
	[ERR_REFUSED] = OUTCOME_REFUSED,
	[ERR_NOT_FOUND] = OUTCOME_USAGE,
	[ERR_CONFLICT] = OUTCOME_CONFLICT,
	[ERR_MOVED] = OUTCOME_MOVED,
	[ERR_BUSY] = OUTCOME_INFRASTRUCTURE,
	[ERR_FULL] = OUTCOME_INFRASTRUCTURE,
	[ERR_TIMEOUT] = OUTCOME_TIMEOUT,
	[ERR_NETWORK] = OUTCOME_UNREACHABLE,
};

int verb_status(const struct err *err)
{
	return outcome_exit(outcomes[err->kind]);
}

int verb_fail(const struct verb_call *call, const struct err *err)
{
	fprintf(stderr, "byoci %s: %s\n", call->verb, err->text);
	if (err->wait)
		printf("{\"wait\":%d}\n", err->wait);
	return verb_status(err);
}

/* The value that stands in `argument` itself; NULL: the next argument is it. */
static const char *value_within(const char *argument, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(argument, "--", 2) == 0)
		return argument[length] == '=' ? argument + length + 1 : NULL;
	return argument[length] ? argument + length : NULL;
}

/* "-m", "-mTEXT", "--name", "--name=TEXT" */
static bool is_option(const char *argument, const char *name)
{
	size_t length = name ? strlen(name) : 0;

	if (!name || strncmp(argument, name, length) != 0)
		return false;
	return argument[length] == '\0' || argument[length] == '=' || strncmp(name, "--", 2) != 0;
}

static const struct verb_option *find(const struct verb_option *options, const char *argument, const char **name)
{
	for (; options->name; options++) {
		if (is_option(argument, options->name)) {
			*name = options->name;
			return options;
		}
		if (is_option(argument, options->other)) {
			*name = options->other;
			return options;
		}
	}
	return NULL;
}

/* Takes the option at argv[i]; the number of arguments that it is, or -1. */
static int take(const struct verb_call *call, const struct verb_option *options, int i, struct err *err)
{
	const char *argument = call->argv[i], *name, *value;
	const struct verb_option *option = find(options, argument, &name);

	if (!option)
		return err_set(err, ERR_USAGE, "%s: no such option; see byoci %s --help", argument, call->verb);
	value = value_within(argument, name);
	if (option->flag)
		*option->flag = true;
	if (!option->value)
		return value ? err_set(err, ERR_USAGE, "%s: takes no value; see byoci %s --help", name, call->verb) : 1;
	if (!value && i + 1 >= call->argc)
		return err_set(err, ERR_USAGE, "%s: needs a value; see byoci %s --help", name, call->verb);
	*option->value = value ? value : call->argv[i + 1];
	return value ? 1 : 2;
}

int verb_options(const struct verb_call *call, const struct verb_option *options, const char **rest, int room, struct err *err)
{
	bool all = false;
	int count = 0;

	for (int i = 0, taken; i < call->argc; i += taken) {
		const char *argument = call->argv[i];

		taken = 1;
		if (!all && strcmp(argument, "--") == 0) {
			all = true;
			continue;
		}
		if (all || argument[0] != '-' || argument[1] == '\0') {
			if (count >= room)
				return err_set(err, ERR_USAGE, "%s: one argument too many; see byoci %s --help", argument, call->verb);
			rest[count++] = argument;
			continue;
		}
		taken = take(call, options, i, err);
		if (taken < 0)
			return -1;
	}
	rest[count] = NULL;
	return 0;
}

const char *verb_root(void)
{
	const char *root = secure_getenv("BYOCI_ROOT");

	return root ? root : "";
}
