#include "conf/conf.h"

#include "base/log.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static struct err err;

/* Loads one file's text, with overrides. NULL after an error. */
static struct conf *load_with(const char *text, const char *const *overrides)
{
	const char *path = tmp_text("c", text, 0644);
	const struct conf_source source = {
		.namespace = "testing", .files = (const char *const[]){path, NULL}, .overrides = overrides};
	struct conf *conf = NULL;

	err_clear(&err);
	return conf_load(&conf, &source, &err) == 0 ? conf : NULL;
}

static struct conf *load(const char *text)
{
	return load_with(text, NULL);
}

/* The error's text, with the file's path as F. */
static const char *said(void)
{
	static char text[sizeof err.text];
	const char *path = tmp_path("c"), *from = err.text;
	size_t length = 0;

	while (*from && length < sizeof text - 1) {
		bool here = strncmp(from, path, strlen(path)) == 0;

		text[length++] = here ? 'F' : *from;
		from += here ? strlen(path) : 1;
	}
	text[length] = '\0';
	return text;
}

/* An option's text; "ERROR" after an error, "(unset)" for none. */
static const char *get(const struct conf *conf, const char *section, const char *option)
{
	const char *value = NULL;

	err_clear(&err);
	if (!conf || conf_text(conf, section, option, &value, &err) < 0)
		return "ERROR";
	return value ? value : "(unset)";
}

/* The first error of loading and checking a text. */
static const char *wrong(const char *text)
{
	struct conf *conf = load(text);

	if (conf && conf_check(conf, &err) == 0)
		err_set(&err, ERR_NONE, "all is well");
	conf_free(conf);
	if (err.kind != ERR_CONFIG && err.kind != ERR_NONE)
		printf("# kind %d\n", (int)err.kind);
	return said();
}

#define COMPLETE "[testing]\n[project/p]\nrepository=ssh://h/p.git\njobs=j\n[job/j]\nbacking=b\ntests.command=true\n[backing/b]\n"

static void test_values(void)
{
	struct arena *arena = arena_new();
	struct conf *conf = load(
		"[testing]\nslave.clients = a , b\n[project/p]\nrepository = ssh://h/{name}.git\njobs=j\napprovals.self = yes\n"
		"[job/j]\ntests.command = echo a; echo b # c\ntests.limit=90s\n[job/a]\n");
	const char *const *list;
	int64_t number = 0;
	bool yes = false;

	is(conf_namespace(conf), "testing", "its namespace");
	is(get(conf, NULL, "hook.listen"), "127.0.0.1:8810", "a default");
	is(get(conf, NULL, "state"), "/var/lib/byoci/testing", "a default with the namespace in it");
	is(get(conf, NULL, "public.url"), "http://127.0.0.1:8811", "a default made of another option");
	is(get(conf, "project/p", "repository"), "ssh://h/p.git", "{name} is the section's");
	is(get(conf, "project/p", "repository.read"), "ssh://h/p.git", "an option of the same section");
	is(get(conf, "project/p", "landing.key"), "/var/lib/byoci/testing/secrets/land/id_ed25519", "one of the namespace");
	is(get(conf, "job/j", "tests.command"), "echo a; echo b # c", "; and # are no comments in a value");
	is(get(conf, "job/j", "cpus"), "(unset)", "unset, optional, no default");
	ok(conf_integer(conf, "job/j", "cpus", &number, &err) == 0 && number == 0, "… is 0");
	ok(conf_integer(conf, "job/j", "tests.limit", &number, &err) == 0 && number == 90000, "a duration");
	ok(conf_integer(conf, NULL, "hook.body.limit", &number, &err) == 0 && number == 25 << 20, "a size");
	ok(conf_boolean(conf, "project/p", "approvals.self", &yes, &err) == 0 && yes, "yes");
	ok(conf_list(conf, arena, NULL, "slave.clients", &list, &err) == 0 && strcmp(list[0], "a") == 0 &&
			strcmp(list[1], "b") == 0 && !list[2],
		"a list");
	ok(conf_list(conf, arena, NULL, "land.clients", &list, &err) == 0 && !list[0], "an unset list is empty");
	ok(conf_list(conf, arena, "project/p", "target", &list, &err) == 0 && strcmp(list[0], "refs/heads/main") == 0,
		"branches in full");
	list = conf_sections(conf, arena, "job");
	ok(strcmp(list[0], "a") == 0 && strcmp(list[1], "j") == 0 && !list[2], "sections, sorted");
	ok(conf_has_section(conf, "job/a") && !conf_has_section(conf, "job/b") && !conf_has_section(conf, ""),
		"whether there is one");
	ok(conf_has_section(conf, "account/git"), "the account git is always there");
	is(get(conf, "account/git", "dialect"), "git", "… with its dialect");
	is(get(conf, "account/git", "secret"), "/var/lib/byoci/testing/secrets/brain/hook-git", "… and its secret");
	conf_free(conf);
	conf_free(NULL);
	arena_free(arena);
}

