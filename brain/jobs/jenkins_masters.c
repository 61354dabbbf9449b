#include "jobs/jenkins.h"

const char *const *jenkins_masters(const struct conf *conf, struct arena *arena, struct err *err)
{
	const char *const *sections = conf_sections(conf, arena, "master");
	struct site site;
	size_t count = 0, used = 0;
	const char **names;
	int own = site_load(conf, arena, "", &site, err);

	if (own < 0)
		return NULL;
	while (sections[count])
		count++;
	names = arena_alloc(arena, (count + 2) * sizeof *names);
	if (own)
		names[used++] = "";
	for (size_t i = 0; i < count; i++)
		names[used++] = sections[i];
	return names;
}

struct master *jenkins_masters_open(struct jenkins *jenkins, const char *name, struct site *site, struct err *err)
{
	struct master *master;
	json_t *answer;

	if (site_load(jenkins->conf, jenkins->arena, name, site, err) < 0)
		return NULL;
	master = master_new(site, NULL, err);
	if (!master)
		return NULL;
	answer = master_get_json(master, "api/json?tree=mode", err);
	if (!answer) {
		master_free(master);
		return NULL;
	}
	json_decref(answer);
	/* Hudson says which one it is on its first page only. */
	if (!*master_version(master)) {
		const struct master_request request = {.path = ""};
		struct http_reply reply;
		struct err ignored;

		(void)master_once(master, &request, jenkins->arena, &reply, &ignored);
	}
	return master;
}

const char *jenkins_masters_dialect(struct arena *arena, struct master *master)
{
	const char *name = master_dialect(master) == MASTER_JENKINS ? "Jenkins" : "Hudson", *version = master_version(master);

	return arena_printf(arena, "%s%s%s", name, *version ? " " : "", version);
}
