/* The `byoci` command: one table of verbs. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "base/strv.h"
#include "forge/outcome.h"
#include "verb/verb.h"

struct verb {
	const char *name;
	verb_fn *run;
	bool system_only; /* of a service: reads nothing but /etc/byoci */
	bool hidden;      /* not for people: in `byoci help VERB` only */
	const char *arguments;
	const char *summary;
	const char *help;
};

static const struct verb verbs[] = {
	{
		.name = "status", .run = ask_verb,
		.arguments = "[--json]",
		.summary = "Tells how the brain is.",
		.help = "Version, since when, what is queued and running, whether slave and landing daemon answer.",
	},
	{
		.name = "queue", .run = ask_verb,
		.arguments = "[--json]",
		.summary = "Shows what waits, for each target.",
		.help = "In the order in which it will be tested.",
	},
	{
		.name = "why", .run = ask_verb,
		.arguments = "NAME [--project P] [--json]",
		.summary = "Tells what was done about a proposal, or why nothing was.",
		.help = "Every decision, the oldest first.",
	},
	{
		.name = "show", .run = ask_verb,
		.arguments = "NAME|BUILD [--project P] [--json]",
		.summary = "Shows a proposal or a build, with its time line.",
		.help = "The time line says when each step was and how long it took.",
	},
	{
		.name = "log", .run = ask_verb,
		.arguments = "[-f] BUILD",
		.summary = "Prints the log of a build.",
		.help = "Control characters are escaped.\n\n  -f  goes on until the build has ended",
	},
	{
		.name = "keep", .run = ask_verb,
		.arguments = "BUILD [--json]",
		.summary = "Asks that the worker of a running build is kept.",
		.help = "When its tests have ended, whatever they say, it stays, stopped, with its disk, as long as keep.limit allows.",
	},
	{
		.name = "kept", .run = ask_verb,
		.arguments = "[--json]",
		.summary = "Shows the workers that are kept, and until when.",
		.help = "byoci-slave shell BUILD, on the slave's machine, is a shell in one.",
	},
	{
		.name = "discard", .run = ask_verb,
		.arguments = "BUILD [--json]",
		.summary = "Ends the kept worker of a build.",
		.help = "Nothing of it is left then.",
	},
	{
		.name = "propose", .run = propose_verb,
		.arguments = "[--project P] [--target BRANCH] [--name NAME] [-m TEXT] [-k KEY] [--repository FOLDER] [COMMIT]",
		.summary = "Proposes a commit for a gated branch.",
		.help =
			"Signs a record with your ssh key and pushes it together with COMMIT (HEAD), in one atomic push.\n\n"
			"  --project P          when there are several in the configuration\n"
			"  --target BRANCH      where it is to land; the project's first target\n"
			"  --name NAME          of the proposal; from the name of your branch. A name that is there gets the new commit.\n"
			"  -m TEXT              the message of the merge; the commit's own message\n"
			"  -k KEY               the ssh key to sign and to push with; else git's user.signingkey or ~/.ssh/id_ed25519,\n"
			"                       and your ssh as it is\n"
			"  --repository FOLDER  your clone; the folder you are in\n\n"
			"Proposing again is allowed. A push after an approval needs a new approval.",
	},
	{
		.name = "approve", .run = approve_verb,
		.arguments = "[--project P] [--commit SHA] [-k KEY] NAME",
		.summary = "Approves the commit that a proposal has now.",
		.help =
			"Shows the commit and signs an approval for exactly that one.\n\n"
			"  --project P   when there are several in the configuration\n"
			"  --commit SHA  what you have read: refused when the proposal has another commit now\n"
			"  -k KEY        the ssh key to sign and to push with; else git's user.signingkey or ~/.ssh/id_ed25519,\n"
			"                and your ssh as it is",
	},
	{
		.name = "config", .run = config_verb,
		.arguments = "[SECTION | OPTION | SECTION:OPTION] [--json]",
		.summary = "Prints every option, its value and where it came from.",
		.help = "SECTION is project/NAME, job/NAME, backing/NAME or account/NAME. Of one OPTION, only the value.",
	},
	{
		.name = "jenkins", .run = jenkins_verb, .system_only = true,
		.arguments = "sync [--dry-run] | status | run-job [--dry-run] REGEXP | update-slave [--dry-run] NAME | slave-secret NODE"
			" | remove [--dry-run]",
		.summary = "Keeps our jobs on the master, and tells how it is.",
		.help =
			"As root or the brain's user, who reads the master's secret. Without a brain, too.\n\n"
			"  sync           makes jobs and views on the master as the configuration and the templates want them; shows what that\n"
			"                 changes first. Of the others it deletes only what an earlier sync made\n"
			"  status         version, our nodes, and which of our jobs wait\n"
			"  run-job        starts our jobs whose names match, with default parameters, as the master's Build button does\n"
			"  update-slave   makes the nodes of [slave/NAME] on the master, or changes them: NAME tests, NAME-land lands\n"
			"  slave-secret   prints what the agent of a node shows a modern Jenkins: for a file of mode 0600\n"
			"  remove         deletes what sync and update-slave made on the master, and nothing else\n"
			"  --command      (update-slave) Jenkins starts the agent over ssh, by its plugin command-launcher\n"
			"  --master NAME  (slave-secret) of [master/NAME]\n"
			"  --dry-run      shows it and does nothing",
	},
	{
		.name = "secrets", .run = secrets_verb, .system_only = true,
		.arguments = "[--check] [--json]",
		.summary = "Makes the secrets that are missing, or checks them.",
		.help =
			"As root. What is there is never changed.\n\n"
			"  --check  makes nothing; exits with 77 when one is missing, or somebody could read it who must not",
	},
	{
		.name = "login", .run = launchpad_login_verb, .system_only = true,
		.arguments = "[ACCOUNT]",
		.summary = "Gets a token of Launchpad, by way of a browser.",
		.help =
			"Says which page to open as byoci's own account there, waits until its person has allowed it, and prints the token: the line that\n"
			"SECRETS/brain/launchpad-ACCOUNT and SECRETS/land/launchpad-ACCOUNT hold, each owned by its user and read by nobody else. Get two, so\n"
			"that one can be withdrawn without the other. ACCOUNT is launchpad, when it is not said.",
	},
	{
		.name = "author-keys", .run = author_keys_verb, .system_only = true, .hidden = true,
		.arguments = "[--project P] NAME",
		.summary = "Prints the ssh keys that the project's forge publishes for somebody.",
		.help = "TYPE and BASE64 of each, one a line. Of a plain git repository: those of NAME in allowed_signers.",
	},
	{
		.name = "git-read", .run = git_read_verb, .system_only = true, .hidden = true,
		.arguments = "[--project P] NAME | --list | --serve",
		.summary = "Prints a proposal of a plain git repository.",
		.help = "As one line of JSON: what the forge's API would answer. The records in it are verified.",
	},
	{
		.name = "launchpad-read", .run = launchpad_read_verb, .system_only = true, .hidden = true,
		.arguments = "[--project P] [--anew] NUMBER | PLACE | --list",
		.summary = "Prints a merge proposal of Launchpad.",
		.help =
			"As one line of JSON: what its API answers, and what git says of the commits. PLACE is ~OWNER/PROJECT/+git/NAME/+merge/NUMBER,\n"
			"below the source's repository.",
	},
	{
		.name = "launchpad-tell", .run = launchpad_tell_verb, .system_only = true, .hidden = true,
		.arguments = "[--project P] NUMBER | PLACE",
		.summary = "Tells a merge proposal of Launchpad what became of it.",
		.help = "A report in JSON on standard input becomes a comment and a status, each once.",
	},
	{
		.name = "git-serve", .run = git_serve_verb, .system_only = true, .hidden = true,
		.arguments = "WHO",
		.summary = "Serves one ssh connection to a plain git repository.",
		.help = "The forced command of WHO's ssh key.",
	},
	{
		.name = "git-pre-receive", .run = git_hook_pre_receive, .system_only = true, .hidden = true,
		.arguments = "",
		.summary = "The pre-receive hook of a plain git repository.",
		.help = "Refuses what the forge's rules do not allow.",
	},
	{
		.name = "git-post-receive", .run = git_hook_post_receive, .system_only = true, .hidden = true,
		.arguments = "",
		.summary = "The post-receive hook of a plain git repository.",
		.help = "Tells the brain what was pushed.",
	},
};