static void test_special(void)
{
	struct conf *conf = load(
		"[selftest]\nrun=/other\n[testing]\nstate=/special\nbyoci.state=/late\n[byoci]\nbyoci.state=/general\nbyoci.run=/run-general\n"
		"testing.user=u1\nbyoci.user=u2\nselftest.slave.name=no\n[job/j]\ntesting.memory=1G\nmemory=3G\nselftest.memory=4G\n"
		"tests.command=one\ntests.command=two\n[testing]\nslave.user=s1\nslave.user=s2\nland.user=x\nland.user=\n");

	is(get(conf, NULL, "state"), "/special", "the namespace's own wins over byoci.X, wherever that is");
	is(get(conf, NULL, "run"), "/run-general", "byoci.X is every namespace's");
	is(get(conf, NULL, "user"), "u1", "NAMESPACE.X wins over byoci.X in [byoci]");
	is(get(conf, NULL, "slave.name"), "local", "another namespace's is not ours");
	is(get(conf, "job/j", "memory"), "1G", "NAMESPACE.X wins over X in a section");
	is(get(conf, "job/j", "tests.command"), "two", "the later line wins");
	is(get(conf, NULL, "slave.user"), "s2", "also in a section that comes in parts");
	is(get(conf, NULL, "land.user"), "byoci-testing-land", "an empty value is as none");
	conf_free(conf);
	conf = load("[byoci]\ntesting.run=/1\n[testing]\nrun=/2\nstate=/3\n[byoci]\ntesting.state=/4\n");
	is(get(conf, NULL, "run"), "/2", "of two that are as special, the later line wins");
	is(get(conf, NULL, "state"), "/4", "… in whatever section it is");
	conf_free(conf);
}

static void test_files(void)
{
	const char *const files[] = {tmp_text("1", "[job/j]\nmemory=1G\ndisk=1G\ntesting.processes=100\n", 0644),
		tmp_text("2", "[job/j]\nmemory=2G\nprocesses=200\n", 0644), NULL};
	const struct conf_source source = {.namespace = "testing", .files = files};
	const struct conf_source missing = {.namespace = "testing", .files = (const char *const[]){"/no/such.conf", NULL}};
	struct conf *conf = NULL;

	ok(conf_load(&conf, &source, &err) == 0, "two files");
	is(get(conf, "job/j", "memory"), "2G", "the later one wins");
	is(get(conf, "job/j", "disk"), "1G", "what it does not say holds");
	is(get(conf, "job/j", "processes"), "100", "the more special wins over the later");
	conf_free(conf);
	ok(conf_load(&conf, &missing, &err) < 0 && err.kind == ERR_SYSTEM, "a file that is named and missing is an error");
	is(err.text, "/no/such.conf: cannot be read: No such file or directory", "… which is said");
}

