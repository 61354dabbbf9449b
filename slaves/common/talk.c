#include "slaves/common/talk.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "loop/lines.h"

#define TALK_SILENCE_MS (25 * 3600 * 1000LL) /* between two lines of a log */
#define TALK_RETURN_MS (60 * 1000)           /* for a daemon that went away to come back */
#define TALK_THERE_MS 1000                   /* who keeps a connection for longer is there, also when a build says nothing */
#define TALK_PAUSE_MS 100
#define TALK_BUSY_MS (10 * 60 * 1000) /* for a daemon that is busy: the build before this one may just be ending */

/* What a reply that is an error means. */
static int reply_error(const json_t *reply, struct err *err)
{
	static const struct {
		const char *word;
		enum err_kind kind;
	} kinds[] = {{"busy", ERR_BUSY}, {"refused", ERR_REFUSED}, {"input", ERR_INPUT}, {"unreachable", ERR_NETWORK}};
	const char *text = jsonget_string_or(reply, "error", NULL), *word = jsonget_string_or(reply, "kind", "refused");
	enum err_kind kind = ERR_SYSTEM;

	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].word, word) == 0)
			kind = kinds[i].kind;
	return err_set(err, kind, "%s", text);
}

/* One connection: the request goes out, replies are read. */
struct talk {
	int fd;
	struct lines_reader *reader;
};

static void hang_up(struct talk *talk)
{
	lines_reader_free(talk->reader);
	if (talk->fd >= 0)
		close(talk->fd);
	*talk = (struct talk){.fd = -1};
}

static int call(struct talk *talk, const char *path, const json_t *request, struct err *err)
{
	*talk = (struct talk){.fd = -1};
	if (!request) /* which was made of words from a command line */
		return err_set(err, ERR_USAGE, "a word that is asked with is not UTF-8");
	talk->fd = lines_call_open(path, err);
	if (talk->fd < 0)
		return -1;
	talk->reader = lines_reader_new(talk->fd);
	if (lines_call_send(talk->fd, request, err) == 0)
		return 0;
	hang_up(talk);
	return -1;
}

/* One request, one reply (a new reference). */
static json_t *ask(struct talk *talk, const char *path, const json_t *request, int64_t limit_ms, struct err *err)
{
	json_t *reply = NULL;

	if (call(talk, path, request, err) < 0)
		return NULL;
	reply = lines_reader_next(talk->reader, limit_ms, err);
	if (!reply && err->kind == ERR_NONE)
		err_set(err, ERR_SYSTEM, "the daemon at %s ended the connection without an answer; see its log", path);
	if (reply && reply_error(reply, err) < 0) {
		json_decref(reply);
		reply = NULL;
	}
	return reply;
}

json_t *talk_ask(const char *path, const json_t *request, int64_t limit_ms, struct err *err)
{
	struct talk talk;
	json_t *reply = ask(&talk, path, request, limit_ms, err);

	hang_up(&talk);
	return reply;
}

int talk_hold(const char *path, const json_t *request, struct err *err)
{
	struct talk talk;
	json_t *reply = ask(&talk, path, request, TALK_REPLY_MS, err);
	int fd = reply ? talk.fd : -1;

	if (reply)
		talk.fd = -1; /* it is the caller's */
	json_decref(reply);
	hang_up(&talk);
	return fd;
}

bool talk_is_held(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&end, 1, 0) == 0;
}

json_t *talk_ask_patiently(const char *path, const json_t *request, int64_t limit_ms, struct err *err)
{
	const struct timespec pause = {.tv_nsec = 2 * TALK_PAUSE_MS * 1000000L};
	int64_t end = clock_monotonic_us() + TALK_BUSY_MS * 1000LL;
	json_t *reply;
	bool said = false;

	while (!(reply = talk_ask(path, request, limit_ms, err)) && err->kind == ERR_BUSY && clock_monotonic_us() < end) {
		if (!said)
			puts("byoci: busy with another request: this one waits");
		fflush(stdout);
		said = true;
		err_clear(err);
		nanosleep(&pause, NULL);
	}
	return reply;
}

/* 1: that was the last line; 0: go on. */
static int take_line(struct talk_following *following, const json_t *line, struct err *err)
{
	const char *log = jsonget_string_or(line, "log", NULL), *result = jsonget_string_or(line, "result", NULL);

	if (reply_error(line, err) < 0)
		return -1;
	following->offset = jsonget_integer_or(line, "offset", following->offset);
	if (log) {
		fputs(log, stdout);
		fflush(stdout);
	}
	if (!result)
		return 0;
	if (!outcome_from_word(jsonget_string_or(line, "outcome", ""), &following->outcome))
		return err_set(err, ERR_SYSTEM, "the daemon answered with an outcome that is not known here");
	following->line = arena_strdup(following->arena, result);
	return 1;
}

/* 1: ended with a result; 0: the connection ended without; -1: an error that asking again does not mend. */
static int follow_once(struct talk_following *following, struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:I, s:b}", "op", "follow", "build", following->build, "offset", (json_int_t)following->offset,
		"cancel_on_close", !following->detach);
	struct talk talk;
	json_t *line;
	int done = 0;

	int asked = call(&talk, following->socket, request, err);
	json_decref(request);
	if (asked < 0) {
		err_clear(err);
		return 0;
	}
	while (done == 0 && (line = lines_reader_next(talk.reader, TALK_SILENCE_MS, err))) {
		done = take_line(following, line, err);
		json_decref(line);
	}
	hang_up(&talk);
	if (done == 0)
		err_clear(err);
	return done;
}

/* The daemon may be restarted meanwhile: the build goes on, and so do we. */
int talk_follow(struct talk_following *following, struct err *err)
{
	const struct timespec pause = {.tv_nsec = TALK_PAUSE_MS * 1000000L};
	int64_t return_us = (following->return_ms ? following->return_ms : TALK_RETURN_MS) * 1000LL;
	int64_t heard = clock_monotonic_us();

	for (;;) {
		int64_t before = following->offset, began = clock_monotonic_us();
		int done = follow_once(following, err);
		if (done != 0)
			return done;
		if (following->offset != before || clock_monotonic_us() - began > TALK_THERE_MS * 1000LL)
			heard = clock_monotonic_us();
		if (clock_monotonic_us() - heard > return_us)
			return err_set(err, ERR_SYSTEM, "the slave at %s went away; build %s may go on", following->socket, following->build);
		nanosleep(&pause, NULL);
	}
}