#define VERBS (sizeof verbs / sizeof verbs[0])

/* The command line, taken apart. */
struct line {
	const char *namespace;
	struct strv overrides, arguments;
	const char *verb;
	bool json, help, version;
};

static void print_help(FILE *to)
{
	fputs("usage: byoci [-n NAMESPACE] [-O OPTION=VALUE]... VERB [ARGUMENT]...\n\n", to);
	for (size_t i = 0; i < VERBS; i++)
		if (!verbs[i].hidden)
			fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fputs("  help       Tells more about a verb: byoci help VERB.\n\n"
	      "  -n NAMESPACE      else BYOCI_NAMESPACE, else the only one there is\n"
	      "  -O OPTION=VALUE   wins over the configuration; SECTION:OPTION=VALUE for one section\n"
	      "  --json            the answer as JSON\n"
	      "  --version         prints the version\n",
		to);
}

static void print_verb_help(const struct verb *verb)
{
	printf("usage: byoci %s %s\n\n%s %s\n", verb->name, verb->arguments, verb->summary, verb->help);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int usage(const char *what, const char *why)
{
	fprintf(stderr, "byoci: %s: %s; see byoci --help\n", what, why);
	return outcome_exit(OUTCOME_USAGE);
}

/* "-n X", "-nX", "--namespace X", "--namespace=X": the value, and how many arguments it took; NULL: not this option, or no value.
 */
static const char *option_value(const char *const *at, const char *letter, const char *word, int *taken)
{
	size_t length = strlen(word);

	*taken = 1;
	if (strncmp(*at, letter, 2) == 0 && (*at)[2])
		return *at + 2;
	if (strncmp(*at, word, length) == 0 && (*at)[length] == '=')
		return *at + length + 1;
	if (strcmp(*at, letter) != 0 && strcmp(*at, word) != 0)
		return NULL;
	*taken = 2;
	return at[1];
}

/* -1: not one of ours; else how many arguments it took. */
static int take_option(struct line *line, const char *const *at)
{
	static const char *const words[] = {"--json", "--help", "-h", "--version"};
	bool *const flags[] = {&line->json, &line->help, &line->help, &line->version};
	const char *value;
	int taken;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(*at, words[i]) == 0) {
			*flags[i] = true;
			return 1;
		}
	value = option_value(at, "-n", "--namespace", &taken);
	if (value) {
		line->namespace = value;
		return taken;
	}
	value = option_value(at, "-O", "--option", &taken);
	if (!value)
		return -1;
	strv_push(&line->overrides, value);
	return taken;
}