static void test_overrides(void)
{
	const char *const good[] = {"hook.listen=127.0.0.1:1", "job/j:memory=1G", "job/j:testing.disk=1G", "job/j:disk=2G",
		"testing.user=u", "byoci.run=/r", "selftest.state=/no", "testing:secrets=/s", "slave.name=a", "slave.name=b",
		"landing.fullname=a=b:c", NULL};
	struct conf *conf = load_with("[testing]\nrun=/file\n[job/j]\ntesting.memory=3G\n", good);

	is(get(conf, NULL, "hook.listen"), "127.0.0.1:1", "-O X=V");
	is(get(conf, "job/j", "memory"), "1G", "-O SECTION:X=V, over the file's more special one");
	is(get(conf, "job/j", "disk"), "1G", "among overrides the more special wins");
	is(get(conf, NULL, "user"), "u", "-O NAMESPACE.X=V");
	is(get(conf, NULL, "run"), "/r", "-O byoci.X=V, over the file's own one");
	is(get(conf, NULL, "state"), "/var/lib/byoci/testing", "another namespace's is not ours");
	is(get(conf, NULL, "secrets"), "/s", "-O NAMESPACE:X=V");
	is(get(conf, NULL, "slave.name"), "b", "the later wins");
	is(get(conf, NULL, "landing.fullname"), "a=b:c", "= and : may be in the value");
	conf_free(conf);
}

static const char *override_error(const char *override)
{
	const char *const overrides[] = {override, NULL};
	struct conf *conf = load_with(COMPLETE, overrides);

	if (conf && conf_check(conf, &err) == 0)
		err_set(&err, ERR_NONE, "all is well");
	conf_free(conf);
	return said();
}

static void test_override_errors(void)
{
	is(override_error("x"), "-O x: has no =; right is -O OPTION=VALUE or -O SECTION:OPTION=VALUE", "no =");
	is(override_error("hok.listen=1"), "-O: [testing] hok.listen: no such option; the nearest is hook.listen",
		"unknown option");
	is(override_error("memory=1G"), "-O: [testing] memory: no such option here; it belongs into [job/NAME]",
		"an option of another section");
	is(override_error("job/i:memory=1G"), "-O: [job/i]: there is no such section; the nearest is [job/j]", "unknown section");
	is(override_error("jop/j:memory=1G"), "-O: [jop/j]: no such kind of section; the nearest is [job/j]", "unknown kind");
	is(override_error("job/j:memory=x"),
		"-O: [job/j] memory: \"x\" is wrong; right is a size like 64k, 512M, 2G, from 16M to 16T", "bad value");
}

static void test_section_errors(void)
{
	is(wrong(COMPLETE), "all is well", "a whole one has no error");
	is(wrong(""), "all is well", "so has an empty one");
	is(wrong("\n \n# c\n; c\n"), "all is well", "and one of comments");
	is(wrong("[testing]\n[projct/p]\n"), "F:2: [projct/p]: no such kind of section; the nearest is [project/p]",
		"a mistyped kind");
	is(wrong("[wibble/p]\n"),
		"F:1: [wibble/p]: no such section; there are [byoci], [NAMESPACE], [project/NAME], [job/NAME], [backing/NAME], [account/NAME], "
		"[slave/NAME] and [master/NAME]",
		"an unknown one");
	is(wrong("[project]\n"), "F:1: [project]: a section of this kind has a name: [project/NAME]", "no name");
	is(wrong("[git]\n"), "F:1: [git]: no namespace can have this name, because options begin with it",
		"a namespace that cannot be");
	is(wrong("[project/P]\n"),
		"F:1: [project/P]: not a good name; right are up to 63 of a-z 0-9 . _ -, the first a letter or digit",
		"a bad name");
	is(wrong("[project/p]\n[Project/p]\n"), "F:2: [Project/p]: no such kind of section; the nearest is [project/p]",
		"capitals");
	is(wrong("[project/../p]\n"),
		"F:1: [project/../p]: not a good name; right are up to 63 of a-z 0-9 . _ -, the first a letter or digit",
		"a path as a name");
	is(wrong("[default]\nx=1\n"), "F:2: [default] x: no such option; byoci config shows all", "libini's own section is none");
}

