#include "www/downloads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "base/sock.h"

enum { AT_ONCE = 16, NODES = 100, REPLY_MAXIMUM = 16384, NAME_SIZE = 96 };

struct fetch {
	LIST_ENTRY(fetch) link;
	struct downloads *downloads;
	struct httpd_request *request;
	struct loop_source *source;
	int fd; /* the connection */
	int64_t size;
	char name[NAME_SIZE];
};

struct downloads {
	struct brain *brain;
	LIST_HEAD(, fetch) fetches;
	unsigned count;
};

struct downloads *downloads_new(struct brain *brain)
{
	struct downloads *downloads = calloc(1, sizeof *downloads);

	if (!downloads)
		err_fatal("out of memory");
	downloads->brain = brain;
	LIST_INIT(&downloads->fetches);
	return downloads;
}

static void free_fetch(struct fetch *fetch)
{
	LIST_REMOVE(fetch, link);
	fetch->downloads->count--;
	loop_cancel(fetch->source);
	close(fetch->fd);
	free(fetch);
}

void downloads_free(struct downloads *downloads)
{
	if (!downloads)
		return;
	while (!LIST_EMPTY(&downloads->fetches))
		free_fetch(LIST_FIRST(&downloads->fetches));
	free(downloads);
}

/* What is left of its last part when all but letters, digits, '.', '_' and '-' is '_', and it begins with no '.' or '-'. */
static void set_name(char name[static NAME_SIZE], const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *slash = strrchr(path, '/');

	snprintf(name, NAME_SIZE, "%s", slash ? slash + 1 : path);
	for (char *c = name; *c; c++)
		if (!strchr(plain, *c) || (c == name && (*c == '.' || *c == '-')))
			*c = '_';
}

/* A file on the disk of the slave's folder, as long as the result says: nothing that a read could wait for. */
static int check(const struct fetch *fetch, int file, struct err *err)
{
	struct arena *arena = arena_new();
	const char *state = NULL;
	struct stat st, folder;
	int done = conf_text(fetch->downloads->brain->conf, NULL, "state", &state, err);

	if (done == 0 && (fstat(file, &st) < 0 || stat(arena_printf(arena, "%s/slave", state), &folder) < 0))
		done = err_set_errno(err, errno, "an artefact");
	else if (done == 0 && (!S_ISREG(st.st_mode) || st.st_dev != folder.st_dev || st.st_size != fetch->size))
		done = err_set(err, ERR_REFUSED, "what the slave has is not what its result says");
	arena_free(arena);
	return done;
}

static void send_file(const struct fetch *fetch, int file)
{
	char disposition[NAME_SIZE + 64];
	const struct httpd_field headers[] = {
		{"Content-Disposition", disposition},
		{"Content-Security-Policy", "default-src 'none'; sandbox"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{NULL, NULL},
	};

	snprintf(disposition, sizeof disposition, "attachment; filename=\"%s\"", fetch->name);
	httpd_answer_file(fetch->request, "application/octet-stream", headers, file);
}

/* The reply: {"ok":true} with a descriptor, and "path" and "size" if we asked for them, or {"error":TEXT,"kind":KIND}. */
static void take_reply(struct fetch *fetch, const char *text, size_t length, int file)
{
	struct err err = {.kind = ERR_NONE};
	json_t *reply = jsonget_parse(text, length, NODES, &err);
	const char *why = jsonget_string_or(reply, "error", NULL);

	if (fetch->size < 0) {
		fetch->size = jsonget_integer_or(reply, "size", -1);
		set_name(fetch->name, jsonget_string_or(reply, "path", ""));
	}
	if (file >= 0 && jsonget_boolean_or(reply, "ok", false) && check(fetch, file, &err) == 0) {
		send_file(fetch, file);
	} else {
		bool absent = why && strcmp(jsonget_string_or(reply, "kind", ""), "input") == 0;

		httpd_answer_error(fetch->request, absent ? 404 : 503, why ? why : err.kind != ERR_NONE ? err.text : "the slave gave no file");
		if (file >= 0)
			close(file);
	}
	json_decref(reply);
}

static void on_reply(void *cookie, int fd, uint32_t events)
{
	struct fetch *fetch = cookie;
	char text[REPLY_MAXIMUM];
	int files[SOCK_DESCRIPTORS];
	size_t count = 0;
	struct err err = {.kind = ERR_NONE};
	ssize_t length = sock_receive(fd, text, sizeof text, files, &count, &err);

	(void)events;
	for (size_t i = 1; i < count; i++)
		close(files[i]);
	if (length > 0)
		take_reply(fetch, text, (size_t)length, count ? files[0] : -1);
	else
		httpd_answer_error(fetch->request, 503, length < 0 ? err.text : "the slave went away");
	free_fetch(fetch);
}

static int ask(struct fetch *fetch, const struct downloads_wish *wish, struct err *err)
{
	const char *path;
	char text[256];

	if (conf_text(fetch->downloads->brain->conf, NULL, "slave.socket", &path, err) < 0)
		return -1;
	fetch->fd = sock_connect(path, SOCK_STREAM, err);
	snprintf(text, sizeof text, "{\"op\":\"artefact\",\"build\":\"%s\",\"number\":%lld%s}\n", wish->build, (long long)wish->number,
		wish->path ? "" : ",\"named\":true");
	return fetch->fd < 0 ? -1 : sock_send(fetch->fd, text, strlen(text), NULL, 0, err);
}

void downloads_answer(struct downloads *downloads, struct httpd_request *request, const struct downloads_wish *wish)
{
	struct err err = {.kind = ERR_NONE};
	struct fetch *fetch;

	if (downloads->count >= AT_ONCE) {
		httpd_answer_error(request, 503, "too many artefacts are asked for at once");
		return;
	}
	fetch = calloc(1, sizeof *fetch);
	if (!fetch)
		err_fatal("out of memory");
	*fetch = (struct fetch){.downloads = downloads, .request = request, .fd = -1, .size = wish->size};
	if (wish->path)
		set_name(fetch->name, wish->path);
	LIST_INSERT_HEAD(&downloads->fetches, fetch, link);
	downloads->count++;
	if (ask(fetch, wish, &err) == 0) {
		fetch->source = loop_io(downloads->brain->loop, fetch->fd, EPOLLIN, on_reply, fetch);
		return;
	}
	httpd_answer_error(request, 503, err.text);
	free_fetch(fetch);
}

void downloads_gone(struct downloads *downloads, struct httpd_request *request)
{
	struct fetch *fetch, *next;

	for (fetch = LIST_FIRST(&downloads->fetches); fetch; fetch = next) {
		next = LIST_NEXT(fetch, link);
		if (fetch->request == request)
			free_fetch(fetch);
	}
}
