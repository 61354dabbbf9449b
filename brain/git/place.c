#include "git/place.h"

#include <stdio.h>
#include <string.h>

#include "forge/proposal.h"

#define HEADS "refs/heads/"

static const char *joined(struct arena *arena, const char *const *texts)
{
	const char *all = "";

	for (; *texts; texts++)
		all = arena_printf(arena, "%s%s%s", all, *all ? ", " : "", *texts);
	return all;
}

static int load(const struct conf *conf, struct arena *arena, const char *name, struct place *place, struct err *err)
{
	struct place found = {.name = name, .section = arena_printf(arena, "project/%s", name)};
	const struct {
		const char *option;
		const char **to;
	} texts[] = {{"repository", &found.repository}, {"repository.read", &found.read}, {"account", &found.account},
		{"allowed_signers", &found.allowed_signers}};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (conf_text(conf, found.section, texts[i].option, texts[i].to, err) < 0)
			return -1;
	if (conf_list(conf, arena, found.section, "target", &found.targets, err) < 0)
		return -1;
	if (!found.targets[0])
		return err_set(err, ERR_CONFIG, "[%s] target: it is empty; name the branch that proposals land on", found.section);
	found.identity = forge_identity(arena, found.repository);
	if (!found.identity)
		return err_set(err, ERR_CONFIG, "[%s] repository: %s is not an address; ssh://USER@HOST:PORT/NAME.git would be one",
			found.section, found.repository);
	*place = found;
	return 0;
}

int place_find(const struct conf *conf, struct arena *arena, const char *name, struct place *place, struct err *err)
{
	const char *const *names = conf_sections(conf, arena, "project");

	if (!names[0])
		return err_set(err, ERR_NOT_FOUND, "the configuration has no [project/NAME] section");
	if (!name && names[1])
		return err_set(err, ERR_USAGE, "say which project: --project with one of %s", joined(arena, names));
	if (!name)
		return load(conf, arena, names[0], place, err);
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return load(conf, arena, *names, place, err);
	return err_set(err, ERR_NOT_FOUND, "no project %s; there is %s", name, joined(arena, conf_sections(conf, arena, "project")));
}

int place_of_path(const struct conf *conf, struct arena *arena, const char *path, struct place *place, struct err *err)
{
	for (const char *const *names = conf_sections(conf, arena, "project"); *names; names++) {
		if (load(conf, arena, *names, place, err) < 0)
			return -1;
		if (strcmp(strchr(place->identity, '/') + 1, path) == 0)
			return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "no project has a repository of the path %s", path);
}

bool place_has_target(const struct place *place, const char *ref)
{
	for (const char *const *target = place->targets; *target; target++)
		if (strcmp(*target, ref) == 0)
			return true;
	return false;
}

int place_target(const struct place *place, const char *name, const char **ref, struct err *err)
{
	struct arena *arena;

	for (const char *const *target = place->targets; *target; target++)
		if (!name || strcmp(*target, name) == 0 ||
			(strncmp(*target, HEADS, strlen(HEADS)) == 0 && strcmp(*target + strlen(HEADS), name) == 0)) {
			*ref = *target;
			return 0;
		}
	arena = arena_new();
	err_set(err, ERR_USAGE, "%s is not a target of project %s; those are %s", name, place->name, joined(arena, place->targets));
	arena_free(arena);
	return -1;
}
