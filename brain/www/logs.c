#include "www/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "build/build.h"
#include "forge/spec.h"

enum { LOOK_EVERY_MS = 1000 };

#define PLAIN "text/plain; charset=utf-8"

struct stream {
	LIST_ENTRY(stream) link;
	struct logs *logs;
	struct httpd_request *request;
	char build[SPEC_BUILD_SIZE];
	int fd; /* -1: there is no log yet */
	int64_t offset;
};

struct logs {
	struct brain *brain;
	LIST_HEAD(, stream) streams;
	struct loop_source *timer;
};

struct logs *logs_new(struct brain *brain)
{
	struct logs *logs = calloc(1, sizeof *logs);

	if (!logs)
		err_fatal("out of memory");
	logs->brain = brain;
	LIST_INIT(&logs->streams);
	return logs;
}

static void free_stream(struct stream *stream)
{
	LIST_REMOVE(stream, link);
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream);
}

void logs_free(struct logs *logs)
{
	if (!logs)
		return;
	while (!LIST_EMPTY(&logs->streams))
		free_stream(LIST_FIRST(&logs->streams));
	loop_cancel(logs->timer);
	free(logs);
}

static bool is_done(struct brain *brain, const char *name)
{
	struct arena *arena = arena_new();
	struct build_row build;
	struct err err = {.kind = ERR_NONE};
	bool done = build_find(brain, arena, name, &build, &err) <= 0 || strcmp(build.state, "done") == 0;

	arena_free(arena);
	return done;
}

static int open_log(const struct logs *logs, const char *build)
{
	struct arena *arena = arena_new();
	int fd = open(build_log_path(logs->brain, arena, build), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	arena_free(arena);
	return fd;
}

/* The end is asked for before the bytes: what came in between is not lost. A build that waits has no log yet. */
static ssize_t on_read(void *cookie, struct httpd_request *request, char *out, size_t room)
{
	struct stream *stream = httpd_get(request);
	bool done = is_done(stream->logs->brain, stream->build);
	ssize_t got;

	(void)cookie;
	if (stream->fd < 0)
		stream->fd = open_log(stream->logs, stream->build);
	if (stream->fd < 0)
		return done || errno != ENOENT ? -1 : 0;
	do
		got = pread(stream->fd, out, room, stream->offset);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		stream->offset += got;
		return got;
	}
	return done || got < 0 ? -1 : 0;
}

static void on_time(void *cookie)
{
	struct logs *logs = cookie;
	struct stream *stream, *next;

	logs->timer = LIST_EMPTY(&logs->streams) ? NULL : loop_after(logs->brain->loop, LOOK_EVERY_MS, on_time, logs);
	for (stream = LIST_FIRST(&logs->streams); stream; stream = next) {
		next = LIST_NEXT(stream, link);
		httpd_more(stream->request);
	}
}

static void begin_stream(
	struct logs *logs, struct httpd_request *request, const char *build, int fd, const struct httpd_field *headers)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		err_fatal("out of memory");
	*stream = (struct stream){.logs = logs, .request = request, .fd = fd};
	memcpy(stream->build, build, SPEC_BUILD_SIZE);
	LIST_INSERT_HEAD(&logs->streams, stream, link);
	httpd_set(request, stream);
	httpd_answer_stream(request, PLAIN, headers, on_read, NULL);
	if (!logs->timer)
		logs->timer = loop_after(logs->brain->loop, LOOK_EVERY_MS, on_time, logs);
}

void logs_answer(struct logs *logs, struct httpd_request *request, const char *build, bool running)
{
	static const struct httpd_field headers[] = {
		{"Content-Security-Policy", "default-src 'none'; sandbox"}, {"X-Content-Type-Options", "nosniff"}, {NULL, NULL}};
	int fd = open_log(logs, build);
	bool none = fd < 0 && errno == ENOENT, live = running && !httpd_header(request, "Range");

	if (live && (fd >= 0 || none))
		begin_stream(logs, request, build, fd, headers);
	else if (none)
		httpd_answer(request, 200, PLAIN, headers, "", 0);
	else if (fd < 0)
		httpd_answer_error(request, 503, "the log can't be read now");
	else
		httpd_answer_file(request, PLAIN, headers, fd);
}

void logs_grew(struct logs *logs, const char *build)
{
	struct stream *stream, *next;

	for (stream = LIST_FIRST(&logs->streams); stream; stream = next) {
		next = LIST_NEXT(stream, link);
		if (strcmp(stream->build, build) == 0)
			httpd_more(stream->request);
	}
}

void logs_gone(struct logs *logs, struct httpd_request *request)
{
	struct stream *stream = httpd_get(request);

	(void)logs;
	if (stream)
		free_stream(stream);
}
