/* byoci-slave: tests on a slave host and landings, by daemon or by hand. See the table of verbs. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "forge/outcome.h"
#include "forge/spec.h"
#include "slaves/agent/agent.h"
#include "slaves/agent/client.h"
#include "slaves/agent/guest.h"
#include "slaves/agent/shell.h"
#include "slaves/agent/usher.h"
#include "slaves/land/byhand.h"
#include "slaves/land/draft.h"
#include "slaves/land/land_serve.h"
#include "slaves/land/lander.h"
#include "slaves/record/artefacts.h"
#include "slaves/record/reports.h"
#include "slaves/serve/backings.h"
#include "slaves/serve/serve.h"
#include "slaves/test/leader.h"
#include "slaves/test/premade.h"
#include "slaves/test/prepare.h"
#include "slaves/test/probe.h"
#include "slaves/test/standby.h"
#include "slaves/tree/tidy.h"

#define OPERANDS_MAXIMUM 3

struct invocation {
	const char *namespace;
	struct strv overrides;
	const char *verb;
	const char *operands[OPERANDS_MAXIMUM];
	size_t operand_count;
	const char *spec, *result, *project, *script;
	bool work, land, detach, force, refresh, json, help, version;
};

struct verb {
	const char *name;
	const char *arguments; /* NULL: not for people */
	const char *text;
	size_t least, most;    /* operands */
	bool check;            /* the whole configuration must be in order first */
	int (*run)(const struct program *program, const struct invocation *invocation);
};

static int usage(const char *text, const char *what)
{
	fprintf(stderr, "byoci-slave: %s%s%s; `byoci-slave --help` says what there is\n", text, what ? ": " : "", what ? what : "");
	return outcome_exit(OUTCOME_USAGE);
}

/* What a verb says is its answer: on a full disk, say, half of one is none. */
static int written(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "byoci-slave: not all could be written to standard output: do not rely on what is there\n");
	return status ? status : outcome_exit(OUTCOME_INFRASTRUCTURE);
}

static int run_serve(const struct program *program, const struct invocation *invocation)
{
	return invocation->land ? land_serve_verb(program) : serve_verb(program);
}

static int run_test(const struct program *program, const struct invocation *invocation)
{
	const struct client_call call = {
		.spec = invocation->spec ? invocation->spec : "-", .result = invocation->result, .detach = invocation->detach};

	return client_test(program, &call);
}

static int run_ask(const struct program *program, const struct invocation *invocation)
{
	if (invocation->operands[0] && !spec_build_valid(invocation->operands[0]))
		return usage("not the id of a build", invocation->operands[0]);
	return written(client_ask(program, invocation->verb, invocation->operands[0]));
}

static int run_artefact(const struct program *program, const struct invocation *invocation)
{
	if (!spec_build_valid(invocation->operands[0]))
		return usage("not the id of a build", invocation->operands[0]);
	return written(artefacts_verb(program, invocation->operands[0], invocation->operand_count > 1 ? invocation->operands[1] : NULL));
}

static int run_shell(const struct program *program, const struct invocation *invocation)
{
	if (!spec_build_valid(invocation->operands[0]))
		return usage("not the id of a build", invocation->operands[0]);
	return shell_verb(program, invocation->operands[0]);
}

static int run_author(const struct program *program, const struct invocation *invocation)
{
	return guest_verb(program, invocation->operands[0], invocation->operands[1]);
}

static int run_author_key(const struct program *program, const struct invocation *invocation)
{
	return guest_key(program, invocation->operands[0], invocation->operands[1]);
}

static int run_usher(const struct program *program, const struct invocation *invocation)
{
	(void)invocation;
	return usher_verb(program);
}

static int run_land(const struct program *program, const struct invocation *invocation)
{
	const struct client_call call = {.spec = invocation->spec, .result = invocation->result};

	if (!call.spec || !call.result)
		return usage("land needs --spec FILE and --result FILE", NULL);
	return client_land(program, &call);
}

static int run_approved(const struct program *program, const struct invocation *invocation)
{
	const struct client_call call = {.project = invocation->project, .target = invocation->operands[0]};

	if (!call.project)
		return usage("approved needs --project NAME", NULL);
	return written(client_approved(program, &call));
}

static int run_spec(const struct program *program, const struct invocation *invocation)
{
	if (!invocation->project)
		return usage("spec needs --project NAME", NULL);
	return written(draft_verb(program, invocation->project, invocation->operands[0]));
}

static int run_land_approved(const struct program *program, const struct invocation *invocation)
{
	const struct byhand byhand = {
		.project = invocation->project, .target = invocation->operands[0], .force = invocation->force};
	bool unread;

	if (!byhand.project)
		return usage("land-approved needs --project NAME", NULL);
	int status = byhand_land_approved(program, &byhand, &unread);
	return unread && status == outcome_exit(OUTCOME_NOTHING) ? outcome_exit(OUTCOME_INFRASTRUCTURE) : status;
}

