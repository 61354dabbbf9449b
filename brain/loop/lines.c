#include "loop/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "base/sock.h"

enum {
	READ_PIECE = 64 * 1024, /* bytes; one read for each call of the loop, so that nobody keeps the others waiting */
	NODES = 200000,         /* JSON values in one line: some 16 MB of jansson's memory */
	CONNECTIONS = 256,      /* of one server at once */
	LINGER_MS = 10000,      /* a closed connection is given this long to take what is queued */
	PAUSE_MS = 100          /* without accepting, when descriptors have run out */
};

struct lines {
	LIST_ENTRY(lines) link; /* in its server's list */
	struct lines_server *server; /* NULL: a client */
	struct loop *loop;
	struct loop_source *source; /* the descriptor */
	struct loop_source *deferred; /* lines kept back while the backlog was full, and the end after it */
	struct loop_source *linger;
	int fd;
	struct buf in;
	struct buf out;
	lines_fn *message;
	loop_fn *drained;
	void *cookie;
	void *drained_cookie;
	struct err err;
	bool calling; /* inside a callback: freed after it */
	bool closing; /* no further calls; freed when `out` is empty */
	bool broken;  /* the other side is told nothing more */
	bool held;    /* lines_full() was true: lines are kept back, and lines_on_drain() waits */
};

struct lines_server {
	struct loop *loop;
	struct loop_source *source;
	struct loop_source *pause;
	int fd;
	unsigned count;
	lines_accept_fn *accept;
	lines_fn *message;
	void *cookie;
	LIST_HEAD(, lines) connections;
};

static void lines_free(struct lines *lines)
{
	if (lines->server) {
		LIST_REMOVE(lines, link);
		lines->server->count--;
	}
	loop_cancel(lines->source);
	loop_cancel(lines->deferred);
	loop_cancel(lines->linger);
	close(lines->fd);
	buf_release(&lines->in);
	buf_release(&lines->out);
	free(lines);
}

/* What the descriptor is waited for: nothing is read while the other side does not take its answers. */
static void watch(struct lines *lines)
{
	uint32_t events = lines->out.length ? EPOLLOUT : 0;

	if (!lines->closing && !lines_full(lines))
		events |= EPOLLIN;
	loop_io_events(lines->source, events);
}

/* The last call, and the end of it. */
static void finish(struct lines *lines)
{
	if (!lines->closing) {
		lines->calling = true;
		lines->message(lines->cookie, lines, NULL, &lines->err);
	}
	lines_free(lines);
}

/* Writes what goes. -1: the other side is gone. */
static int flush(struct lines *lines)
{
	while (lines->out.length) {
		ssize_t put = send(lines->fd, lines->out.data, lines->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN)
			return 0;
		if (put < 0)
			return -1;
		buf_consume(&lines->out, (size_t)put);
	}
	return 0;
}

static void call_drained(struct lines *lines)
{
	loop_fn *call = lines->drained;

	if (!call || lines->closing)
		return;
	lines->drained = NULL;
	lines->calling = true;
	call(lines->drained_cookie);
	lines->calling = false;
}

/* One line, without its newline. */
static void take_line(struct lines *lines, const char *line, size_t length)
{
	json_t *message = jsonget_parse(line, length, NODES, &lines->err);

	if (!message) {
		err_wrap(&lines->err, "a line on the socket");
		lines->broken = true;
		return;
	}
	lines->calling = true;
	lines->message(lines->cookie, lines, message, &lines->err);
	lines->calling = false;
	json_decref(message);
}

/* Calls for every whole line that is there, until the connection ends or its backlog is full. */
static void take_lines(struct lines *lines)
{
	size_t start = 0;

	while (!lines->closing && !lines->broken && !lines_full(lines)) {
		char *line = lines->in.data + start;
		char *end = lines->in.length > start ? memchr(line, '\n', lines->in.length - start) : NULL;

		if (!end)
			break;
		take_line(lines, line, (size_t)(end - line));
		start += (size_t)(end - line) + 1;
	}
	buf_consume(&lines->in, start);
	if (lines->in.length == lines->in.maximum && !memchr(lines->in.data, '\n', lines->in.length)) {
		err_set(&lines->err, ERR_INPUT, "a line on the socket has more than %d bytes", LINES_MAXIMUM);
		lines->broken = true;
	}
}

static void receive(struct lines *lines)
{
	char piece[READ_PIECE];
	size_t room = lines->in.maximum - lines->in.length;
	ssize_t got = recv(lines->fd, piece, room < sizeof piece ? room : sizeof piece, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0 && buf_add(&lines->in, piece, (size_t)got) == 0) {
		take_lines(lines);
		return;
	}
	if (got < 0 && errno != ECONNRESET)
		err_set_errno(&lines->err, errno, "the socket");
	else if (lines->in.length)
		err_set(&lines->err, ERR_INPUT, "the other side of the socket ended in the middle of a line");
	lines->broken = true;
}

