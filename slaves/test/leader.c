#include "slaves/test/leader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/record/builds.h"
#include "slaves/test/ahead.h"
#include "slaves/test/author.h"
#include "slaves/test/entitled.h"
#include "slaves/test/premade.h"
#include "slaves/test/prepare.h"
#include "slaves/test/prepared.h"
#include "slaves/test/trust.h"

#define PREPARE_TEXT_MAXIMUM ((size_t)64 * 1024)
#define LEADER_NODES 16

struct leader {
	const struct program *program;
	struct arena *arena;
	const char *build;
	struct spec spec;
	struct output *output;
	int signals; /* signalfd of what cancels */
	struct ending ending;
	struct trial_worker worker;
	struct err no_worker; /* why there is none */
	int64_t worker_began;
	bool kept; /* its worker is, and needs the layer: the reaper removes that */
};

/* What takes its time, such as fetch and merge, in a process of its own: that we hear who cancels meanwhile. */
struct making {
	pid_t pid;
	int from; /* what it tells */
};

int leader_signals(struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_set_errno(err, errno, "block signals");
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_set_errno(err, errno, "make a signal descriptor") : fd;
}

static int end_with(struct leader *leader, enum outcome outcome, const char *reason)
{
	leader->ending.outcome = outcome;
	leader->ending.reason = reason;
	return -1;
}

static int end_with_error(struct leader *leader, const struct err *err)
{
	enum outcome outcome = ending_of_error(err);

	if (outcome == OUTCOME_USAGE)
		outcome = OUTCOME_INFRASTRUCTURE;
	return end_with(leader, outcome, output_line(leader->arena, err->text, strlen(err->text), sizeof err->text));
}

/* Collects what the child writes until it closes its end. 1: cancelled meanwhile. */
static int collect(struct leader *leader, int from, struct buf *text, struct err *err)
{
	struct pollfd fds[2] = {{.fd = from, .events = POLLIN}, {.fd = leader->signals, .events = POLLIN}};
	char bytes[4096];

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for a process of ours");
		if (fds[1].revents)
			return 1;
		if (!fds[0].revents)
			continue;
		ssize_t length = read(from, bytes, sizeof bytes);
		if (length == 0)
			return 0;
		if (length < 0 && errno != EINTR)
			return err_set_errno(err, errno, "read what a process of ours says");
		if (length > 0 && buf_add(text, bytes, (size_t)length) < 0)
			return err_set(err, ERR_FULL, "a process of ours says too much");
	}
}

static int make(void *cookie)
{
	const struct leader *leader = cookie;

	return prepare_build(leader->program, leader->build);
}

/* What was made beforehand needs no process. 1: taken over; 0: there is none; -1: the build has ended. */
static int take(struct leader *leader)
{
	struct err err = {0};
	const char *layer = builds_path(leader->program, leader->arena, leader->build, "layer", &err);
	const struct premade_wish wish = {.program = leader->program, .spec = &leader->spec, .layer = layer};
	int64_t began = clock_wall_ms();

	int taken = layer ? premade_take(&wish, &leader->ending, leader->arena, &err) : -1;
	if (taken > 0 && output_say(leader->output, &err, PREPARE_TAKEN, leader->ending.merge) < 0)
		taken = -1;
	if (taken < 0)
		return end_with_error(leader, &err);
	if (taken > 0) {
		steps_begin(&leader->ending.steps, "merge");
		leader->ending.steps.list[0].started = began;
	}
	return taken;
}

static int begin_making(struct leader *leader, int (*act)(void *cookie), struct making *making, struct err *err)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "make a pipe");
	const struct child_task task = {.act = act, .cookie = leader, .out = pipes[1]};
	int done = child_copy(&task, &making->pid, err);
	close(pipes[1]);
	making->from = pipes[0];
	if (done < 0)
		close(pipes[0]);
	return done;
}

