#include "master/site.h"

#include "tests/tap.h"
#include "tests/tmp.h"

static struct arena *arena;
static struct err err;

/* A site of a configuration's text; its error's text goes to `err`. */
static int load(const char *text, const char *name, struct site *site)
{
	const struct conf_source source = {
		.namespace = "testing", .files = (const char *const[]){tmp_text("c", text, 0644), NULL}};
	struct conf *conf = NULL;
	int done;

	err_clear(&err);
	done = conf_load(&conf, &source, &err) < 0 ? -1 : site_load(conf, arena, name, site, &err);
	conf_free(conf);
	return done;
}

static void test_own(void)
{
	struct site site;

	ok(load("[testing]\n", "", &site) == 0, "a namespace has no master");
	ok(load("[testing]\nmaster.url = http://h:8080/ci\n", "", &site) == 1, "but when it has an address");
	is(site.url, "http://h:8080/ci/", "which ends with a slash");
	is(site.prefix, "testing-", "jobs begin with the namespace");
	ok(!site.user && !*site.folder && site.at_once == 4 && site.limit_ms == 20000, "as nobody, at the root, with bounds");
	is(site_job_path(&site, arena, site_job(&site, arena, "sample", "gate")), "job/testing-sample-gate", "the path of a job");
	load("[testing]\nmaster.url = http://h/\nmaster.folder = A b/C\n", "", &site);
	is(site_job_path(&site, arena, "x y"), "job/A%20b/job/C/job/x%20y", "and in folders");
	is(site_folder_path(&site, arena), "job/A%20b/job/C/", "the path of the folder");
}

static void test_further(void)
{
	struct site site;

	ok(load("[testing]\n[master/big]\nurl = https://h/\nuser = ann\nat.once = 9\n", "big", &site) == 1, "a further master");
	is(site.name, "big", "by its name");
	ok(strstr(site.secret, "/brain/master-big"), "with a secret of its own");
	ok(site.at_once == 9, "and its own bounds");
	ok(load("[testing]\n[master/big]\nuser = ann\n", "big", &site) < 0, "it must have an address");
	ok(load("[testing]\n", "none", &site) < 0, "one that is not there");
}

static void test_wrong(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"[testing]\nmaster.url = ssh://h/\n", "no address of a master"},
		{"[testing]\nmaster.url = http://h/?a\n", "no ? and no #"},
		{"[testing]\nmaster.url = http://h/\nmaster.folder = A//B\n", "folder"},
		{"[testing]\nmaster.url = http://h/\nmaster.folder = ../x\n", "folder"},
		{"[testing]\nmaster.url = http://h/\nmaster.prefix = a/b\n", "prefix"},
		{"[testing]\nmaster.url = http://h/\nmaster.user = a:b\n", "colon"},
	};
	struct site site;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ok(load(rows[i].text, "", &site) < 0 && strstr(err.text, rows[i].says), rows[i].says);
}

static const char *master_of(const char *text)
{
	const struct conf_source source = {
		.namespace = "testing", .files = (const char *const[]){tmp_text("c", text, 0644), NULL}};
	struct conf *conf = NULL;
	const char *name = "ERROR";

	if (conf_load(&conf, &source, &err) == 0)
		name = site_of_project(conf, arena, "p");
	conf_free(conf);
	return name;
}

static bool has_us(const char *text)
{
	const struct conf_source source = {
		.namespace = "testing", .files = (const char *const[]){tmp_text("c", text, 0644), NULL}};
	struct conf *conf = NULL;
	bool us = conf_load(&conf, &source, &err) == 0 && site_has_us(conf, arena);

	conf_free(conf);
	return us;
}

static void test_us(void)
{
	ok(has_us("[testing]\n"), "without slaves of masters, builds are here");
	ok(has_us("[testing]\nslave.name = one\n[slave/one]\n[slave/two]\n"), "and when this machine's is one of them");
	ok(!has_us("[testing]\nslave.name = one\n[slave/two]\n"), "but not else");
}

static void test_project(void)
{
#define PROJECT "[project/p]\nrepository = ssh://h/p.git\njobs = unit\n[job/unit]\nbacking = b\ntests.command = true\n"
	is(master_of("[testing]\n" PROJECT), NULL, "a project without a master");
	is(master_of("[testing]\nmaster.url = http://h/\n" PROJECT), "", "on the namespace's");
	is(master_of("[testing]\n" PROJECT "master = big\n[master/big]\nurl = http://h/\n"), "big", "on one that its job names");
	is(master_of("[testing]\nmaster.url = http://h/\n" PROJECT "master = big\n[master/big]\nurl = http://h/\n"), "big", "even so");
}

int main(void)
{
	tmp_make();
	arena = arena_new();
	test_own();
	test_further();
	test_wrong();
	test_project();
	test_us();
	arena_free(arena);
	return tap_done();
}
