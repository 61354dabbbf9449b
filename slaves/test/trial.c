#include "slaves/test/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "slaves/record/builds.h"
#include "slaves/record/harvest.h"

#define TRIAL_READ ((size_t)64 * 1024)
#define TRIAL_DRAIN_READS 2 /* a pipe holds TRIAL_READ, pipe(7) */
#define TRIAL_ANSWER_S 120 /* for the worker to answer: start, stop, remove, and the end of a command that was stopped */

/* Why the command was ended by us. */
enum stopped { STOPPED_NOT, STOPPED_TIMEOUT, STOPPED_CANCEL, STOPPED_OUTPUT };

static const struct {
	enum outcome outcome;
	const char *reason;
} stopped_endings[] = {
	[STOPPED_TIMEOUT] = {OUTCOME_TIMEOUT, "the tests took longer than their limit"},
	[STOPPED_CANCEL] = {OUTCOME_CANCELLED, "cancelled while the tests ran"},
	[STOPPED_OUTPUT] = {OUTCOME_FAILURE, "the tests wrote more than their limit"},
};

enum { WATCH_WORKER, WATCH_SIGNALS, WATCH_OUT, WATCH_ERR, WATCHES };

struct run {
	struct trial *trial;
	struct worker_client *client;
	struct pollfd watched[WATCHES];
	struct output_stream *streams[WATCHES];
	int64_t until_ms; /* of the monotonic clock */
	enum stopped stopped;
	const char *printed; /* file of what comes from standard output, which is a report; NULL: it is none */
	int printed_fd;      /* -1: none */
};

static int64_t now_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* The end of the command is then waited for without looking: its message may be here already. */
static int stop(struct run *run, enum stopped why, struct err *err)
{
	run->stopped = why;
	return worker_client_stop(run->client, err) < 0 ? err_wrap(err, "stop the tests") : 0;
}

/* Reads what is there; the end closes it. 1: it was read empty. */
static int take_output(struct run *run, int which, struct err *err)
{
	char bytes[TRIAL_READ];
	ssize_t length = read(run->watched[which].fd, bytes, sizeof bytes);

	if (length < 0 && errno == EAGAIN)
		return 1;
	if (length < 0 && errno == EINTR)
		return 0;
	if (length < 0)
		return err_set_errno(err, errno, "read what the tests write");
	if (length == 0) {
		close(run->watched[which].fd);
		run->watched[which].fd = -1;
		return 1;
	}
	if (which == WATCH_OUT && run->printed_fd >= 0 && write(run->printed_fd, bytes, (size_t)length) != length)
		return err_set_errno(err, errno, "write %s", run->printed);
	if (output_stream_add(run->streams[which], bytes, (size_t)length, err) == 0)
		return 0;
	if (err->kind != ERR_FULL)
		return -1;
	err_clear(err);
	return run->stopped == STOPPED_NOT ? stop(run, STOPPED_OUTPUT, err) : 0;
}