static void test_syntax_errors(void)
{
	is(wrong("state=/x\n[testing]\n"), "F:1: an option before the first section; put [byoci] above it", "no section yet");
	is(wrong("[testing]\n\nstate\n"),
		"F:3: neither [SECTION] nor OPTION = VALUE; a comment begins with # in the first column", "no =");
	is(wrong("[testing]\n  # comment\n"),
		"F:2: neither [SECTION] nor OPTION = VALUE; a comment begins with # in the first column", "an indented comment");
	is(wrong("[testing\n"), "F:1: a section has no ]; write [SECTION], alone in its line", "no ]");
	is(wrong("[testing] x\n"), "F:1: a section has no ]; write [SECTION], alone in its line", "more after it");
	is(wrong("[testing]\n=x\n"), "F:2: [testing] an option's name has a-z 0-9 . _ - and nothing else", "no name");
	is(wrong("[testing]\nState=/x\n"), "F:2: [testing] an option's name has a-z 0-9 . _ - and nothing else", "capitals");
	is(wrong("[testing]\nst\xc3\xa4te=/x\n"), "F:2: [testing] an option's name has a-z 0-9 . _ - and nothing else",
		"letters that are none of those");
	is(wrong("[testing]\nlanding.fullname=\xff\n"), "F: is not UTF-8 text; save it as UTF-8", "no UTF-8");
	is(wrong("\xef\xbb\xbf[testing]\r\nstate=/x\r\n"), "all is well", "a byte order mark and CRLF are no error");
	is(wrong("[testing]\n  state = /x\n\trun = /y\n"), "all is well", "nor is indentation");
}

static void test_nul(void)
{
	static const char text[] = "[testing]\nstate=/x\0/y\n";
	const struct conf_source source = {
		.namespace = "testing", .files = (const char *const[]){tmp_file("c", text, sizeof text - 1, 0644), NULL}};
	struct conf *conf = NULL;

	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_CONFIG, "a NUL byte is an error");
	is(said(), "F: has a NUL byte in it; it must be text", "… which is said");
}

static void test_option_errors(void)
{
	is(wrong("[testing]\nhook.lisen=127.0.0.1:1\n"), "F:2: [testing] hook.lisen: no such option; the nearest is hook.listen",
		"a mistyped option");
	is(wrong("[testing]\n[selftest]\nstat=/x\n"), "F:3: [selftest] stat: no such option; the nearest is state",
		"also another namespace's");
	is(wrong("[byoci]\nbyoci.stat=/x\n"), "F:2: [byoci] stat: no such option; the nearest is state",
		"also every namespace's");
	is(wrong("[job/j]\ntesting.memmory=1G\n"), "F:2: [job/j] memmory: no such option; the nearest is memory",
		"also for one namespace");
	is(wrong("[job/j]\nqqqqqqqqqq=1G\n"), "F:2: [job/j] qqqqqqqqqq: no such option; byoci config shows all",
		"nothing is near");
	is(wrong("[project/p]\nmemory=1G\n"), "F:2: [project/p] memory: no such option here; it belongs into [job/NAME]",
		"another section's");
	is(wrong("[job/j]\nhook.listen=x\n"), "F:2: [job/j] hook.listen: no such option here; it belongs into [NAMESPACE]",
		"a namespace's");
	is(wrong("[byoci]\nstate=/x\n"),
		"F:2: [byoci] state: for whom? Write byoci.state for every namespace, NAMESPACE.state for one",
		"a plain option in [byoci]");
	is(wrong("[slave/s]\nmemory=1G\n"), "F:2: [slave/s] memory: no such option here; it belongs into [job/NAME]",
		"a kind without options");
}