/* After anything that happened: ends it, or waits for more. */
static void settle(struct lines *lines)
{
	if (lines->broken || (lines->closing && !lines->out.length)) {
		finish(lines);
		return;
	}
	watch(lines);
}

/* The backlog is small enough again. */
static void release(struct lines *lines)
{
	if (!lines->held || lines->broken || lines_full(lines))
		return;
	lines->held = false;
	call_drained(lines);
	if (!lines->broken && !lines->closing)
		take_lines(lines);
}

static void on_io(void *cookie, int fd, uint32_t events)
{
	struct lines *lines = cookie;

	(void)fd;
	if ((events & (EPOLLOUT | EPOLLERR)) && flush(lines) < 0)
		lines->broken = true;
	release(lines);
	if (!lines->broken && !lines->closing && !lines_full(lines) && (events & (EPOLLIN | EPOLLHUP)))
		receive(lines);
	if ((events & EPOLLHUP) && lines->closing)
		lines->broken = true;
	settle(lines);
}

static void on_deferred(void *cookie)
{
	release(cookie);
	settle(cookie);
}

static void on_linger(void *cookie)
{
	struct lines *lines = cookie;

	lines->linger = NULL;
	lines_free(lines);
}

static struct lines *lines_new(struct loop *loop, int fd, lines_fn *message)
{
	struct lines *lines = calloc(1, sizeof *lines);

	if (!lines)
		err_fatal("out of memory");
	*lines = (struct lines){.loop = loop, .fd = fd, .message = message};
	buf_init(&lines->in, LINES_MAXIMUM);
	buf_init(&lines->out, LINES_BACKLOG);
	lines->source = loop_io(loop, fd, EPOLLIN, on_io, lines);
	lines->deferred = loop_defer(loop, on_deferred, lines);
	return lines;
}

int lines_send(struct lines *lines, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	bool fits;

	if (!text)
		err_fatal("a message for a socket is not JSON, or out of memory");
	json_decref(message);
	if (lines->broken || lines->closing) {
		free(text);
		return -1;
	}
	text[length] = '\n'; /* over the NUL: its length is known */
	fits = length < LINES_MAXIMUM && buf_add(&lines->out, text, length + 1) == 0;
	free(text);
	if (!fits) {
		err_set(&lines->err, ERR_FULL, "the other side of the socket does not read what it asked for");
		lines->broken = true;
	}
	if (!fits || flush(lines) < 0) {
		lines->broken = true;
		if (!lines->calling)
			loop_wake(lines->deferred);
		return -1;
	}
	if (lines->held && !lines_full(lines))
		loop_wake(lines->deferred);
	lines->held = lines->held || lines_full(lines);
	if (!lines->calling)
		watch(lines);
	return 0;
}

int lines_send_descriptor(struct lines *lines, json_t *message, int descriptor)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	int done = -1;

	if (!text)
		err_fatal("a message for a socket is not JSON, or out of memory");
	json_decref(message);
	text[length] = '\n'; /* over the NUL: its length is known */
	if (!lines->broken && !lines->closing && !lines->out.length)
		done = sock_send(lines->fd, text, length + 1, &descriptor, 1, &lines->err);
	free(text);
	if (done < 0)
		lines->broken = true;
	return done;
}

/* Full is a half of what fits, so that an answer under way still finds room. */
bool lines_full(const struct lines *lines)
{
	return lines->out.length > LINES_BACKLOG / 2;
}

void lines_on_drain(struct lines *lines, loop_fn *call, void *cookie)
{
	lines->drained = call;
	lines->drained_cookie = cookie;
}

void lines_close(struct lines *lines)
{
	if (lines->closing)
		return;
	lines->closing = true;
	if (!lines->calling && (lines->broken || !lines->out.length)) {
		lines_free(lines);
		return;
	}
	lines->linger = loop_after(lines->loop, LINGER_MS, on_linger, lines);
	if (!lines->calling)
		watch(lines);
}

static void refuse(struct lines *lines, const char *text)
{
	if (!lines->out.length)
		lines_send(lines, json_pack("{s:s}", "error", text));
	lines_close(lines);
}

static void welcome(struct lines_server *server, int fd)
{
	struct lines *lines = lines_new(server->loop, fd, server->message);
	uid_t uid;
	pid_t pid;

	lines->server = server;
	LIST_INSERT_HEAD(&server->connections, lines, link);
	server->count++;
	lines->calling = true;
	if (sock_peer(fd, &uid, NULL, &pid, &lines->err) < 0)
		refuse(lines, lines->err.text);
	else if (server->count > CONNECTIONS)
		refuse(lines, "too many connections to this socket; try again later");
	else if (!(lines->cookie = server->accept(server->cookie, lines, uid, pid)))
		refuse(lines, "you may not use this socket");
	lines->calling = false;
	settle(lines);
}

static void on_pause_over(void *cookie)
{
	struct lines_server *server = cookie;

	server->pause = NULL;
	loop_io_events(server->source, EPOLLIN);
}

