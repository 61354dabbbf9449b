#include "proposal/project.h"

#include <string.h>

#define HEADS "refs/heads/"

static const char *section_of(struct arena *arena, const char *project)
{
	return arena_printf(arena, "project/%s", project);
}

/* What events call its repository: its identity, or the path alone, which an option may say differently. */
static const char *name_of(const struct conf *conf, struct arena *arena, const char *section, bool by_name)
{
	const char *repository, *name = NULL, *identity;
	struct err ignored;

	if (conf_text(conf, section, "repository", &repository, &ignored) < 0)
		return NULL;
	identity = forge_identity(arena, repository);
	if (!by_name || !identity)
		return identity;
	return conf_text(conf, section, "launchpad.name", &name, &ignored) == 0 && name ? name : forge_path(identity);
}

const char *project_find(const struct conf *conf, struct arena *arena, const char *account, const char *repository, bool by_name)
{
	const char *const *names = conf_sections(conf, arena, "project");
	struct err ignored;

	for (; *names; names++) {
		const char *section = section_of(arena, *names), *own, *name = name_of(conf, arena, section, by_name);

		if (name && conf_text(conf, section, "account", &own, &ignored) == 0 && strcmp(own, account) == 0 &&
			strcmp(name, repository) == 0)
			return *names;
	}
	return NULL;
}

bool project_exists(const struct conf *conf, struct arena *arena, const char *project)
{
	return conf_has_section(conf, section_of(arena, project));
}

const struct dialect *project_dialect(const struct conf *conf, struct arena *arena, const char *project, struct err *err)
{
	const char *account, *name;
	const struct dialect *dialect;

	if (!project_exists(conf, arena, project)) {
		err_set(err, ERR_NOT_FOUND, "%s is no project any more", project);
		return NULL;
	}
	if (conf_text(conf, section_of(arena, project), "account", &account, err) < 0 ||
		conf_text(conf, arena_printf(arena, "account/%s", account), "dialect", &name, err) < 0)
		return NULL;
	dialect = dialect_find(name);
	if (!dialect)
		err_set(err, ERR_CONFIG, "account %s: this byoci does not speak %s", account, name);
	return dialect;
}

bool project_gates(const struct conf *conf, struct arena *arena, const char *project, const char *target)
{
	const char *const *targets;
	struct err ignored;

	if (!project_exists(conf, arena, project) ||
		conf_list(conf, arena, section_of(arena, project), "target", &targets, &ignored) < 0)
		return false;
	for (; *targets; targets++) {
		const char *full = strncmp(*targets, "refs/", 5) == 0 ? *targets : arena_printf(arena, HEADS "%s", *targets);

		if (strcmp(full, target) == 0)
			return true;
	}
	return false;
}

int project_criteria(const struct conf *conf, struct arena *arena, const char *project, int64_t now,
	struct approve_criteria *criteria, struct err *err)
{
	const char *section = section_of(arena, project);
	const char *const *own, *account;
	const char **never;
	size_t count = 0;
	int64_t needed;

	if (conf_integer(conf, section, "approvals", &needed, err) < 0 ||
		conf_boolean(conf, section, "approvals.self", &criteria->self, err) < 0 ||
		conf_text(conf, section, "account", &account, err) < 0 ||
		conf_list(conf, arena, arena_printf(arena, "account/%s", account), "own.names", &own, err) < 0)
		return -1;
	while (own && own[count])
		count++;
	never = arena_alloc(arena, (count + 3) * sizeof *never);
	if (conf_text(conf, NULL, "brain.principal", &never[0], err) < 0 ||
		conf_text(conf, NULL, "landing.principal", &never[1], err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		never[i + 2] = own[i];
	criteria->needed = (unsigned)needed;
	criteria->never = never;
	criteria->now = now;
	return 0;
}
