#include "calls/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"

enum { ERRORS_MAXIMUM = 64 * 1024, PIECE = 64 * 1024 };

struct stream {
	struct runner *runner;
	struct buf buf;
	struct loop_source *source;
	int fd;
};

struct runner {
	struct loop *loop;
	struct stream out, errors;
	struct loop_source *end, *limit;
	pid_t pid;
	bool killed;
	runner_fn *call;
	void *cookie;
};

static void close_stream(struct stream *stream)
{
	loop_cancel(stream->source);
	stream->source = NULL;
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

static void free_runner(struct runner *runner)
{
	close_stream(&runner->out);
	close_stream(&runner->errors);
	loop_cancel(runner->end);
	loop_cancel(runner->limit);
	buf_release(&runner->out.buf);
	buf_release(&runner->errors.buf);
	free(runner);
}

/* It has a process group of its own: what it started ends with it. */
static void kill_group(struct runner *runner)
{
	runner->killed = true;
	kill(-runner->pid, SIGKILL);
}

/* Takes what is there. Too much output ends the program; too many error messages are only cut. */
static void take(struct stream *stream)
{
	char piece[PIECE];

	for (;;) {
		ssize_t got = read(stream->fd, piece, sizeof piece);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			break;
		if (buf_add(&stream->buf, piece, (size_t)got) < 0 && stream == &stream->runner->out) {
			kill_group(stream->runner);
			break;
		}
	}
	close_stream(stream);
}

static void on_readable(void *cookie, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	take(cookie);
}

static void on_limit(void *cookie)
{
	struct runner *runner = cookie;

	runner->limit = NULL;
	kill_group(runner);
}

static void on_end(void *cookie, int status)
{
	struct runner *runner = cookie;
	struct buf *out = &runner->out.buf, *errors = &runner->errors.buf;

	runner->end = NULL;
	if (runner->out.fd >= 0)
		take(&runner->out);
	if (runner->errors.fd >= 0)
		take(&runner->errors);
	runner->call(runner->cookie, runner->killed ? -1 : status, out->data ? out->data : "", out->length,
		errors->data ? errors->data : "");
	free_runner(runner);
}

static int open_stream(struct runner *runner, struct stream *stream, size_t maximum, int *other, struct err *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "pipe");
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	buf_init(&stream->buf, maximum);
	stream->runner = runner;
	stream->fd = ends[0];
	*other = ends[1];
	return 0;
}

struct runner *runner_start(struct loop *loop, const struct runner_spec *run, runner_fn *call, void *cookie, struct err *err)
{
	struct child child = CHILD_INIT;
	struct runner *runner = calloc(1, sizeof *runner);

	if (!runner)
		err_fatal("out of memory");
	*runner = (struct runner){.loop = loop, .call = call, .cookie = cookie, .out = {.fd = -1}, .errors = {.fd = -1}};
	child.argv = run->argv;
	child.environment = run->environment;
	child.dies_with_parent = true;
	if (open_stream(runner, &runner->out, run->maximum, &child.out, err) < 0)
		goto err1;
	if (open_stream(runner, &runner->errors, ERRORS_MAXIMUM, &child.err, err) < 0)
		goto err2;
	if (child_spawn(&child, &runner->pid, NULL, err) < 0)
		goto err3;
	close(child.out);
	close(child.err);
	runner->out.source = loop_io(loop, runner->out.fd, EPOLLIN, on_readable, &runner->out);
	runner->errors.source = loop_io(loop, runner->errors.fd, EPOLLIN, on_readable, &runner->errors);
	runner->end = loop_child(loop, runner->pid, on_end, runner);
	runner->limit = loop_after(loop, run->limit_ms, on_limit, runner);
	return runner;
err3:
	close(child.err);
err2:
	close(child.out);
err1:
	free_runner(runner);
	return NULL;
}

void runner_drop(struct runner *runner)
{
	if (!runner)
		return;
	kill_group(runner);
	free_runner(runner);
}
