#include "jobs/jenkins_fill.h"

#include "base/jsonget.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static struct arena *arena;

#define BASE \
	"[job/unit]\nbacking = b\ntests.command = true\n[job/other]\nbacking = b\ntests.command = true\nmaster = second\n[backing/b]\n" \
	"[project/one]\nrepository = ssh://g@h:1/one.git\njobs = unit\n[project/two]\nrepository = ssh://g@h:1/two.git\njobs = other\n" \
	"[master/second]\nurl = http://h2:2/\nprefix = x-\nfolder = A/B\n[testing]\nmaster.url = http://h:1\n"

static struct conf *load(const char *more)
{
	const char *text = arena_printf(arena, "%s%s", BASE, more);
	const struct conf_source source = {.namespace = "testing",
		.files = (const char *const[]){tmp_file("conf", text, strlen(text), 0644), NULL}};
	struct conf *conf = NULL;
	struct err err;

	if (conf_load(&conf, &source, &err) < 0)
		printf("# %s\n", err.text);
	return conf;
}

/* The project of that name of what is filled for a master; borrowed. */
static json_t *filled(const struct conf *conf, const char *master, const char *name)
{
	static json_t *all;
	struct site site;
	struct err err;
	json_t *row;
	size_t i;

	json_decref(all);
	all = site_load(conf, arena, master, &site, &err) == 1 || *master ? jenkins_fill(conf, arena, &site, &err) : NULL;
	json_array_foreach(all, i, row) if (!name ||
		strcmp(jsonget_string_or(json_object_get(row, "project"), "name", ""), name) == 0) return json_object_get(row, "project");
	return NULL;
}

static const char *text(const json_t *project, const char *key)
{
	return jsonget_string_or(project, key, NULL);
}

static void test_masters(void)
{
	struct conf *conf = load("");

	is(text(filled(conf, "", "project-one"), "prefix"), "testing-", "a project of the namespace's master");
	is(text(filled(conf, "", "project-one"), "pattern"), "testing-one", "its names, for a view");
	is(text(filled(conf, "", "project-one"), "test"), "byoci-testing-test", "where it is tested");
	ok(json_is_false(json_object_get(filled(conf, "", "project-one"), "concurrent")), "one target, one build at a time");
	ok(!filled(conf, "", "project-two"), "a project of another is not there");
	is(text(filled(conf, "second", "project-two"), "prefix"), "A/B/x-", "but here, in its folder");
	is(text(filled(conf, "", "slave-local"), "slave"), "local", "the slave of this machine");
	conf_free(conf);
	conf = load("[project/one]\ntarget = main, old\n");
	ok(json_is_true(json_object_get(filled(conf, "", "project-one"), "concurrent")), "two targets, two");
	conf_free(conf);
	conf = load("[slave/a]\n[slave/b]\n");
	ok(filled(conf, "", "slave-a") && filled(conf, "", "slave-b") && !filled(conf, "", "slave-local"), "slaves that are named");
	conf_free(conf);
}

static void test_unused(void)
{
	struct conf *conf = load("[job/other]\nmaster =\n");

	ok(filled(conf, "", "project-two") && !filled(conf, "second", NULL), "nothing for a master without projects, not even slaves");
	conf_free(conf);
}

static void test_odd(void)
{
	struct conf *conf = load("libexec = /opt/it's $HOME `x` \"<&>\\{y\\}\n");

	is(text(filled(conf, "", "project-one"), "program"), "'/opt/it'\\''s $HOME `x` \"<&>{{y}}/bin/byoci-slave'",
		"one word for a shell, and no name for the builder");
	is(jenkins_fill_quote(arena, "''"), "''\\'''\\'''", "only quotes");
	is(jenkins_fill_quote(arena, ""), "''", "nothing");
	conf_free(conf);
	conf = load("master.prefix = a.b+(c)-\n");
	is(text(filled(conf, "", "project-one"), "pattern"), "a\\.b\\+\\(c\\)-one", "a name as a regular expression");
	conf_free(conf);
}

int main(void)
{
	tmp_make();
	arena = arena_new();
	test_masters();
	test_unused();
	test_odd();
	arena_free(arena);
	return tap_done();
}