static void test_value_errors(void)
{
	is(wrong("[testing]\nhook.listen = 8810\n"),
		"F:2: [testing] hook.listen: \"8810\" is wrong; right is HOST:PORT with a numeric host or localhost: 127.0.0.1:8810, [::1]:8810",
		"no address");
	is(wrong("[testing]\nstate=x\n"),
		"F:2: [testing] state: \"x\" is wrong; right is a path that begins with / and has no /../", "no path");
	is(wrong("[testing]\nworker.slots=0\n"),
		"F:2: [testing] worker.slots: \"0\" is wrong; right is a whole number, from 1 to 64", "out of range");
	is(wrong("[testing]\n[job/j]\nbacking=git\ntests.command=x\ntests.limit=10\n"),
		"F:3: [job/j] backing: [backing/git]: there is no such section; write one into F", "a section that is missing");
	is(wrong("[backing/b]\n[job/j]\nbacking=b\ntests.command=x\ntests.limit=10\n"),
		"F:5: [job/j] tests.limit: \"10\" is wrong; right is a duration like 250ms, 30s, 10m, 2h, 1d, from 1s to 7d",
		"no unit");
	is(wrong("[project/p]\nrepository=https://u:secret@h/x\njobs=j\n"),
		"F:2: [project/p] repository: \"https://u:secret@h/x\" is wrong; right is an address without a password: this file is no place for one",
		"a password");
	is(wrong("[account/foo]\n"),
		"default: [account/foo] dialect: \"foo\" is wrong; right is one of git|launchpad|github|gitea|gitlab",
		"a default that is wrong here");
	is(wrong("[backing/unit]\n[job/unit]\nbacking=unti\ntests.command=x\n"),
		"F:3: [job/unit] backing: [backing/unti]: there is no such section; the nearest is [backing/unit]",
		"a mistyped section");
}

static void test_unset(void)
{
	struct conf *conf = load("[testing]\n[project/p]\njobs=j\n[job/j]\ntests.command=\n");

	is(get(conf, "project/p", "repository"), "ERROR", "mandatory and unset");
	ok(err.kind == ERR_CONFIG, "… is ERR_CONFIG");
	is(said(),
		"[project/p] repository: is not set and has no default (Where the project is cloned from and landed to.); write `repository = …` into that "
		"section; read were: F",
		"… with the option, the section and the files");
	is(get(conf, "project/p", "repository.read"), "ERROR", "what is made of it is too");
	ok(strncmp(said(), "[project/p] repository: is not set", 34) == 0, "… for the same reason");
	is(get(conf, "job/j", "tests.command"), "ERROR", "empty is as unset");
	is(get(conf, "project/q", "jobs"), "ERROR", "no such section");
	is(said(), "[project/q]: there is no such section; the nearest is [project/p]", "… with the nearest");
	conf_free(conf);
	is(wrong("[testing]\n[job/j]\ntests.command={cpus}\n[backing/b]\nsetup.command=x{mirror}\n"),
		"F:5: [backing/b] setup.command: {mirror}: is not set; set it, or leave it out here",
		"an option that is unset in a value");
}

static void test_expansion(void)
{
	struct conf *conf = load(
		"[testing]\nstate=/a\nrun={{byoci}.state}/r\nsecrets={byoci.state}/s\nlanding.fullname=$\\{X\\}\n[job/name]\ntests.command={name} {memory} "
		"{state} {byoci}\n[project/p]\nrepository=ssh://{git.user}@{git.listen}/{name}.git\n");

	is(get(conf, NULL, "run"), "/a/r", "{{byoci}.X}");
	is(get(conf, NULL, "secrets"), "/a/s", "{byoci.X}");
	is(get(conf, NULL, "landing.fullname"), "${X}", "plain braces");
	is(get(conf, "job/name", "tests.command"), "name 2G /a testing", "the section, then the namespace");
	is(get(conf, "project/p", "repository"), "ssh://byoci-testing-git@127.0.0.1:8812/p.git", "the sample's repository");
	conf_free(conf);
}