static int run_agent(const struct program *program, const struct invocation *invocation)
{
	const struct agent_call call = {.kind = invocation->operands[0], .target = invocation->operands[1], .project = invocation->project,
		.script = invocation->script, .work = invocation->work};

	return agent_verb(program, &call);
}

static int run_standby(const struct program *program, const struct invocation *invocation)
{
	return standby_verb(program, invocation->operands[0], invocation->operands[1], (int)strtol(invocation->operands[2], NULL, 10));
}

static int run_spare(const struct program *program, const struct invocation *invocation)
{
	return standby_spare_verb(program, (int)strtol(invocation->operands[0], NULL, 10));
}

static int run_backing(const struct program *program, const struct invocation *invocation)
{
	const struct backings_call call = {.action = invocation->operands[0],
		.name = invocation->operand_count > 1 ? invocation->operands[1] : NULL, .refresh = invocation->refresh, .json = invocation->json};

	return written(backings_verb(program, &call));
}

static int run_leader(const struct program *program, const struct invocation *invocation)
{
	long claim = invocation->operand_count > 1 ? strtol(invocation->operands[1], NULL, 10) : -1;

	if (!spec_build_valid(invocation->operands[0]))
		return usage("not the id of a build", invocation->operands[0]);
	return leader_verb(program, invocation->operands[0], (int)claim);
}

static int run_probe(const struct program *program, const struct invocation *invocation)
{
	(void)invocation;
	return probe_verb(program);
}

static int run_count(const struct program *program, const struct invocation *invocation)
{
	(void)invocation;
	return reports_verb(program);
}

static int run_premake(const struct program *program, const struct invocation *invocation)
{
	return premade_verb(program, invocation->operands[0], prepare_beforehand);
}

static int run_tidy(const struct program *program, const struct invocation *invocation)
{
	if (strcmp(invocation->operands[0], "slave") != 0 && strcmp(invocation->operands[0], "land") != 0)
		return usage("neither slave nor land", invocation->operands[0]);
	return tidy_verb(program, invocation->operands[0]);
}

static int run_lander(const struct program *program, const struct invocation *invocation)
{
	(void)invocation;
	return lander_verb(program);
}

static const struct verb verbs[] = {
	{"serve", "[--land]", "the slave's daemon; with --land the landing daemon", 0, 0, true, run_serve},
	{"spec", "--project NAME PROPOSAL", "print the spec of a proposal as it is now, for test and land by hand", 1, 1, false, run_spec},
	{"test", "[--spec FILE] [--result FILE] [--detach]",
		"test what a spec (standard input) says: log to standard output, signed result to FILE", 0, 0, false, run_test},
	{"list", "", "list the builds of this slave, the newest first", 0, 0, false, run_ask},
	{"cancel", "BUILD", "cancel a build that runs", 1, 1, false, run_ask},
	{"reap", "", "remove what ended builds and dead workers have left; 75 when something stays", 0, 0, false, run_ask},
	{"keep", "BUILD", "keep the worker of a build, stopped, when its tests have ended", 1, 1, false, run_ask},
	{"kept", "", "list the workers that are kept, and until when", 0, 0, false, run_ask},
	{"shell", "BUILD", "a shell in a kept worker (as root, or the slave's user)", 1, 1, false, run_shell},
	{"discard", "BUILD", "remove a kept worker before its time is over", 1, 1, false, run_ask},
	{"artefact", "BUILD [PATH]", "list what was kept of a build, or print one of it (as root, or the slave's user)", 1, 2, false,
		run_artefact},
	{"land", "--spec FILE --result FILE", "land what was tested, if it is approved", 0, 0, false, run_land},
	{"approved", "--project NAME TARGET", "list the approved proposals of a target; 3 when there is none", 1, 1, false, run_approved},
	{"land-approved", "--project NAME [--force] TARGET", "while the brain is down: test, land and report what is approved", 1, 1,
		false, run_land_approved},
	{"agent", "[--project NAME] [--script FILE] KIND [TARGET]",
		"what a Jenkins job runs: test, check, land, away, refresh, reap, health, as BRAIN_BUILD, SPEC, RESULT and FORCE say", 1, 2, false,
		run_agent},
	{"author", NULL, NULL, 2, 2, false, run_author},
	{"author-key", NULL, NULL, 2, 2, false, run_author_key},
	{"usher", NULL, NULL, 0, 0, true, run_usher},
	{"standby", NULL, NULL, 3, 3, true, run_standby},
	{"spare", NULL, NULL, 1, 1, true, run_spare},
	{"backing", "build [--refresh] NAME | list [--json] | show [--json] NAME | prune",
		"build what tests run on, or make it anew; list what there is; remove what nobody needs", 1, 2, false, run_backing},
	{"leader", NULL, NULL, 1, 2, true, run_leader},
	{"count", NULL, NULL, 0, 0, false, run_count},
	{"probe", NULL, NULL, 0, 0, true, run_probe},
	{"premake", NULL, NULL, 1, 1, true, run_premake},
	{"tidy", NULL, NULL, 1, 1, true, run_tidy},
	{"lander", NULL, NULL, 0, 0, true, run_lander},
};

