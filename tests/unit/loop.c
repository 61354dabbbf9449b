#include "loop/loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/tap.h"

struct seen {
	struct loop *loop;
	struct loop_source *source, *other;
	char order[32];
	int count, status, fd;
	int64_t at_us;
};

static void note(struct seen *seen, char what)
{
	size_t length = strlen(seen->order);

	if (length + 1 < sizeof seen->order)
		seen->order[length] = what;
}

static void stop(void *cookie)
{
	struct seen *seen = cookie;

	seen->at_us = clock_monotonic_us();
	loop_stop(seen->loop);
}

static void run(struct seen *seen)
{
	struct err err = {0};

	ok(loop_run(seen->loop, &err) == 0, "the loop ends when it is stopped");
}

static void on_b(void *cookie)
{
	struct seen *seen = cookie;

	note(seen, 'b');
	loop_after(seen->loop, 40, stop, seen);
}

static void on_a(void *cookie)
{
	struct seen *seen = cookie;

	note(seen, 'a');
	loop_after(seen->loop, 40, on_b, seen);
}

static void on_cancelled(void *cookie)
{
	note(cookie, 'X');
}

static void on_cancel_other(void *cookie)
{
	struct seen *seen = cookie;

	note(seen, 'c');
	loop_cancel(seen->other);
}

/* One after the other: each is started by the one before. */
static void on_first(void *cookie)
{
	struct seen *seen = cookie;

	note(seen, '1');
	if (strlen(seen->order) < 4)
		loop_after(seen->loop, 5, on_first, seen);
	else
		loop_after(seen->loop, 20, stop, seen);
}

static void timers(struct seen *seen)
{
	int64_t began = clock_monotonic_us();

	seen->other = loop_after(seen->loop, 60000, on_cancelled, seen);
	loop_after(seen->loop, 0, on_cancel_other, seen);
	loop_after(seen->loop, 5, on_first, seen);
	run(seen);
	is(seen->order, "c111", "timers pass, each once, and one that is cancelled does not");
	ok(seen->at_us - began >= 35000, "and none before its time");
}

static void on_turn(void *cookie)
{
	note(cookie, 't');
}

static void on_wake_again(void *cookie)
{
	struct seen *seen = cookie;

	note(seen, 'd');
	if (++seen->count < 3)
		loop_wake(seen->source);
	else
		loop_stop(seen->loop);
}

static void turns(struct seen *seen)
{
	struct loop_source *turn = loop_turn(seen->loop, on_turn, seen);

	memset(seen->order, 0, sizeof seen->order);
	seen->source = loop_defer(seen->loop, on_wake_again, seen);
	loop_after(seen->loop, 5, on_a, seen);
	run(seen);
	is(seen->order, "atbtt",
		"the turn's end is called once for each turn, the last one too, and a deferred call that nobody woke is not");
	memset(seen->order, 0, sizeof seen->order);
	loop_wake(seen->source);
	loop_wake(seen->source);
	run(seen);
	is(seen->order, "dddt", "a deferred call is called once however often it was woken, and may wake itself; all in one turn");
	loop_cancel(seen->source);
	loop_cancel(turn);
}

static void on_pipe(void *cookie, int fd, uint32_t events)
{
	struct seen *seen = cookie;
	char byte;

	(void)events;
	if (read(fd, &byte, 1) == 1)
		note(seen, byte);
	else
		loop_stop(seen->loop);
}

static void descriptors(struct seen *seen)
{
	int ends[2];

	memset(seen->order, 0, sizeof seen->order);
	ok(pipe(ends) == 0 && write(ends[1], "xyz", 3) == 3, "a pipe with something in it");
	seen->source = loop_io(seen->loop, ends[0], 0, on_pipe, seen);
	loop_after(seen->loop, 10, stop, seen);
	run(seen);
	is(seen->order, "", "a descriptor that is waited for nothing calls for nothing");
	close(ends[1]);
	loop_io_events(seen->source, EPOLLIN);
	run(seen);
	is(seen->order, "xyz", "and for what there is when it is waited for");
	loop_cancel(seen->source);
	close(ends[0]);
}

static void on_child(void *cookie, int status)
{
	struct seen *seen = cookie;

	seen->status = status;
	loop_stop(seen->loop);
}

/* The child ends at the other end's close, so after loop_child() was called. */
static void children(struct seen *seen)
{
	for (int way = 0; way < 2; way++) {
		int ends[2];
		char byte;
		pid_t pid;

		ok(pipe(ends) == 0, "a pipe");
		pid = fork();
		if (pid == 0) {
			close(ends[1]);
			if (read(ends[0], &byte, 1) == 0 && way == 1)
				raise(SIGKILL);
			_exit(7);
		}
		loop_child(seen->loop, pid, on_child, seen);
		close(ends[0]);
		close(ends[1]);
		run(seen);
		ok(seen->status == (way ? 128 + SIGKILL : 7),
			way ? "128 + the number of the signal that ended a child" : "a child's exit status");
	}
}

static void signals(struct seen *seen)
{
	struct loop_source *source = loop_signal(seen->loop, SIGUSR1, stop, seen);
	int64_t before = clock_monotonic_us();

	seen->at_us = 0;
	raise(SIGUSR1);
	run(seen);
	ok(seen->at_us >= before, "a signal calls");
	loop_cancel(source);
}

static void on_io_cancel(void *cookie, int fd, uint32_t events)
{
	struct seen *seen = cookie;

	(void)fd;
	(void)events;
	seen->count++;
	loop_cancel(seen->source);
	loop_after(seen->loop, 5, stop, seen);
}

static void cancelling(struct seen *seen)
{
	int ends[2];

	ok(pipe(ends) == 0 && write(ends[1], "xyz", 3) == 3, "a pipe with something in it");
	seen->count = 0;
	seen->source = loop_io(seen->loop, ends[0], EPOLLIN, on_io_cancel, seen);
	run(seen);
	ok(seen->count == 1, "a source may cancel itself in its call, and is called no more");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	struct seen seen = {.fd = -1};
	struct err err = {0};

	ok(loop_new(&seen.loop, &err) == 0, "a loop");
	timers(&seen);
	turns(&seen);
	descriptors(&seen);
	children(&seen);
	signals(&seen);
	cancelling(&seen);
	loop_cancel(NULL);
	loop_after(seen.loop, 1000, on_a, &seen);
	loop_free(seen.loop);
	return tap_done();
}
