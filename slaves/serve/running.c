#include "slaves/serve/running.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/common/ending.h"
#include "slaves/cage/kept.h"
#include "slaves/record/builds.h"

#define RUNNING_LOOK_AGAIN_MS 50

struct running {
	struct running_from from;
	char build[SPEC_BUILD_SIZE]; /* "": none */
	int pidfd;
	struct loop_source *source; /* of the pidfd, or of the next look */
};

static void watch(struct running *running);

/* The leader is gone and has left no result: the machine's fault, or somebody killed it. */
static int write_lost(struct running *running, struct arena *arena, const char *build, struct err *err)
{
	struct spec spec;
	struct ending ending = {
		.outcome = OUTCOME_INFRASTRUCTURE, .reason = "the process that led this build ended before it had a result"};
	const char *path = builds_path(running->from.program, arena, build, "result", err);
	const char *layer = builds_path(running->from.program, arena, build, "layer", err);

	if (!path || !layer || builds_spec(running->from.program, arena, build, &spec, err) < 0)
		return -1;
	if (builds_cancelled(running->from.program, arena, build)) {
		ending.outcome = OUTCOME_CANCELLED;
		ending.reason = "cancelled before it began";
	}
	struct err left = {0};
	if (!kept_needs(running->from.program->conf, build) && trash_take(running->from.trash, layer, &left) < 0)
		log_warning(LOG_WHAT("the tree of a build is left"), LOG_TEXT("build", build), LOG_ERR(&left));
	log_warning(LOG_WHAT("a build has lost its leader"), LOG_TEXT("build", build));
	return ending_write(running->from.program, &spec, &ending, path, err);
}

/* Makes sure that a build that nobody leads any more has a result. */
static int settle(struct running *running, struct arena *arena, const char *build, struct err *err)
{
	int claim = builds_claim(running->from.program, arena, build, err);

	if (claim < 0)
		return -1;
	int done = builds_result(running->from.program, arena, build, &(struct err){0}) ? 0 : write_lost(running, arena, build, err);
	close(claim);
	return done;
}

static void look_again(void *cookie)
{
	struct running *running = cookie;

	running->source = NULL;
	watch(running);
}

static void end(struct running *running)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	const char *build = arena_strdup(arena, running->build);
	int done = settle(running, arena, build, &err);

	if (done < 0 && err.kind == ERR_BUSY) { /* its leader was killed between fork and exec: that child has the lock for a moment */
		running->source = loop_after(running->from.loop, RUNNING_LOOK_AGAIN_MS, look_again, running);
		arena_free(arena);
		return;
	}
	if (done < 0)
		log_error(LOG_WHAT("a build has ended without a result"), LOG_TEXT("build", build), LOG_ERR(&err));
	else
		log_info(LOG_WHAT("build ended"), LOG_TEXT("build", build));
	CRASH_POINT("slave.build-settled");
	running->build[0] = 0;
	pool_ended(running->from.pool);
	running->from.ended(running->from.cookie, build, &err);
	arena_free(arena);
}

static void leader_gone(void *cookie, int fd, uint32_t events)
{
	struct running *running = cookie;
	siginfo_t info;

	(void)events;
	waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG); /* a leader of an earlier daemon is not our child: init's */
	loop_cancel(running->source);
	running->source = NULL;
	close(running->pidfd);
	running->pidfd = -1;
	CRASH_POINT("slave.leader-gone");
	end(running);
}

/* It may not have signed in yet. */
static void watch(struct running *running)
{
	struct arena *arena = arena_new();
	struct err err = {0};
	pid_t pid;

	running->pidfd = builds_leader(running->from.program, arena, running->build, &pid, &err);
	if (running->pidfd >= 0) {
		running->source = loop_io(running->from.loop, running->pidfd, EPOLLIN, leader_gone, running);
	} else {
		int claim = builds_claim(running->from.program, arena, running->build, &err);
		if (claim >= 0) {
			close(claim);
			end(running);
		} else {
			running->source = loop_after(running->from.loop, RUNNING_LOOK_AGAIN_MS, look_again, running);
		}
	}
	arena_free(arena);
}

