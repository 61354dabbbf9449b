#include "slaves/agent/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "slaves/agent/guard.h"
#include "slaves/agent/health.h"
#include "slaves/agent/words.h"
#include "slaves/common/ending.h"
#include "slaves/common/hail.h"
#include "slaves/common/output.h"
#include "slaves/common/talk.h"
#include "slaves/land/byhand.h"

#define CANCEL_MS (30 * 1000) /* for a daemon that is being restarted to hear that a build is nobody's any more */
#define REFRESH_MS (130 * 60 * 1000) /* the daemon ends it before */
#define PAUSE_NS (100 * 1000000L)

struct work {
	const struct program *program;
	const struct agent_call *call;
	struct words words;
};

/* Returns the exit status, or -1 and err. */
typedef int work_fn(struct work *work, struct err *err);

/* A line of our own; foreign words in it are harmless then. */
static void say(const struct program *program, const char *text)
{
	printf("byoci: %s\n", output_line(program->arena, text, strlen(text), OUTPUT_LINE - 16));
	fflush(stdout);
}

/* A signed line, as long as it is. It comes from a daemon, and is base64 but for its header; else it is not printed as it is. */
static int print_line(const char *line, struct err *err)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/= -";

	if (line[strspn(line, good)])
		return err_set(err, ERR_SYSTEM, "the daemon's signed line has bytes in it that no such line has");
	puts(line);
	return fflush(stdout) == 0 ? 0 : err_set(err, ERR_SYSTEM, "the result could not be written");
}

/* What lands nothing, whoever starts it. */
static bool is_check(const struct agent_call *call)
{
	return strcmp(call->kind, "check") == 0;
}

/* The daemons are of this host: one that is not there is the machine's trouble, not a forge's. */
static enum outcome outcome_of(const struct err *err)
{
	return err->kind == ERR_NETWORK ? OUTCOME_INFRASTRUCTURE : ending_of_error(err);
}

static int by_hand(struct work *work, bool one, struct err *err)
{
	const char *const single[] = {work->call->target, NULL}, *const *targets = single;
	const struct program *program = work->program;
	int status = outcome_exit(OUTCOME_NOTHING);
	bool unread = false;

	if (!work->call->target && conf_list(program->conf, program->arena, arena_printf(program->arena, "project/%s", work->call->project),
					   "target", &targets, err) < 0)
		return -1;
	for (; targets && *targets && status == outcome_exit(OUTCOME_NOTHING); targets++) {
		const struct byhand byhand = {
			.project = work->call->project, .target = *targets, .force = work->words.force, .one = one, .pass = true,
			.test_only = is_check(work->call)};
		say(program, arena_printf(program->arena, "by hand: what is approved for %s of %s", *targets, work->call->project));
		status = byhand_land_approved(program, &byhand, &unread);
	}
	if (status == outcome_exit(OUTCOME_NOTHING) && unread)
		return outcome_exit(OUTCOME_INFRASTRUCTURE);
	if (status == outcome_exit(OUTCOME_NOTHING))
		say(program, "nothing is approved that was not tried already");
	return status;
}

static int do_test(struct work *work, struct err *err)
{
	const struct program *program = work->program;
	const char *path = program_option(program, "slave.socket", err);
	const struct words *words = &work->words;

	if (!path)
		return -1;
	if (!*words->build)
		return by_hand(work, true, err);
	if (strcmp(words->spec.build, words->build) != 0)
		return err_set(err, ERR_INPUT, "BRAIN_BUILD: SPEC is of another build");
	json_t *request = json_pack("{s:s, s:O}", "op", "start", "spec", words->json);
	json_t *reply = talk_ask_patiently(path, request, TALK_REPLY_MS, err);
	json_decref(request);
	if (!reply)
		return -1;
	json_decref(reply);
	struct talk_following following = {.socket = path, .build = words->spec.build, .arena = program->arena};
	if (talk_follow(&following, err) < 0 || print_line(following.line, err) < 0)
		return -1;
	return outcome_exit(following.outcome);
}