static void test_expansion_errors(void)
{
	is(wrong("[testing]\nstate={stat}\n"), "F:2: [testing] state: {stat}: no such option; the nearest is {state}",
		"an unknown one");
	is(wrong("[testing]\nstate=/{QQQQQQQ}\n"),
		"F:2: [testing] state: {QQQQQQQ}: no such option; a brace that is meant as itself is written \\{", "a shell's");
	is(wrong("[testing]\nstate=/{name}\n"),
		"F:2: [testing] state: {name}: no such option; a brace that is meant as itself is written \\{",
		"a namespace has no {name}");
	is(wrong("[testing]\nstate=/{run\n"),
		"F:2: [testing] state: \"{run\" has no } that closes it; a brace that is meant as itself is written \\{",
		"an open brace");
	is(wrong("[testing]\nstate={state}\n"),
		"F:2: [testing] state: goes round in a circle: state -> state; give one of them a value of its own", "itself");
	is(wrong("[testing]\nstate={run}\nrun={secrets}\n[byoci]\nbyoci.secrets=/{state}\n"),
		"F:5: [byoci] secrets: goes round in a circle: state -> run -> secrets -> state; give one of them a value of its own",
		"a longer chain");
	is(wrong("[testing]\ngit.root={run}\nrun={secrets}\nsecrets={run}\n"),
		"F:4: [testing] secrets: goes round in a circle: run -> secrets -> run; give one of them a value of its own",
		"a circle that is entered from outside");
	is(wrong("[testing]\n[selftest]\n[testing]\nstate={selftest.run}\n"),
		"F:4: [testing] state: {selftest.run}: is another namespace's; this is testing", "another namespace's value");
	is(wrong("[testing]\nstate=x\nrun={state}/r\n"),
		"F:2: [testing] state: \"x\" is wrong; right is a path that begins with / and has no /../",
		"a wrong value is told where it is");
}

/* After an error the same error again, and others still work. */
static void test_again(void)
{
	struct conf *conf = load("[testing]\nstate={run}\nrun={state}\n");

	for (int i = 0; i < 2; i++) {
		is(get(conf, NULL, "state"), "ERROR", "a circle");
		is(said(),
			"F:3: [testing] run: goes round in a circle: state -> run -> state; give one of them a value of its own",
			"… the same each time");
	}
	is(get(conf, NULL, "hook.listen"), "127.0.0.1:8810", "others still work");
	conf_free(conf);
}

static int collect(const struct conf_value *value, void *cookie)
{
	char *text = cookie;
	size_t length = strlen(text);

	snprintf(text + length, 4096 - length, "%s|%s|%s|%s\n", value->section, value->option, value->value ? value->value : "-",
		strncmp(value->place, "/", 1) == 0 ? strrchr(value->place, '/') : value->place);
	return 0;
}

static int stop(const struct conf_value *value, void *cookie)
{
	(void)value;
	return ++*(int *)cookie == 2 ? 7 : 0;
}

static void test_each(void)
{
	const char *const overrides[] = {"backing/b:suite=trixie", NULL};
	struct conf *conf = load_with("[testing]\n[backing/b]\npackages = a, b\nmirror=\n[job/j]\n", overrides);
	char text[4096] = "";
	int calls = 0;

	ok(conf_each(conf, "backing/b", collect, text, &err) == 0, "each option of a section");
	if (strstr(text, "backing/b|tarball|"))
		*strstr(text, "backing/b|tarball|") = '\0';
	is(text,
		"backing/b|source|mmdebstrap|default\nbacking/b|suite|trixie|-O\nbacking/b|variant|minbase|default\n"
		"backing/b|mirror|-|default\n",
		"its value and its place, in the table's order");
	ok(conf_each(conf, NULL, stop, &calls, &err) == 7 && calls == 2, "a call can end it");
	text[0] = '\0';
	ok(conf_each(conf, "job/j", collect, text, &err) == 0 && strstr(text, "job/j|tests.command|-|default\n"),
		"unset and mandatory is shown, too");
	ok(conf_each(conf, "job/k", collect, text, &err) < 0 && err.kind == ERR_CONFIG, "a section that is missing is an error");
	conf_free(conf);
}