static int find(struct running *running, struct arena *arena, struct err *err)
{
	const char *const *builds = builds_list(running->from.program, arena, err);

	if (!builds)
		return -1;
	for (; *builds; builds++) {
		struct err trouble = {0};
		if (builds_result(running->from.program, arena, *builds, &trouble))
			continue;
		err_clear(&trouble);
		if (settle(running, arena, *builds, &trouble) == 0)
			continue;
		if (trouble.kind != ERR_BUSY) {
			log_warning(LOG_WHAT("a build without a result"), LOG_TEXT("build", *builds), LOG_ERR(&trouble));
			continue;
		}
		log_info(LOG_WHAT("a build goes on"), LOG_TEXT("build", *builds));
		if (!running->build[0])
			pool_found(running->from.pool);
		snprintf(running->build, sizeof running->build, "%s", *builds);
	}
	return 0;
}

struct running *running_new(const struct running_from *from, struct err *err)
{
	struct arena *arena = arena_new();
	struct running *running = calloc(1, sizeof *running);

	if (!running)
		abort();
	*running = (struct running){.from = *from, .pidfd = -1};
	if (find(running, arena, err) < 0) {
		running_free(running);
		running = NULL;
	} else if (running->build[0]) {
		watch(running);
	}
	arena_free(arena);
	return running;
}

void running_free(struct running *running)
{
	if (!running)
		return;
	loop_cancel(running->source);
	if (running->pidfd >= 0)
		close(running->pidfd);
	free(running);
}

const char *running_build(const struct running *running)
{
	return running->build[0] ? running->build : NULL;
}

static int spawn(struct running *running, const char *build, int claim, int *pidfd, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	const int keep[] = {claim, -1};
	pid_t pid;

	program_command(running->from.program, NULL, &argv, &environment);
	strv_pushl(&argv, "leader", build, NULL);
	strv_pushf(&argv, "%d", claim);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.err = STDERR_FILENO;
	child.keep = keep;
	child.session = true;
	int done = child_spawn(&child, &pid, pidfd, err);
	strv_release(&argv);
	strv_release(&environment);
	return done;
}

int running_start(struct running *running, const struct spec *spec, const char *text, struct err *err)
{
	struct arena *arena = arena_new();
	int claim = -1, done = -1;

	if (running->build[0]) {
		err_set(err, ERR_BUSY, "build %s is running; one build at a time", running->build);
		goto err0;
	}
	const char *folder = builds_path(running->from.program, arena, spec->build, NULL, err);
	const char *path = folder ? builds_path(running->from.program, arena, spec->build, "spec.json", err) : NULL;
	if (!path || file_make_folder(folder, 0700, err) < 0)
		goto err0;
	claim = builds_claim(running->from.program, arena, spec->build, err);
	CRASH_POINT("slave.build-claimed");
	if (claim < 0 || file_write(path, text, strlen(text), 0600, err) < 0)
		goto err1;
	CRASH_POINT("slave.spec-written");
	if (!pool_begin(running->from.pool, spec, claim, &running->pidfd) && spawn(running, spec->build, claim, &running->pidfd, err) < 0) {
		pool_ended(running->from.pool);
		goto err1;
	}
	snprintf(running->build, sizeof running->build, "%s", spec->build);
	running->source = loop_io(running->from.loop, running->pidfd, EPOLLIN, leader_gone, running);
	CRASH_POINT("slave.leader-started");
	close(claim);
	arena_free(arena);
	return 0;
err1:
	err_wrap(err, "start build %s", spec->build);
	if (claim >= 0) {
		close(claim);
		trash_take(running->from.trash, folder, &(struct err){0});
	}
err0:
	arena_free(arena);
	return done;
}

int running_cancel(struct running *running, struct err *err)
{
	struct arena *arena = arena_new();

	int done = builds_cancel(running->from.program, arena, running->build, err);
	arena_free(arena);
	if (done < 0)
		return -1;
	if (running->pidfd >= 0 && pidfd_send_signal(running->pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		return err_set_errno(err, errno, "signal the leader of build %s", running->build);
	return 0;
}
