#include "jobs/jenkins_fill.h"

#include <string.h>

#include "forge/text.h"

struct fill {
	const struct conf *conf;
	struct arena *arena;
	const struct site *site;
	const char *program; /* quoted */
	int64_t builds;
};

const char *jenkins_fill_mark_begin(const struct conf *conf, struct arena *arena)
{
	return arena_printf(arena, "(byoci, namespace %s:", conf_namespace(conf));
}

const char *jenkins_fill_mark(const struct conf *conf, struct arena *arena)
{
	return arena_printf(arena, "%s byoci jenkins sync undoes changes.)", jenkins_fill_mark_begin(conf, arena));
}

const char *jenkins_fill_label(const struct conf *conf, struct arena *arena, const char *kind)
{
	return arena_printf(arena, "byoci-%s-%s", conf_namespace(conf), kind);
}

char *jenkins_fill_quote(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, strlen(text) * 4 + 3), *to = out;

	*to++ = '\'';
	for (; *text; text++) {
		*to++ = *text;
		if (*text == '\'') {
			*to++ = '\\';
			*to++ = '\'';
			*to++ = '\'';
		}
	}
	*to = '\'';
	return out;
}

/* A value of a template: its braces are no names of others. */
static json_t *value(const struct fill *fill, const char *text)
{
	char *out = arena_alloc(fill->arena, strlen(text) * 2 + 1), *to = out;

	for (; *text; text++) {
		if (*text == '{' || *text == '}')
			*to++ = *text;
		*to++ = *text;
	}
	return text_json(out);
}

/* As a regular expression of Java's: what might mean something else has a backslash. */
static const char *pattern(const struct fill *fill, const char *name)
{
	char *out = arena_alloc(fill->arena, strlen(name) * 2 + 1), *to = out;

	for (; *name; name++) {
		if (strchr(".^$*+?()[]{}|\\#&", *name))
			*to++ = '\\';
		*to++ = *name;
	}
	return out;
}

/* What each has. `place` stands before the names: our folder, too. */
static json_t *common(const struct fill *fill, const char *name, const char *jobs, const char *view)
{
	const struct site *site = fill->site;
	const char *place = arena_printf(fill->arena, "%s%s%s", site->folder, *site->folder ? "/" : "", site->prefix);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "name", name, "prefix", value(fill, place),
		"namespace", value(fill, conf_namespace(fill->conf)), "mark", value(fill, jenkins_fill_mark(fill->conf, fill->arena)),
		"program", value(fill, fill->program), "test", value(fill, jenkins_fill_label(fill->conf, fill->arena, "test")), "land",
		value(fill, jenkins_fill_label(fill->conf, fill->arena, "land")), "pattern", value(fill, pattern(fill, site->prefix)),
		"builds", (json_int_t)fill->builds, "jobs", jobs ? json_pack("[s]", jobs) : json_array(), "views",
		view ? json_pack("[s]", view) : json_array());
}

static void add(json_t *all, json_t *project)
{
	json_array_append_new(all, json_pack("{s:o}", "project", project));
}

/* Whether there are several gated branches. */
static bool has_several(const struct fill *fill, const char *project)
{
	const char *const *targets;
	struct err ignored;

	return conf_list(fill->conf, fill->arena, arena_printf(fill->arena, "project/%s", project), "target", &targets, &ignored) == 0 &&
		targets[0] && targets[1];
}

static unsigned add_projects(const struct fill *fill, json_t *all)
{
	unsigned count = 0;

	for (const char *const *name = conf_sections(fill->conf, fill->arena, "project"); *name; name++) {
		const char *master = site_of_project(fill->conf, fill->arena, *name);
		json_t *project;

		if (!master || strcmp(master, fill->site->name) != 0)
			continue;
		project = common(fill, arena_printf(fill->arena, "project-%s", *name), "byoci-project", "{prefix}{project}");
		json_object_set_new(project, "project", value(fill, *name));
		json_object_set_new(project, "concurrent", json_boolean(has_several(fill, *name)));
		json_object_set_new(project, "pattern",
			value(fill, pattern(fill, arena_printf(fill->arena, "%s%s", fill->site->prefix, *name))));
		add(all, project);
		count++;
	}
	return count;
}

static int add_slaves(const struct fill *fill, json_t *all, struct err *err)
{
	const char *const *names = site_slaves(fill->conf, fill->arena, err);

	if (!names)
		return -1;
	for (; *names; names++) {
		json_t *slave = common(fill, arena_printf(fill->arena, "slave-%s", *names), "byoci-slave", NULL);

		json_object_set_new(slave, "slave", value(fill, *names));
		add(all, slave);
	}
	return 0;
}

json_t *jenkins_fill(const struct conf *conf, struct arena *arena, const struct site *site, struct err *err)
{
	struct fill fill = {.conf = conf, .arena = arena, .site = site};
	const char *libexec;
	json_t *all;

	if (conf_text(conf, NULL, "libexec", &libexec, err) < 0 || conf_integer(conf, NULL, "master.builds", &fill.builds, err) < 0)
		return NULL;
	fill.program = jenkins_fill_quote(arena, arena_printf(arena, "%s/bin/byoci-slave", libexec));
	all = json_array();
	if (!add_projects(&fill, all) && *site->name)
		return all;
	add(all, common(&fill, "namespace", NULL, "{prefix}all"));
	if (add_slaves(&fill, all, err) < 0) {
		json_decref(all);
		return NULL;
	}
	return all;
}