static void on_connection(void *cookie, int listener, uint32_t events)
{
	struct lines_server *server = cookie;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		welcome(server, fd);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warning(LOG_WHAT("no connection accepted on a socket"), LOG_TEXT("error", strerror(errno)));
	loop_io_events(server->source, 0);
	server->pause = loop_after(server->loop, PAUSE_MS, on_pause_over, server);
}

struct lines_server *lines_serve(struct loop *loop, const char *path, lines_accept_fn *accept, lines_fn *message, void *cookie,
	struct err *err)
{
	struct lines_server *server;
	int fd = sock_listen(path, SOCK_STREAM, err);

	if (fd < 0)
		return NULL;
	server = calloc(1, sizeof *server);
	if (!server)
		err_fatal("out of memory");
	*server = (struct lines_server){.loop = loop, .fd = fd, .accept = accept, .message = message, .cookie = cookie};
	LIST_INIT(&server->connections);
	server->source = loop_io(loop, fd, EPOLLIN, on_connection, server);
	return server;
}

void lines_server_free(struct lines_server *server)
{
	if (!server)
		return;
	while (!LIST_EMPTY(&server->connections))
		finish(LIST_FIRST(&server->connections));
	loop_cancel(server->source);
	loop_cancel(server->pause);
	close(server->fd);
	free(server);
}

struct lines *lines_connect(struct loop *loop, const char *path, lines_fn *message, void *cookie, struct err *err)
{
	struct lines *lines;
	int fd = sock_connect(path, SOCK_STREAM, err);

	if (fd < 0)
		return NULL;
	lines = lines_new(loop, fd, message);
	lines->cookie = cookie;
	return lines;
}

int lines_call_open(const char *path, struct err *err)
{
	return sock_connect(path, SOCK_STREAM, err);
}

int lines_call_send(int fd, const json_t *message, struct err *err)
{
	char *text = json_dumps(message, JSON_COMPACT);
	size_t length = text ? strlen(text) : 0;
	int rc;

	if (!text)
		err_fatal("a message for a socket is not JSON, or out of memory");
	text[length] = '\n'; /* over the NUL: its length is known */
	rc = sock_send(fd, text, length + 1, NULL, 0, err);
	free(text);
	return rc;
}

struct lines_reader {
	int fd;
	struct buf in;
};

struct lines_reader *lines_reader_new(int fd)
{
	struct lines_reader *reader = calloc(1, sizeof *reader);

	if (!reader)
		err_fatal("out of memory");
	reader->fd = fd;
	buf_init(&reader->in, LINES_MAXIMUM + READ_PIECE);
	return reader;
}

void lines_reader_free(struct lines_reader *reader)
{
	if (!reader)
		return;
	buf_release(&reader->in);
	free(reader);
}

/* Waits until there is something to read. */
static int await(int fd, int64_t until_us, struct err *err)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	for (;;) {
		int64_t left_ms = (until_us - clock_monotonic_us() + 999) / 1000;
		int rc = poll(&ready, 1, left_ms > 0 ? (int)(left_ms < INT32_MAX ? left_ms : INT32_MAX) : 0);

		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return err_set_errno(err, errno, "the socket");
		if (rc == 0 && clock_monotonic_us() >= until_us)
			return err_set(err, ERR_TIMEOUT, "no answer on the socket in time");
	}
}

/* Reads once; 0 with more in the buffer, -1 with ERR_NONE at the end. */
static int read_more(struct lines_reader *reader, int64_t until_us, struct err *err)
{
	char piece[READ_PIECE];
	ssize_t got;

	if (await(reader->fd, until_us, err) < 0)
		return -1;
	got = recv(reader->fd, piece, sizeof piece, 0);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got < 0 && errno != ECONNRESET)
		return err_set_errno(err, errno, "the socket");
	if (got <= 0) {
		err_clear(err);
		return reader->in.length ? err_set(err, ERR_INPUT, "the other side of the socket ended in the middle of a line") : -1;
	}
	if (reader->in.length >= LINES_MAXIMUM || buf_add(&reader->in, piece, (size_t)got) < 0)
		return err_set(err, ERR_INPUT, "a line on the socket has more than %d bytes", LINES_MAXIMUM);
	return 0;
}

json_t *lines_reader_next(struct lines_reader *reader, int64_t limit_ms, struct err *err)
{
	int64_t until_us = clock_monotonic_us() + limit_ms * 1000;
	char *end;
	json_t *message;

	while (!reader->in.length || !(end = memchr(reader->in.data, '\n', reader->in.length)))
		if (read_more(reader, until_us, err) < 0)
			return NULL;
	message = jsonget_parse(reader->in.data, (size_t)(end - reader->in.data), NODES, err);
	buf_consume(&reader->in, (size_t)(end - reader->in.data) + 1);
	if (!message)
		err_wrap(err, "a line on the socket");
	return message;
}