static void write_root(const char *name, const char *text, mode_t mode)
{
	char path[512];

	snprintf(path, sizeof path, "root/etc/byoci/%s", name);
	tmp_file(path, text, strlen(text), mode);
}

static void make_root(void)
{
	mkdir(tmp_path("root"), 0755);
	mkdir(tmp_path("root/etc"), 0755);
	mkdir(tmp_path("root/etc/byoci"), 0755);
}

static void test_namespace(void)
{
	char root[256], wanted[600];
	struct conf_source source = {.root = root, .system_only = true};
	struct conf *conf = NULL;

	snprintf(root, sizeof root, "%s", tmp_path("root"));
	snprintf(wanted, sizeof wanted,
		"which namespace? Give -n NAMESPACE or set BYOCI_NAMESPACE; none is set up in %s/etc/byoci", tmp_path("root"));
	make_root();
	unsetenv("BYOCI_NAMESPACE");
	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_USAGE, "no namespace is ERR_USAGE");
	is(err.text, wanted, "… and said");
	mkdir(tmp_path("root/etc/byoci/one"), 0755);
	mkdir(tmp_path("root/etc/byoci/no.namespace"), 0755);
	write_root("plain", "", 0644);
	ok(conf_load(&conf, &source, &err) == 0 && strcmp(conf_namespace(conf), "one") == 0, "the only one is meant");
	conf_free(conf);
	mkdir(tmp_path("root/etc/byoci/two"), 0755);
	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_USAGE, "of two none is");
	is(err.text, "which namespace? Give -n NAMESPACE or set BYOCI_NAMESPACE; there are: one, two", "… they are listed");
	setenv("BYOCI_NAMESPACE", "two", 1);
	ok(conf_load(&conf, &source, &err) == 0 && strcmp(conf_namespace(conf), "two") == 0, "BYOCI_NAMESPACE says which");
	conf_free(conf);
	source.namespace = "one";
	ok(conf_load(&conf, &source, &err) == 0 && strcmp(conf_namespace(conf), "one") == 0, "-n says it louder");
	conf_free(conf);
	source.namespace = "../two";
	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_USAGE, "a name that cannot be one is refused");
	unsetenv("BYOCI_NAMESPACE");
}

static void test_mistyped_namespace(void)
{
	const char *const files[] = {tmp_text("c", "[testing]\n[selftest]\n", 0644), NULL};
	struct conf_source source = {.namespace = "tesing", .files = files};
	struct conf *conf = NULL;

	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_USAGE, "a mistyped namespace is ERR_USAGE");
	is(said(), "there is no namespace tesing in F; the nearest is testing", "… with the nearest");
	source.overrides = (const char *const[]){"slave.name=a", NULL};
	ok(conf_load(&conf, &source, &err) == 0, "one that an override speaks of is meant");
	conf_free(conf);
}

static void test_system(void)
{
	const struct conf_source source = {.namespace = "one", .system_only = true};
	struct conf *conf = NULL;

	setenv("BYOCI_ROOT", tmp_path("root"), 1);
	write_root("b.conf", "[job/j]\nmemory=1G\ndisk=1G\n", 0644);
	write_root("a.conf", "[job/j]\nmemory=3G\n", 0644);
	write_root("one/byov.conf", "[job/j]\ndisk=4G\n", 0644);
	write_root("two/byov.conf", "[job/j]\ndisk=5G\n", 0644);
	write_root("c.conf.bak", "rubbish\n", 0644);
	write_root(".d.conf", "rubbish\n", 0644);
	ok(conf_load(&conf, &source, &err) == 0, "BYOCI_ROOT is before /etc");
	is(get(conf, "job/j", "memory"), "1G", "files are read in their order");
	is(get(conf, "job/j", "disk"), "4G", "the namespace's own after the others'");
	conf_free(conf);
	chmod(tmp_path("root/etc/byoci/a.conf"), 0666);
	ok(conf_load(&conf, &source, &err) < 0 && err.kind == ERR_REFUSED,
		"a file of the system that others may write is an error");
	chmod(tmp_path("root/etc/byoci/a.conf"), 0644);
	if (geteuid() == 0) {
		ok(chown(tmp_path("root/etc/byoci/a.conf"), 12345, 0) == 0 && conf_load(&conf, &source, &err) < 0 &&
				err.kind == ERR_REFUSED,
			"so is one of another user");
		ok(chown(tmp_path("root/etc/byoci/a.conf"), 0, 0) == 0, "(mended)");
	}
}