/* All that it says, when it has ended. 1: cancelled before it had. */
static int hear(struct leader *leader, const struct making *making, struct buf *text, struct err *err)
{
	int done = collect(leader, making->from, text, err);

	if (done != 0)
		kill(making->pid, SIGKILL);
	while (waitpid(making->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	close(making->from);
	return done;
}

/* 0: the tree is there; -1: the build has ended. */
static int end_making(struct leader *leader, const struct making *making)
{
	struct err err = {0};
	struct buf text;

	buf_init(&text, PREPARE_TEXT_MAXIMUM);
	int done = hear(leader, making, &text, &err);
	if (done == 0) {
		done = prepared_read(leader->arena, text.data ? text.data : "", text.length, &leader->ending, &err);
		if (done < 0)
			err_wrap(&err, "fetch and merge ended without an answer");
	}
	buf_release(&text);
	if (done > 0)
		return end_with(leader, OUTCOME_CANCELLED, "cancelled while the merge was made");
	if (done < 0)
		return end_with_error(leader, &err);
	return leader->ending.outcome == OUTCOME_SUCCESS ? 0 : -1;
}

/* One that waited is used if it is well; else one is started. That there is none is told when the merge is made. */
static void get_worker(struct leader *leader)
{
	const struct spec_job *job = &leader->spec.jobs[0];
	struct err unwell = {0};

	leader->worker_began = clock_wall_ms();
	if (leader->worker.client && trial_check(&leader->worker, &unwell) == 0)
		return;
	if (unwell.kind != ERR_NONE)
		output_say(leader->output, &unwell, "the worker that waited is not used: %s", unwell.text);
	trial_ready(leader->program, job->name, job->digest, &leader->worker, &leader->no_worker);
}

/* The worker starts while the merge is made. 0: the tree is there; -1: the build has ended. */
static int prepare(struct leader *leader)
{
	struct making making;
	struct err err = {0};
	int taken = take(leader);

	if (taken < 0)
		return -1;
	if (taken == 0 && begin_making(leader, make, &making, &err) < 0)
		return end_with_error(leader, &err);
	get_worker(leader);
	return taken > 0 ? 0 : end_making(leader, &making);
}

/* What a process of ours found out of the forge's record: whether something may be (-1: that is not known), and why, or why not. */
static int say_found(int may, const char *why, const struct err *err)
{
	json_t *json = json_pack("{s:i, s:s?, s:i, s:s}", "may", may, "why", why, "kind", (int)err->kind, "error", may < 0 ? err->text : "");
	int done = json ? json_dumpf(json, stdout, JSON_COMPACT) : -1;

	json_decref(json);
	return done == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int ask_secrets(void *cookie)
{
	const struct leader *leader = cookie;
	struct err err = {0};
	const char *why = NULL;
	int may = entitled(leader->program, &leader->spec, &why, &err);

	return say_found(may, why, &err);
}

/* Who may look at it, as the forge's record is now: what is said there of the tests may take the approval back. */
static int ask_author(void *cookie)
{
	const struct leader *leader = cookie;
	struct err err = {0};
	const char *text = author_note(leader->program, &leader->spec, &err);

	return say_found(text || err.kind == ERR_NONE ? 0 : -1, text, &err);
}

/* The record can be as long in coming as its forge likes. 1, 0: what was found out; *why NULL: nothing to say. 2: cancelled. -1. */
static int ask_forge(struct leader *leader, int (*ask)(void *cookie), const char **why, struct err *err)
{
	struct making asking;
	struct buf text;
	json_t *json = NULL;
	int found = -1;

	*why = NULL;
	if (begin_making(leader, ask, &asking, err) < 0)
		return -1;
	buf_init(&text, PREPARE_TEXT_MAXIMUM);
	int done = hear(leader, &asking, &text, err);
	if (done > 0)
		found = 2;
	else if (done == 0 && (json = jsonget_parse(text.data ? text.data : "", text.length, LEADER_NODES, err))) {
		found = (int)jsonget_integer_or(json, "may", -1);
		*why = arena_strdup(leader->arena, jsonget_string_or(json, "why", NULL));
		if (found < 0)
			err_set(err, (enum err_kind)jsonget_integer_or(json, "kind", ERR_SYSTEM), "%s", jsonget_string_or(json, "error", "no answer"));
	}
	json_decref(json);
	buf_release(&text);
	return found;
}

/* Whether the tests may have their project's secrets. 2: cancelled meanwhile; -1: that is not known. */
static int find_secrets(struct leader *leader, bool *secrets, struct err *err)
{
	const char *section = arena_printf(leader->arena, "project/%s", leader->spec.project);
	const char *wanted = NULL, *why = NULL;

	if (conf_text(leader->program->conf, section, "secrets", &wanted, err) < 0)
		return -1;
	if (!wanted)
		return 0;
	int may = ask_forge(leader, ask_secrets, &why, err);
	*secrets = may == 1;
	if (may == 0 && why)
		return output_say(leader->output, err, "no secrets for this build: %s", why);
	return may;
}

static int ask_trust(void *cookie)
{
	const struct leader *leader = cookie;
	struct err err = {0};

	return say_found(trust_check(leader->program, &leader->spec, &err), NULL, &err);
}

/* Whether it may run where nothing contains it. 2: cancelled meanwhile; -1: it may not. */
static int find_trust(struct leader *leader, struct err *err)
{
	const char *nothing = NULL;
	int asks = trust_needed(leader->program, &leader->spec, err);

	return asks > 0 ? ask_forge(leader, ask_trust, &nothing, err) : asks;
}

static void note_author(struct leader *leader)
{
	struct err err = {0};
	const char *text = NULL;

	if (ask_forge(leader, ask_author, &text, &err) < 0)
		text = arena_printf(leader->arena, "the author is not let in: %s", err.text);
	if (text)
		output_say(leader->output, &err, "%s", text);
}

/* What the forge is asked before the tests run. -1: the build has ended; *known < 0: whether they may have secrets is not known. */
static int ask_first(struct leader *leader, bool *secrets, int *known, struct err *err)
{
	struct err why = {0};

	*known = find_secrets(leader, secrets, err);
	if (*known > 1)
		return end_with(leader, OUTCOME_CANCELLED, "cancelled while the forge was asked about its project's secrets");
	int trusted = find_trust(leader, &why);
	if (trusted > 1)
		return end_with(leader, OUTCOME_CANCELLED, "cancelled while the forge was asked whose proposal it is");
	return trusted < 0 ? end_with_error(leader, &why) : 0;
}

static void test(struct leader *leader)
{
	struct err err = {0};
	bool secrets = false;
	int known = 0, asked = ask_first(leader, &secrets, &known, &err);
	const char *layer = builds_path(leader->program, leader->arena, leader->build, "layer", &err);
	CRASH_POINT("leader.prepared");
	struct trial trial = {.program = leader->program,
		.arena = leader->arena,
		.output = leader->output,
		.build = leader->build,
		.project = leader->spec.project,
		.job = leader->spec.jobs[0].name,
		.job_digest = leader->spec.jobs[0].digest,
		.secrets = secrets,
		.layer = layer,
		.worker = &leader->worker,
		.began = leader->worker_began,
		.signals = leader->signals,
		.ending = &leader->ending};

	if (asked == 0 && !leader->worker.client)
		end_with_error(leader, &leader->no_worker);
	else if (asked == 0 && (known < 0 || !layer || trial_run(&trial, &err) < 0))
		end_with_error(leader, &err);
	leader->kept = trial.kept;
	if (leader->kept)
		note_author(leader);
	CRASH_POINT("leader.tested");
}

static void clean_up(struct leader *leader)
{
	struct err err = {0};
	const char *const names[] = {"layer", "layer" AHEAD_TAKEN, "index", "index.lock"};

	trial_release(&leader->worker); /* of a merge that was not made */
	for (size_t i = leader->kept; i < sizeof names / sizeof names[0]; i++) {
		const char *path = builds_path(leader->program, leader->arena, leader->build, names[i], &err);
		if (path && access(path, F_OK) == 0 && builds_remove(path, &err) < 0)
			output_say(leader->output, &err, "%s", err.text);
	}
}

static int write_end(struct leader *leader, struct err *err)
{
	const struct ending *ending = &leader->ending;
	const char *reason = ending->reason ? ending->reason : "";
	const char *path = builds_path(leader->program, leader->arena, leader->build, "result", err);

	if (!path)
		return -1;
	output_say(leader->output, err, "%s%s%s", outcome_word(ending->outcome), *reason ? ": " : "", reason);
	return ending_write(leader->program, &leader->spec, ending, path, err);
}

/* Everything that needs the claim; it is held until the process ends. */
static int lead(struct leader *leader, struct err *err)
{
	const char *section = arena_printf(leader->arena, "job/%s", leader->spec.jobs[0].name);
	const char *log = builds_path(leader->program, leader->arena, leader->build, "log", err);
	int64_t limit = 0;

	if (!log || !conf_has_section(leader->program->conf, section))
		return err_set(err, ERR_CONFIG, "there is no [%s] in the configuration", section);
	if (conf_integer(leader->program->conf, section, "output.limit", &limit, err) < 0)
		return -1;
	leader->output = output_open(log, limit, err);
	if (!leader->output)
		return -1;
	if (builds_cancelled(leader->program, leader->arena, leader->build))
		end_with(leader, OUTCOME_CANCELLED, "cancelled before it began");
	else if (prepare(leader) == 0)
		test(leader);
	clean_up(leader);
	CRASH_POINT("leader.cleaned-up");
	int done = write_end(leader, err);
	CRASH_POINT("leader.result-written");
	return done;
}

int leader_lead(const struct leader_order *order)
{
	struct arena *arena = arena_new();
	struct leader leader = {.program = order->program, .arena = arena, .build = order->build, .signals = order->signals};
	struct err err = {0};
	int claim = order->claim, done = -1;

	if (order->worker)
		leader.worker = *order->worker;
	if (claim < 0)
		claim = builds_claim(order->program, arena, order->build, &err);
	CRASH_POINT("leader.begun");
	if (claim < 0 || builds_sign_in(claim, &err) < 0 || builds_spec(order->program, arena, order->build, &leader.spec, &err) < 0)
		goto err0;
	CRASH_POINT("leader.signed-in");
	if (builds_result(order->program, arena, order->build, &(struct err){0})) {
		err_set(&err, ERR_REFUSED, "build %s has ended", order->build);
		goto err0;
	}
	done = lead(&leader, &err);
err0:
	if (done < 0)
		dprintf(STDERR_FILENO, "byoci-slave leader %s: %s\n", order->build, err.text);
	trial_release(&leader.worker);
	output_close(leader.output);
	arena_free(arena);
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}

int leader_verb(const struct program *program, const char *build, int claim)
{
	struct err err = {0};
	const struct leader_order order = {.program = program, .build = build, .claim = claim, .signals = leader_signals(&err)};

	if (order.signals >= 0)
		return leader_lead(&order);
	dprintf(STDERR_FILENO, "byoci-slave leader %s: %s\n", build, err.text);
	return outcome_exit(OUTCOME_INFRASTRUCTURE);
}
