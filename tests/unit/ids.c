#include "slaves/cage/ids.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static const struct ids ours = {1000000000, 3 * 65536};

static void put(const char *name, const char *text)
{
	struct err err = {0};

	if (file_write(tmp_path(name), text, strlen(text), 0644, &err) < 0)
		puts(err.text);
}

/* Whether it is refused, and by a text with `why`. */
static bool refused(const char *why)
{
	struct err err = {0};

	return ids_check(&ours, "unit", tmp_folder, &err) < 0 && err.kind == ERR_CONFIG && strstr(err.text, why);
}

static bool fine(void)
{
	struct err err = {0};

	return ids_check(&ours, "unit", tmp_folder, &err) == 0;
}

static void test_files(void)
{
	static const struct {
		const char *file, *text, *why;
	} cases[] = {
		{"etc/subuid", "a:100000:65536\nsomeone:1000000000:1\n", "someone (/etc/subuid)"},
		{"etc/subuid", "someone:1000196607:65536\n", "someone (/etc/subuid)"},
		{"etc/subuid", "someone:1000196608:65536\nother:999934464:65536\n", NULL},
		{"etc/subuid", "root:1000000000:131072\n", NULL},
		{"etc/subuid", "root:999999999:131072\n", "root (/etc/subuid)"},
		{"etc/subuid", "root:1000000:1000000000\n", "root (/etc/subuid)"},
		{"etc/subgid", "someone:1000065536:65536\n", "someone (/etc/subgid)"},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nmine:x:1000000005:7::/:/bin/sh\n", "mine (/etc/passwd)"},
		{"etc/passwd", "root:x:0:1000000005:root:/root:/bin/sh\n", NULL},
		{"etc/group", "team:x:1000000005:\n", "team (/etc/group)"},
		{"etc/group", "\n:\n::\nno\nteam:x\nteam:x:\n", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put(cases[i].file, cases[i].text);
		ok(cases[i].why ? refused(cases[i].why) : fine(), cases[i].why ? cases[i].why : "nobody's, or what setup wrote");
		put(cases[i].file, "");
	}
}

static void test_namespaces(void)
{
	char text[sizeof tmp_folder + 128];

	put("etc/byoci/unit/a.conf", "[unit]\nworker.ids.first = 1000000000\n");
	snprintf(text, sizeof text, "[other]\nstate = %s\nworker.ids.first = 1100000000\n", tmp_folder);
	put("etc/byoci/other/a.conf", text);
	ok(fine(), "another namespace has other ids");
	snprintf(text, sizeof text, "[other]\nstate = %s\nworker.ids.first = 1000131072\n", tmp_folder);
	put("etc/byoci/other/a.conf", text);
	ok(refused("another namespace (other)"), "or the same");
	rmdir(tmp_path("worker/slots"));
	ok(fine(), "which is no harm where it has no workers");
	mkdir(tmp_path("worker/slots"), 0755);
	snprintf(text, sizeof text, "[other]\nstate = %s\nworker.slots = 2\nworker.kept = 2\nworker.ids.first = 999672320\n", tmp_folder);
	put("etc/byoci/other/a.conf", text);
	ok(fine(), "or those that end where ours begin");
	put("etc/byoci/other/a.conf", "[other]\nworker.ids.first = nonsense\n");
	ok(fine(), "what can't be read is no obstacle");
}

int main(void)
{
	tmp_make();
	ok(fine(), "where no file is, nobody has any");
	mkdir(tmp_path("etc"), 0755);
	mkdir(tmp_path("etc/byoci"), 0755);
	mkdir(tmp_path("etc/byoci/unit"), 0755);
	mkdir(tmp_path("etc/byoci/other"), 0755);
	mkdir(tmp_path("worker"), 0755);
	mkdir(tmp_path("worker/slots"), 0755);
	test_files();
	test_namespaces();
	return tap_done();
}
