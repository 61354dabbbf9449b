/* byoci-brain: puts the parts together as tables, runs the loop, takes them apart again. No logic of its own. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strv.h"
#include "build/build_inbox.h"
#include "build/executor.h"
#include "build/keep.h"
#include "build/masters.h"
#include "build/premake.h"
#include "build/watch.h"
#include "calls/calls.h"
#include "calls/history.h"
#include "calls/turn.h"
#include "calls/wire.h"
#include "conf/reload.h"
#include "ctl/control.h"
#include "forge/outcome.h"
#include "gate/gate.h"
#include "intake/hook.h"
#include "landing/landing.h"
#include "proposal/helper.h"
#include "proposal/proposal_inbox.h"
#include "proposal/read.h"
#include "proposal/reconcile.h"
#include "report/report.h"
#include "www/pages.h"

#define FOLDER_MODE 0700
#define DESCRIPTORS 8192

static const struct brain_stage stages[STAGE_COUNT] = {
	[STAGE_PROPOSAL] = {"proposal", proposal_inbox_handlers},
	[STAGE_GATE] = {"gate", gate_handlers},
	[STAGE_BUILD] = {"build", build_inbox_handlers},
	[STAGE_LANDING] = {"landing", landing_handlers},
	[STAGE_REPORT] = {"report", report_handlers},
};

static const struct wire land_wire = {.option = "land.socket", .limit_ms = 600000};

static const struct wire premake_wire = {.option = "slave.socket", .limit_ms = 10000, .once = true};

static const struct wire keep_wire = {.option = "slave.socket", .limit_ms = 25000, .once = true};

static const struct wire status_wire = {.option = "slave.socket", .limit_ms = 5000, .once = true};

static const struct calls_performer performers[] = {
	{.kind = READ_PROPOSAL, .at_once = 4, .begin = read_begin, .drop = read_drop},
	{.kind = READ_LIST, .at_once = 1, .begin = read_begin, .drop = read_drop},
	{.kind = EXECUTOR_KIND, .at_once = 256, .begin = executor_begin, .cancel = executor_cancel, .drop = executor_drop},
	{.kind = PREMAKE_KIND, .at_once = 2, .about = &premake_wire, .begin = wire_begin, .drop = wire_drop},
	{.kind = KEEP_KIND, .at_once = 4, .about = &keep_wire, .begin = wire_begin, .drop = wire_drop},
	{.kind = KEEP_STATUS_KIND, .at_once = 1, .about = &status_wire, .begin = wire_begin, .drop = wire_drop},
	{.kind = LANDING_KIND, .at_once = 8, .about = &land_wire, .begin = landing_begin, .drop = landing_drop},
	{.kind = REPORT_KIND, .at_once = 4, .about = &land_wire, .begin = wire_begin, .drop = wire_drop},
	{.kind = NULL},
};

struct parts {
	struct conf *conf;
	struct arena *arena;
	struct brain brain;
	struct control *control;
	struct hook *hook;
	struct pages *pages;
	struct reconcile *reconcile;
	struct watch *watch;
	struct history *history;
	struct loop_source *term, *interrupt, *hangup;
};

/* What the listeners, the folders and the hook edge were made from. */
static const char *const fixed_options[] = {"state", "run", "brain.socket", "hook.listen", "hook.body.limit", "hook.deadline",
	"pages.listen", NULL};
static const struct reload_fixed fixed = {.options = fixed_options, .kind = "account"};

struct line {
	const char *namespace;
	struct strv overrides;
	bool help, version;
};

static int usage(const char *what, const char *why)
{
	fprintf(stderr, "byoci-brain: %s: %s; see byoci-brain --help\n", what, why);
	return outcome_exit(OUTCOME_USAGE);
}

static int read_line(struct line *line, char **argv)
{
	for (char **at = argv; *at; at++) {
		const char *word = *at;

		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			line->help = true;
		} else if (strcmp(word, "--version") == 0) {
			line->version = true;
		} else if (strcmp(word, "-n") != 0 && strcmp(word, "-O") != 0) {
			return usage(word, "no such option");
		} else if (!*++at) {
			return usage(word, "needs a value");
		} else if (word[1] == 'n') {
			line->namespace = *at;
		} else {
			strv_push(&line->overrides, *at);
		}
	}
	return 0;
}

static void print_help(void)
{
	puts("usage: byoci-brain [-n NAMESPACE] [-O OPTION=VALUE]...\n\n"
	     "The brain of a namespace: hears of proposals, queues what is approved, has it tested and landed. Runs in the foreground.\n\n"
	     "  -n NAMESPACE      else BYOCI_NAMESPACE, else the only one there is\n"
	     "  -O OPTION=VALUE   wins over the configuration\n"
	     "  --version         prints the version");
}

static void on_end(void *cookie)
{
	loop_stop(cookie);
}

/* No step is under way here, and nothing holds texts of the configuration from one turn to the next. */
static void on_hangup(void *cookie)
{
	struct parts *parts = cookie;
	const struct conf_source source = {
		.system_only = true, .root = getenv("BYOCI_ROOT"), .overrides = parts->brain.overrides};
	struct err err = {.kind = ERR_NONE};
	struct conf *conf = reload_conf(parts->conf, &source, &fixed, &err);

	if (!conf)
		return;
	conf_free(parts->conf);
	parts->conf = conf;
	parts->brain.conf = conf;
	helper_renew(parts->brain.helpers);
	masters_renew(parts->brain.masters);
}

