#include "slaves/confine/nat.h"

#include <string.h>

#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"

/* A configuration of one namespace with these lines. */
static struct conf *configure(const char *lines)
{
	const char *path = tmp_path("conf");
	const char *const files[] = {path, NULL};
	const struct conf_source source = {.namespace = "unit", .files = files};
	struct err err = {0};
	char text[1024];
	struct conf *conf = NULL;

	snprintf(text, sizeof text, "[unit]\n%s\n", lines);
	if (file_write(path, text, strlen(text), 0644, &err) < 0 || conf_load(&conf, &source, &err) < 0)
		puts(err.text);
	return conf;
}

static void test_names(void)
{
	struct conf *conf = configure("worker.nat = 10.20.0.0/24");
	struct nat_worker one, other;
	struct err err = {0};
	char link[IFNAMSIZ];

	ok(nat_read(&one, conf, 0, &err) == 0 && nat_read(&other, conf, 64, &err) == 0, "each slot has a place in the network");
	is(one.gateway, "10.20.0.1", "the bridge is the first");
	is(one.address, "10.20.0.2", "then the workers");
	is(other.address, "10.20.0.66", "up to the last");
	ok(strcmp(one.bridge, other.bridge) == 0 && strcmp(one.veth, other.veth) != 0 && strcmp(one.mac, other.mac) != 0,
		"one bridge, with a port for each");
	nat_link_name(link, "byoci-unit-64");
	is(link, other.veth, "whose name follows from that of the container");
	nat_link_name(link, "byoci-other-64");
	ok(strcmp(link, other.veth) != 0, "another namespace's is another");
	nat_link_name(link, "nonsense");
	nat_link_name(link, "");
	ok(strlen(link) < IFNAMSIZ, "any name gives one that fits");
	conf_free(conf);
}

static void test_networks(void)
{
	static const char *const bad[] = {"10.20.0.0", "10.20.0.0/26", "10.20.0.1/24", "10.20.0.0/0", "nonsense/24", "10.20.0.0/",
		"10.20.0.0/99", "2001:db8::/24"};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char line[64];
		struct nat_worker worker;
		struct err err = {0};
		struct conf *conf;

		snprintf(line, sizeof line, "worker.nat = %s", bad[i]);
		conf = configure(line);
		ok(nat_read(&worker, conf, 0, &err) < 0 && err.kind == ERR_CONFIG, bad[i]);
		conf_free(conf);
	}
}

static void test_rules(struct arena *arena)
{
	struct conf *conf = configure("worker.slots = 2\nworker.nat.deny = 10.0.0.0/8, 192.0.2.7\nworker.nat.dns = 192.0.2.53");
	struct nat_worker worker;
	struct err err = {0};
	const char *rules;

	nat_read(&worker, conf, 1, &err);
	rules = nat_rules(&worker, arena, conf, &err);
	ok(rules && strstr(rules, "elements = { 10.0.0.0/8,192.0.2.7 }"), "the rules have what is denied");
	ok(rules && strstr(rules, "elements = { 192.0.2.53 }"), "the name servers");
	ok(rules && strstr(rules, worker.veth) && strstr(rules, worker.mac) && strstr(rules, worker.address), "and each worker");
	ok(rules && !strchr(rules, '$'), "and nothing that is not filled in");
	is(nat_resolvers(arena, conf, &err), "nameserver 192.0.2.53\n", "which is told the name servers");
	conf_free(conf);
	conf = configure("worker.nat.deny = 10.0.0.0/8 } ; flush ruleset");
	ok(!nat_rules(&worker, arena, conf, &err) && err.kind == ERR_CONFIG, "only addresses get into the rules");
	conf_free(conf);
}

int main(void)
{
	struct arena *arena = arena_new();

	tmp_make();
	test_names();
	test_networks();
	test_rules(arena);
	arena_free(arena);
	return tap_done();
}