static int print_landing(const struct program *program, const json_t *reply, struct err *err)
{
	const char *line = jsonget_string_or(reply, "line", NULL), *word = jsonget_string_or(reply, "outcome", "");
	enum outcome outcome;

	if (!outcome_from_word(word, &outcome))
		return err_set(err, ERR_SYSTEM, "the land daemon answered without an outcome");
	say(program, arena_printf(program->arena, "landing: %s: %s", word, jsonget_string_or(reply, "reason", "")));
	if (!line)
		return err_set(err, ERR_CONFIG, "the land daemon has no key to sign its answer with (run setup/byoci): nobody would believe it");
	return print_line(line, err) < 0 ? -1 : outcome_exit(outcome);
}

static int do_land(struct work *work, struct err *err)
{
	const struct program *program = work->program;
	const char *path = program_option(program, "land.socket", err);
	const struct words *words = &work->words;

	if (!path)
		return -1;
	if (!*words->build) {
		say(program, "this job lands what the brain asks for; without the brain, build the gate job instead: it tests and lands");
		return outcome_exit(OUTCOME_NOTHING);
	}
	json_t *request = json_pack("{s:s, s:O, s:s}", "op", "land", "spec", words->json, "result", words->result);
	if (!request)
		return err_set(err, ERR_INPUT, "RESULT: not UTF-8");
	json_t *reply = talk_ask_patiently(path, request, TALK_LAND_MS, err);
	json_decref(request);
	int done = reply ? print_landing(program, reply, err) : -1;
	json_decref(reply);
	return done;
}

/* What somebody would press a button for, every few minutes, as long as the brain is away. */
static int do_away(struct work *work, struct err *err)
{
	const char *where = NULL;
	int up = byhand_brain(work->program, &where, err);

	if (up < 0)
		return -1;
	if (up > 0) {
		say(work->program, arena_printf(work->program->arena, "the brain is up (%s): nothing to do", where));
		return 0;
	}
	int status = by_hand(work, false, err);
	return status == outcome_exit(OUTCOME_NOTHING) ? 0 : status;
}

static int do_reap(struct work *work, struct err *err)
{
	const char *path = program_option(work->program, "slave.socket", err);
	json_t *request = json_pack("{s:s}", "op", "reap"), *reply = path ? talk_ask(path, request, 2 * TALK_REPLY_MS, err) : NULL, *value;
	struct arena *arena = work->program->arena;
	size_t i;

	json_decref(request);
	if (!reply)
		return -1;
	say(work->program, arena_printf(arena, "removed what %lld builds and workers had left",
				   (long long)jsonget_integer_or(reply, "removed", 0)));
	json_array_foreach(json_object_get(reply, "left"), i, value)
		say(work->program, arena_printf(arena, "left: %s", json_string_value(value) ? json_string_value(value) : "?"));
	json_decref(reply);
	return i > 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}

static int refresh_one(struct work *work, const char *path, const char *name, struct err *err)
{
	struct arena *arena = work->program->arena;
	json_t *request = json_pack("{s:s, s:s}", "op", "refresh", "backing", name);
	json_t *reply = talk_ask_patiently(path, request, REFRESH_MS, err);
	const char *word = jsonget_string_or(reply, "outcome", "");
	enum outcome outcome = OUTCOME_INFRASTRUCTURE;

	json_decref(request);
	if (!reply)
		return -1;
	outcome_from_word(word, &outcome);
	say(work->program, arena_printf(arena, "backing %s: %s: %s", name, word, jsonget_string_or(reply, "text", "")));
	json_decref(reply);
	return outcome_exit(outcome);
}

static int do_health(struct work *work, struct err *err)
{
	return health_check(work->program, err);
}