/* The folder of this very program. */
static int find_programs(struct parts *parts, struct err *err)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	if (length < 0)
		return err_set_errno(err, errno, "/proc/self/exe");
	path[length] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	parts->brain.programs = arena_strdup(parts->arena, path);
	return 0;
}

static int find_folders(struct parts *parts, struct err *err)
{
	struct brain *brain = &parts->brain;
	const char *state;

	if (conf_text(parts->conf, NULL, "state", &state, err) < 0)
		return -1;
	brain->folder = arena_printf(parts->arena, "%s/brain", state);
	brain->logs = arena_printf(parts->arena, "%s/logs", brain->folder);
	if (access(brain->folder, W_OK | X_OK) < 0)
		return err_set_errno(err, errno, "%s, the brain's folder: is %s set up? (setup/byoci %s)", brain->folder, brain->namespace,
			brain->namespace);
	return file_make_folder(brain->logs, FOLDER_MODE, err);
}

static int load(struct parts *parts, const struct line *line, struct err *err)
{
	const char *root = getenv("BYOCI_ROOT");
	const struct conf_source source = {.namespace = line->namespace, .system_only = true, .root = root,
		.overrides = (const char *const *)line->overrides.v};

	if (conf_load(&parts->conf, &source, err) < 0 || conf_check(parts->conf, err) < 0)
		return -1;
	parts->brain = (struct brain){
		.conf = parts->conf,
		.namespace = arena_strdup(parts->arena, conf_namespace(parts->conf)),
		.overrides = source.overrides,
		.root = root ? root : "",
		.stages = stages,
		.started = clock_wall_ms(),
	};
	return 0;
}

/* The control socket first: it tells a brain that runs already. */
static int start(struct parts *parts, struct err *err)
{
	struct brain *brain = &parts->brain;

	if (find_programs(parts, err) < 0 || find_folders(parts, err) < 0 || loop_new(&brain->loop, err) < 0)
		return -1;
	parts->control = control_new(brain, err);
	if (!parts->control || store_open(&brain->store, arena_printf(parts->arena, "%s/state.db", brain->folder), err) < 0)
		return -1;
	if (turn_init(brain, err) < 0 || calls_init(brain, performers, err) < 0)
		return -1;
	brain->helpers = helper_new(brain);
	brain->masters = masters_new(brain);
	parts->pages = pages_new(brain, err);
	parts->hook = parts->pages ? hook_new(brain, err) : NULL;
	if (!parts->hook)
		return -1;
	brain->ears = (struct brain_ears){.log_grew = pages_log_grew, .cookie = parts->pages, .asked = control_asked,
		.asker = parts->control, .pushed = premake_pushed};
	parts->reconcile = reconcile_new(brain);
	parts->watch = watch_new(brain);
	parts->history = history_new(brain);
	parts->term = loop_signal(brain->loop, SIGTERM, on_end, brain->loop);
	parts->interrupt = loop_signal(brain->loop, SIGINT, on_end, brain->loop);
	parts->hangup = loop_signal(brain->loop, SIGHUP, on_hangup, parts);
	return 0;
}

static void stop(struct parts *parts)
{
	struct brain *brain = &parts->brain;

	loop_cancel(parts->term);
	loop_cancel(parts->interrupt);
	loop_cancel(parts->hangup);
	reconcile_free(parts->reconcile);
	watch_free(parts->watch);
	history_free(parts->history);
	hook_free(parts->hook);
	brain->ears = (struct brain_ears){.log_grew = NULL};
	calls_release(brain);
	helper_free(brain->helpers);
	masters_free(brain->masters);
	turn_release(brain);
	pages_free(parts->pages);
	control_free(parts->control);
	store_close(brain->store);
	loop_free(brain->loop);
	conf_free(parts->conf);
	arena_free(parts->arena);
}

static int run(const struct line *line)
{
	struct parts parts = {.arena = arena_new()};
	struct err err = {.kind = ERR_NONE};
	int status = 0;

	if (load(&parts, line, &err) == 0 && start(&parts, &err) == 0) {
		log_info(LOG_WHAT("ready"), LOG_TEXT("namespace", parts.brain.namespace), LOG_TEXT("version", BYOCI_VERSION),
			LOG_NUMBER("hook_port", hook_port(parts.hook)), LOG_NUMBER("pages_port", pages_port(parts.pages)));
		if (loop_run(parts.brain.loop, &err) == 0)
			log_info(LOG_WHAT("stopped"), LOG_TEXT("namespace", parts.brain.namespace));
	}
	if (err.kind != ERR_NONE) {
		fprintf(stderr, "byoci-brain: %s\n", err.text);
		status = outcome_exit(err.kind == ERR_CONFIG || err.kind == ERR_USAGE ? OUTCOME_USAGE : OUTCOME_INFRASTRUCTURE);
	}
	stop(&parts);
	return status;
}

/* As many descriptors as the connections of two listeners and their spooled bodies can take. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit); /* less than that is no reason not to start */
}

int main(int argc, char **argv)
{
	struct line line = {.namespace = NULL};
	int status;

	umask(0077);
	signal(SIGPIPE, SIG_IGN);
	allow_descriptors();
	if (prctl(PR_SET_DUMPABLE, 0) < 0) {
		perror("byoci-brain: core dumps can't be refused");
		return outcome_exit(OUTCOME_INFRASTRUCTURE);
	}
	status = argc > 0 ? read_line(&line, argv + 1) : 0;
	if (status == 0 && line.help)
		print_help();
	else if (status == 0 && line.version)
		puts("byoci-brain " BYOCI_VERSION);
	else if (status == 0)
		status = run(&line);
	strv_release(&line.overrides);
	return status;
}
