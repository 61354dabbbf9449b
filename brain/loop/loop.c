#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"

enum { ACCURACY_US = 1 };

struct loop {
	sd_event *event;
	LIST_HEAD(, loop_source) sources;
	struct loop_source *turn;
	uint64_t number;
	bool stopped;
};

struct loop_source {
	LIST_ENTRY(loop_source) link;
	struct loop *loop;
	sd_event_source *source; /* NULL: the turn */
	union {
		loop_io_fn *io;
		loop_fn *plain;
		loop_child_fn *child;
	} call;
	void *cookie;
	int pidfd;
};

static void fatal(const char *what, int number)
{
	err_fatal("%s: %s", what, strerror(number));
}

int loop_new(struct loop **loop, struct err *err)
{
	struct loop *made = calloc(1, sizeof *made);
	if (!made)
		return err_set_errno(err, ENOMEM, "event loop");
	LIST_INIT(&made->sources);
	signal(SIGPIPE, SIG_IGN);
	int r = sd_event_new(&made->event);
	if (r < 0)
		goto err1;
	r = sd_event_set_watchdog(made->event, 1);
	if (r < 0)
		goto err2;
	*loop = made;
	return 0;
err2:
	sd_event_unref(made->event);
err1:
	free(made);
	return err_set_errno(err, -r, "event loop");
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (!LIST_EMPTY(&loop->sources))
		loop_cancel(LIST_FIRST(&loop->sources));
	sd_event_unref(loop->event);
	free(loop);
}

/* Dispatches until nothing is ready or the turn has taken its time. The first wait is without limit. Returns as sd_event_run. */
static int gather(struct loop *loop)
{
	int r = sd_event_run(loop->event, UINT64_MAX);
	if (r <= 0 || !loop->turn)
		return r;
	int64_t end = clock_monotonic_us() + LOOP_TURN_MS * 1000;
	while (!loop->stopped && clock_monotonic_us() < end) {
		r = sd_event_run(loop->event, 0);
		if (r < 0)
			return r;
		if (r == 0)
			break;
	}
	return 1;
}

int loop_run(struct loop *loop, struct err *err)
{
	loop->stopped = false;
	sd_notify(0, "READY=1");
	while (!loop->stopped) {
		loop->number++;
		int r = gather(loop);
		if (r < 0)
			return err_set_errno(err, -r, "event loop");
		if (r > 0 && loop->turn)
			loop->turn->call.plain(loop->turn->cookie);
	}
	sd_notify(0, "STOPPING=1");
	return 0;
}

uint64_t loop_number(const struct loop *loop)
{
	return loop->number;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

static struct loop_source *source_new(struct loop *loop, void *cookie)
{
	struct loop_source *source = calloc(1, sizeof *source);
	if (!source)
		fatal("event source", ENOMEM);
	*source = (struct loop_source){.loop = loop, .cookie = cookie, .pidfd = -1};
	LIST_INSERT_HEAD(&loop->sources, source, link);
	return source;
}

void loop_cancel(struct loop_source *source)
{
	if (!source)
		return;
	if (source->loop->turn == source)
		source->loop->turn = NULL;
	LIST_REMOVE(source, link);
	sd_event_source_disable_unref(source->source);
	if (source->pidfd >= 0)
		close(source->pidfd);
	free(source);
}

static int on_io(sd_event_source *event_source, int fd, uint32_t events, void *cookie)
{
	struct loop_source *source = cookie;
	(void)event_source;
	source->call.io(source->cookie, fd, events);
	return 0;
}

struct loop_source *loop_io(struct loop *loop, int fd, uint32_t epoll_events, loop_io_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.io = call;
	int r = sd_event_add_io(loop->event, &source->source, fd, epoll_events, on_io, source);
	if (r < 0)
		fatal("waiting for a descriptor", -r);
	return source;
}

void loop_io_events(struct loop_source *source, uint32_t epoll_events)
{
	int r = sd_event_source_set_io_events(source->source, epoll_events);
	if (r < 0)
		fatal("waiting for a descriptor", -r);
}

/* The source is gone before the call, so that nobody can cancel it during the call. */
static int on_time(sd_event_source *event_source, uint64_t usec, void *cookie)
{
	struct loop_source *source = cookie;
	loop_fn *call = source->call.plain;
	void *own = source->cookie;
	(void)event_source;
	(void)usec;
	loop_cancel(source);
	call(own);
	return 0;
}

struct loop_source *loop_after(struct loop *loop, int64_t delay_ms, loop_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.plain = call;
	uint64_t delay_us = delay_ms > 0 ? (uint64_t)delay_ms * 1000 : 0;
	int r = sd_event_add_time_relative(loop->event, &source->source, CLOCK_MONOTONIC, delay_us, ACCURACY_US, on_time, source);
	if (r < 0)
		fatal("timer", -r);
	return source;
}

static int on_signal(sd_event_source *event_source, const struct signalfd_siginfo *info, void *cookie)
{
	struct loop_source *source = cookie;
	(void)event_source;
	(void)info;
	source->call.plain(source->cookie);
	return 0;
}

struct loop_source *loop_signal(struct loop *loop, int signal, loop_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.plain = call;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		fatal("signal", errno);
	int r = sd_event_add_signal(loop->event, &source->source, signal, on_signal, source);
	if (r < 0)
		fatal("signal", -r);
	return source;
}

/* As a shell says it: the exit status, or 128 + the signal's number. */
static int shell_status(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status;
}

static int on_child(sd_event_source *event_source, int fd, uint32_t events, void *cookie)
{
	struct loop_source *source = cookie;
	siginfo_t info = {0};
	(void)event_source;
	(void)events;
	int r;
	do
		r = waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r == 0 && info.si_pid == 0)
		return 0;
	loop_child_fn *call = source->call.child;
	void *own = source->cookie;
	int status = r < 0 ? 255 : shell_status(&info);
	loop_cancel(source);
	call(own, status);
	return 0;
}

struct loop_source *loop_child(struct loop *loop, pid_t pid, loop_child_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.child = call;
	source->pidfd = pidfd_open(pid, 0);
	if (source->pidfd < 0)
		fatal("waiting for a child process", errno);
	int r = sd_event_add_io(loop->event, &source->source, source->pidfd, EPOLLIN, on_child, source);
	if (r < 0)
		fatal("waiting for a child process", -r);
	return source;
}

static int on_defer(sd_event_source *event_source, void *cookie)
{
	struct loop_source *source = cookie;
	(void)event_source;
	source->call.plain(source->cookie);
	return 0;
}

struct loop_source *loop_defer(struct loop *loop, loop_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.plain = call;
	int r = sd_event_add_defer(loop->event, &source->source, on_defer, source);
	if (r >= 0)
		r = sd_event_source_set_enabled(source->source, SD_EVENT_OFF);
	if (r < 0)
		fatal("deferred call", -r);
	return source;
}

void loop_wake(struct loop_source *source)
{
	int r = sd_event_source_set_enabled(source->source, SD_EVENT_ONESHOT);
	if (r < 0)
		fatal("deferred call", -r);
}

struct loop_source *loop_turn(struct loop *loop, loop_fn *call, void *cookie)
{
	struct loop_source *source = source_new(loop, cookie);
	source->call.plain = call;
	loop->turn = source;
	return source;
}