static int help(void)
{
	printf("usage: byoci-slave [-n NAMESPACE] [-O NAME=VALUE]... VERB ...\n\n");
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (verbs[i].arguments)
			printf("  %s %s\n        %s\n", verbs[i].name, verbs[i].arguments, verbs[i].text);
	printf("\nIt ends with 0 success, 1 failure, 2 conflict, 3 nothing to do, 4 landed already, 5 moved: test again, 64 usage,\n"
	       "69 forge out of reach, 75 infrastructure, 77 refused, 124 timed out, 130 cancelled.\n");
	return 0;
}

/* An option of the command line: where its value or its being there goes. */
struct flag {
	const char *name;
	const char **value;
	bool *set;
};

static const struct flag *find_flag(const struct flag *flags, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(flags[i].name, name) == 0)
			return &flags[i];
	return NULL;
}

static int take_operand(struct invocation *invocation, const char *text)
{
	if (!invocation->verb)
		invocation->verb = text;
	else if (invocation->operand_count < OPERANDS_MAXIMUM)
		invocation->operands[invocation->operand_count++] = text;
	else
		return usage("too many arguments", text);
	return 0;
}

/* 0, or the exit status of a usage error. */
static int parse(struct invocation *invocation, int argc, char **argv)
{
	const char *override = NULL;
	const struct flag flags[] = {
		{"-n", &invocation->namespace, NULL}, {"-O", &override, NULL}, {"--spec", &invocation->spec, NULL},
		{"--result", &invocation->result, NULL}, {"--project", &invocation->project, NULL}, {"--land", NULL, &invocation->land},
		{"--detach", NULL, &invocation->detach}, {"--force", NULL, &invocation->force},
		{"--refresh", NULL, &invocation->refresh}, {"--json", NULL, &invocation->json},
		{"--script", &invocation->script, NULL}, {"--work", NULL, &invocation->work},
		{"--help", NULL, &invocation->help}, {"-h", NULL, &invocation->help}, {"--version", NULL, &invocation->version},
	};
	bool options = true;
	int bad = 0;

	for (int i = 1; i < argc && bad == 0; i++) {
		const struct flag *flag = options ? find_flag(flags, sizeof flags / sizeof flags[0], argv[i]) : NULL;
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (!flag && options && argv[i][0] == '-' && argv[i][1]) {
			bad = usage("unknown option", argv[i]);
		} else if (!flag) {
			bad = take_operand(invocation, argv[i]);
		} else if (flag->set) {
			*flag->set = true;
		} else if (i + 1 == argc) {
			bad = usage("needs a value", argv[i]);
		} else {
			*flag->value = argv[++i];
			if (override)
				strv_push(&invocation->overrides, override);
			override = NULL;
		}
	}
	return bad;
}

static int run(const struct invocation *invocation, const struct verb *verb)
{
	struct program program = {
		.overrides = (const char *const *)invocation->overrides.v, .root = getenv("BYOCI_ROOT"), .arena = arena_new()};
	const struct conf_source source = { /* the host's own configuration, never the caller's: a spec must fit the daemon */
		.namespace = invocation->namespace, .system_only = true, .root = program.root, .overrides = program.overrides};
	struct err err = {0};
	int status = outcome_exit(OUTCOME_USAGE);

	if (conf_load(&program.conf, &source, &err) == 0 && (!verb->check || conf_check(program.conf, &err) == 0))
		status = verb->run(&program, invocation);
	else
		fprintf(stderr, "byoci-slave %s: %s\n", verb->name, err.text);
	conf_free(program.conf);
	arena_free(program.arena);
	return status;
}

/* A standard descriptor that is closed would become the next file or socket: what is printed would go there. This one takes nothing. */
static void fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) < 0)
			abort();
}

int main(int argc, char **argv)
{
	struct invocation invocation = {.overrides = STRV_INIT};

	fill_standard();
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	int status = parse(&invocation, argc, argv);
	if (status == 0 && invocation.help) {
		status = help();
	} else if (status == 0 && invocation.version) {
		printf("byoci-slave %s\n", BYOCI_VERSION);
	} else if (status == 0 && !invocation.verb) {
		status = usage("no verb was given", NULL);
	} else if (status == 0) {
		const struct verb *verb = NULL;
		for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
			if (strcmp(verbs[i].name, invocation.verb) == 0)
				verb = &verbs[i];
		if (!verb)
			status = usage("unknown verb", invocation.verb);
		else if (invocation.operand_count < verb->least || invocation.operand_count > verb->most)
			status = usage("wrong number of arguments for", verb->name);
		else
			status = run(&invocation, verb);
	}
	strv_release(&invocation.overrides);
	return status;
}