static int read_line(struct line *line, const char *const *argv)
{
	bool all = false;

	for (int taken; *argv; argv += taken) {
		taken = all ? -1 : take_option(line, argv);
		if (taken > 0)
			continue;
		taken = 1;
		if (!line->verb) {
			if (**argv == '-')
				return usage(*argv, strcmp(*argv, "-n") == 0 || strcmp(*argv, "-O") == 0 ? "needs a value" : "no such option");
			line->verb = *argv;
			continue;
		}
		all = all || strcmp(*argv, "--") == 0;
		strv_push(&line->arguments, *argv);
	}
	return 0;
}

static int run_verb(const struct line *line, const struct verb *verb)
{
	static const char *const none[] = {NULL};
	struct verb_call call = {.verb = verb->name, .argc = (int)line->arguments.count, .json = line->json};
	const struct conf_source source = {.namespace = line->namespace, .system_only = verb->system_only, .root = verb_root(),
		.overrides = (const char *const *)line->overrides.v};
	struct err err = {.kind = ERR_NONE};
	int status;

	call.argv = line->arguments.v ? (const char *const *)line->arguments.v : none;
	if (conf_load(&call.conf, &source, &err) < 0) {
		if (verb->hidden && err.kind == ERR_CONFIG)
			err.kind = ERR_SYSTEM; /* a daemon runs it, and asks again: what it was asked is right, the files are not just now */
		return verb_fail(&call, &err);
	}
	call.namespace = conf_namespace(call.conf);
	status = verb->run(&call);
	conf_free(call.conf);
	return status;
}

/* `byoci help`, `byoci help VERB`, `byoci VERB --help`. */
static int help(const char *name)
{
	const struct verb *verb = name ? find_verb(name) : NULL;

	if (name && !verb && strcmp(name, "help") != 0)
		return usage(name, "no such verb");
	if (verb)
		print_verb_help(verb);
	else
		print_help(stdout);
	return 0;
}

static int run(const struct line *line)
{
	const struct verb *verb;

	if (line->version) {
		puts("byoci " BYOCI_VERSION);
		return 0;
	}
	if (line->verb && strcmp(line->verb, "help") == 0)
		return help(line->arguments.v ? line->arguments.v[0] : NULL);
	if (line->help)
		return help(line->verb);
	if (!line->verb) {
		print_help(stderr);
		return outcome_exit(OUTCOME_USAGE);
	}
	verb = find_verb(line->verb);
	return verb ? run_verb(line, verb) : usage(line->verb, "no such verb");
}

int main(int argc, char **argv)
{
	struct line line = {.namespace = NULL};
	int status;

	setlocale(LC_ALL, "C.UTF-8");
	status = argc > 0 ? read_line(&line, (const char *const *)argv + 1) : 0;
	if (status == 0)
		status = run(&line);
	if (fflush(stdout) != 0 && status == 0) {
		fputs("byoci: standard output could not be written\n", stderr);
		status = outcome_exit(OUTCOME_INFRASTRUCTURE);
	}
	strv_release(&line.overrides);
	strv_release(&line.arguments);
	return status;
}
