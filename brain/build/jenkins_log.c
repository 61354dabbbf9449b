#include "build/jenkins_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "forge/result.h"

#define COPY_MAXIMUM ((int64_t)2 * 1024 * 1024 * 1024)
enum { LOG_MODE = 0640, PIECE = 65536 };

struct jenkins_log {
	int fd; /* -1: none is wanted */
	int64_t size;
	bool full;      /* more is not kept; the line is still looked for */
	bool cr;        /* the last byte was one, and what it means is not known yet */
	bool other;     /* this line is not one that is looked for */
	const char *begins;
	struct buf out; /* escaped, to be written */
	struct buf line;
	char *found;
};

struct jenkins_log *jenkins_log_open(const char *path, const char *begins, struct err *err)
{
	struct jenkins_log *log = calloc(1, sizeof *log);

	if (!log)
		err_fatal("out of memory");
	log->fd = -1;
	log->begins = begins;
	buf_init(&log->out, (size_t)PIECE * 8);
	buf_init(&log->line, RESULT_LINE_MAXIMUM + 1);
	if (!path)
		return log;
	log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, LOG_MODE);
	if (log->fd >= 0 && ftruncate(log->fd, 0) == 0)
		return log;
	err_set_errno(err, errno, "%s", path);
	jenkins_log_free(log);
	return NULL;
}

void jenkins_log_free(struct jenkins_log *log)
{
	if (!log)
		return;
	if (log->fd >= 0)
		close(log->fd);
	buf_release(&log->out);
	buf_release(&log->line);
	free(log->found);
	free(log);
}

static void forget(struct jenkins_log *log)
{
	log->size = 0;
	log->full = log->cr = log->other = false;
	buf_clear(&log->out);
	buf_clear(&log->line);
	free(log->found);
	log->found = NULL;
}

int jenkins_log_restart(struct jenkins_log *log, struct err *err)
{
	forget(log);
	if (log->fd >= 0 && ftruncate(log->fd, 0) < 0)
		return err_set_errno(err, errno, "a build's log can't be cut");
	return 0;
}

static void keep(struct jenkins_log *log)
{
	free(log->found);
	log->found = strdup(log->line.data);
	if (!log->found)
		err_fatal("out of memory");
}

static bool is_sought(const struct jenkins_log *log)
{
	return !log->other && log->line.length >= strlen(log->begins);
}

/* More of the line that may be the one. */
static void look_at(struct jenkins_log *log, const char *bytes, size_t length)
{
	size_t first;

	if (log->other)
		return;
	log->other = length > 0 && buf_add(&log->line, bytes, length) < 0;
	first = log->line.length < strlen(log->begins) ? log->line.length : strlen(log->begins);
	if (first && memcmp(log->line.data, log->begins, first) != 0)
		log->other = true;
}

static void look(struct jenkins_log *log, const char *bytes, size_t length)
{
	for (const char *end; (end = memchr(bytes, '\n', length)); length -= (size_t)(end + 1 - bytes), bytes = end + 1) {
		look_at(log, bytes, (size_t)(end - bytes));
		if (is_sought(log))
			keep(log);
		buf_clear(&log->line);
		log->other = false;
	}
	look_at(log, bytes, length);
}

static bool is_plain(char byte)
{
	return ((unsigned char)byte >= ' ' && byte != 127) || byte == '\n' || byte == '\t';
}

/* The buffer has room for a piece of which every byte becomes four. */
static void put(struct jenkins_log *log, const char *bytes, size_t length)
{
	int done = is_plain(*bytes) ? buf_add(&log->out, bytes, length) : buf_printf(&log->out, "\\x%02x", (unsigned char)*bytes);

	if (done < 0)
		err_fatal("a piece of a log that became longer than it can");
	look(log, bytes, length);
}

static void take(struct jenkins_log *log, const char *bytes, size_t length)
{
	while (length) {
		size_t plain = 0;
		bool before = log->cr;

		log->cr = *bytes == '\r';
		if (before && *bytes != '\n')
			put(log, "\r", 1);
		while (plain < length && is_plain(bytes[plain]))
			plain++;
		if (plain || !log->cr)
			put(log, bytes, plain ? plain : 1);
		bytes += plain ? plain : 1;
		length -= plain ? plain : 1;
	}
}

static int flush(struct jenkins_log *log, struct err *err)
{
	size_t put = 0;

	if (log->size + (int64_t)log->out.length > COPY_MAXIMUM)
		log->full = true;
	while (log->fd >= 0 && !log->full && put < log->out.length) {
		ssize_t now = write(log->fd, log->out.data + put, log->out.length - put);

		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return err_set_errno(err, now < 0 ? errno : ENOSPC, "a build's log can't be written");
		put += (size_t)now;
	}
	log->size += (int64_t)put;
	buf_clear(&log->out);
	return 0;
}

int jenkins_log_add(struct jenkins_log *log, const char *bytes, size_t length, struct err *err)
{
	while (length) {
		size_t piece = length < PIECE ? length : PIECE;

		take(log, bytes, piece);
		if (flush(log, err) < 0)
			return -1;
		bytes += piece;
		length -= piece;
	}
	return 0;
}

const char *jenkins_log_line(struct jenkins_log *log)
{
	if (is_sought(log) && log->line.length)
		keep(log);
	return log->found;
}