/* Until the command has ended, or was stopped; what it writes is taken meanwhile. */
static int watch(struct run *run, struct err *err)
{
	while (run->stopped == STOPPED_NOT) {
		int64_t left = run->until_ms - now_ms();
		if (left <= 0)
			return stop(run, STOPPED_TIMEOUT, err);
		if (poll(run->watched, WATCHES, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return err_set_errno(err, errno, "wait for the tests");
		for (int i = WATCH_OUT; i <= WATCH_ERR; i++)
			if (run->watched[i].fd >= 0 && run->watched[i].revents && take_output(run, i, err) < 0)
				return -1;
		if (run->stopped != STOPPED_NOT || run->watched[WATCH_WORKER].revents)
			return 0;
		if (run->watched[WATCH_SIGNALS].revents)
			return stop(run, STOPPED_CANCEL, err);
	}
	return 0;
}

/* What is in the pipes when the command has ended, at most what they hold; what outlives it may go on writing, but not for us. */
static int drain(struct run *run, struct err *err)
{
	for (int i = WATCH_OUT; i <= WATCH_ERR; i++) {
		int done = 0;
		for (int reads = 0; reads < TRIAL_DRAIN_READS && done == 0 && run->watched[i].fd >= 0; reads++)
			done = take_output(run, i, err);
		if (done < 0)
			return -1;
		if (output_stream_end(run->streams[i], err) < 0)
			return -1;
	}
	return 0;
}

static int begin(struct run *run, struct err *err)
{
	static const char *const prefixes[WATCHES] = {[WATCH_OUT] = "| ", [WATCH_ERR] = "! "};
	int out[2], errors[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "make a pipe");
	if (pipe2(errors, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "make a pipe");
		close(out[0]);
		close(out[1]);
		return -1;
	}
	run->watched[WATCH_OUT] = (struct pollfd){.fd = out[0], .events = POLLIN};
	run->watched[WATCH_ERR] = (struct pollfd){.fd = errors[0], .events = POLLIN};
	for (int i = WATCH_OUT; i <= WATCH_ERR; i++) {
		fcntl(run->watched[i].fd, F_SETFL, O_NONBLOCK);
		run->streams[i] = output_stream(run->trial->output, prefixes[i]);
	}
	int done = worker_client_exec(run->client, out[1], errors[1], err);
	close(out[1]);
	close(errors[1]);
	return done;
}

/* What is printed is kept, as it is, until it was counted. */
static int open_printed(struct run *run, struct err *err)
{
	const struct trial *trial = run->trial;
	bool any, printed;

	if (harvest_wanted(trial->program, trial->job, &any, &printed, err) < 0)
		return -1;
	if (!printed)
		return 0;
	run->printed = builds_path(trial->program, trial->arena, trial->build, "stdout", err);
	if (!run->printed)
		return -1;
	run->printed_fd = open(run->printed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return run->printed_fd < 0 ? err_set_errno(err, errno, "open %s", run->printed) : 0;
}

/* Not of a build that nobody wants any more. */
static void harvest(const struct run *run)
{
	const struct trial *trial = run->trial;
	const struct harvest harvest = {.program = trial->program,
		.arena = trial->arena,
		.output = trial->output,
		.build = trial->build,
		.job = trial->job,
		.signals = trial->signals,
		.printed = run->printed,
		.ending = trial->ending};

	if (run->stopped != STOPPED_CANCEL)
		harvest_run(&harvest, run->client);
}

static void conclude(struct run *run, int status, const char *text)
{
	struct ending *ending = run->trial->ending;
	struct arena *arena = run->trial->arena;

	ending->ended = clock_wall_ms();
	ending->ran = true;
	ending->exit = status;
	const char *words = output_line(arena, text, strlen(text), WORKER_TEXT_SIZE);
	if (run->stopped != STOPPED_NOT) {
		ending->outcome = stopped_endings[run->stopped].outcome;
		ending->reason = stopped_endings[run->stopped].reason;
	} else if (status == 0) {
		ending->outcome = OUTCOME_SUCCESS;
	} else {
		ending->outcome = OUTCOME_FAILURE;
		ending->reason = arena_printf(arena, "the tests ended with %d%s%s", status, *words ? ": " : "", words);
	}
}

static int run_tests(struct run *run, struct err *err)
{
	struct trial *trial = run->trial;
	char section[WORKER_SECTION_SIZE + 8], text[WORKER_TEXT_SIZE] = "";
	int64_t limit = 0;
	int status = 0;

	steps_begin(&trial->ending->steps, "tests");
	trial->ending->started = clock_wall_ms();
	snprintf(section, sizeof section, "job/%s", trial->job);
	if (conf_integer(trial->program->conf, section, "tests.limit", &limit, err) < 0)
		return -1;
	run->until_ms = now_ms() + limit;
	run->watched[WATCH_WORKER] = (struct pollfd){.fd = worker_client_fd(run->client), .events = POLLIN};
	run->watched[WATCH_SIGNALS] = (struct pollfd){.fd = trial->signals, .events = POLLIN};
	if (open_printed(run, err) < 0 || begin(run, err) < 0)
		return -1;
	CRASH_POINT("leader.tests-begun");
	if (watch(run, err) < 0 || worker_client_wait(run->client, &status, text, err) < 0 || drain(run, err) < 0)
		return -1;
	conclude(run, status, text);
	harvest(run);
	return 0;
}

/* Only what is read before it is there: the end of a command is waited for with poll. */
static int limit_answers(struct worker_client *client, struct err *err)
{
	const struct timeval limit = {.tv_sec = TRIAL_ANSWER_S};

	if (setsockopt(worker_client_fd(client), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return err_set_errno(err, errno, "limit the time of the worker's answers");
	return 0;
}

/* Nobody listens on the worker socket: a fault of this host, not of the forge. */
static int local_trouble(struct err *err)
{
	if (err->kind == ERR_NETWORK || err->kind == ERR_INPUT)
		err->kind = ERR_SYSTEM;
	return -1;
}

/* -1, always. */
static int no_worker(struct trial_worker *worker, struct err *err)
{
	worker_client_close(worker->client);
	worker->client = NULL;
	return local_trouble(err);
}

int trial_ask(const struct program *program, const char *job, const char *job_digest, struct trial_worker *worker, struct err *err)
{
	const struct worker_client_start request = {.job = job, .job_digest = job_digest};
	const char *path = program_option(program, "worker.socket", err);

	*worker = (struct trial_worker){.client = path ? worker_client_connect(path, err) : NULL, .starting = true};
	if (worker->client && limit_answers(worker->client, err) == 0 && worker_client_ask_ready(worker->client, &request, err) == 0)
		return 0;
	return no_worker(worker, err);
}

int trial_await(struct trial_worker *worker, struct err *err)
{
	worker->starting = false;
	return worker_client_await_ready(worker->client, worker->backing, err) == 0 ? 0 : no_worker(worker, err);
}

int trial_ready(const struct program *program, const char *job, const char *job_digest, struct trial_worker *worker, struct err *err)
{
	return trial_ask(program, job, job_digest, worker, err) < 0 ? -1 : trial_await(worker, err);
}

int trial_check(struct trial_worker *worker, struct err *err)
{
	if (worker->starting)
		return trial_await(worker, err);
	if (worker_client_check(worker->client, err) == 0)
		return 0;
	trial_release(worker);
	return -1;
}

void trial_release(struct trial_worker *worker)
{
	struct err ignored = {0};

	if (worker->client && worker->starting)
		trial_await(worker, &ignored);
	if (worker->client)
		worker_client_remove(worker->client, &ignored); /* on failure the other side logs it, and tries again */
	worker_client_close(worker->client);
	worker->client = NULL;
}

static int attach(struct run *run, struct err *err)
{
	struct trial *trial = run->trial;
	int layer = open(trial->layer, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (layer < 0)
		return err_set_errno(err, errno, "open %s", trial->layer);
	const struct worker_client_start request = {.build = trial->build, .job = trial->job, .job_digest = trial->job_digest, .layer = layer};
	int done = worker_client_attach(run->client, &request, err);
	close(layer);
	trial->ending->backing = arena_strdup(trial->arena, trial->worker->backing);
	return done;
}

static int give_secrets(struct run *run, struct err *err)
{
	struct trial *trial = run->trial;

	if (!trial->secrets)
		return 0;
	int count = worker_client_secrets(run->client, trial->project, err);
	if (count < 0)
		return err_wrap(err, "secrets of %s", trial->project);
	return output_say(trial->output, err, "%d secret%s of %s %s in the worker", count, count == 1 ? "" : "s", trial->project,
		count == 1 ? "is" : "are");
}

/* For how long: 0: not at all; somebody has asked for it: as long as may be. */
static int keep_for(const struct trial *trial, bool *asked, int64_t *ms, struct err *err)
{
	int64_t project = 0, job = 0;
	const char *sections[] = {arena_printf(trial->arena, "project/%s", trial->project), arena_printf(trial->arena, "job/%s", trial->job)};

	*asked = builds_to_keep(trial->program, trial->arena, trial->build);
	if (conf_integer(trial->program->conf, sections[0], "keep", &project, err) < 0 ||
		conf_integer(trial->program->conf, sections[1], "keep", &job, err) < 0)
		return -1;
	*ms = project > job ? project : job;
	return 0;
}

/* Whether it stays, stopped; nothing of that changes how the tests have ended. */
static bool keep(struct run *run)
{
	struct trial *trial = run->trial;
	const enum outcome outcome = trial->ending->outcome;
	char text[WORKER_TEXT_SIZE] = "";
	struct err err = {0};
	int64_t ms = 0;
	bool asked = false;

	if (keep_for(trial, &asked, &ms, &err) < 0)
		goto err0;
	if (!asked && (!ms || (outcome != OUTCOME_FAILURE && outcome != OUTCOME_TIMEOUT)))
		return false;
	if (worker_client_keep(run->client, asked ? 0 : (uint32_t)(ms / 1000), text, &err) < 0)
		goto err0;
	output_say(trial->output, &err, "the worker is kept %s: byoci-slave shell %s", text, trial->build);
	return true;
err0:
	output_say(trial->output, &err, "the worker is not kept: %s", err.text);
	return false;
}

int trial_run(struct trial *trial, struct err *err)
{
	struct run run = {.trial = trial, .client = trial->worker->client, .printed_fd = -1};
	int done = -1;

	for (int i = 0; i < WATCHES; i++)
		run.watched[i].fd = -1;
	int attached = attach(&run, err);
	if (attached == 0)
		attached = give_secrets(&run, err);
	steps_add(&trial->ending->steps, "worker", trial->began, clock_wall_ms());
	if (attached == 0) {
		CRASH_POINT("leader.worker-started");
		done = run_tests(&run, err);
		CRASH_POINT("leader.tests-ended");
		steps_begin(&trial->ending->steps, "teardown");
		struct err second = {0};
		trial->kept = done == 0 && keep(&run);
		if (!trial->kept && worker_client_remove(run.client, &second) < 0)
			output_say(trial->output, &second, "the worker could not be removed: %s", second.text);
	}
	worker_client_close(run.client);
	trial->worker->client = NULL;
	CRASH_POINT("leader.worker-removed");
	steps_end(&trial->ending->steps);
	for (int i = WATCH_OUT; i <= WATCH_ERR; i++)
		if (run.watched[i].fd >= 0)
			close(run.watched[i].fd);
	if (run.printed_fd >= 0)
		close(run.printed_fd);
	if (run.printed)
		unlink(run.printed);
	return done < 0 ? local_trouble(err) : 0;
}
