#include "slaves/serve/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forge/outcome.h"
#include "forge/spec.h"
#include "slaves/common/ending.h"
#include "slaves/record/builds.h"

#define FOLLOW_CHUNK ((size_t)64 * 1024)

struct follow {
	struct follow_from from;
	char build[SPEC_BUILD_SIZE];
	follow_done_fn *done;
	void *cookie;
	int log;    /* -1: not there yet */
	int notify; /* inotify(7) of the build's folder */
	int64_t offset;
	struct loop_source *changed, *later;
	bool waiting; /* for the connection to drain */
};

static void pump(void *cookie);

static void folder_changed(void *cookie, int fd, uint32_t events)
{
	char bytes[4096];

	(void)events;
	while (read(fd, bytes, sizeof bytes) > 0)
		continue;
	pump(cookie);
}

static int check_offset(struct follow *follow, struct err *err)
{
	struct stat st;
	char before = '\n';

	if (follow->offset == 0)
		return 0;
	if (follow->offset < 0 || follow->log < 0 || fstat(follow->log, &st) < 0 || follow->offset > st.st_size)
		return err_set(err, ERR_INPUT, "offset: past the end of the log");
	if (pread(follow->log, &before, 1, follow->offset - 1) != 1 || before != '\n')
		return err_set(err, ERR_INPUT, "offset: not the beginning of a line");
	return 0;
}

static void open_log(struct follow *follow, struct arena *arena)
{
	struct err err = {0};
	const char *path = follow->log < 0 ? builds_path(follow->from.program, arena, follow->build, "log", &err) : NULL;

	if (path)
		follow->log = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

struct follow *follow_new(const struct follow_from *from, follow_done_fn *done, void *cookie, struct err *err)
{
	struct arena *arena = arena_new();
	struct follow *follow = calloc(1, sizeof *follow);

	if (!follow)
		abort();
	*follow = (struct follow){.from = *from, .done = done, .cookie = cookie, .log = -1, .notify = -1, .offset = from->offset};
	snprintf(follow->build, sizeof follow->build, "%s", from->build);
	follow->from.build = follow->build;
	const char *folder = builds_path(from->program, arena, from->build, NULL, err);
	const char *spec = folder ? builds_path(from->program, arena, from->build, "spec.json", err) : NULL;
	if (!spec)
		goto err0;
	if (access(spec, F_OK) < 0) {
		err_set(err, ERR_NOT_FOUND, "there is no build %s here", from->build);
		goto err0;
	}
	follow->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (follow->notify < 0 || inotify_add_watch(follow->notify, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
		err_set_errno(err, errno, "watch %s", folder);
		goto err0;
	}
	open_log(follow, arena);
	if (check_offset(follow, err) < 0)
		goto err0;
	follow->changed = loop_io(from->loop, follow->notify, EPOLLIN, folder_changed, follow);
	follow->later = loop_defer(from->loop, pump, follow);
	loop_wake(follow->later);
	arena_free(arena);
	return follow;
err0:
	follow_free(follow);
	arena_free(arena);
	return NULL;
}

void follow_free(struct follow *follow)
{
	if (!follow)
		return;
	loop_cancel(follow->changed);
	loop_cancel(follow->later);
	if (follow->log >= 0)
		close(follow->log);
	if (follow->notify >= 0)
		close(follow->notify);
	free(follow);
}

const char *follow_build(const struct follow *follow)
{
	return follow->build;
}

/* Sends whole lines, so that the text is whole characters too. 1: sent some; 0: there are none; -1: it cannot be read. */
static int send_chunk(struct follow *follow)
{
	char bytes[FOLLOW_CHUNK];
	ssize_t length = follow->log < 0 ? 0 : pread(follow->log, bytes, sizeof bytes, follow->offset);

	if (length < 0)
		return errno == EINTR ? 1 : -1;
	while (length > 0 && bytes[length - 1] != '\n')
		length--;
	if (length == 0)
		return 0;
	json_t *text = json_stringn(bytes, (size_t)length);
	if (!text)
		return -1;
	follow->offset += length;
	lines_send(follow->from.lines, json_pack("{s:o, s:I}", "log", text, "offset", (json_int_t)follow->offset));
	return 1;
}

static void drained(void *cookie)
{
	struct follow *follow = cookie;

	follow->waiting = false;
	pump(follow);
}

static void finish(struct follow *follow, const char *line)
{
	struct err err = {0};
	enum outcome outcome = OUTCOME_INFRASTRUCTURE;

	if (line && ending_outcome(line, &outcome, &err) == 0)
		lines_send(follow->from.lines, json_pack("{s:s, s:s, s:I}", "result", line, "outcome", outcome_word(outcome), "offset",
							(json_int_t)follow->offset));
	else
		lines_send(follow->from.lines, json_pack("{s:s, s:s}", "error", line ? err.text : "the log cannot be read", "kind",
		"infrastructure"));
	follow->done(follow->cookie);
}

/* The result is looked for first: what stood in the log when it was written is then sent before it. */
static void pump(void *cookie)
{
	struct follow *follow = cookie;
	struct arena *arena = arena_new();
	struct err err = {0};
	int sent = 1;

	if (follow->waiting)
		goto err0;
	const char *line = builds_result(follow->from.program, arena, follow->build, &err);
	open_log(follow, arena);
	while (sent > 0 && !lines_full(follow->from.lines))
		sent = send_chunk(follow);
	if (sent > 0) {
		follow->waiting = true;
		lines_on_drain(follow->from.lines, drained, follow);
	} else if (sent < 0 || line) {
		finish(follow, sent < 0 ? NULL : line);
	}
err0:
	arena_free(arena);
}