/* Every backing; one that fails does not keep the others as they are. */
static int do_refresh(struct work *work, struct err *err)
{
	const char *path = program_option(work->program, "slave.socket", err);
	int status = 0;

	if (!path)
		return -1;
	for (const char *const *name = conf_sections(work->program->conf, work->program->arena, "backing"); *name; name++) {
		int one = refresh_one(work, path, *name, err);

		if (one < 0 && err->kind == ERR_NETWORK)
			return -1; /* nobody is there for the others either */
		if (one < 0) {
			say(work->program, err->text);
			one = outcome_exit(outcome_of(err));
			err_clear(err);
		}
		status = status ? status : one;
	}
	return status;
}

static const struct kind {
	const char *name;
	work_fn *call;
	bool project; /* needs one */
} kinds[] = {
	{"test", do_test, true}, {"check", do_test, true}, {"land", do_land, true}, {"away", do_away, true}, {"reap", do_reap, false},
	{"refresh", do_refresh, false}, {"health", do_health, false},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int check(const struct program *program, const struct agent_call *call, const struct kind *kind, struct err *err)
{
	if (!kind->project)
		return 0;
	if (!call->project)
		return err_set(err, ERR_USAGE, "%s needs --project NAME", kind->name);
	if (!conf_has_section(program->conf, arena_printf(program->arena, "project/%s", call->project)))
		return err_set(err, ERR_USAGE, "project %.64s is not configured here", call->project);
	return 0;
}

static int work_on(const struct program *program, const struct agent_call *call, const struct kind *kind)
{
	struct work work = {.program = program, .call = call};
	struct err err = {0};
	int status = -1;

	if (words_read(program->arena, call->project, &work.words, &err) == 0)
		status = kind->call(&work, &err);
	words_release(&work.words);
	if (status >= 0)
		return status;
	say(program, err.text);
	return outcome_exit(outcome_of(&err));
}

/* The connection that ended cancels what it followed; a build that was only just asked for, or whose daemon is away, is told of it here. */
static void cancel(const struct program *program, const char *build)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int64_t end = clock_monotonic_us() + CANCEL_MS * 1000LL;
	struct err err = {0};
	const char *path = program_option(program, "slave.socket", &err);
	json_t *request = json_pack("{s:s, s:s}", "op", "cancel", "build", build), *reply;

	while (path && !(reply = talk_ask(path, request, TALK_REPLY_MS, &err)) && err.kind == ERR_NETWORK && clock_monotonic_us() < end) {
		err_clear(&err);
		nanosleep(&pause, NULL);
	}
	if (path)
		json_decref(reply);
	json_decref(request);
}

static int guard(const struct program *program, const struct agent_call *call)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	const char *build = getenv("BRAIN_BUILD");
	struct err err = {0};

	program_command(program, NULL, &argv, &environment);
	strv_pushl(&argv, "agent", "--work", NULL);
	if (call->project)
		strv_pushl(&argv, "--project", call->project, NULL);
	strv_pushl(&argv, "--", call->kind, call->target, NULL);
	words_pass(&environment);
	const struct guard_order order = {
		.argv = (const char *const *)argv.v, .environment = (const char *const *)environment.v, .script = call->script};
	int status = guard_run(&order, &err);
	strv_release(&argv);
	strv_release(&environment);
	if (status >= 0)
		return status;
	say(program, arena_printf(program->arena, "ended: %s", err.text));
	if (err.kind != ERR_MOVED)
		return outcome_exit(OUTCOME_INFRASTRUCTURE);
	if ((strcmp(call->kind, "test") == 0 || is_check(call)) && build && spec_build_valid(build))
		cancel(program, build);
	return outcome_exit(OUTCOME_CANCELLED);
}

int agent_verb(const struct program *program, const struct agent_call *call)
{
	const struct kind *kind = find_kind(call->kind);
	struct err err = {0};

	if (!kind)
		err_set(&err, ERR_USAGE, "%.32s: not a kind of work; test, check, land, away, refresh, reap, health are", call->kind);
	if (!kind || check(program, call, kind, &err) < 0) {
		say(program, err.text);
		return outcome_exit(OUTCOME_USAGE);
	}
	return call->work ? work_on(program, call, kind) : guard(program, call);
}
