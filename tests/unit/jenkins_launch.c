#include "jobs/jenkins_launch.h"

#include <stdlib.h>

#include "base/jsonget.h"
#include "jobs/jenkins_fill.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static struct arena *arena;

static struct conf *load(const char *more)
{
	const char *text = arena_printf(arena, "[testing]\nmaster.url = http://h:1\n%s", more);
	const struct conf_source source = {.namespace = "testing",
		.files = (const char *const[]){tmp_file("conf", text, strlen(text), 0644), NULL}};
	struct conf *conf = NULL;
	struct err err;

	if (conf_load(&conf, &source, &err) < 0)
		printf("# %s\n", err.text);
	return conf;
}

static const char *wrong(const char *more)
{
	struct conf *conf = load(more);
	struct jenkins_node nodes[2];
	struct err err = {.text = "right"};

	(void)jenkins_launch_nodes(conf, arena, "a", false, nodes, &err);
	conf_free(conf);
	return arena_strdup(arena, err.text);
}

static void test_nodes(void)
{
	struct conf *conf = load("[slave/a]\naddress = h2:2222\nuser = u\nlabels = big, fast\nwork = /w\n");
	struct jenkins_node nodes[2], inbound[2];
	struct err err;

	ok(jenkins_launch_nodes(conf, arena, "a", false, nodes, &err) == 0, "a slave has nodes");
	is(nodes[0].name, "a", "one tests");
	is(nodes[1].name, "a-land", "one lands");
	is(nodes[0].labels, "byoci-testing-test big fast", "its labels");
	is(nodes[1].labels, "byoci-testing-land big fast", "the other's");
	is(nodes[0].work, "/w/a", "a folder of its own");
	ok(strstr(nodes[0].command, " -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/etc/byoci/testing/slave_hosts "),
		"the host's key is pinned");
	ok(strstr(nodes[0].command, " -p 2222 u@h2 agent"), "where it is");
	ok(jenkins_launch_nodes(conf, arena, "a", true, inbound, &err) == 0 && !inbound[0].command, "one that comes by itself");
	ok(strcmp(inbound[0].about, nodes[0].about) != 0, "how it is started is in the digest");
	ok(strstr(nodes[0].about, jenkins_fill_mark_begin(conf, arena)), "it says that it is ours");
	ok(jenkins_launch_nodes(conf, arena, "b", true, inbound, &err) < 0 && err.kind == ERR_NOT_FOUND, "no such slave");
	conf_free(conf);
}

static void test_addresses(void)
{
	is(wrong("[slave/a]\naddress = h\n"), "right", "a host alone");
	is(wrong("[slave/a]\naddress = [::1]:22\n"), "right", "IPv6");
	ok(strstr(wrong("[slave/a]\naddress = h:\n"), "is no HOST or HOST:PORT"), "no port");
	ok(strstr(wrong("[slave/a]\naddress = h:2x\n"), "is no HOST or HOST:PORT"), "a port with a letter");
	ok(strstr(wrong("[slave/a]\naddress = -oProxyCommand=x\n"), "can't be a word"), "an option of ssh's");
	ok(strstr(wrong("[slave/a]\naddress = h;id\n"), "can't be a word"), "a command");
	ok(strstr(wrong("master.key = /a \"b\"\n[slave/a]\naddress = h\n"), "master.key: "), "a key that would be two words");
}

static void test_config(void)
{
	const char *xml = "<slave><name>a</name><description>x</description><launcher class=\"hudson.slaves.JNLPLauncher\"><tunnel>t</tunnel></launcher>"
		"<retentionStrategy class=\"hudson.slaves.RetentionStrategy$Demand\"><idleDelay>1</idleDelay></retentionStrategy>"
		"<nodeProperties><theirs/></nodeProperties></slave>";
	const struct jenkins_node node = {"a", "ours", "/w", "l", NULL, "hudson.slaves.JNLPLauncher"};
	struct err err;
	struct jenkins_xml *root = jenkins_xml_parse(arena, xml, strlen(xml), &err);

	ok(jenkins_launch_mend(arena, root, &node), "one that is not as wanted is changed");
	ok(!jenkins_launch_mend(arena, root, &node), "once");
	const char *form = jenkins_xml_form(arena, root, false);
	ok(strstr(form, "<theirs/>") && strstr(form, "<tunnel>t</tunnel>"), "what it says besides stays");
	ok(strstr(form, "<numExecutors>1</numExecutors>") && strstr(form, "<label>l</label>"), "what was missing is there");
	ok(strstr(form, "RetentionStrategy$Always\"/>") && !strstr(form, "idleDelay"), "another retention is replaced as a whole");
}

static void test_form(void)
{
	const struct jenkins_node node = {"a", "it's \"<ours>\"", "/w", "l", "ssh $x", "hudson.slaves.CommandLauncher"};
	json_t *form = jenkins_launch_form(&node);

	is(jsonget_string_or(form, "nodeDescription", ""), "it's \"<ours>\"", "texts as they are");
	is(jsonget_string_or(json_object_get(form, "launcher"), "command", ""), "ssh $x", "the command");
	json_decref(form);
}

int main(void)
{
	tmp_make();
	arena = arena_new();
	test_nodes();
	test_addresses();
	test_config();
	test_form();
	arena_free(arena);
	return tap_done();
}