/* The caller's own files, in its home and where it is. */
static void test_own(void)
{
	const struct conf_source source = {.namespace = "one"}, production = {.namespace = "production"};
	struct conf_source system = {.namespace = "one", .system_only = true};
	struct conf *conf = NULL;

	mkdir(tmp_path("home"), 0755), mkdir(tmp_path("home/.config"), 0755), mkdir(tmp_path("home/.config/byoci"), 0755);
	mkdir(tmp_path("here"), 0755), mkdir(tmp_path("here/byov.conf.d"), 0755);
	tmp_text("home/.config/byoci/x.conf", "[job/j]\nmemory=10G\ndisk=10G\nprocesses=10000\n", 0644);
	tmp_text("here/byov.conf", "[job/j]\ndisk=20G\nprocesses=20000\n", 0644);
	tmp_text("here/byov.conf.d/1.conf", "[job/j]\nprocesses=30000\n", 0644);
	setenv("HOME", tmp_path("home"), 1);
	if (chdir(tmp_path("here")) < 0)
		return;
	ok(conf_load(&conf, &source, &err) == 0, "own files are read after the system's");
	is(get(conf, "job/j", "memory"), "10G", "the home's");
	is(get(conf, "job/j", "disk"), "20G", "./byov.conf");
	is(get(conf, "job/j", "processes"), "30000", "./byov.conf.d");
	conf_free(conf);
	conf_load(&conf, &system, &err);
	is(get(conf, "job/j", "memory"), "1G", "not by daemons");
	conf_free(conf);
	conf_load(&conf, &production, &err);
	is(get(conf, "job/j", "processes"), "10000", "./ is not read for production");
	conf_free(conf);
	chmod("byov.conf", 0666);
	log_threshold(LOG_LEVEL_ERROR);
	ok(conf_load(&conf, &source, &err) == 0, "one that others may write is no error here");
	is(get(conf, "job/j", "disk"), "10G", "… but left out");
	conf_free(conf);
	if (chdir("/") < 0)
		return;
	unsetenv("BYOCI_ROOT");
}

/* The configuration at the top of the tree. */
static void test_sample(void)
{
	static const char *const namespaces[] = {"testing", "selftest"};
	const char *const files[] = {"byov.conf", NULL};

	for (size_t i = 0; i < 2; i++) {
		const struct conf_source source = {.namespace = namespaces[i], .files = files};
		struct conf *conf = NULL;

		err_clear(&err);
		ok(conf_load(&conf, &source, &err) == 0 && conf_check(conf, &err) == 0, "the sample configuration is right");
		is(err.text, "", "… without an error");
		is(get(conf, "project/sample", "repository"),
			i == 0 ? "ssh://byoci-testing-git@127.0.0.1:8812/sample.git" :
				 "ssh://byoci-selftest-git@127.0.0.1:8822/sample.git",
			"its repository is the namespace's");
		conf_free(conf);
	}
}

int main(void)
{
	tmp_make();
	if (access("byov.conf", R_OK) == 0)
		test_sample();
	test_values();
	test_special();
	test_files();
	test_overrides();
	test_override_errors();
	test_section_errors();
	test_syntax_errors();
	test_nul();
	test_option_errors();
	test_value_errors();
	test_unset();
	test_expansion();
	test_expansion_errors();
	test_again();
	test_each();
	test_namespace();
	test_mistyped_namespace();
	test_system();
	test_own();
	return tap_done();
}
